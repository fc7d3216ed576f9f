//! A bound listener: the port is taken, nobody is let in yet.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use middleware::{connections, http};
use profile::plan::HttpPlan;
use protocol::{Bound, MemoryGauge};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use telemetry::RecentRefusals;
use tokio::net::TcpListener;

use super::metrics::Tally;
use super::progress::Deadlines;

/// Connections that the kernel completes before they are accepted: a burst longer than this is refused by it.
const BACKLOG: i32 = 1024;
/// How long bytes may stay unacknowledged before the kernel gives the connection up, and how it finds dead peers on
/// silent connections.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// Why a listener cannot be opened. The text names the key to change.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process, or another listener of this one, has the port.
    #[error(
        "listen.{listener}.http.bind: {address} is in use; stop whatever listens there, or choose another port \
         (port 0 takes a free one)"
    )]
    AddressInUse {
        /// The listener's name.
        listener: Arc<str>,
        /// What it was to bind to.
        address: SocketAddr,
    },
    /// The port needs a privilege that this process does not have.
    #[error(
        "listen.{listener}.http.bind: {address} needs a privilege that this process does not have; choose a port \
         from 1024 upward"
    )]
    PermissionDenied {
        /// The listener's name.
        listener: Arc<str>,
        /// What it was to bind to.
        address: SocketAddr,
    },
    /// No interface of this host has the address.
    #[error(
        "listen.{listener}.http.bind: no interface of this host has the address {address}; choose one that it has, \
         for example 127.0.0.1 or 0.0.0.0"
    )]
    AddressNotAvailable {
        /// The listener's name.
        listener: Arc<str>,
        /// What it was to bind to.
        address: SocketAddr,
    },
    /// Anything else that the system objects to.
    #[error("listen.{listener}.http.bind: cannot listen on {address}")]
    System {
        /// The listener's name.
        listener: Arc<str>,
        /// What it was to bind to.
        address: SocketAddr,
        /// The system's words.
        source: io::Error,
    },
}

impl BindError {
    fn new(listener: Arc<str>, address: SocketAddr, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::AddrInUse {
            Self::AddressInUse { listener, address }
        } else if source.kind() == io::ErrorKind::PermissionDenied {
            Self::PermissionDenied { listener, address }
        } else if source.kind() == io::ErrorKind::AddrNotAvailable {
            Self::AddressNotAvailable { listener, address }
        } else {
            Self::System { listener, address, source }
        }
    }
}

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

/// A bound listener. [`Listener::serve`] lets clients in; until then the kernel keeps them waiting.
pub struct Listener {
    pub(super) name: Arc<str>,
    pub(super) socket: TcpListener,
    pub(super) local_addr: SocketAddr,
    pub(super) deadlines: Arc<Deadlines>,
    pub(super) connections: Arc<Bound>,
    pub(super) guards: Guards,
    pub(super) tally: Tally,
}

impl Listener {
    /// Binds the listener `name`. Its metrics go to the recorder that is installed now.
    ///
    /// # Errors
    /// When the address cannot be bound.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn bind(name: Arc<str>, plan: &HttpPlan, guards: Guards) -> Result<Self, BindError> {
        let opened = open(plan.bind).and_then(|socket| Ok((socket.local_addr()?, socket)));
        let (local_addr, socket) =
            opened.map_err(|error| BindError::new(Arc::clone(&name), plan.bind, error))?;
        Ok(Self {
            socket,
            local_addr,
            deadlines: Deadlines::new(plan, &guards.memory),
            connections: Bound::new("connections", plan.connections_max),
            guards,
            tally: Tally::new(&name),
            name,
        })
    }

    /// The address that it is bound to, with the port that was taken for 0.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The cap on connections, for metrics.
    #[must_use]
    pub const fn connections(&self) -> &Arc<Bound> {
        &self.connections
    }
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart does not wait for connections of the last process to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit these.
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
