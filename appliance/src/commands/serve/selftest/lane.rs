//! One lane: a house of its own beside the one that serves, brought up by the same code.

use std::sync::Arc;

use middleware::Mode;
use plugin_host::Plugin;
use profile::Plan;
use runtime::Phase;
use serde_json::{Value, json};
use stack::Seal;
use telemetry::kernel::{MemoryProbe, MemoryReading, MemoryUse};
use tokio::task::JoinHandle;
use transport::Endpoint;

use super::wishes::LanePlan;
use crate::commands::serve::front::Front;
use crate::commands::serve::sockets::Passed;
use crate::commands::serve::{house, report};

/// Listeners, states and streams that no client of the live listeners meets. Everything ends when it is dropped with
/// the runtime that it was opened in.
pub(super) struct Lane {
    endpoint: Arc<Endpoint>,
    opened: Value,
    /// What the ladder of memory is measured against.
    memory_bytes: u64,
    front: Front,
    sweeping: JoinHandle<()>,
}

impl Lane {
    /// Opens the lane of `live` by `wishes`.
    ///
    /// # Errors
    /// Why there is none, as a sentence.
    pub(super) fn open(
        live: &Plan,
        wishes: &[(String, String)],
        connections_max: usize,
        plugin: Option<Arc<Plugin>>,
    ) -> Result<Self, String> {
        let LanePlan { plan, changed } =
            LanePlan::new(live, wishes, connections_max, plugin.is_some())?;
        // What is sealed in a lane is opened in it: the operator's key stays out of it.
        let seal = Seal::random(plan.request_state.ttl).map_err(|error| error.to_string())?;
        let plan = Arc::new(plan);
        let plugins = plugin.into_iter().collect();
        let switch =
            house::first_generation(&plan, plugins, seal, 1).map_err(|error| error.0.join(" "))?;
        let endpoint = house::endpoint(switch);
        let front = Front::open(&plan, &endpoint, &mut Passed::default()).map_err(|errors| {
            errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        })?;
        let listeners: Vec<_> = front
            .http()
            .iter()
            .map(|http| json!({ "name": &*http.name, "address": http.address, "path": http.path }))
            .collect();
        let sweeping = tokio::spawn(house::sweep(Arc::clone(&endpoint)));
        front.let_in();
        endpoint.vitals.enter(Phase::Ready);
        let opened = json!({ "listeners": listeners, "changed": changed, "plan": &*plan });
        let memory_bytes = memory_limit(&plan);
        let lane = Self { endpoint, opened, memory_bytes, front, sweeping };
        lane.press(0);
        Ok(lane)
    }

    /// Where it is, and by which plan.
    pub(super) const fn opened(&self) -> &Value {
        &self.opened
    }

    /// What it has `counted`, and what it holds: the same text as a scrape of the live appliance.
    pub(super) fn metrics(&self, counted: String) -> String {
        report::metrics(counted, &self.front.bounds(), &self.endpoint)
    }

    /// Lets it believe that so many percent of the memory are used: the reading that its own sampler would take. The
    /// name of the level that it is at from now on.
    pub(super) fn press(&self, percent: u8) -> &'static str {
        let generation = self.endpoint.switch.load();
        let kit = generation.stack().kit();
        if generation.plan().layers.memory.mode != Mode::Off {
            let limit_bytes = self.memory_bytes;
            let used_bytes = (u128::from(limit_bytes) * u128::from(percent)).div_ceil(100) as u64;
            let process = MemoryUse { used_bytes, limit_bytes };
            kit.memory.observe(&MemoryReading {
                groups: Vec::new(),
                process,
                stalled_percent: 0.0,
            });
        }
        kit.memory.status().map_or("off", |status| status.level.as_str())
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.sweeping.abort();
        self.endpoint.sessions.end_all();
        self.endpoint.tasks.end_all();
    }
}

/// The limit that the live ladder is measured against.
fn memory_limit(plan: &Plan) -> u64 {
    let reading = MemoryProbe::open().read();
    let asked = plan.layers.memory.limit_bytes.map_or(u64::MAX, |size| size.0);
    let limits = reading.groups.iter().chain([&reading.process]).map(|of| of.limit_bytes);
    limits.min().unwrap_or(u64::MAX).min(asked)
}
