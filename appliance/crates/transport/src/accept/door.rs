//! Who is inside, who is let in, and who has to leave when there is no descriptor for the next one.

use std::collections::HashMap;
use std::fs::File;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use middleware::connections::Pass;
use middleware::memory;
use protocol::{Bound, MemoryLevel, Peer, Permit, Principal, Refusal, RefusalKind};
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};

use super::drain::Drain;
use super::farewell::{self, NO_GENERATION};
use super::listener::Guards;
use super::metrics::Tally;
use super::progress::{Closed, Progress};

/// Refused connections that get time to read why; more than these are told in passing.
const FAREWELLS_MAX: usize = 64;
/// Idle connections that are asked to leave at once when descriptors run out: a look at all of them should be worth
/// more than one.
const EVICTED_AT_ONCE: usize = 8;
/// Between two log lines about failures to accept.
const LOG_INTERVAL: Duration = Duration::from_secs(1);
/// How long connections that were cut get to notice: one whose thread is held by its service never does.
const CUT_DEADLINE: Duration = Duration::from_secs(1);
/// When a client may come back that was refused because this process has no more room for connections.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// When a client may come back that was refused for want of memory: what frees it are calls that end.
const MEMORY_RETRY_AFTER: Duration = Duration::from_secs(10);

/// What a connection holds until it ends, and how old it may grow.
pub(super) struct Admitted {
    pub(super) age_max: Option<Duration>,
    _permit: Permit,
    _pass: Pass,
}

/// The door of one listener.
pub(super) struct Door {
    name: Arc<str>,
    connections: Arc<Bound>,
    guards: Guards,
    tally: Tally,
    pub(super) tasks: JoinSet<Closed>,
    inside: HashMap<Id, Arc<Progress>, foldhash::fast::RandomState>,
    pub(super) farewells: JoinSet<()>,
    pub(super) is_paused: bool,
    /// A descriptor to accept with when there is no other. Nobody is let in while it is missing: what they would hold is
    /// the last one, and the next newcomer could not even be refused.
    spare: Option<File>,
    logged_at: Option<Instant>,
}

impl Door {
    pub(super) fn new(
        name: Arc<str>,
        connections: Arc<Bound>,
        guards: Guards,
        tally: Tally,
    ) -> Self {
        Self {
            name,
            connections,
            guards,
            tally,
            tasks: JoinSet::new(),
            inside: HashMap::default(),
            farewells: JoinSet::new(),
            is_paused: false,
            spare: spare(),
            logged_at: None,
        }
    }

    /// Lets a connection in, or tells it why not.
    pub(super) fn judge(
        &mut self,
        socket: TcpStream,
        remote: SocketAddr,
    ) -> Option<(TcpStream, Peer, Admitted)> {
        if !self.has_spare() {
            self.refuse_for_want(socket);
            return None;
        }
        let admitted = match self.admit(remote) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                self.tally.refused.increment(1);
                let refusal = refusal.for_principal(Principal::at(remote.ip()));
                self.guards.recent.note(&refusal, NO_GENERATION);
                if self.farewells.len() < FAREWELLS_MAX {
                    self.farewells.spawn(farewell::turn_away(socket, refusal));
                } else {
                    farewell::turn_away_at_once(&socket, &refusal);
                }
                return None;
            }
        };
        // Fails for a connection that is gone already, which is then found out by reading.
        let local = socket.set_nodelay(true).and_then(|()| socket.local_addr()).ok()?;
        self.tally.accepted.increment(1);
        Some((socket, Peer { remote, local }, admitted))
    }

    fn admit(&self, remote: SocketAddr) -> Result<Admitted, Refusal> {
        if self.guards.memory.level() == MemoryLevel::Critical {
            return Err(short_of_memory());
        }
        let permit = self
            .connections
            .try_take()
            .ok_or_else(|| full("listener").with_limit(self.connections.limit() as u64))?;
        let pass = self.guards.connections.admit(remote.ip())?;
        Ok(Admitted { age_max: self.guards.connections.age_max(), _permit: permit, _pass: pass })
    }

    /// Serves a connection, of which `progress` tells how it gets on.
    pub(super) fn let_in<F>(&mut self, progress: Arc<Progress>, serving: F)
    where
        F: Future<Output = Closed> + Send + 'static,
    {
        let task = self.tasks.spawn(serving);
        self.inside.insert(task.id(), progress);
    }

    /// Notes a failure to accept. Out of descriptors, the connections that were idle the longest make room; if there
    /// are none, the newcomer is refused.
    pub(super) fn failed(&mut self, error: &io::Error, socket: &TcpListener) {
        self.tally.accept_failed.increment(1);
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        let is_exhausted = matches!(errno, Some(Errno::MFILE | Errno::NFILE));
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
        if is_exhausted && self.evict() == 0 {
            // Without a spare, somebody else of this process has taken it.
            if self.refuse(socket) { self.is_paused = false } else { self.hurry() }
        }
        let is_quiet = self.logged_at.is_some_and(|at| at.elapsed() < LOG_INTERVAL);
        if !is_quiet {
            self.logged_at = Some(Instant::now());
            tracing::warn!(listener = %self.name, %error, connections = self.connections.used(),
                "Cannot accept a connection.");
        }
    }

    /// Asks those to leave that were idle the longest: whoever asks a pool for a connection takes the one that was
    /// used last. Returns how many.
    fn evict(&self) -> usize {
        let idle =
            self.inside.values().filter_map(|inside| Some((inside.idle_since_ms()?, inside)));
        let mut idle: Vec<_> = idle.collect();
        if idle.len() > EVICTED_AT_ONCE {
            idle.select_nth_unstable_by_key(EVICTED_AT_ONCE, |(since_ms, _)| *since_ms);
            idle.truncate(EVICTED_AT_ONCE);
        }
        for (_, idle) in &idle {
            idle.ask(Closed::Evicted);
        }
        idle.len()
    }

    /// Tells the one that has been at the first word or at a head for the longest that its time is up: its descriptor
    /// is what the next newcomer is refused with.
    pub(super) fn hurry(&self) {
        let waiting =
            self.inside.values().filter_map(|inside| Some((inside.head_since_ms()?, inside)));
        if let Some((_, slowest)) = waiting.min_by_key(|(since_ms, _)| *since_ms) {
            slowest.ask(Closed::Head);
        }
    }

    /// Accepts one connection with the spare descriptor and refuses it, if one waits. `false`: there is no spare.
    fn refuse(&mut self, socket: &TcpListener) -> bool {
        if self.spare.take().is_none() {
            return false;
        }
        // Only tries: the loop's own accept is what waits.
        let accepted = socket.poll_accept(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(Ok((socket, _))) = accepted {
            self.refuse_for_want(socket);
        }
        self.has_spare()
    }

    /// Refuses a newcomer whose descriptor is the last one, and keeps that as the spare.
    fn refuse_for_want(&mut self, socket: TcpStream) {
        self.tally.refused.increment(1);
        let refusal = full("process");
        self.guards.recent.note(&refusal, NO_GENERATION);
        farewell::turn_away_at_once(&socket, &refusal);
        drop(socket);
        self.spare = spare();
    }

    /// Whether there is a spare descriptor; opens it if it was missing.
    fn has_spare(&mut self) -> bool {
        if self.spare.is_none() {
            self.spare = spare();
        }
        self.spare.is_some()
    }

    /// Accepts again.
    pub(super) fn resume(&mut self) {
        self.is_paused = false;
        self.has_spare();
    }

    pub(super) fn count(&mut self, ended: Result<(Id, Closed), JoinError>) -> Closed {
        // A connection that ended frees what accepting waits for.
        self.is_paused = false;
        let (task, closed) = ended.unwrap_or_else(|error| {
            if error.is_cancelled() {
                return (error.id(), Closed::Cut);
            }
            tracing::error!(listener = %self.name, %error, "A connection ended in a panic.");
            (error.id(), Closed::Error)
        });
        self.inside.remove(&task);
        self.tally.closed(closed);
        closed
    }

    /// Waits until everybody has left, or until there is no time left; then everybody else is cut.
    pub(super) async fn close(mut self, drain: Drain) -> usize {
        let mut over = pin!(drain.over());
        loop {
            tokio::select! {
                ended = self.tasks.join_next_with_id() => match ended {
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
        while let Ok(Some(ended)) = timeout_at(until, self.tasks.join_next_with_id()).await {
            cut += usize::from(self.count(ended) == Closed::Cut);
        }
        let stuck = self.tasks.len();
        for _ in 0..stuck {
            self.tally.closed(Closed::Cut);
        }
        cut + stuck
    }
}

/// A descriptor that holds a place until it is needed.
fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

fn full(scope: &'static str) -> Refusal {
    let message = "Every connection is taken; try again later.";
    Refusal::new(RefusalKind::ConnectionsExhausted, "listen", scope, message)
        .with_retry_after(RETRY_AFTER)
}

fn short_of_memory() -> Refusal {
    let message = "The server is short of memory; try again later.";
    Refusal::new(RefusalKind::MemoryExhausted, memory::NAME, "listener", message)
        .with_retry_after(MEMORY_RETRY_AFTER)
}
