//! A listener: an open socket, and how those who come in are served.

use std::sync::Arc;

use middleware::{connections, http};
use profile::plan::HttpPlan;
use protocol::{Bound, MemoryGauge};
use telemetry::RecentRefusals;

use super::metrics::Tally;
use super::progress::Deadlines;
use super::socket::Socket;

/// What all listeners of a process share.
#[derive(Clone, Debug)]
pub struct Guards {
    /// Who is inside, over all listeners.
    pub connections: connections::State,
    /// How connections are served.
    pub http: http::State,
    /// How short memory is: connections are turned away while it is critical, and idle ones stay shorter before.
    pub memory: Arc<MemoryGauge>,
    /// Remembers who was turned away.
    pub recent: Arc<RecentRefusals>,
}

/// What outlives a change of a listener: who is inside, and the deadlines of those. Clones share it.
#[derive(Clone, Debug)]
pub struct State {
    pub(super) deadlines: Arc<Deadlines>,
    pub(super) connections: Arc<Bound>,
}

impl State {
    /// With nobody inside. Deadlines of the idle shrink while `memory` is short.
    #[must_use]
    pub fn new(plan: &HttpPlan, memory: &Arc<MemoryGauge>) -> Self {
        Self {
            deadlines: Deadlines::new(plan, memory),
            connections: Bound::new("connections", plan.connections_max),
        }
    }

    /// Follows other settings. A lower bound on connections cuts none.
    pub fn follow(&self, plan: &HttpPlan) {
        self.deadlines.follow(plan);
        self.connections.set_limit(plan.connections_max);
    }

    /// The cap on connections, for metrics.
    #[must_use]
    pub const fn connections(&self) -> &Arc<Bound> {
        &self.connections
    }
}

/// A listener. [`Listener::serve`] lets clients in.
pub struct Listener {
    pub(super) name: Arc<str>,
    pub(super) socket: Socket,
    pub(super) state: State,
    pub(super) guards: Guards,
    pub(super) tally: Tally,
}

impl Listener {
    /// The listener `name` on an open socket. Its metrics go to the recorder that is installed now.
    #[must_use]
    pub fn new(name: Arc<str>, socket: Socket, state: State, guards: Guards) -> Self {
        Self { tally: Tally::new(&name), name, socket, state, guards }
    }
}
