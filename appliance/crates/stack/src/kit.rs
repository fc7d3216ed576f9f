//! What outlives a stack.

use std::sync::Arc;
use std::time::Instant;

use middleware::buckets::Buckets;
use middleware::{
    Mode, bulkhead, circuit_breaker, concurrency, connections, fairness, http, memory,
    pre_auth_limit, rate_limit,
};
use plugin_host::Plugin;
use profile::Plan;
use profile::plan::LayersPlan;
use protocol::Bound;
use telemetry::{CallMeter, RecentRefusals};

use crate::seal::Seal;

/// What a stack is built from besides its plan, and what the next stack takes over.
#[derive(Clone)]
pub struct Kit {
    /// Started plugins, in the order of the plan.
    pub plugins: Vec<Arc<Plugin>>,
    /// Buckets of the `pre_auth_limit` layer.
    pub pre_auth_limit: pre_auth_limit::State,
    /// Buckets of the `rate_limit` layer.
    pub rate_limit: rate_limit::State,
    /// Who is inside, of the `connections` layer.
    pub connections: connections::State,
    /// Settings of connections, of the `http` layer.
    pub http: http::State,
    /// Who waits for permits, of the `fairness` layer.
    pub fairness: fairness::State,
    /// Permits of the `concurrency` layer.
    pub concurrency: concurrency::State,
    /// The ledger and the ladder of the `memory` layer.
    pub memory: memory::State,
    /// What the `circuit_breaker` layer knows of plugins and tools.
    pub circuits: circuit_breaker::State,
    /// Places of the `bulkhead` layer.
    pub bulkhead: bulkhead::State,
    /// Seals and opens `requestState`.
    pub seal: Arc<Seal>,
    /// Counts and times calls.
    pub meter: Arc<CallMeter>,
    /// The last refusals, for an operator who asks about one.
    pub recent: Arc<RecentRefusals>,
}

impl Kit {
    /// A kit for `plan` with nothing taken yet.
    #[must_use]
    pub fn new(plan: &Plan, plugins: Vec<Arc<Plugin>>, seal: Seal, meter: Arc<CallMeter>) -> Self {
        let concurrency = concurrency::State::new(&plan.layers.concurrency);
        Self {
            plugins,
            pre_auth_limit: pre_auth_limit::State::new(&plan.layers.pre_auth_limit),
            rate_limit: rate_limit::State::new(&plan.layers.rate_limit),
            connections: connections::State::new(&plan.layers.connections),
            http: http::State::new(&plan.layers.http),
            fairness: fairness::State::new(&plan.layers.fairness, concurrency.bound()),
            concurrency,
            memory: memory::State::new(&plan.layers.memory),
            circuits: circuit_breaker::State::new(&plan.layers.circuit_breaker),
            bulkhead: bulkhead::State::new(),
            seal: Arc::new(seal),
            meter,
            recent: Arc::new(RecentRefusals::new(
                plan.control.as_ref().map_or(0, |control| control.refusals_kept),
            )),
        }
    }

    /// The same states around other plugins, for a plan that has these.
    #[must_use]
    pub fn with_plugins(&self, plugins: Vec<Arc<Plugin>>) -> Self {
        Self { plugins, ..self.clone() }
    }

    /// Has every layer's state follow `layers`.
    pub(crate) fn follow(&self, layers: &LayersPlan) {
        self.connections.follow(&layers.connections);
        self.http.follow(&layers.http);
        self.pre_auth_limit.follow(&layers.pre_auth_limit);
        self.rate_limit.follow(&layers.rate_limit);
        self.memory.follow(&layers.memory);
        self.concurrency.follow(&layers.concurrency);
        let is_bounded = layers.concurrency.mode == Mode::Enforce;
        self.fairness.follow(&layers.fairness, is_bounded);
        self.circuits.follow(&layers.circuit_breaker);
    }

    /// What the layers hold at the moment, for metrics.
    pub fn bounds(&self) -> impl Iterator<Item = &Arc<Bound>> {
        let keys = self.pre_auth_limit.bounds().into_iter().chain(self.rate_limit.bounds());
        keys.chain([self.connections.bound(), self.memory.ledger(), self.fairness.queue()])
    }

    /// The buckets of every limit, each named by its bound.
    pub fn buckets(&self) -> impl Iterator<Item = &Buckets> {
        self.pre_auth_limit.buckets().into_iter().chain(self.rate_limit.buckets())
    }

    /// Forgets a part of what layers need not know any more. To be called once a second.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.pre_auth_limit.sweep(now);
        self.rate_limit.sweep(now);
    }
}
