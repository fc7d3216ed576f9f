//! `toolrack serve`: the only place that sees every room.

mod descriptors;
mod effective;
mod front;
mod generations;
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

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use control::StartError;
use middleware::Mode;
use plugin_host::{Notice, Plugin};
use profile::Plan;
use profile::plan::Mismatch;
use runtime::{NOTICES_MAX, Phase, Switch, follow_notices};
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
}

impl Failed {
    fn new(code: u8, error: impl std::fmt::Display) -> Self {
        Self { code, lines: vec![error.to_string()] }
    }
}

/// Serves until it is told to stop.
/// With `takes_over`: in the place of the process on standard input.
pub(crate) fn run(options: &ProfileOptions, takes_over: bool) -> ExitCode {
    let mut before = match takes_over.then(Successor::meet).transpose() {
        Ok(before) => before,
        Err(problem) => {
            super::complain(&problem);
            return ExitCode::from(exit::TEMPORARY);
        }
    };
    match start(options, &mut before) {
        Ok(code) => ExitCode::from(code),
        Err(failed) => {
            if let Some(before) = before {
                before.refuse(failed.lines.clone());
            }
            for line in &failed.lines {
                super::complain(line);
            }
            ExitCode::from(failed.code)
        }
    }
}

fn start(options: &ProfileOptions, before: &mut Option<Successor>) -> Result<u8, Failed> {
    let mut passed =
        before.as_mut().map_or_else(Passed::by_service_manager, Successor::take_sockets);
    let how = Started::like_this().map_err(|error| Failed::new(exit::INTERNAL, error))?;
    // Before it is loaded: what is written meanwhile is noticed.
    let read = super::written(options);
    let loaded =
        super::load(options).map_err(|problems| Failed { code: exit::CONFIG, lines: problems })?;
    let plan = Arc::new(loaded.plan.clone());
    let lines = log::lines(&plan.log).map_err(|error| Failed::new(exit::CONFIG, error))?;
    let log = Log::start(lines);
    let mismatches =
        compared_with_host(&plan, options).map_err(|lines| Failed { code: exit::CONFIG, lines })?;
    let shortage =
        descriptors::raise_limit(&plan).map_err(|error| Failed::new(exit::CONFIG, error))?;
    let warnings = loaded.warnings.iter().map(ToString::to_string);
    for warning in warnings.chain(mismatches).chain(shortage) {
        tracing::warn!("{warning}");
    }
    let registry = Registry::install().map_err(|error| Failed::new(exit::INTERNAL, error))?;
    let (notice_sink, notices) = tokio::sync::mpsc::channel(NOTICES_MAX);
    let named = Named::of(Arc::clone(&plan));
    let manager = ServiceManager::of_environment(before.is_some());
    let switch = first_generation(&plan, &notice_sink, before.as_ref())?;
    let sampler = sampler(&plan, &switch).map_err(|error| Failed::new(exit::INTERNAL, error))?;
    let sampler = Arc::new(Mutex::new(sampler));
    let runtime = data_plane(&plan).map_err(|error| Failed::new(exit::INTERNAL, error))?;
    let endpoint = house::endpoint(Arc::clone(&switch));
    let front = open_front(&plan, &endpoint, &mut passed, &runtime)?;
    let control = plan.control.as_ref().and_then(|control| passed.control(&control.bind));
    passed.close_rest();
    let tests = selftest::Tests::of(&plan, &switch);
    let effective = Effective::new(loaded);
    let plugins = switch.load().stack().kit().plugins.clone();
    let house = House {
        options: options.clone(),
        endpoint: Arc::clone(&endpoint),
        front: Arc::clone(&front),
        log,
        effective: Arc::clone(&effective),
        notices: notice_sink,
        sampler: Arc::clone(&sampler),
        data_plane: runtime.handle().clone(),
        read: Mutex::new(read),
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
    };
    let code = runtime.block_on(serve(&plan, shown, control, notices, before))?;
    if let Some(tests) = tests {
        tests.stop();
    }
    switch.close();
    stop_all_plugins(&switch, reloader.kept_plugins());
    runtime.shutdown_background();
    if let Some(sampler) = sampler.lock().unwrap_or_else(PoisonError::into_inner).take() {
        sampler.stop();
    }
    Ok(code)
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
    let report::Shown { endpoint, front, reloader, upgrader, .. } = shown;
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
    reloader.start().map_err(|error| Failed::new(exit::INTERNAL, error))?;
    if let (Some(control), Some(plan)) = (&control, &plan.control) {
        upgrader.equip(control, &plan.bind);
    }
    vitals.enter(Phase::Ready);
    report::say_what_is_served(plan, switch, front, control.as_ref());
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
    before: Option<&Successor>,
) -> Result<Arc<Switch>, Failed> {
    let seal = key::seal(plan).map_err(|error| Failed::new(exit::CONFIG, error))?;
    if let Some(before) = before {
        seal.restore(&before.seal_keys());
    }
    let started =
        stack::start_plugins(plan, notices, &stack::Known::default()).map_err(|errors| Failed {
            code: exit::CONFIG,
            lines: errors.iter().map(ToString::to_string).collect(),
        })?;
    house::first_generation(plan, started.plugins, seal)
        .map_err(|error| Failed { code: exit::CONFIG, lines: error.0 })
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
