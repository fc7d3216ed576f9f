//! A listener: an open socket, and how those who come in are served.

use std::net::SocketAddr;
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

/// A listener. [`Listener::serve`] lets clients in.
pub struct Listener {
    pub(super) name: Arc<str>,
    pub(super) socket: Socket,
    pub(super) deadlines: Arc<Deadlines>,
    pub(super) connections: Arc<Bound>,
    pub(super) guards: Guards,
    pub(super) tally: Tally,
}

impl Listener {
    /// The listener `name` on an open socket. Its metrics go to the recorder that is installed now.
    #[must_use]
    pub fn new(name: Arc<str>, plan: &HttpPlan, socket: Socket, guards: Guards) -> Self {
        Self {
            socket,
            deadlines: Deadlines::new(plan, &guards.memory),
            connections: Bound::new("connections", plan.connections_max),
            guards,
            tally: Tally::new(&name),
            name,
        }
    }

    /// The address that it is bound to, with the port that was taken for 0.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.socket.local_addr()
    }

    /// The cap on connections, for metrics.
    #[must_use]
    pub const fn connections(&self) -> &Arc<Bound> {
        &self.connections
    }
}
