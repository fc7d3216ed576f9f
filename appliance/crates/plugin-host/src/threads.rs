//! The threads that the host makes for one plugin: control, pool, run.
//!
//! Every entry into the plugin happens on one of them, except calls of non-blocking tools. The pool is bounded, so a
//! plugin whose calls hang holds up its own calls and nobody else's.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::core::{Core, Job};

/// How long a pool thread waits for work before it ends.
const IDLE: Duration = Duration::from_secs(30);

/// Work for the control thread, in order.
pub(crate) enum Control {
    /// Begin an asynchronous call.
    Call(Box<Job>),
    /// Tell the plugin that nobody waits for a call any more.
    Cancel(u64),
    /// Begin or end watching a resource.
    Watch(Arc<str>, bool),
    /// Run something with the plugin.
    Run(Box<dyn FnOnce(&Core) + Send>),
    /// Run something with the plugin as the last thing: nothing that was sent later reaches it.
    Last(Box<dyn FnOnce(&Core) + Send>),
}

/// The control thread's inbox.
pub(crate) struct ControlThread {
    inbox: Sender<Control>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Nanoseconds of the monotonic clock at which the current entry began; zero between entries.
    busy_since_ns: Arc<AtomicU64>,
}

impl ControlThread {
    /// Starts the thread. It ends after [`Control::Last`].
    pub(crate) fn start(name: &str, core: Arc<Core>) -> std::io::Result<Self> {
        let (inbox, work) = channel();
        let busy_since_ns = Arc::new(AtomicU64::new(0));
        let busy = Arc::clone(&busy_since_ns);
        let thread = std::thread::Builder::new()
            .name(thread_name(name, "c"))
            .spawn(move || run_control(&core, &work, &busy))?;
        Ok(Self { inbox, thread: Mutex::new(Some(thread)), busy_since_ns })
    }

    /// Hands over work; `false` when the thread has ended.
    pub(crate) fn send(&self, work: Control) -> bool {
        self.inbox.send(work).is_ok()
    }

    /// How long the thread has been inside the plugin.
    pub(crate) fn busy_for(&self) -> Duration {
        match self.busy_since_ns.load(Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_nanos(monotonic_ns().saturating_sub(since)),
        }
    }

    /// Waits for the thread after [`Control::Last`].
    pub(crate) fn join(&self) {
        if let Some(thread) = self.thread.lock().take() {
            // A panic of ours was reported by the hook; the plugin's never come this far.
            drop(thread.join());
        }
    }
}

fn run_control(core: &Arc<Core>, work: &Receiver<Control>, busy_since_ns: &AtomicU64) {
    while let Ok(work) = work.recv() {
        busy_since_ns.store(monotonic_ns(), Relaxed);
        match work {
            Control::Call(job) => core.enter(&job),
            Control::Cancel(handle) => core.cancel(handle),
            Control::Watch(uri, on) => core.watch(&uri, on),
            Control::Run(act) => act(core),
            Control::Last(act) => {
                act(core);
                break;
            }
        }
        busy_since_ns.store(0, Relaxed);
    }
    busy_since_ns.store(0, Relaxed);
}

/// Threads for blocking calls.
pub(crate) struct Pool {
    name: String,
    threads_max: usize,
    state: Mutex<PoolState>,
    work: Condvar,
    /// Signalled when a thread ends.
    ended: Condvar,
}

#[derive(Default)]
struct PoolState {
    queue: VecDeque<Box<Job>>,
    threads: usize,
    idle: usize,
    is_stopping: bool,
}

impl Pool {
    pub(crate) fn new(name: &str, threads_max: usize) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            threads_max: threads_max.max(1),
            state: Mutex::default(),
            work: Condvar::new(),
            ended: Condvar::new(),
        })
    }

    /// Queues a job. Its length is bounded by the slots: a job without one is never made. `Err` gives the job back
    /// when no thread can be started or the pool has stopped.
    pub(crate) fn push(self: &Arc<Self>, core: &Arc<Core>, job: Box<Job>) -> Result<(), Box<Job>> {
        let mut state = self.state.lock();
        if state.is_stopping {
            return Err(job);
        }
        if state.idle <= state.queue.len() && state.threads < self.threads_max {
            let (pool, core) = (Arc::clone(self), Arc::clone(core));
            let name = thread_name(&self.name, &state.threads.to_string());
            let started = std::thread::Builder::new().name(name).spawn(move || pool.run(&core));
            match started {
                Ok(_) => state.threads += 1,
                Err(_) if state.threads == 0 => return Err(job),
                Err(error) => {
                    tracing::warn!(%error, "No thread for a plugin's pool; its calls wait.")
                }
            }
        }
        state.queue.push_back(job);
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    fn run(&self, core: &Arc<Core>) {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                core.enter(&job);
                drop(job);
                state = self.state.lock();
                continue;
            }
            if state.is_stopping {
                break;
            }
            state.idle += 1;
            let waited = self.work.wait_for(&mut state, IDLE);
            state.idle -= 1;
            if waited.timed_out() && state.queue.is_empty() {
                break;
            }
        }
        state.threads -= 1;
        drop(state);
        self.ended.notify_all();
    }

    /// Takes no more jobs, lets go of those that have not begun, and waits for the threads. `false` when some are
    /// still inside the plugin at the deadline.
    pub(crate) fn stop(&self, core: &Core, deadline: Instant) -> bool {
        let mut state = self.state.lock();
        state.is_stopping = true;
        for job in state.queue.drain(..) {
            core.refuse(job.handle);
        }
        self.work.notify_all();
        while state.threads > 0 {
            if self.ended.wait_until(&mut state, deadline).timed_out() {
                return state.threads == 0;
            }
        }
        true
    }
}

/// At most 15 bytes: what the kernel keeps of a thread's name.
pub(crate) fn thread_name(plugin: &str, role: &str) -> String {
    let room = 15 - "p--".len() - role.len();
    let short: String = plugin.chars().filter(char::is_ascii).take(room).collect();
    format!("p-{short}-{role}")
}

/// The monotonic clock, which plugins read too.
pub(crate) fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// What the monotonic clock says at `instant`, without asking it: both are one clock, and only their zeros differ.
pub(crate) fn monotonic_ns_at(instant: Instant) -> u64 {
    static ZERO: LazyLock<(Instant, u64)> = LazyLock::new(|| (Instant::now(), monotonic_ns()));
    let (zero, zero_ns) = *ZERO;
    zero_ns + instant.saturating_duration_since(zero).as_nanos() as u64
}
