//! What a generation can be asked for, by the numbers of [`protocol::Target`], with the bounds of each.

use std::sync::Arc;
use std::time::Duration;

use protocol::{Target, TargetItem};

/// How many calls at once, and how many may wait for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// Calls at work at once.
    pub concurrent_calls: usize,
    /// Calls that wait besides.
    pub queue_calls: usize,
}

/// What fails and is bounded together: one tool, or everything else that one plugin offers.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Place of its plugin among the plugins.
    pub plugin: u32,
    /// The tool; `None`: the plugin's prompts, resources and completions.
    pub tool: Option<Arc<str>>,
    /// How long one call may take.
    pub deadline: Duration,
    /// Its own bounds, within those of the plugin.
    pub places: Places,
}

/// Every plugin and tool of a generation.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// Name and bounds of each plugin.
    plugins: Vec<(Arc<str>, Places)>,
    /// The tools first, then one for each plugin.
    units: Vec<Unit>,
}

impl Roster {
    /// Plugins, their tools in the order of the numbers of [`TargetItem::Tool`], and for each plugin in order what it
    /// offers besides.
    #[must_use]
    pub fn new(plugins: Vec<(Arc<str>, Places)>, tools: Vec<Unit>, others: Vec<Unit>) -> Self {
        debug_assert_eq!(plugins.len(), others.len());
        let mut units = tools;
        units.extend(others);
        Self { plugins, units }
    }

    /// Name and bounds of each plugin.
    #[must_use]
    pub fn plugins(&self) -> &[(Arc<str>, Places)] {
        &self.plugins
    }

    /// Every unit, in the order of [`Index::of`].
    #[must_use]
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// The name of a unit's plugin.
    #[must_use]
    pub fn plugin_of(&self, unit: &Unit) -> &Arc<str> {
        &self.plugins[unit.plugin as usize].0
    }

    /// How calls find their unit.
    #[must_use]
    pub const fn index(&self) -> Index {
        Index { tools: self.units.len() - self.plugins.len() }
    }
}

/// Finds the unit of a call.
#[derive(Clone, Copy, Debug)]
pub struct Index {
    tools: usize,
}

impl Index {
    /// The place of a target's unit among the units.
    #[must_use]
    pub const fn of(self, target: Target) -> usize {
        match target.item {
            TargetItem::Tool(number) => number as usize,
            TargetItem::Prompt(_)
            | TargetItem::Resource(_)
            | TargetItem::Template(_)
            | TargetItem::Completer => self.tools + target.plugin as usize,
        }
    }
}

/// What a refusal names: the tool, or the plugin.
#[must_use]
pub(crate) fn scope(plugin: &str, tool: Option<&str>) -> String {
    match tool {
        Some(tool) => format!("tool:{tool}"),
        None => format!("plugin:{plugin}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_stands_for_itself_and_everything_else_for_its_plugin() {
        let places = Places { concurrent_calls: 1, queue_calls: 0 };
        let unit = |plugin, tool: Option<&str>| Unit {
            plugin,
            tool: tool.map(Into::into),
            deadline: Duration::from_secs(1),
            places,
        };
        let roster = Roster::new(
            vec![("one".into(), places), ("two".into(), places)],
            vec![unit(0, Some("a")), unit(1, Some("b")), unit(0, Some("c"))],
            vec![unit(0, None), unit(1, None)],
        );
        let found = |plugin, item| {
            let unit =
                &roster.units()[roster.index().of(Target { plugin, item, runs_here: false })];
            (&**roster.plugin_of(unit), unit.tool.as_deref())
        };
        assert_eq!(found(1, TargetItem::Tool(1)), ("two", Some("b")));
        assert_eq!(found(0, TargetItem::Tool(2)), ("one", Some("c")));
        for item in [TargetItem::Prompt(7), TargetItem::Resource(0), TargetItem::Completer] {
            assert_eq!(found(1, item), ("two", None));
        }
    }
}
