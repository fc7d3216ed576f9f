//! The circuits of all generations, by name.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::core::{Core, Phase, Rules};
use super::{Config, NAME};
use crate::roster::Roster;

/// Whose a circuit is: a plugin, and one tool of it; no tool stands for everything else that it offers.
type Name = (Arc<str>, Option<Arc<str>>);

/// What somebody decides for a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forced {
    /// Calls are refused.
    Open,
    /// Calls pass, whatever becomes of them.
    Closed,
}

/// One circuit at one moment.
#[derive(Clone, Debug)]
pub struct CircuitReport {
    /// The plugin.
    pub plugin: Arc<str>,
    /// The tool; `None`: everything else that the plugin offers.
    pub tool: Option<Arc<str>>,
    /// What it does with calls.
    pub phase: Phase,
    /// How often it entered each phase, in the order of [`Phase::ALL`].
    pub entered: [u64; Phase::ALL.len()],
}

/// A circuit that is not closed, as another process can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The plugin.
    pub plugin: Arc<str>,
    /// The tool; `None`: everything else that the plugin offers.
    pub tool: Option<Arc<str>>,
    /// For how many milliseconds calls are still refused, before some are tried.
    pub left_ms: u64,
    /// How often it opened since it was last closed.
    pub opened: u32,
}

#[derive(Debug)]
struct Shared {
    begun: Instant,
    rules: Mutex<Rules>,
    circuits: Mutex<HashMap<Name, Arc<Core>>>,
}

/// What outlives a generation: what is known of each plugin and tool.
#[derive(Clone, Debug)]
pub struct State(Arc<Shared>);

impl State {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self(Arc::new(Shared {
            begun: Instant::now(),
            rules: Mutex::new(Rules::new(config)),
            circuits: Mutex::default(),
        }))
    }

    /// Follows new settings. What is known stays, but for a window of another size, which begins anew.
    pub fn follow(&self, config: &Config) {
        *self.0.rules.lock() = Rules::new(config);
    }

    /// The circuits of a generation, in the order of its units. Those of others are forgotten.
    pub(super) fn circuits(&self, config: &Config, roster: &Roster) -> Vec<Arc<Core>> {
        let mut known = self.0.circuits.lock();
        let mut kept = HashMap::with_capacity(roster.units().len());
        let circuits = roster.units().iter().map(|unit| {
            let name = (Arc::clone(roster.plugin_of(unit)), unit.tool.clone());
            let same =
                known.remove(&name).filter(|core| core.window_calls() == config.window_calls);
            let core = same.unwrap_or_else(|| {
                // The same for each start: a circuit's times can be foretold.
                let seed = BuildHasherDefault::<DefaultHasher>::default().hash_one(&name);
                Arc::new(Core::new(config.window_calls, seed))
            });
            kept.insert(name, Arc::clone(&core));
            core
        });
        let circuits = circuits.collect();
        *known = kept;
        circuits
    }

    /// Milliseconds of the clock that circuits go by.
    pub(super) fn now_ms(&self) -> u64 {
        self.0.begun.elapsed().as_millis() as u64
    }

    fn find(&self, plugin: &str, tool: Option<&str>) -> Option<Arc<Core>> {
        let name = (plugin.into(), tool.map(Into::into));
        self.0.circuits.lock().get(&name).cloned()
    }

    /// Decides for a circuit in the name of `owner`, for so long; again by the same owner prolongs it. `false`, and
    /// nothing changes, when there is no such circuit, or somebody else decides at the moment.
    pub fn force(
        &self,
        plugin: &str,
        tool: Option<&str>,
        forced: Forced,
        owner: &Arc<str>,
        lasts: Duration,
    ) -> bool {
        let Some(core) = self.find(plugin, tool) else { return false };
        let now_ms = self.now_ms();
        let until_ms = now_ms.saturating_add(lasts.as_millis() as u64);
        let is_news = core.force(forced == Forced::Open, owner, now_ms, until_ms);
        if is_news == Some(true) {
            let circuit = if forced == Forced::Open { "open" } else { "closed" };
            tracing::warn!(
                layer = NAME,
                plugin,
                tool,
                owner = &**owner,
                circuit,
                "Circuit forced."
            );
        }
        is_news.is_some()
    }

    /// Ends what `owner` decided for a circuit.
    pub fn release(&self, plugin: &str, tool: Option<&str>, owner: &str) {
        if let Some(core) = self.find(plugin, tool) {
            core.release(owner);
        }
    }

    /// Every circuit that is not closed by its own judgement. What somebody else decides is not told.
    #[must_use]
    pub fn openings(&self) -> Vec<Opening> {
        let now_ms = self.now_ms();
        let circuits = self.0.circuits.lock();
        let opening = |((plugin, tool), core): (&Name, &Arc<Core>)| {
            let (left_ms, opened) = core.opening(now_ms)?;
            Some(Opening { plugin: Arc::clone(plugin), tool: tool.clone(), left_ms, opened })
        };
        circuits.iter().filter_map(opening).collect()
    }

    /// Opens the circuits that there are and that are closed.
    pub fn restore(&self, openings: &[Opening]) {
        let now_ms = self.now_ms();
        for opening in openings {
            if let Some(core) = self.find(&opening.plugin, opening.tool.as_deref()) {
                core.restore(now_ms.saturating_add(opening.left_ms), opening.opened);
            }
        }
    }

    /// Every circuit, in the order of names.
    #[must_use]
    pub fn report(&self) -> Vec<CircuitReport> {
        let (rules, now_ms) = (*self.0.rules.lock(), self.now_ms());
        let circuits = self.0.circuits.lock();
        let report = |((plugin, tool), core): (&Name, &Arc<Core>)| {
            let (phase, entered) = core.look(&rules, now_ms);
            CircuitReport { plugin: Arc::clone(plugin), tool: tool.clone(), phase, entered }
        };
        let mut reports: Vec<_> = circuits.iter().map(report).collect();
        reports.sort_by(|one, other| (&one.plugin, &one.tool).cmp(&(&other.plugin, &other.tool)));
        reports
    }
}
