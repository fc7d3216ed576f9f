//! A started plugin.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU8};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use plugin_abi::{OK, status};
use protocol::{Call, Outcome, Refusal, RefusalKind};
use tokio::sync::oneshot;

use crate::buffer::Buffers;
use crate::call::{Invocation, PendingCall, Times};
use crate::core::{Core, Job};
use crate::create::{START_DEADLINE, create, destroy_by, start_run};
use crate::describe::{self, Described, ExecMode};
use crate::descriptor;
use crate::error::{LoadError, StopError};
use crate::host_functions::HostState;
use crate::images::Image;
use crate::log_lines::LogLines;
use crate::manifest::Manifest;
use crate::outcome::{self, Asked, AskedBefore, Rejected};
use crate::promise::Promise;
use crate::settings::{Limits, NoticeSink, Settings};
use crate::slots::{BadResult, Completion, CounterSnapshot, Counters, Listener, Slots};
use crate::stamp::Stamp;
use crate::threads::{Control, ControlThread, Pool, monotonic_ns_at};

/// From when on a control thread that does not come back counts as lost.
const UNRESPONSIVE_AFTER: Duration = Duration::from_secs(2);

/// Buffers of the host that a plugin can hold for each call it can have: a result, and one that it grows out of. One
/// more is for its description.
const BUFFERS_PER_CALL: usize = 2;

/// What of a plugin is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A tool, by its place in the description.
    Tool(u32),
    /// A resource, by its place.
    Resource(u32),
    /// A template, by its place, and what the URI gives its variables.
    Template {
        /// Place in the description.
        index: u32,
        /// JSON object of strings.
        variables_json: Bytes,
    },
    /// A prompt, by its place.
    Prompt(u32),
    /// The completion of an argument.
    Complete,
}

/// Whether a plugin can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginState {
    /// It can.
    Ready,
    /// Its control thread has not come back from the plugin for seconds.
    Unresponsive,
    /// It was stopped.
    Stopped,
}

impl PluginState {
    /// The name in answers and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Unresponsive => "unresponsive",
            Self::Stopped => "stopped",
        }
    }
}

/// A started plugin. Its image stays in memory for good, also after [`Plugin::stop`].
pub struct Plugin {
    settings: Settings,
    manifest: Manifest,
    core: Arc<Core>,
    counters: Arc<Counters>,
    control: ControlThread,
    pool: Arc<Pool>,
    run: Mutex<Option<JoinHandle<()>>>,
    described: ArcSwap<Described>,
    promises: Box<[Promise]>,
    /// That of its library when that had the bytes of its image; see [`Stamp`].
    pub(crate) seen: Mutex<Option<Stamp>>,
    is_stopped: AtomicBool,
}

impl Plugin {
    /// Creates and describes a plugin from an image.
    pub(crate) fn start_image(
        settings: Settings,
        notices: NoticeSink,
        manifest: Manifest,
        image: Image,
    ) -> Result<Arc<Self>, LoadError> {
        let path: &Path = &settings.library;
        let checked = match image.entry() {
            Some(entry) => descriptor::check(path, entry),
            None => Err(descriptor::no_entry(path)),
        };
        // Nothing of it was created yet.
        let descriptor::Checked { api, is_serial } = checked.inspect_err(|_| image.give_back())?;
        let counters = Arc::new(Counters::default());
        let limits = &settings.limits;
        let calls_max = limits.concurrent_calls + limits.queue_calls;
        let host: &'static HostState = Box::leak(Box::new(HostState {
            name: Arc::clone(&settings.name),
            slots: Slots::new(calls_max, Arc::clone(&counters)),
            buffers: Buffers::new(calls_max * BUFFERS_PER_CALL + 1),
            counters: Arc::clone(&counters),
            response_bytes_max: limits.response_bytes_max,
            notices,
            changed: AtomicU8::default(),
            log_lines: LogLines::default(),
        }));
        let (core, described, control) = create(&settings, api, host, image)?;
        let run = match api.run {
            None => None,
            Some(_) => match start_run(&settings.name, &core) {
                Ok(run) => Some(run),
                Err(error) => {
                    destroy_by(&control);
                    return Err(LoadError::NoThread(error));
                }
            },
        };
        let threads_max = if is_serial { 1 } else { limits.threads_max };
        let promises = described.tools.iter().map(|_| Promise::default()).collect();
        Ok(Arc::new(Self {
            pool: Pool::new(&settings.name, threads_max),
            settings,
            manifest,
            core,
            counters,
            control,
            run: Mutex::new(run),
            described: ArcSwap::from_pointee(described),
            promises,
            seen: Mutex::default(),
            is_stopped: AtomicBool::new(false),
        }))
    }

    /// Its name in the profile.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    /// What its library says of itself.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its bounds.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    /// What it offers.
    #[must_use]
    pub fn described(&self) -> Arc<Described> {
        self.described.load_full()
    }

    /// What happened in it.
    #[must_use]
    pub fn counted(&self) -> CounterSnapshot {
        self.counters.snapshot()
    }

    /// How many calls it can have at once, waiting ones included.
    #[must_use]
    pub fn calls_max(&self) -> usize {
        self.slots().count()
    }

    /// Asks it to describe itself again. Blocks; bounded by five seconds.
    ///
    /// # Errors
    /// When it does not, or wrongly; then the description before stays.
    pub fn describe_again(&self) -> Result<Arc<Described>, LoadError> {
        // Before it describes: what changes from now on is news again.
        self.core.host.changed.store(0, SeqCst);
        let (reply, answer) = sync_channel(1);
        let sent = self.control.send(Control::Run(Box::new(move |core| {
            drop(reply.send(core.describe()));
        })));
        if !sent {
            return Err(LoadError::Stopped);
        }
        let slow =
            |_| LoadError::Slow { what: "describe itself", limit_ms: START_DEADLINE.as_millis() };
        let described = Arc::new(answer.recv_timeout(START_DEADLINE).map_err(slow)??);
        self.described.store(Arc::clone(&described));
        Ok(described)
    }

    /// Whether it can serve.
    #[must_use]
    pub fn state(&self) -> PluginState {
        if self.is_stopped.load(Relaxed) {
            PluginState::Stopped
        } else if self.control.busy_for() > UNRESPONSIVE_AFTER {
            PluginState::Unresponsive
        } else {
            PluginState::Ready
        }
    }

    /// Begins or ends watching a resource, in the order of the calls. Does not wait.
    pub fn watch(&self, uri: &str, on: bool) {
        self.control.send(Control::Watch(uri.into(), on));
    }

    /// Waits until the plugin has been told of every watch before this call; at once when it has stopped.
    pub fn caught_up(&self) -> impl Future<Output = ()> + Send + use<> {
        let (tell, told) = oneshot::channel();
        self.control.send(Control::Run(Box::new(move |_| {
            // Nobody listens any more: then nobody has to be told.
            tell.send(()).ok();
        })));
        async move {
            // An error is the thread's end: there is nothing left to wait for.
            told.await.ok();
        }
    }

    /// Calls an item. Calls of non-blocking tools are made on this very thread and usually come back ready. What `keep`
    /// makes of the call is made only where somebody still wants it.
    pub fn call<K>(
        self: &Arc<Self>,
        item: Item,
        mut call: Call,
        keep: impl FnOnce(&Call) -> K,
    ) -> Invocation<K> {
        let now = Instant::now();
        let times = self.times(&item, &call, now);
        let listener = Listener {
            events: call.events.clone(),
            wants_progress: call.wants_progress(),
            log_level: call.log_level,
        };
        let Some(handle) = self.slots().open(listener, call.lease.take()) else {
            return Invocation::Ready(Err(self.busy()));
        };
        // After the call was counted: `stop` marks first and counts then, so one of the two sees the other.
        if self.is_stopped.load(SeqCst) {
            self.slots().free(handle);
            return Invocation::Ready(Err(outcome::unavailable(&self.settings.name)));
        }
        let job = Job { handle, call, item, deadline_ns: monotonic_ns_at(times.due) };
        let pending =
            |call: &Call| PendingCall::new(Arc::clone(self), handle, AskedBefore::of(call), times);
        match self.mode(&job.item) {
            ExecMode::Nonblocking => {
                self.enter_here(&job, now);
                let Some(ended) = self.slots().take(handle) else {
                    return Invocation::Pending(pending(&job.call), keep(&job.call));
                };
                match self.judge(Asked::of(&job.call), ended) {
                    Ok(Outcome::InputRequired(input)) => Invocation::Asks(input, keep(&job.call)),
                    judged => Invocation::Ready(judged),
                }
            }
            ExecMode::Async => {
                let pending = Invocation::Pending(pending(&job.call), keep(&job.call));
                if !self.control.send(Control::Call(Box::new(job))) {
                    self.core.refuse(handle);
                }
                pending
            }
            ExecMode::Blocking => {
                let pending = Invocation::Pending(pending(&job.call), keep(&job.call));
                if let Err(job) = self.pool.push(&self.core, Box::new(job)) {
                    self.core.refuse(job.handle);
                }
                pending
            }
        }
    }

    /// When a call is due. The plugin's limits are for calls that somebody waits for; a task comes with its own.
    fn times(&self, item: &Item, call: &Call, now: Instant) -> Times {
        if let Some(due) = call.deadline.filter(|_| call.is_task) {
            return Times { due, own: None };
        }
        let limit = self.deadline_of(item);
        let own = now + limit;
        match call.deadline {
            Some(due) if due <= own => Times { due, own: None },
            _ => Times { due: own, own: Some((own, limit)) },
        }
    }

    fn deadline_of(&self, item: &Item) -> Duration {
        let limits = &self.settings.limits;
        let Item::Tool(index) = item else { return limits.deadline };
        if limits.tool_deadlines.is_empty() {
            return limits.deadline;
        }
        let described = self.described.load();
        let tool = described.tools.get(*index as usize);
        let own = tool.and_then(|tool| limits.tool_deadlines.get(tool.name.as_str()));
        own.copied().unwrap_or(limits.deadline)
    }

    /// Whether a tool that promised not to block has kept it so far, by its place in the description. One that broke it
    /// runs on the plugin's own threads.
    #[must_use]
    pub fn keeps_promise(&self, tool: u32) -> bool {
        self.promises.get(tool as usize).is_some_and(|promise| !promise.is_broken())
    }

    /// Ends the plugin: no new calls, running ones until `deadline`. Blocks.
    ///
    /// # Errors
    /// When something of it could not be ended, or somebody still waits for a call; it is then left as it is.
    pub fn stop(&self, deadline: Instant) -> Result<(), StopError> {
        if self.is_stopped.swap(true, SeqCst) {
            return Ok(());
        }
        let (reply, quiesced) = sync_channel(1);
        self.control.send(Control::Run(Box::new(move |core| {
            reply.send(core.stop(deadline)).ok();
        })));
        let left = || deadline.saturating_duration_since(Instant::now());
        let is_quiet = quiesced.recv_timeout(left()).is_ok();
        let is_idle = self.pool.stop(&self.core, deadline) && self.join_run(deadline);
        if !is_quiet || !is_idle || !self.awaits_nothing_by(deadline) {
            return Err(StopError::Busy);
        }
        let (reply, destroyed) = sync_channel(1);
        self.control.send(Control::Last(Box::new(move |core| {
            reply.send(core.destroy()).ok();
        })));
        // Destroying has its own grace: the deadline is for calls.
        let rc =
            destroyed.recv_timeout(left() + Duration::from_secs(1)).map_err(|_| StopError::Busy)?;
        self.control.join();
        if rc == OK { Ok(()) } else { Err(StopError::Refused(rc)) }
    }

    /// Waits until nobody waits for a call: only then is no serving thread inside a non-blocking one.
    fn awaits_nothing_by(&self, deadline: Instant) -> bool {
        // Looked at, not signalled: a signal would cost every call something, and this happens once.
        while self.counters.awaited() > 0 {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        true
    }

    fn join_run(&self, deadline: Instant) -> bool {
        let Some(run) = self.run.lock().take() else {
            return true;
        };
        let (ended, wait) = sync_channel(1);
        // The standard library has no join with a deadline.
        let waiter = std::thread::Builder::new().spawn(move || {
            drop(run.join());
            ended.send(()).ok();
        });
        let left = deadline.saturating_duration_since(Instant::now());
        waiter.is_ok() && wait.recv_timeout(left).is_ok()
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    pub(crate) fn slots(&self) -> &Slots {
        &self.core.host.slots
    }

    pub(crate) const fn control(&self) -> &ControlThread {
        &self.control
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn judge(
        &self,
        asked: Asked<'_>,
        ended: Result<Completion, BadResult>,
    ) -> Result<Outcome, Refusal> {
        let judged = match ended {
            Ok(completion) => {
                let Settings { name, limits, .. } = &self.settings;
                if completion.status == status::TOO_LARGE {
                    self.counters.large_results.fetch_add(1, Relaxed);
                }
                outcome::judge(asked, completion, name, limits.response_bytes_max)
            }
            Err(BadResult(what)) => Err(Rejected(what.to_owned())),
        };
        judged.unwrap_or_else(|Rejected(what)| {
            self.counters.rejected_results.fetch_add(1, Relaxed);
            let (plugin, method) = (&*self.settings.name, asked.method.as_str());
            tracing::warn!(plugin, method, what, "Result of a plugin rejected.");
            Ok(outcome::rejected())
        })
    }

    fn mode(&self, item: &Item) -> ExecMode {
        let described = self.described.load();
        let of = |items: &[describe::ItemDescription], index: u32| {
            items.get(index as usize).map_or(ExecMode::Blocking, |item| item.exec.mode)
        };
        match item {
            Item::Tool(index) => {
                let promise = self.promises.get(*index as usize);
                match of(&described.tools, *index) {
                    ExecMode::Nonblocking if promise.is_none_or(Promise::is_broken) => {
                        ExecMode::Blocking
                    }
                    mode => mode,
                }
            }
            // Only tools are trusted with a thread that serves others; a resource is often a file.
            Item::Resource(index) => off_this_thread(of(&described.resources, *index)),
            Item::Template { index, .. } => off_this_thread(of(&described.templates, *index)),
            Item::Prompt(index) => off_this_thread(of(&described.prompts, *index)),
            Item::Complete => ExecMode::Blocking,
        }
    }

    /// Calls a non-blocking tool on this thread, and holds it to its promise.
    fn enter_here(&self, job: &Job, now: Instant) {
        let Item::Tool(index) = &job.item else { return self.core.enter(job) };
        let Some(promise) = self.promises.get(*index as usize) else {
            return self.core.enter(job);
        };
        let limits = &self.settings.limits;
        let overrun = promise
            .keep(now, limits.inline_overrun, limits.inline_overruns_max, || self.core.enter(job));
        let Some(overrun) = overrun else { return };
        self.counters.overruns.fetch_add(1, Relaxed);
        if overrun.breaks {
            self.counters.demoted_tools.fetch_add(1, Relaxed);
            let described = self.described.load();
            let tool = described.tools.get(*index as usize).map_or("", |tool| &tool.name);
            tracing::warn!(
                plugin = %self.settings.name, tool, took_us = overrun.took.as_micros() as u64,
                "Tool blocks although it says it does not; it now runs on the plugin's own threads."
            );
        }
    }

    fn busy(&self) -> Refusal {
        self.counters.busy.fetch_add(1, Relaxed);
        let scope = format!("plugin:{}", self.settings.name);
        Refusal::new(
            RefusalKind::PluginBusy,
            "plugin",
            scope,
            "This plugin has as many calls as it can take.",
        )
        .with_limit(self.calls_max() as u64)
        .with_retry_after(Duration::from_secs(1))
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("name", &self.settings.name).finish_non_exhaustive()
    }
}

const fn off_this_thread(mode: ExecMode) -> ExecMode {
    match mode {
        ExecMode::Nonblocking | ExecMode::Blocking => ExecMode::Blocking,
        ExecMode::Async => ExecMode::Async,
    }
}
