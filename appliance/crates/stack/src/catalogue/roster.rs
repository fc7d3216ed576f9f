//! The bounds of everything on offer, for the layers that know plugins and tools.

use std::sync::Arc;
use std::time::Duration;

use middleware::Mode;
use middleware::roster::{Places, Roster, Unit};
use plugin_host::ExecMode;
use profile::Plan;
use profile::plan::{PluginPlan, ToolLimitsPlan};

use super::Catalogue;

impl Catalogue {
    /// Every plugin and tool by its number here, with the bounds that `plan` gives it. Tools that the plan names and
    /// nobody offers are told to the operator.
    pub(crate) fn roster(&self, plan: &Plan) -> Roster {
        let timeout = &plan.layers.timeout;
        let deadline_ms = (timeout.mode == Mode::Enforce).then(|| timeout.deadline_ms.get());
        let unit = |plugin: u32, tool: Option<Arc<str>>, limits: &ToolLimitsPlan, blocks: bool| {
            let concurrent_calls =
                if blocks { limits.blocking_calls } else { limits.concurrent_calls };
            let own = limits.deadline;
            let deadline = deadline_ms.map_or(own, |ms| own.min(Duration::from_millis(ms)));
            let places = Places { concurrent_calls, queue_calls: limits.queue_calls };
            Unit { plugin, tool, deadline, places }
        };
        let plugins: Vec<&PluginPlan> = plan.plugins.iter().collect();
        let items = self.items_of_each(plugins.len());
        let tools = self.tools.iter().map(|(name, tool)| {
            let number = tool.place.plugin;
            let of_plugin = plugins[number as usize];
            let own = of_plugin.tools.get(name);
            let limits = own.unwrap_or(&of_plugin.limits.each_tool);
            let mut unit = unit(number, Some(name.into()), limits, tool.mode != ExecMode::Async);
            if own.is_none() && items[number as usize] == 1 {
                unit.places = of_plugin_as_a_whole(of_plugin);
            }
            unit
        });
        let others = (0..).zip(&plugins);
        let others =
            others.map(|(number, plugin)| unit(number, None, &plugin.limits.each_tool, true));
        let named = plugins.iter();
        let named =
            named.map(|plugin| (Arc::clone(&plugin.name), of_plugin_as_a_whole(plugin))).collect();
        self.say_what_is_not_offered(&plugins);
        Roster::new(named, tools.collect(), others.collect())
    }

    /// How many items each of `plugins` plugins offers.
    fn items_of_each(&self, plugins: usize) -> Vec<usize> {
        let places = self.tools.iter().map(|(_, tool)| tool.place);
        let places = places.chain(self.prompts.iter().map(|(_, prompt)| prompt.place));
        let places = places.chain(self.resources.iter().map(|(_, place)| *place));
        let places = places.chain(self.templates.iter().map(|(_, place)| *place));
        let mut counts = vec![0; plugins];
        places.for_each(|place| counts[place.plugin as usize] += 1);
        counts
    }

    fn say_what_is_not_offered(&self, plugins: &[&PluginPlan]) {
        for (number, plugin) in (0..).zip(plugins) {
            for tool in plugin.tools.keys() {
                let owner = self.tools.find(tool).map(|tool| tool.place.plugin);
                if owner != Some(number) {
                    tracing::warn!(
                        "plugin.{}.tool.{tool}: the plugin offers no such tool; correct the name or remove the table",
                        plugin.name
                    );
                }
            }
        }
    }
}

fn of_plugin_as_a_whole(plugin: &PluginPlan) -> Places {
    Places {
        concurrent_calls: plugin.limits.concurrent_calls,
        queue_calls: plugin.limits.queue_calls,
    }
}
