//! What outlives a stack.

use std::sync::Arc;

use middleware::concurrency;
use plugin_host::Plugin;
use profile::Plan;
use telemetry::CallMeter;

use crate::seal::Seal;

/// What a stack is built from besides its plan, and what the next stack takes over.
#[derive(Clone)]
pub struct Kit {
    /// Started plugins, in the order of the plan.
    pub plugins: Vec<Arc<Plugin>>,
    /// Permits of the `concurrency` layer.
    pub concurrency: concurrency::State,
    /// Seals and opens `requestState`.
    pub seal: Arc<Seal>,
    /// Counts and times calls.
    pub meter: Arc<CallMeter>,
}

impl Kit {
    /// A kit for `plan` with nothing taken yet.
    #[must_use]
    pub fn new(plan: &Plan, plugins: Vec<Arc<Plugin>>, seal: Seal, meter: Arc<CallMeter>) -> Self {
        Self {
            plugins,
            concurrency: concurrency::State::new(&plan.layers.concurrency),
            seal: Arc::new(seal),
            meter,
        }
    }
}
