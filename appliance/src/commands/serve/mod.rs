//! `toolrack serve`: the only place that sees every room.

mod descriptors;
mod front;
mod house;
mod key;
mod memory;
mod refusals;
mod report;
mod selftest;
mod stop;

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Arc;

use control::StartError;
use middleware::Mode;
use profile::Plan;
use profile::plan::{LogFormat, Mismatch};
use runtime::{NOTICES_MAX, Phase, Switch, follow_notices};
use stack::PLUGIN_GRACE;
use telemetry::{LogShape, Registry};
use transport::accept::BindError;

use crate::cli::ProfileOptions;
use crate::envelope::{self, AUTO};
use crate::exit;
use crate::hardware::Hardware;
use front::Front;
use memory::Sampler;
use stop::Signals;

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
pub(crate) fn run(options: &ProfileOptions) -> ExitCode {
    match start(options) {
        Ok(code) => ExitCode::from(code),
        Err(failed) => {
            for line in &failed.lines {
                super::complain(line);
            }
            ExitCode::from(failed.code)
        }
    }
}

fn start(options: &ProfileOptions) -> Result<u8, Failed> {
    let loaded =
        super::load(options).map_err(|problems| Failed { code: exit::CONFIG, lines: problems })?;
    let plan = Arc::new(loaded.plan.clone());
    let shape = match plan.log.format {
        LogFormat::Auto => LogShape::Auto,
        LogFormat::Text => LogShape::Text,
        LogFormat::Json => LogShape::Json,
    };
    telemetry::start_logging(&plan.log.filter, shape, crate::cli::wants_colours())
        .map_err(|error| Failed::new(exit::CONFIG, format!("log.filter: {error}")))?;
    let mismatches = compared_with_host(&plan, options)?;
    let shortage =
        descriptors::raise_limit(&plan).map_err(|error| Failed::new(exit::CONFIG, error))?;
    let warnings = loaded.warnings.iter().map(ToString::to_string);
    for warning in warnings.chain(mismatches).chain(shortage) {
        tracing::warn!("{warning}");
    }
    let registry = Registry::install().map_err(|error| Failed::new(exit::INTERNAL, error))?;
    let (notice_sink, notices) = tokio::sync::mpsc::channel(NOTICES_MAX);
    let switch = first_generation(&plan, &notice_sink)?;
    let sampler = sampler(&plan, &switch).map_err(|error| Failed::new(exit::INTERNAL, error))?;
    let runtime = data_plane(&plan).map_err(|error| Failed::new(exit::INTERNAL, error))?;
    let endpoint = house::endpoint(Arc::clone(&switch));
    let vitals = Arc::clone(&endpoint.vitals);
    let tests = selftest::Tests::of(&plan, &switch);
    let code = runtime.block_on(async {
        let front = Front::open(&plan, &endpoint).map_err(|error| {
            let code = later_or_never(matches!(error, BindError::AddressInUse { .. }));
            Failed::new(code, error)
        })?;
        let signals = Signals::new();
        let control = report::Shown { registry, endpoint: &endpoint, tests: tests.as_ref() };
        let control = control.start(&plan, &loaded, &front).map_err(|error| {
            let code = later_or_never(matches!(error, StartError::InUse(_)));
            Failed::new(code, error)
        })?;
        report::say_what_is_served(&plan, &switch, &front, control.as_ref());
        let changes = endpoint.changes.clone();
        tokio::spawn(follow_notices(notices, Arc::clone(&switch), changes, Arc::clone(&vitals)));
        tokio::spawn(house::beat(Arc::clone(&vitals)));
        tokio::spawn(house::sweep(Arc::clone(&endpoint)));
        vitals.enter(Phase::Ready);
        let code = front.serve(&plan, &endpoint, signals).await;
        endpoint.tasks.end_all();
        if let Some(control) = control {
            control.stop();
        }
        Ok(code)
    })?;
    if let Some(tests) = tests {
        tests.stop();
    }
    let generation = switch.load();
    let grace = PLUGIN_GRACE.min(plan.shutdown.drain);
    stack::stop_plugins(&generation.stack().kit().plugins, grace);
    runtime.shutdown_background();
    if let Some(sampler) = sampler {
        sampler.stop();
    }
    Ok(code)
}

/// Compares the host with the box that the profile is made for. Returns warnings.
fn compared_with_host(plan: &Plan, options: &ProfileOptions) -> Result<Vec<String>, Failed> {
    let Some(envelope) = &plan.hardware else { return Ok(Vec::new()) };
    let host = Hardware::read();
    if options.profile == AUTO {
        let memory_mib = host.memory_bytes >> 20;
        tracing::info!(profile = %plan.name, cores = host.cores, memory_mib, "Profile chosen for this machine.");
    }
    let mismatches = envelope::mismatches(plan, &host);
    if envelope.mismatch == Mismatch::Refuse && !mismatches.is_empty() {
        return Err(Failed { code: exit::CONFIG, lines: mismatches });
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
) -> Result<Arc<Switch>, Failed> {
    let seal = key::seal(plan).map_err(|error| Failed::new(exit::CONFIG, error))?;
    let plugins = stack::start_plugins(plan, notices).map_err(|errors| Failed {
        code: exit::CONFIG,
        lines: errors.iter().map(ToString::to_string).collect(),
    })?;
    house::first_generation(plan, plugins, seal)
        .map_err(|error| Failed { code: exit::CONFIG, lines: error.0 })
}

/// The threads that serve. A single one needs no scheduler that could share work with others.
fn data_plane(plan: &Plan) -> std::io::Result<tokio::runtime::Runtime> {
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
