//! The places of all generations, by name.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use protocol::{Bound, Lender};

use super::gate::Gate;
use crate::mean::Mean;
use crate::roster::{Places, Roster};

/// The places of one plugin.
#[derive(Debug)]
pub(super) struct Compartment {
    pub(super) name: Arc<str>,
    pub(super) gate: Gate,
    pub(super) queue: Arc<Bound>,
    pub(super) refused: AtomicU64,
    stuck: AtomicUsize,
}

/// The places of one tool, or of everything else that a plugin offers; every call in it is in its plugin's as well.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) compartment: Arc<Compartment>,
    pub(super) tool: Option<Arc<str>>,
    pub(super) gate: Gate,
    pub(super) queue: Arc<Bound>,
    stuck: AtomicUsize,
    /// How long a call holds its place.
    mean: Mean,
}

impl Cell {
    fn new(compartment: Arc<Compartment>, tool: Option<Arc<str>>, places: Places) -> Self {
        Self {
            compartment,
            tool,
            gate: Gate::new(places.concurrent_calls),
            queue: Bound::new("bulkhead_tool_queue", places.queue_calls),
            stuck: AtomicUsize::new(0),
            mean: Mean::default(),
        }
    }

    /// When a place may be free for one more who waits.
    pub(super) fn retry_after(&self) -> Duration {
        let ahead = self.compartment.queue.used() as u64 + 1;
        let places = self.gate.limit().min(self.compartment.gate.limit()).max(1) as u64;
        self.mean.of(ahead, places).clamp(Duration::from_secs(1), Duration::from_secs(30))
    }
}

impl Lender for Cell {
    fn stuck(&self) {
        self.stuck.fetch_add(1, Relaxed);
        self.compartment.stuck.fetch_add(1, Relaxed);
    }

    fn give_back(&self, begun: Option<Instant>, was_stuck: bool) {
        if was_stuck {
            self.stuck.fetch_sub(1, Relaxed);
            self.compartment.stuck.fetch_sub(1, Relaxed);
        }
        if let Some(begun) = begun {
            self.mean.note(begun.elapsed());
        }
        self.compartment.gate.leave();
        self.gate.leave();
    }
}

/// A tool, or everything else of a plugin, whose calls do not end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The plugin.
    pub plugin: Arc<str>,
    /// The tool; `None`: everything else that the plugin offers.
    pub tool: Option<Arc<str>>,
    /// Calls that still hold their places although their deadlines have passed.
    pub stuck_calls: usize,
    /// How many calls it may have at once.
    pub concurrent_calls: usize,
}

/// The places of a plugin at one moment.
#[derive(Clone, Debug)]
pub struct PlaceReport {
    /// The plugin.
    pub plugin: Arc<str>,
    /// How many calls it may have at once.
    pub limit: usize,
    /// How many it has.
    pub used: usize,
    /// The most that it ever had.
    pub peak: usize,
    /// How many calls were refused.
    pub refused: u64,
    /// Calls that wait.
    pub queue: Arc<Bound>,
    /// Calls that still hold their places although their deadlines have passed.
    pub stuck_calls: usize,
}

type Name = (Arc<str>, Option<Arc<str>>);

#[derive(Debug, Default)]
struct Shared {
    compartments: HashMap<Arc<str>, Arc<Compartment>>,
    cells: HashMap<Name, Arc<Cell>>,
}

/// What outlives a generation: the places that are taken.
#[derive(Clone, Debug, Default)]
pub struct State(Arc<Mutex<Shared>>);

impl State {
    /// No place is taken.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The cells of a generation, in the order of its units, with its bounds. Places above a lowered bound stay taken
    /// until their calls end; plugins and tools that are gone are forgotten.
    pub(super) fn follow(&self, roster: &Roster) -> Vec<Arc<Cell>> {
        let mut shared = self.0.lock();
        let mut compartments = HashMap::with_capacity(roster.plugins().len());
        for (name, places) in roster.plugins() {
            let known = shared.compartments.remove(name);
            let compartment = known.unwrap_or_else(|| {
                Arc::new(Compartment {
                    name: Arc::clone(name),
                    gate: Gate::new(places.concurrent_calls),
                    queue: Bound::new("bulkhead_queue", places.queue_calls),
                    refused: AtomicU64::new(0),
                    stuck: AtomicUsize::new(0),
                })
            });
            compartment.gate.set_limit(places.concurrent_calls);
            compartment.queue.set_limit(places.queue_calls);
            compartments.insert(Arc::clone(name), compartment);
        }
        let mut kept = HashMap::with_capacity(roster.units().len());
        let mut cells = Vec::with_capacity(roster.units().len());
        for unit in roster.units() {
            let plugin = roster.plugin_of(unit);
            let name = (Arc::clone(plugin), unit.tool.clone());
            let cell = shared.cells.remove(&name).unwrap_or_else(|| {
                let compartment = Arc::clone(&compartments[plugin]);
                Arc::new(Cell::new(compartment, unit.tool.clone(), unit.places))
            });
            cell.gate.set_limit(unit.places.concurrent_calls);
            cell.queue.set_limit(unit.places.queue_calls);
            kept.insert(name, Arc::clone(&cell));
            cells.push(cell);
        }
        *shared = Shared { compartments, cells: kept };
        cells
    }

    /// Everything of which at least half of the places are held by calls whose deadlines have passed.
    #[must_use]
    pub fn stuck(&self) -> Vec<Stuck> {
        let shared = self.0.lock();
        let of_cell = |((plugin, tool), cell): (&Name, &Arc<Cell>)| {
            let stuck_calls = cell.stuck.load(Relaxed);
            let concurrent_calls = cell.gate.limit();
            (stuck_calls > 0 && stuck_calls * 2 >= concurrent_calls).then(|| Stuck {
                plugin: Arc::clone(plugin),
                tool: tool.clone(),
                stuck_calls,
                concurrent_calls,
            })
        };
        shared.cells.iter().filter_map(of_cell).collect()
    }

    /// Every plugin, in the order of names.
    #[must_use]
    pub fn report(&self) -> Vec<PlaceReport> {
        let shared = self.0.lock();
        let report = |compartment: &Arc<Compartment>| PlaceReport {
            plugin: Arc::clone(&compartment.name),
            limit: compartment.gate.limit(),
            used: compartment.gate.inside(),
            peak: compartment.gate.peak(),
            refused: compartment.refused.load(Relaxed),
            queue: Arc::clone(&compartment.queue),
            stuck_calls: compartment.stuck.load(Relaxed),
        };
        let mut reports: Vec<_> = shared.compartments.values().map(report).collect();
        reports.sort_by(|one, other| one.plugin.cmp(&other.plugin));
        reports
    }
}
