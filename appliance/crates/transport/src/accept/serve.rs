//! The accept loop of one listener, and how it ends.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use protocol::{Bound, MemoryGauge, MemoryLevel, Peer};
use tokio::net::TcpStream;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};

use super::connection::{self, Terms};
use super::drain::Drain;
use super::farewell::{self, Reason};
use super::listener::Listener;
use super::metrics::Tally;
use super::progress::Closed;

/// Connections above the cap that are told so at once; more than these are closed without a word.
const FAREWELLS_MAX: usize = 64;
/// How long to wait for a file descriptor, when no connection ends sooner.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// Between two log lines about failures to accept.
const LOG_INTERVAL: Duration = Duration::from_secs(1);
/// How long connections that were cut get to notice: one whose thread is held by its service never does.
const CUT_DEADLINE: Duration = Duration::from_secs(1);

impl Listener {
    /// Lets clients in, each served by a service of its own, until `drain` is over or every connection has ended.
    /// Returns how many connections were cut.
    ///
    /// # Cancel safety
    /// Dropping the future closes the listener and drops every connection.
    pub async fn serve<M, S, B>(self, make_service: M, drain: Drain) -> usize
    where
        M: Fn(Peer) -> S,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Self { name, socket, local_addr: _, deadlines, connections, tally } = self;
        let streams_stalled = tally.streams_stalled.clone();
        let terms = Arc::new(Terms { deadlines, drain: drain.clone(), streams_stalled });
        let memory = Arc::clone(terms.deadlines.memory());
        let mut door = Door::new(name, connections, memory, tally);
        let mut begun = pin!(drain.clone().begun());
        loop {
            tokio::select! {
                () = &mut begun => break,
                Some(ended) = door.tasks.join_next() => { door.count(ended); }
                Some(_) = door.farewells.join_next() => {}
                accepted = socket.accept(), if !door.is_paused => {
                    if let Some((socket, peer, permit)) = door.judge(accepted) {
                        let service = make_service(peer);
                        let terms = Arc::clone(&terms);
                        door.tasks.spawn(async move {
                            let closed = connection::serve(socket, service, terms).await;
                            drop(permit);
                            closed
                        });
                    }
                }
                () = sleep(ACCEPT_PAUSE), if door.is_paused => door.is_paused = false,
            }
        }
        // Order: whoever connects from here on is refused by the kernel and can try elsewhere at once.
        drop(socket);
        door.close(drain).await
    }
}

/// Who is inside, and who is let in.
pub(super) struct Door {
    name: Arc<str>,
    connections: Arc<Bound>,
    memory: Arc<MemoryGauge>,
    tally: Tally,
    tasks: JoinSet<Closed>,
    farewells: JoinSet<()>,
    pub(super) is_paused: bool,
    logged_at: Option<Instant>,
}

impl Door {
    pub(super) fn new(
        name: Arc<str>,
        connections: Arc<Bound>,
        memory: Arc<MemoryGauge>,
        tally: Tally,
    ) -> Self {
        Self {
            name,
            connections,
            memory,
            tally,
            tasks: JoinSet::new(),
            farewells: JoinSet::new(),
            is_paused: false,
            logged_at: None,
        }
    }

    fn judge(
        &mut self,
        accepted: io::Result<(TcpStream, SocketAddr)>,
    ) -> Option<(TcpStream, Peer, protocol::Permit)> {
        let (socket, remote) = accepted.map_err(|error| self.failed(&error)).ok()?;
        if self.memory.level() == MemoryLevel::Critical {
            self.turn_away(socket, Reason::Memory);
            return None;
        }
        let Some(permit) = self.connections.try_take() else {
            self.turn_away(socket, Reason::Connections);
            return None;
        };
        // Fails for a connection that is gone already, which is then found out by reading.
        let local = socket.set_nodelay(true).and_then(|()| socket.local_addr()).ok()?;
        self.tally.accepted.increment(1);
        Some((socket, Peer { remote, local }, permit))
    }

    fn turn_away(&mut self, socket: TcpStream, reason: Reason) {
        self.tally.refused.increment(1);
        if self.farewells.len() < FAREWELLS_MAX {
            self.farewells.spawn(farewell::turn_away(socket, reason));
        }
    }

    /// Notes a failure to accept. Out of file descriptors, accepting pauses for a moment or until a connection ends.
    pub(super) fn failed(&mut self, error: &io::Error) {
        self.tally.accept_failed.increment(1);
        // Failures of one client are not those of the listener (accept(2), "Error handling").
        let is_of_client = matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionRefused
                | io::ErrorKind::Interrupted
                | io::ErrorKind::PermissionDenied
        );
        self.is_paused = !is_of_client;
        let is_quiet = self.logged_at.is_some_and(|at| at.elapsed() < LOG_INTERVAL);
        if !is_quiet {
            self.logged_at = Some(Instant::now());
            tracing::warn!(listener = %self.name, %error, connections = self.connections.used(),
                "Cannot accept a connection.");
        }
    }

    pub(super) fn count(&mut self, ended: Result<Closed, JoinError>) -> Closed {
        // A connection that ended frees what accepting waits for.
        self.is_paused = false;
        let closed = ended.unwrap_or_else(|error| {
            if error.is_cancelled() {
                return Closed::Cut;
            }
            tracing::error!(listener = %self.name, %error, "A connection ended in a panic.");
            Closed::Error
        });
        self.tally.closed(closed);
        closed
    }

    /// Waits until everybody has left, or until there is no time left; then everybody else is cut.
    async fn close(mut self, drain: Drain) -> usize {
        let mut over = pin!(drain.over());
        loop {
            tokio::select! {
                ended = self.tasks.join_next() => match ended {
                    Some(ended) => { self.count(ended); }
                    None => return 0,
                },
                () = &mut over => break,
            }
        }
        let cut = self.cut().await;
        if cut > 0 {
            tracing::warn!(listener = %self.name, connections = cut, "Cut connections at the end of the drain.");
        }
        cut
    }

    async fn cut(&mut self) -> usize {
        self.tasks.abort_all();
        let mut cut = 0;
        let until = Instant::now() + CUT_DEADLINE;
        while let Ok(Some(ended)) = timeout_at(until, self.tasks.join_next()).await {
            cut += usize::from(self.count(ended) == Closed::Cut);
        }
        let stuck = self.tasks.len();
        for _ in 0..stuck {
            self.tally.closed(Closed::Cut);
        }
        cut + stuck
    }
}
