//! What an operator sees of a running appliance: the first lines of the log, and the control listener.

use std::sync::Arc;

use control::{
    Control, Passed, PluginReport, ProfileReport, Profiles, Reloads, SelfTests, Serving, Sources,
    StartError, Upgrades,
};
use middleware::bulkhead::PlaceReport;
use middleware::circuit_breaker::{CircuitReport, Phase};
use middleware::memory::State;
use plugin_host::{Plugin, PluginState};
use profile::Plan;
use protocol::Bound;
use runtime::Switch;
use telemetry::{Metric, Registry, Samples};
use transport::Endpoint;

use super::effective::Effective;
use super::front::{Front, Open};
use super::generations;
use super::history::History;
use super::refusals::Explainer;
use super::reload::Reloader;
use super::selftest::Tests;
use super::upgrade::Upgrader;

/// What the control listener shows.
pub(super) struct Shown<'a> {
    pub(super) registry: Registry,
    pub(super) endpoint: &'a Arc<Endpoint>,
    pub(super) front: &'a Arc<Front>,
    pub(super) tests: Option<&'a Arc<Tests>>,
    pub(super) effective: &'a Arc<Effective>,
    pub(super) reloader: &'a Arc<Reloader>,
    pub(super) upgrader: &'a Arc<Upgrader>,
    pub(super) history: &'a Arc<History>,
}

impl Shown<'_> {
    /// Starts the control listener, if the plan has one, on a socket that was passed if there is one.
    pub(super) fn start(
        self,
        plan: &Plan,
        passed: Option<Passed>,
    ) -> Result<Option<Control>, StartError> {
        let Some(plan) = &plan.control else {
            return Ok(None);
        };
        let Self { registry, endpoint, front, tests, effective, reloader, upgrader, history } =
            self;
        let explainer = Explainer::new(effective, endpoint);
        let effective = Arc::clone(effective);
        let (shown, prober) = (Arc::clone(endpoint), Arc::clone(reloader));
        let (counted, attempts) = (Arc::clone(reloader), Arc::clone(reloader));
        let (kept, history) = (Arc::clone(history), Arc::clone(history));
        let (stale, profile) = (Arc::clone(&effective), Arc::clone(&effective));
        let reloads = plan.is_local.then(|| Arc::clone(reloader) as Arc<dyn Reloads>);
        let profiles = plan.takes_profiles.then(|| Arc::clone(reloader) as Arc<dyn Profiles>);
        let serving = Arc::clone(&effective);
        let upgrades = plan.is_local.then(|| Arc::clone(upgrader) as Arc<dyn Upgrades>);
        let upgrader = Arc::clone(upgrader);
        let switch = Arc::clone(&endpoint.switch);
        let front = Arc::clone(front);
        let metered = Arc::clone(endpoint);
        let sources = Sources {
            vitals: Arc::clone(&endpoint.vitals),
            memory: Arc::clone(endpoint.switch.load().stack().kit().memory.gauge()),
            plugins: Arc::new(move || plugins(&switch)),
            metrics: Arc::new(move || {
                metrics(registry.render(), &front.bounds(), &metered)
                    + &counted.metrics()
                    + &upgrader.metrics()
                    + &kept.metrics(stale.load().source)
            }),
            plan: Arc::new(move || effective.load().json.clone()),
            attempts: Arc::new(move || attempts.to_json()),
            generations: Arc::new(move || generations::to_json(&shown, &prober.probation())),
            history: Arc::new(move || history.to_json()),
            profile: Arc::new(move || {
                let shown = profile.load();
                ProfileReport { source: shown.source, problems: shown.problems }
            }),
            reloads,
            serving: Arc::new(move || {
                let shown = serving.load();
                Serving { toml: shown.toml.clone(), identity: shown.loaded.plan.identity }
            }),
            profiles,
            upgrades,
            refusal: Arc::new(move |id| explainer.explain(id)),
            selftest: tests.map(|tests| Arc::clone(tests) as Arc<dyn SelfTests>),
        };
        control::start(plan, sources, passed).map(Some)
    }
}

fn plugins(switch: &Switch) -> Vec<PluginReport> {
    let generation = switch.load();
    let report = |plugin: &Arc<Plugin>| {
        let state = plugin.state();
        PluginReport {
            name: Arc::clone(plugin.name()),
            state: state.as_str(),
            is_ready: state == PluginState::Ready,
        }
    };
    generation.stack().kit().plugins.iter().map(report).collect()
}

/// What was `counted`, with everything that is looked at when somebody asks.
pub(super) fn metrics(
    counted: String,
    connections: &[(Arc<str>, Arc<Bound>)],
    endpoint: &Endpoint,
) -> String {
    let generation = endpoint.switch.load();
    let kit = generation.stack().kit();
    let mut samples = Samples::new();
    for (listener, bound) in connections {
        samples.bound(bound, listener);
    }
    let of_state = endpoint.sessions.bounds().into_iter().chain(endpoint.tasks.bounds());
    for bound in of_state.chain(kit.bounds()).chain([generation.in_flight()]) {
        samples.bound(bound, "");
    }
    for (class, reading) in kit.concurrency.readings() {
        samples.reading(&reading, class);
    }
    for (status, count) in endpoint.tasks.ended() {
        samples.set(Metric::TasksEnded, &[status.as_str()], count);
    }
    memory_metrics(&mut samples, &kit.memory);
    samples.set(Metric::RefusalsRemembered, &[], kit.recent.count());
    samples.set(Metric::WatchedResources, &[], endpoint.watches.count());
    for plugin in &kit.plugins {
        plugin_metrics(&mut samples, plugin);
    }
    for report in kit.bulkhead.report() {
        place_metrics(&mut samples, &report);
    }
    for report in kit.circuits.report() {
        circuit_metrics(&mut samples, &report);
    }
    generations::metrics(&mut samples, endpoint);
    samples.set(Metric::PluginImages, &[], plugin_host::images::count());
    samples.set(Metric::PluginImageBytes, &[], plugin_host::images::file_bytes());
    let uptime = endpoint.vitals.uptime().as_secs_f64();
    samples.set(Metric::UptimeSeconds, &[], format_args!("{uptime:.3}"));
    samples.set(Metric::BuildInfo, &[env!("CARGO_PKG_VERSION")], 1);
    samples.process();
    let mut out = counted;
    kit.meter.render(&mut out);
    kit.fairness.waits().render(&mut out);
    samples.render(&mut out);
    out
}

/// Nothing while nobody looks at the memory.
fn memory_metrics(samples: &mut Samples, memory: &State) {
    let Some(status) = memory.status() else { return };
    samples.set(Metric::MemoryLevel, &[], status.level as u8);
    samples.set(Metric::MemoryLimitBytes, &[], status.nearest.limit_bytes);
    samples.set(Metric::MemoryUsedBytes, &[], status.nearest.used_bytes);
    samples.set(Metric::MemoryPeakBytes, &[], status.peak_bytes);
}

fn plugin_metrics(samples: &mut Samples, plugin: &Plugin) {
    let counted = plugin.counted();
    let mut set = |metric, value: u64| samples.set(metric, &[plugin.name()], value);
    set(Metric::PluginReady, u64::from(plugin.state() == PluginState::Ready));
    set(Metric::PluginCalls, counted.calls);
    set(Metric::PluginCallsInFlight, counted.in_flight as u64);
    set(Metric::PluginCallsAbandoned, counted.abandoned as u64);
    set(Metric::PluginCallsLimit, plugin.calls_max() as u64);
    set(Metric::PluginBusy, counted.busy);
    set(Metric::PluginTimeouts, counted.timeouts);
    set(Metric::PluginStaleCompletions, counted.stale_completions);
    set(Metric::PluginRejectedResults, counted.rejected_results);
    set(Metric::PluginLargeResults, counted.large_results);
    set(Metric::PluginDroppedEvents, counted.dropped_events);
    set(Metric::PluginDroppedNotices, counted.dropped_notices);
    set(Metric::PluginOverruns, counted.overruns);
    set(Metric::PluginDemotedTools, counted.demoted_tools);
}

fn place_metrics(samples: &mut Samples, report: &PlaceReport) {
    let labels = ["bulkhead_calls", &report.plugin];
    samples.set(Metric::BoundLimit, &labels, report.limit);
    samples.set(Metric::BoundUsed, &labels, report.used);
    samples.set(Metric::BoundPeak, &labels, report.peak);
    samples.set(Metric::BoundRefused, &labels, report.refused);
    samples.bound(&report.queue, &report.plugin);
    samples.set(Metric::PluginCallsStuck, &[&report.plugin], report.stuck_calls);
}

fn circuit_metrics(samples: &mut Samples, report: &CircuitReport) {
    let (plugin, tool) = (&*report.plugin, report.tool.as_deref().unwrap_or_default());
    samples.set(Metric::CircuitPhase, &[plugin, tool], report.phase as u8);
    for (phase, entered) in Phase::ALL.iter().zip(report.entered) {
        if entered > 0 {
            samples.set(Metric::CircuitTransitions, &[plugin, tool, phase.as_str()], entered);
        }
    }
}

/// What serves, in a sentence for a service manager.
pub(super) fn status(endpoint: &Endpoint, front: &Front) -> String {
    let url = |http: Open| format!("http://{}{}", http.address, http.path);
    let urls: Vec<_> = front.http().into_iter().map(url).collect();
    let serving = endpoint.switch.load();
    let which = format!("Generation {} ({})", serving.number(), serving.plan().identity.short());
    if urls.is_empty() {
        format!("{which} serves.")
    } else {
        format!("{which} serves at {}.", urls.join(", "))
    }
}

/// One line for each fact that an operator needs.
pub(super) fn say_what_is_served(
    plan: &Plan,
    switch: &Switch,
    front: &Front,
    control: Option<&Control>,
) {
    let generation = switch.load();
    for plugin in &generation.stack().kit().plugins {
        let described = plugin.described();
        let manifest = plugin.manifest();
        tracing::info!(
            plugin = %plugin.name(),
            id = manifest.id,
            version = manifest.version,
            tools = described.tools.len(),
            resources = described.resources.len() + described.templates.len(),
            prompts = described.prompts.len(),
            "Plugin ready."
        );
    }
    if plan.request_state.key.is_none() {
        tracing::debug!(
            "requestState is sealed with a key of this process; give replicas a common request_state.key."
        );
    }
    for http in front.http() {
        http.say();
    }
    if front.has_stdio() {
        tracing::info!("Listening on standard input.");
    }
    if let Some(control) = control {
        tracing::info!(url = %control.address(), "Control listening.");
    }
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(
        profile = %plan.name,
        generation = generation.number(),
        identity = plan.identity.short(),
        version,
        "Serving. Stop with Ctrl-C."
    );
}
