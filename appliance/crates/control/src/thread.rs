//! The control thread: its runtime, its accept loop, its beginning and its end.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use profile::plan::ControlPlan;
use protocol::Bound;
use runtime::Vitals;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{oneshot, watch};
use tokio::task::LocalSet;

use crate::answers::Answers;
use crate::caller::{Caller, Sockets};
use crate::connection::serve;
use crate::listener::{ControlAddress, Listener, OpenSocket, Passed, SocketFile, StartError};
use crate::pace::Deadlines;
use crate::reserve::Reserve;
use crate::sources::Sources;

/// How long the last answers may take when another process has the socket.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// What bounds the control listener. Not in a profile: probes must work however it is tuned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at once: probes and scrapers of a whole cluster, and a person.
    pub(crate) connections: usize,
    pub(crate) deadlines: Deadlines,
    /// From which age of its last beat on the data plane counts as dead.
    pub(crate) dead_after: Duration,
}

impl Limits {
    pub(crate) const DEFAULT: Self =
        Self { connections: 64, deadlines: Deadlines::DEFAULT, dead_after: Vitals::DEAD_AFTER };
}

/// The running control thread.
#[derive(Debug)]
pub struct Control {
    address: ControlAddress,
    file: Option<SocketFile>,
    /// Another handle of the socket, to be handed over.
    socket: Arc<OpenSocket>,
    gate: watch::Sender<bool>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Control {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> &ControlAddress {
        &self.address
    }

    /// The socket, for whoever takes over.
    #[must_use]
    pub const fn socket(&self) -> &Arc<OpenSocket> {
        &self.socket
    }

    /// A handle that lets nobody in while it says `true`: the kernel keeps them waiting.
    #[must_use]
    pub fn gate(&self) -> watch::Sender<bool> {
        self.gate.clone()
    }

    /// The same as [`Control::stop`] when another process has the socket: its file stays, and open connections have a
    /// second for their answers.
    pub fn hand_over(mut self) {
        self.file = None;
        self.gate.send_replace(true);
        self.stop();
    }

    /// Ends the thread and waits for it. Open connections are cut.
    pub fn stop(self) {
        // Nobody to tell: the thread has ended by itself.
        self.stop.send(()).ok();
        if self.thread.join().is_err() {
            tracing::error!("The control thread ended with a panic.");
        }
        if let Some(file) = self.file {
            file.remove();
        }
    }
}

/// Opens the listener, on a socket that was passed if there is one, and starts its thread.
///
/// # Errors
/// When it cannot listen, or there is no thread.
pub fn start(
    plan: &ControlPlan,
    sources: Sources,
    passed: Option<Passed>,
) -> Result<Control, StartError> {
    start_within(plan, sources, passed, Limits::DEFAULT)
}

pub(crate) fn start_within(
    plan: &ControlPlan,
    sources: Sources,
    passed: Option<Passed>,
    limits: Limits,
) -> Result<Control, StartError> {
    let listener = Listener::open(&plan.bind, passed)?;
    let handle = listener.handle()?;
    let Listener { socket, address, file } = listener;
    // Whoever reaches a Unix socket was let in by its mode; whoever asked for a remote address has
    // names of its own.
    let checks_host = matches!(&address, ControlAddress::Tcp(tcp) if tcp.ip().is_loopback());
    let (stop, stopping) = oneshot::channel();
    let (ready, is_ready) = mpsc::sync_channel(1);
    let gate = watch::Sender::new(false);
    let is_held = gate.subscribe();
    let thread = std::thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || {
            // Probes must be answered while every core is busy with calls.
            if let Err(error) = sched::take_short_slices() {
                tracing::debug!(%error, "The control thread waits for its core like every other.");
            }
            let answers = Answers::new(sources, limits.dead_after, checks_host);
            let duty = Duty { answers: Rc::new(answers), limits, is_held };
            run(socket, duty, &ready, stopping);
        })
        .map_err(StartError::NoThread)?;
    match is_ready.recv() {
        Ok(Ok(())) => Ok(Control { address, file, socket: Arc::new(handle), gate, stop, thread }),
        Ok(Err(error)) => Err(StartError::NoThread(error)),
        Err(error) => Err(StartError::NoThread(io::Error::other(error))),
    }
}

/// What the thread serves, and whether nobody is let in.
struct Duty {
    answers: Rc<Answers>,
    limits: Limits,
    is_held: watch::Receiver<bool>,
}

/// The whole life of the thread. Tells `ready` once whether it will serve.
fn run(
    socket: OpenSocket,
    duty: Duty,
    ready: &mpsc::SyncSender<io::Result<()>>,
    stopping: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let opened = runtime.and_then(|runtime| {
        let entered = runtime.enter();
        let accepting = Accepting::new(socket)?;
        drop(entered);
        Ok((runtime, accepting))
    });
    // `start` waits for this, and cannot have gone.
    let (told, opened) = match opened {
        Ok(opened) => (Ok(()), Some(opened)),
        Err(error) => (Err(error), None),
    };
    ready.send(told).ok();
    let Some((runtime, accepting)) = opened else { return };
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        let is_held = duty.is_held.clone();
        let connections = Bound::new("control_connections", duty.limits.connections);
        tokio::select! {
            () = accept(accepting, duty, Arc::clone(&connections)) => {}
            _ = stopping => {}
        }
        // Whoever asked for the upgrade waits for its answer.
        if *is_held.borrow() {
            drop(tokio::time::timeout(LAST_ANSWERS, none_of(&connections)).await);
        }
    });
}

/// Waits until nobody has a place.
async fn none_of(connections: &Bound) {
    const LOOK: Duration = Duration::from_millis(5);
    while connections.used() > 0 {
        tokio::time::sleep(LOOK).await;
    }
}

/// A socket that the runtime knows.
enum Accepting {
    Tcp(TcpListener, Arc<Sockets>),
    Unix(UnixListener),
}

impl Accepting {
    fn new(socket: OpenSocket) -> io::Result<Self> {
        match socket {
            OpenSocket::Tcp(socket) => {
                Ok(Self::Tcp(TcpListener::from_std(socket)?, Arc::new(Sockets::open())))
            }
            OpenSocket::Unix(socket) => UnixListener::from_std(socket).map(Self::Unix),
        }
    }

    /// Waits for the next connection and hands it to the crew.
    async fn next(&self, crew: &Rc<Crew>) -> io::Result<()> {
        match self {
            Self::Tcp(socket, sockets) => {
                let (stream, remote) = socket.accept().await?;
                let local = stream.local_addr()?;
                let sockets = Arc::clone(sockets);
                crew.take(stream, Caller::OfAddress { remote, local, sockets });
            }
            Self::Unix(socket) => crew.take(socket.accept().await?.0, Caller::OfFile),
        }
        Ok(())
    }
}

/// Accepts for ever.
async fn accept(accepting: Accepting, duty: Duty, bound: Arc<Bound>) {
    /// Between two failures to accept: longer delays probes, none at all keeps a core busy.
    const PAUSE: Duration = Duration::from_millis(50);
    /// Between two log lines about them.
    const LOG_INTERVAL: Duration = Duration::from_secs(1);
    let Duty { answers, limits, mut is_held } = duty;
    let crew = Rc::new(Crew {
        answers,
        bound,
        deadlines: limits.deadlines,
        reserve: RefCell::new(Reserve::new(limits.connections)),
    });
    let mut has_released = false;
    let mut logged_at: Option<Instant> = None;
    loop {
        let is_held_now = *is_held.borrow_and_update();
        let accepted = tokio::select! {
            biased;
            // Without its handle the thread is about to end.
            Ok(()) = is_held.changed() => continue,
            accepted = accepting.next(&crew), if !is_held_now => accepted,
            // Linux says that descriptors are wanting before it looks whether anybody waits for
            // one. What was given free for nobody is taken back before the data plane does.
            () = std::future::ready(()), if std::mem::take(&mut has_released) => {
                crew.reserve.borrow_mut().refill();
                continue;
            }
        };
        let Err(error) = accepted else { continue };
        has_released = crew.reserve.borrow_mut().release(&error);
        if !has_released {
            if logged_at.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
                tracing::warn!(%error, "The control listener cannot accept.");
                logged_at = Some(Instant::now());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Takes connections in.
struct Crew {
    answers: Rc<Answers>,
    bound: Arc<Bound>,
    deadlines: Deadlines,
    reserve: RefCell<Reserve>,
}

impl Crew {
    /// Serves a connection beside the others; above the bound it is closed at once.
    fn take(
        self: &Rc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
        caller: Caller,
    ) {
        let Some(permit) = self.bound.try_take() else {
            return;
        };
        let serving = serve(stream, caller, Rc::clone(&self.answers), self.deadlines);
        let crew = Rc::clone(self);
        tokio::task::spawn_local(async move {
            serving.await;
            drop(permit);
            // At once: the data plane may be waiting for the descriptor that this was.
            crew.reserve.borrow_mut().refill();
        });
    }
}
