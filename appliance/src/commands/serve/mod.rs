//! `toolrack serve`: the only place that sees every room.

mod descriptors;
mod effective;
mod front;
mod generations;
mod history;
pub(crate) mod house;
mod key;
mod log;
mod memory;
mod refusals;
mod reload;
mod report;
mod selftest;
mod service_manager;
mod sockets;
mod stop;
mod upgrade;

use std::cell::OnceCell;
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use control::StartError;
use middleware::Mode;
use plugin_host::{Notice, Plugin};
use profile::plan::Mismatch;
use profile::{Loaded, Plan, Written};
use runtime::{NOTICES_MAX, Phase, Source, Switch, follow_notices};
use stack::PLUGIN_GRACE;
use telemetry::{Log, Registry};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::Receiver;
use transport::Endpoint;
use transport::accept::BindError;

use crate::cli::ProfileOptions;
use crate::envelope::{self, AUTO};
use crate::exit;
use crate::hardware::Hardware;
use effective::Effective;
use front::Front;
use history::{History, last_good};
use memory::Sampler;
use reload::{House, Named, Probation, Reloader};
use service_manager::ServiceManager;
use sockets::Passed;
use stop::Signals;
use upgrade::{Started, Successor, Upgrader};

/// Why serving did not begin: what to print, and with which code to end.
pub(crate) struct Failed {
    code: u8,
    lines: Vec<String>,
    /// What would help besides.
    hint: Option<String>,
}

impl Failed {
    fn new(code: u8, error: impl std::fmt::Display) -> Self {
        Self { code, lines: vec![error.to_string()], hint: None }
    }

    fn config(lines: Vec<String>) -> Self {
        Self { code: exit::CONFIG, lines, hint: None }
    }
}

/// A profile to begin with.
struct Beginning {
    loaded: Loaded,
    source: Source,
    /// How many things are wrong with the one on disk.
    problems: usize,
    /// What is to be said of that.
    warnings: Vec<String>,
}

/// Serves until it is told to stop. With `takes_over`: in the place of the process on standard input.
pub(crate) fn run(options: &ProfileOptions, allows_last_good: bool, takes_over: bool) -> ExitCode {
    let mut before = match takes_over.then(Successor::meet).transpose() {
        Ok(before) => before,
        Err(problem) => return super::failed(exit::TEMPORARY, &problem),
    };
    match start(options, allows_last_good, &mut before) {
        Ok(code) => ExitCode::from(code),
        Err(failed) => {
            if let Some(before) = before {
                before.refuse(failed.lines.clone());
            }
            for line in &failed.lines {
                super::complain(line);
            }
            if let Some(hint) = &failed.hint {
                super::hint(hint);
            }
            ExitCode::from(failed.code)
        }
    }
}

fn start(
    options: &ProfileOptions,
    allows_last_good: bool,
    before: &mut Option<Successor>,
) -> Result<u8, Failed> {
    let takes_over = before.is_some();
    let passed = before.as_mut().map_or_else(Passed::by_service_manager, Successor::take_sockets);
    let mut process = Process {
        options,
        // Before it is loaded: what is written meanwhile is noticed.
        read: super::written(options),
        passed,
        before,
        manager: OnceCell::new(),
        registry: OnceCell::new(),
        log: OnceCell::new(),
    };
    let failed = match super::load(options) {
        Ok(loaded) => {
            let (source, warnings) = (Source::File, Vec::new());
            match process.serve(Beginning { loaded, source, problems: 0, warnings }) {
                Err(failed) if failed.code == exit::CONFIG => failed,
                ended => return ended,
            }
        }
        Err(problems) => Failed::config(problems),
    };
    // In an upgrade the process before serves on, which is better than any last good one.
    if takes_over {
        Err(failed)
    } else if allows_last_good {
        last_good::start(options, failed, |beginning| process.serve(beginning))
    } else {
        Err(Failed { hint: last_good::hint(options), ..failed })
    }
}

/// What a process has once, with whatever profile it begins.
struct Process<'a> {
    options: &'a ProfileOptions,
    /// The files of the profile before they were loaded.
    read: Vec<Written>,
    /// Sockets that somebody else has opened.
    passed: Passed,
    /// The process whose place it takes.
    before: &'a mut Option<Successor>,
    manager: OnceCell<Arc<ServiceManager>>,
    registry: OnceCell<Registry>,
    log: OnceCell<Log>,
}

impl Process<'_> {
    fn registry(&self) -> Result<Registry, Failed> {
        if let Some(registry) = self.registry.get() {
            return Ok(registry.clone());
        }
        let registry = Registry::install().map_err(|error| Failed::new(exit::INTERNAL, error))?;
        Ok(self.registry.get_or_init(|| registry).clone())
    }

    /// The log, which writes what `plan` wants from now on.
    fn log(&self, plan: &Plan) -> Result<Log, Failed> {
        let lines = log::lines(&plan.log).map_err(|error| Failed::new(exit::CONFIG, error))?;
        if let Some(log) = self.log.get() {
            log.follow(lines);
            return Ok(log.clone());
        }
        Ok(self.log.get_or_init(|| Log::start(lines)).clone())
    }

    /// Checks what a profile asks of this machine, and says what there is to say before it serves.
    fn prepare(&self, plan: &Plan, loaded: &Loaded, warnings: Vec<String>) -> Result<(), Failed> {
        let mismatches = compared_with_host(plan, self.options).map_err(Failed::config)?;
        let shortage =
            descriptors::raise_limit(plan).map_err(|error| Failed::new(exit::CONFIG, error))?;
        let of_profile = loaded.warnings.iter().map(ToString::to_string);
        let all = warnings.into_iter().chain(of_profile).chain(mismatches).chain(shortage);
        all.for_each(|warning| tracing::warn!("{warning}"));
        Ok(())
    }

    /// Serves one profile from its first generation to the end of the process. After a failure nothing of it is left.
    fn serve(&mut self, beginning: Beginning) -> Result<u8, Failed> {
        let Beginning { loaded, source, problems, warnings } = beginning;
        let how = Started::like_this().map_err(|error| Failed::new(exit::INTERNAL, error))?;
        let plan = Arc::new(loaded.plan.clone());
        let log = self.log(&plan)?;
        self.prepare(&plan, &loaded, warnings)?;
        let takes_over = self.before.is_some();
        let manager = self.manager.get_or_init(|| ServiceManager::of_environment(takes_over));
        let manager = Arc::clone(manager);
        let registry = self.registry()?;
        let history =
            History::open(&plan.history).map_err(|error| Failed::new(exit::CONFIG, error))?;
        let internal = |error: std::io::Error| Failed::new(exit::INTERNAL, error);
        let runtime = data_plane(&plan).map_err(internal)?;
        let (notice_sink, notices) = tokio::sync::mpsc::channel(NOTICES_MAX);
        let named = Named::of(Arc::clone(&plan));
        let switch = first_generation(&plan, &notice_sink, &history, self.before.as_ref())?;
        let endpoint = house::endpoint(Arc::clone(&switch));
        let front = open_front(&plan, &endpoint, &mut self.passed, &runtime)
            .inspect_err(|_| stop_all_plugins(&switch, Vec::new()))?;
        let control = plan.control.as_ref().and_then(|plan| self.passed.control(&plan.bind));
        self.passed.close_rest();
        let sampler = Arc::new(Mutex::new(sampler(&plan, &switch).map_err(internal)?));
        let tests = selftest::Tests::of(&plan, &switch);
        let effective = Effective::new(loaded, source, problems);
        let plugins = switch.load().stack().kit().plugins.clone();
        let house = House {
            options: self.options.clone(),
            endpoint: Arc::clone(&endpoint),
            front: Arc::clone(&front),
            log,
            effective: Arc::clone(&effective),
            notices: notice_sink,
            sampler: Arc::clone(&sampler),
            data_plane: runtime.handle().clone(),
            history: Arc::clone(&history),
            read: Mutex::new(self.read.clone()),
            named: Mutex::new(named),
            probation: Mutex::new(Probation::new(effective.load(), plugins)),
            writing: Arc::default(),
        };
        let reloader = Reloader::new(house, Arc::clone(&manager));
        let upgrader = Upgrader::new(how, Arc::clone(&reloader), manager);
        let shown = report::Shown {
            registry,
            endpoint: &endpoint,
            front: &front,
            tests: tests.as_ref(),
            effective: &effective,
            reloader: &reloader,
            upgrader: &upgrader,
            history: &history,
        };
        let ended = runtime.block_on(serve(&plan, shown, control, notices, self.before));
        if let Some(tests) = tests {
            tests.stop();
        }
        switch.close();
        stop_all_plugins(&switch, reloader.kept_plugins());
        runtime.shutdown_background();
        if let Some(sampler) = sampler.lock().unwrap_or_else(PoisonError::into_inner).take() {
            sampler.stop();
        }
        history.stop();
        ended
    }
}

/// Opens every listener; nobody is let in yet.
fn open_front(
    plan: &Plan,
    endpoint: &Arc<Endpoint>,
    passed: &mut Passed,
    data_plane: &Runtime,
) -> Result<Arc<Front>, Failed> {
    let _entered = data_plane.enter();
    Front::open(plan, endpoint, passed).map(Arc::new).map_err(|errors| {
        let is_in_use = |error: &BindError| matches!(error, BindError::AddressInUse { .. });
        Failed {
            code: later_or_never(errors.iter().all(is_in_use)),
            lines: errors.iter().map(ToString::to_string).collect(),
            hint: None,
        }
    })
}

/// Serves until the end. Returns the exit code.
async fn serve(
    plan: &Plan,
    shown: report::Shown<'_>,
    passed: Option<control::Passed>,
    notices: Receiver<(Arc<str>, Notice)>,
    before: &mut Option<Successor>,
) -> Result<u8, Failed> {
    let report::Shown { endpoint, front, reloader, upgrader, history, .. } = shown;
    let source = shown.effective.load().source;
    let manager = &upgrader.manager;
    let signals = Signals::new(Arc::clone(manager));
    reloader.follow_signals();
    if let Some(before) = before.as_mut() {
        // Nobody is served here yet who could be kept waiting.
        before.take_over(endpoint).map_err(|error| Failed::new(exit::TEMPORARY, error))?;
        endpoint.vitals.beat();
    }
    let control = shown.start(plan, passed).map_err(|error| {
        let code = later_or_never(matches!(error, StartError::InUse(_)));
        Failed::new(code, error)
    })?;
    let (switch, vitals) = (&endpoint.switch, &endpoint.vitals);
    let changes = endpoint.changes.clone();
    tokio::spawn(follow_notices(notices, Arc::clone(switch), changes, Arc::clone(vitals)));
    tokio::spawn(house::beat(Arc::clone(vitals)));
    tokio::spawn(house::sweep(Arc::clone(endpoint)));
    history.start().map_err(|error| Failed::new(exit::INTERNAL, error))?;
    reloader.start().map_err(|error| Failed::new(exit::INTERNAL, error))?;
    if let (Some(control), Some(plan)) = (&control, &plan.control) {
        upgrader.equip(control, &plan.bind);
    }
    vitals.enter(Phase::Ready);
    report::say_what_is_served(plan, switch, front, control.as_ref());
    if source == Source::LastGood {
        let serving = switch.load();
        tracing::warn!(
            generation = serving.number(),
            identity = serving.plan().identity.short(),
            "The last good profile serves, not the one on disk, until that is mended."
        );
    }
    manager.ready(&report::status(endpoint, front));
    tokio::spawn(Arc::clone(manager).keep_alive(Arc::clone(vitals)));
    if let Some(before) = before.take() {
        let served = before.serve(endpoint, manager, &upgrader.before);
        served.map_err(|error| Failed::new(exit::TEMPORARY, error))?;
    }
    let handed_over = upgrader.handed_over.subscribe();
    let code = front.serve(signals, handed_over.clone()).await;
    reloader.stop();
    endpoint.tasks.end_all();
    match control {
        Some(control) if *handed_over.borrow() => control.hand_over(),
        Some(control) => control.stop(),
        None => {}
    }
    Ok(code)
}

/// Stops the plugins of every generation that is left, and those that were `kept` besides.
fn stop_all_plugins(switch: &Switch, kept: Vec<Arc<Plugin>>) {
    let current = switch.load();
    let generations = switch.draining().into_iter().chain([Arc::clone(&current)]);
    let mut plugins = kept;
    for generation in generations {
        for plugin in &generation.stack().kit().plugins {
            if !plugins.iter().any(|known| Arc::ptr_eq(known, plugin)) {
                plugins.push(Arc::clone(plugin));
            }
        }
    }
    stack::stop_plugins(&plugins, PLUGIN_GRACE.min(current.plan().shutdown.drain));
}

/// Compares the host with the box that the profile is made for. Returns warnings.
///
/// # Errors
/// The same, when the profile does not put up with less.
fn compared_with_host(plan: &Plan, options: &ProfileOptions) -> Result<Vec<String>, Vec<String>> {
    let Some(envelope) = &plan.hardware else { return Ok(Vec::new()) };
    let host = Hardware::read();
    if options.profile == AUTO {
        let memory_mib = host.memory_bytes >> 20;
        tracing::info!(profile = %plan.name, cores = host.cores, memory_mib, "Profile chosen for this machine.");
    }
    let mismatches = envelope::mismatches(plan, &host);
    if envelope.mismatch == Mismatch::Refuse && !mismatches.is_empty() {
        return Err(mismatches);
    }
    Ok(mismatches)
}

/// The thread that looks at the memory, if anybody asks how much there is.
fn sampler(plan: &Plan, switch: &Switch) -> std::io::Result<Option<Sampler>> {
    if plan.layers.memory.mode == Mode::Off {
        return Ok(None);
    }
    Sampler::start(switch.load().stack().kit().memory.clone()).map(Some)
}

/// An address in use may be free later; every other reason not to listen is in the profile.
const fn later_or_never(is_in_use: bool) -> u8 {
    if is_in_use { exit::TEMPORARY } else { exit::CONFIG }
}

/// Starts the plugins and builds the stack around them.
fn first_generation(
    plan: &Arc<Plan>,
    notices: &plugin_host::NoticeSink,
    history: &History,
    before: Option<&Successor>,
) -> Result<Arc<Switch>, Failed> {
    let seal = key::seal(plan).map_err(|error| Failed::new(exit::CONFIG, error))?;
    if let Some(before) = before {
        seal.restore(&before.seal_keys());
    }
    let started = stack::start_plugins(plan, notices, &stack::Known::default())
        .map_err(|errors| Failed::config(errors.iter().map(ToString::to_string).collect()))?;
    let plugins = started.plugins;
    let number = history.first_number(plan.identity, || history::libraries(&plugins));
    house::first_generation(plan, plugins.clone(), seal, number).map_err(|error| {
        stack::stop_plugins(&plugins, PLUGIN_GRACE);
        Failed::config(error.0)
    })
}

/// The threads that serve. A single one needs no scheduler that could share work with others.
fn data_plane(plan: &Plan) -> std::io::Result<Runtime> {
    let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut builder = match plan.process.worker_threads.unwrap_or_else(cores) {
        1 => tokio::runtime::Builder::new_current_thread(),
        threads => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(threads);
            builder
        }
    };
    builder.thread_name("serve").enable_all().build()
}
