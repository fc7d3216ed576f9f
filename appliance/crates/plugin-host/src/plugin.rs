//! A started plugin.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use plugin_abi::{
    Buf, CF_PROGRESS, CallArgs, CreateArgs, E_BUSY, E_CANCELLED, E_NOT_FOUND, ITEM_NONE,
    ITEM_TEMPLATE, OK, Plugin as RawPlugin, PluginApi, Str, call_kind, status,
};
use protocol::json::Raw;
use protocol::{Call, MetaKey, Method, Outcome, Param, Refusal, RefusalKind};

use crate::buffer;
use crate::call::{Invocation, PendingCall};
use crate::describe::{self, Described, ExecMode};
use crate::descriptor;
use crate::error::{LoadError, StopError};
use crate::host_functions::HostState;
use crate::load;
use crate::manifest::Manifest;
use crate::outcome::{self, Asked, Rejected};
use crate::settings::{Limits, NoticeSink, Settings};
use crate::slots::{BadResult, Completion, CounterSnapshot, Counters, Listener, Slots};
use crate::threads::{Control, ControlThread, Pool, monotonic_ns, thread_name};

/// How long a plugin may take to create or to describe itself.
const START_DEADLINE: Duration = Duration::from_secs(5);
/// From when on a control thread that does not come back counts as lost.
const UNRESPONSIVE_AFTER: Duration = Duration::from_secs(2);
/// Largest description or error text of a plugin.
const TEXT_BYTES_MAX: usize = 1 << 20;

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

/// A call on its way to a thread of the plugin.
pub(crate) struct Job {
    handle: u64,
    call: Call,
    item: Item,
    deadline_ns: u64,
}

/// The plugin behind its functions.
pub(crate) struct Core {
    api: PluginApi,
    plugin: *mut RawPlugin,
    host: &'static HostState,
}

// SAFETY: the pointer is the plugin's own and only handed back to its functions, which the ABI allows from the threads
// that this crate calls them on.
unsafe impl Send for Core {}
// SAFETY: as above; functions that must not run twice at once are only called on the one control thread.
unsafe impl Sync for Core {}

impl Core {
    /// Gives a call to the plugin, on the current thread.
    pub(crate) fn enter(&self, job: &Job) {
        if self.host.slots.check(job.handle) == E_CANCELLED {
            // Given up while it waited.
            self.host.slots.let_go(job.handle);
            return;
        }
        let Job {
            handle,
            call,
            item,
            deadline_ns,
        } = job;
        let rc = self.call(*handle, call, item, *deadline_ns);
        if rc == OK {
            return;
        }
        let status = match rc {
            E_BUSY => status::UNAVAILABLE,
            E_NOT_FOUND => status::NOT_FOUND,
            _ => status::INTERNAL,
        };
        let body = Bytes::from(format!("call returned {rc}"));
        self.end(*handle, status, body);
    }

    /// Ends a job that will not be entered.
    pub(crate) fn refuse(&self, job: &Job) {
        self.end(job.handle, status::UNAVAILABLE, Bytes::new());
        self.host.slots.let_go(job.handle);
    }

    fn end(&self, handle: u64, status: i32, body: Bytes) {
        let format = plugin_abi::format::TEXT;
        let (state, mime) = (Bytes::new(), None);
        let completion = Completion {
            status,
            format,
            is_public: false,
            ttl_ms: 0,
            body,
            state,
            mime,
        };
        // Stale when the plugin has completed it before it returned an error: then the completion stands.
        self.host.slots.complete(handle, Ok(completion));
    }

    fn call(&self, handle: u64, call: &Call, item: &Item, deadline_ns: u64) -> i32 {
        let Some(enter) = self.api.call else {
            return E_NOT_FOUND;
        };
        let envelope = &call.envelope;
        let text =
            |raw: Option<Raw<'_>>| raw.map_or(Str::EMPTY, |raw| Str::new(raw.text().as_bytes()));
        let optional =
            |bytes: &Option<Bytes>| bytes.as_ref().map_or(Str::EMPTY, |bytes| Str::new(bytes));
        let arguments = envelope.param(Param::Arguments).map_or("{}", Raw::text);
        let (kind, index, params) = match item {
            Item::Tool(index) => (call_kind::TOOL, *index, arguments),
            Item::Prompt(index) => (call_kind::PROMPT_GET, *index, arguments),
            Item::Resource(index) => (call_kind::RESOURCE_READ, *index, "{}"),
            Item::Template {
                index,
                variables_json,
            } => {
                let variables = std::str::from_utf8(variables_json).unwrap_or("{}");
                (call_kind::RESOURCE_READ, *index | ITEM_TEMPLATE, variables)
            }
            Item::Complete => (
                call_kind::COMPLETE,
                ITEM_NONE,
                envelope.params().map_or("{}", Raw::text),
            ),
        };
        let param = if kind == call_kind::RESOURCE_READ {
            Param::Uri
        } else {
            Param::Name
        };
        let name = envelope
            .param(param)
            .and_then(Raw::as_str)
            .unwrap_or_default();
        let args = CallArgs {
            struct_size: size_of::<CallArgs>() as u32,
            kind,
            call: handle,
            deadline_ns,
            flags: if envelope.meta(MetaKey::ProgressToken).is_some() {
                CF_PROGRESS
            } else {
                0
            },
            round: u32::from(call.round),
            item: index,
            client: u32::from(call.client.bits()),
            name: Str::new(name.as_bytes()),
            params_json: Str::new(params.as_bytes()),
            meta_json: text(envelope.param(Param::Meta)),
            answers_json: optional(&call.answers),
            state: optional(&call.state),
        };
        // SAFETY: the plugin was created and not destroyed; everything lent lives until this returns (R3); the thread
        // is one that the item's mode allows (R7).
        unsafe { enter(self.plugin, &raw const args) }
    }

    pub(crate) fn cancel(&self, handle: u64) {
        if let Some(cancel) = self.api.cancel {
            // SAFETY: on the control thread, with a plugin that was created and not destroyed.
            unsafe { cancel(self.plugin, handle, E_CANCELLED) };
        }
    }

    pub(crate) fn watch(&self, uri: &str, on: bool) {
        if let Some(watch) = self.api.watch {
            // SAFETY: as for `cancel`; the text is lent until this returns.
            let rc = unsafe { watch(self.plugin, Str::new(uri.as_bytes()), i32::from(on)) };
            if rc != OK {
                tracing::warn!(plugin = %self.host.name, uri, rc, "Plugin does not watch this resource.");
            }
        }
    }

    fn describe(&self) -> Result<Described, LoadError> {
        let wrong = |what: String| LoadError::Describe { what };
        let Some(describe) = self.api.describe else {
            return Err(wrong("no describe function".to_owned()));
        };
        let mut json = Buf::EMPTY;
        // SAFETY: as for `cancel`; the buffer moves to this side.
        let rc = unsafe { describe(self.plugin, &raw mut json) };
        let json = buffer::take(json, TEXT_BYTES_MAX);
        if rc != OK {
            return Err(wrong(format!("describe returned {rc}")));
        }
        let json = json.map_err(|_| wrong("it describes no memory, or is too large".to_owned()))?;
        describe::read(&json)
    }

    fn stop(&self, deadline: Instant) -> i32 {
        let left = deadline.saturating_duration_since(Instant::now());
        if let Some(quiesce) = self.api.quiesce {
            let deadline_ns = monotonic_ns() + left.as_nanos() as u64;
            // SAFETY: on the control thread; no new call is given to the plugin any more.
            unsafe { quiesce(self.plugin, deadline_ns) };
        }
        OK
    }

    fn destroy(&self) -> i32 {
        let Some(destroy) = self.api.destroy else {
            return OK;
        };
        // SAFETY: on the control thread, once, after every other thread of the host has left the plugin.
        unsafe { destroy(self.plugin) }
    }
}

/// A tool's record of keeping its promise not to block.
#[derive(Default)]
struct Promise {
    overruns: AtomicU32,
    is_broken: AtomicBool,
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
    is_stopped: AtomicBool,
}

impl Plugin {
    /// Loads, creates and describes a plugin. Blocks; bounded by five seconds for each of the last two.
    ///
    /// # Errors
    /// Every reason not to run it.
    pub fn start(settings: Settings, notices: NoticeSink) -> Result<Arc<Self>, LoadError> {
        let path: &Path = &settings.library;
        let bytes = load::read_checked(path)?;
        let manifest = Manifest::from_elf(&bytes).map_err(|fault| fault.at(path))?;
        let entry = load::load(path, &bytes)?;
        let descriptor::Checked { api, is_serial } = descriptor::check(path, entry)?;
        let counters = Arc::new(Counters::default());
        let limits = &settings.limits;
        let host: &'static HostState = Box::leak(Box::new(HostState {
            name: Arc::clone(&settings.name),
            slots: Slots::new(
                limits.concurrent_calls + limits.queue_calls,
                Arc::clone(&counters),
            ),
            counters: Arc::clone(&counters),
            response_bytes_max: limits.response_bytes_max,
            notices,
        }));
        let (core, described, control) = create(&settings, api, host)?;
        let run = match api.run {
            None => None,
            Some(_) => Some(start_run(&settings.name, &core).map_err(LoadError::NoThread)?),
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
        let (reply, answer) = sync_channel(1);
        let sent = self.control.send(Control::Run(Box::new(move |core| {
            drop(reply.send(core.describe()));
        })));
        if !sent {
            return Err(LoadError::Stopped);
        }
        let slow = |_| LoadError::Slow {
            what: "describe itself",
            limit_ms: START_DEADLINE.as_millis(),
        };
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

    /// Calls an item. Calls of non-blocking tools are made on this very thread and usually come back ready.
    pub fn call(self: &Arc<Self>, item: Item, call: Call) -> Invocation {
        let asked = asked(&call);
        let own_deadline = Instant::now() + self.settings.limits.deadline;
        let is_sooner = call.deadline.is_none_or(|deadline| own_deadline < deadline);
        let listener = Listener {
            events: call.events.clone(),
            wants_progress: call.wants_progress(),
            log_level: call.log_level,
        };
        let Some(handle) = self.slots().open(listener) else {
            return Invocation::Ready(Err(self.busy()));
        };
        let deadline = call
            .deadline
            .map_or(own_deadline, |deadline| deadline.min(own_deadline));
        let left = deadline.saturating_duration_since(Instant::now());
        let job = Job {
            handle,
            call,
            item,
            deadline_ns: monotonic_ns() + left.as_nanos() as u64,
        };
        let pending = |plugin: &Arc<Self>| {
            PendingCall::new(
                Arc::clone(plugin),
                handle,
                asked.clone(),
                is_sooner.then_some(own_deadline),
            )
        };
        match self.mode(&job.item) {
            ExecMode::Nonblocking => {
                self.enter_here(&job);
                match self.slots().take(handle) {
                    Some(ended) => Invocation::Ready(self.judge(&asked, ended)),
                    None => Invocation::Pending(pending(self)),
                }
            }
            ExecMode::Async => {
                let pending = pending(self);
                if !self.control.send(Control::Call(Box::new(job))) {
                    self.slots()
                        .complete(handle, Err(BadResult("the plugin has stopped")));
                }
                Invocation::Pending(pending)
            }
            ExecMode::Blocking => {
                let pending = pending(self);
                if let Err(job) = self.pool.push(&self.core, Box::new(job)) {
                    self.core.refuse(&job);
                }
                Invocation::Pending(pending)
            }
        }
    }

    /// Ends the plugin: no new calls, running ones until `deadline`. Blocks.
    ///
    /// # Errors
    /// When something of it could not be ended; it is then left as it is.
    pub fn stop(&self, deadline: Instant) -> Result<(), StopError> {
        if self.is_stopped.swap(true, Relaxed) {
            return Ok(());
        }
        let (reply, quiesced) = sync_channel(1);
        self.control.send(Control::Run(Box::new(move |core| {
            reply.send(core.stop(deadline)).ok();
        })));
        let left = || deadline.saturating_duration_since(Instant::now());
        let is_quiet = quiesced.recv_timeout(left()).is_ok();
        if !self.pool.stop(&self.core, deadline) || !is_quiet || !self.join_run(deadline) {
            return Err(StopError::Busy);
        }
        let (reply, destroyed) = sync_channel(1);
        self.control.send(Control::Run(Box::new(move |core| {
            reply.send(core.destroy()).ok();
        })));
        self.control.send(Control::Stop);
        // Destroying has its own grace: the deadline is for calls.
        let rc = destroyed
            .recv_timeout(left() + Duration::from_secs(1))
            .map_err(|_| StopError::Busy)?;
        self.control.join();
        if rc == OK {
            Ok(())
        } else {
            Err(StopError::Refused(rc))
        }
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
        asked: &Asked,
        ended: Result<Completion, BadResult>,
    ) -> Result<Outcome, Refusal> {
        let judged = match ended {
            Ok(completion) => outcome::judge(asked, completion, &self.settings.name),
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
            items
                .get(index as usize)
                .map_or(ExecMode::Blocking, |item| item.exec.mode)
        };
        match item {
            Item::Tool(index) => {
                let promise = self.promises.get(*index as usize);
                match of(&described.tools, *index) {
                    ExecMode::Nonblocking
                        if promise.is_none_or(|promise| promise.is_broken.load(Relaxed)) =>
                    {
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
    fn enter_here(&self, job: &Job) {
        let begun = monotonic_ns();
        self.core.enter(job);
        let took = Duration::from_nanos(monotonic_ns().saturating_sub(begun));
        if took <= self.settings.limits.inline_overrun {
            return;
        }
        self.counters.overruns.fetch_add(1, Relaxed);
        let Item::Tool(index) = &job.item else { return };
        let Some(promise) = self.promises.get(*index as usize) else {
            return;
        };
        let overruns = promise.overruns.fetch_add(1, Relaxed) + 1;
        if overruns >= self.settings.limits.inline_overruns_max
            && !promise.is_broken.swap(true, Relaxed)
        {
            self.counters.demoted_tools.fetch_add(1, Relaxed);
            let described = self.described.load();
            let tool = described
                .tools
                .get(*index as usize)
                .map_or("", |tool| &tool.name);
            tracing::warn!(
                plugin = %self.settings.name, tool, overruns, took_us = took.as_micros() as u64,
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
        f.debug_struct("Plugin")
            .field("name", &self.settings.name)
            .finish_non_exhaustive()
    }
}

const fn off_this_thread(mode: ExecMode) -> ExecMode {
    match mode {
        ExecMode::Nonblocking | ExecMode::Blocking => ExecMode::Blocking,
        ExecMode::Async => ExecMode::Async,
    }
}

fn asked(call: &Call) -> Asked {
    let param = if call.method() == Method::ResourcesRead {
        Param::Uri
    } else {
        Param::Name
    };
    let name = call
        .envelope
        .param(param)
        .map(|raw| call.envelope.share(raw))
        .unwrap_or_default();
    Asked {
        method: call.method(),
        revision: call.revision,
        name,
    }
}

/// Creates and describes the plugin on its control thread, which then goes on as such.
fn create(
    settings: &Settings,
    api: PluginApi,
    host: &'static HostState,
) -> Result<(Arc<Core>, Described, ControlThread), LoadError> {
    let slow = |what| {
        move |_| LoadError::Slow {
            what,
            limit_ms: START_DEADLINE.as_millis(),
        }
    };
    let (reply, created) = sync_channel(1);
    let (instance, config) = (Arc::clone(&settings.name), settings.config_json.clone());
    let generation = settings.generation;
    // The thread that creates must be one of the plugin's; it ends after this one step.
    std::thread::Builder::new()
        .name(thread_name(&settings.name, "s"))
        .spawn(move || drop(reply.send(create_here(&instance, &config, generation, api, host))))
        .map_err(LoadError::NoThread)?;
    let core = Arc::new(
        created
            .recv_timeout(START_DEADLINE)
            .map_err(slow("start"))??,
    );
    let control =
        ControlThread::start(&settings.name, Arc::clone(&core)).map_err(LoadError::NoThread)?;
    let (reply, described) = sync_channel(1);
    control.send(Control::Run(Box::new(move |core| {
        drop(reply.send(core.describe()))
    })));
    let described = described
        .recv_timeout(START_DEADLINE)
        .map_err(slow("describe itself"))?;
    match described {
        Ok(described) => Ok((core, described, control)),
        Err(error) => {
            control.send(Control::Run(Box::new(|core| {
                core.destroy();
            })));
            control.send(Control::Stop);
            Err(error)
        }
    }
}

fn create_here(
    instance: &str,
    config: &str,
    generation: u32,
    api: PluginApi,
    host: &'static HostState,
) -> Result<Core, LoadError> {
    let args = CreateArgs {
        struct_size: size_of::<CreateArgs>() as u32,
        generation,
        instance: Str::new(instance.as_bytes()),
        config_json: Str::new(config.as_bytes()),
    };
    let mut plugin = std::ptr::null_mut();
    let mut error = Buf::EMPTY;
    let refused = |what: String| LoadError::Create { what };
    let Some(create) = api.create else {
        return Err(refused("no create function".to_owned()));
    };
    let table = host.table();
    // SAFETY: everything lent lives until this returns; the table lives for ever; nobody else has the plugin yet.
    let rc = unsafe { create(table, &raw const args, &raw mut plugin, &raw mut error) };
    let text = buffer::take(error, TEXT_BYTES_MAX).unwrap_or_default();
    if rc != OK {
        let text = String::from_utf8_lossy(&text);
        let text = if text.is_empty() {
            format!("code {rc}")
        } else {
            text.into_owned()
        };
        return Err(refused(text));
    }
    Ok(Core { api, plugin, host })
}

fn start_run(name: &str, core: &Arc<Core>) -> std::io::Result<JoinHandle<()>> {
    let core = Arc::clone(core);
    std::thread::Builder::new()
        .name(thread_name(name, "r"))
        .spawn(move || {
            if let Some(run) = core.api.run {
                // SAFETY: a thread of this plugin; `run` returns after quiesce, and destroy waits for this thread.
                let rc = unsafe { run(core.plugin) };
                tracing::debug!(plugin = %core.host.name, rc, "Event loop of the plugin ended.");
            }
        })
}
