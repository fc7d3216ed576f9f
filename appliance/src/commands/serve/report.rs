//! What an operator sees of a running appliance: the first lines of the log, and the control listener.

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use control::{Control, PluginReport, Sources, StartError};
use plugin_host::{Plugin, PluginState};
use profile::{Loaded, Plan};
use protocol::Bound;
use runtime::Switch;
use telemetry::{Registry, render_bound};
use transport::Endpoint;

use super::front::Front;

/// Starts the control listener, if the plan has one.
pub(super) fn start_control(
    plan: &Plan,
    loaded: &Loaded,
    registry: Registry,
    front: &Front,
    endpoint: &Arc<Endpoint>,
) -> Result<Option<Control>, StartError> {
    let Some(plan) = &plan.control else {
        return Ok(None);
    };
    let effective = Bytes::from(loaded.to_json());
    let switch = Arc::clone(&endpoint.switch);
    let bounds = front.bounds();
    let metered = Arc::clone(endpoint);
    let sources = Sources {
        vitals: Arc::clone(&endpoint.vitals),
        plugins: Arc::new(move || plugins(&switch)),
        metrics: Arc::new(move || metrics(&registry, &bounds, &metered)),
        plan: Arc::new(move || effective.clone()),
    };
    control::start(plan, sources).map(Some)
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

fn metrics(registry: &Registry, bounds: &[Arc<Bound>], endpoint: &Endpoint) -> String {
    let mut out = registry.render();
    let generation = endpoint.switch.load();
    let kit = generation.stack().kit();
    kit.meter.render(&mut out);
    out.push_str("# HELP toolrack_bound_used How much of a named bound is in use.\n# TYPE toolrack_bound_used gauge\n");
    let of_sessions = endpoint.sessions.bounds();
    for bound in bounds.iter().chain(of_sessions).chain([kit.concurrency.bound()]) {
        render_bound(&mut out, bound);
    }
    writeln!(out, "toolrack_generation {}", generation.number()).ok();
    writeln!(out, "toolrack_uptime_seconds {:.3}", endpoint.vitals.uptime().as_secs_f64()).ok();
    writeln!(out, "toolrack_watched_resources {}", endpoint.watches.count()).ok();
    writeln!(out, "toolrack_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")).ok();
    for plugin in &kit.plugins {
        plugin_metrics(&mut out, plugin);
    }
    out
}

fn plugin_metrics(out: &mut String, plugin: &Plugin) {
    let counted = plugin.counted();
    let name = plugin.name();
    let is_ready = u8::from(plugin.state() == PluginState::Ready);
    let mut line = |metric: &str, value: u64| {
        writeln!(out, "toolrack_plugin_{metric}{{plugin=\"{name}\"}} {value}").ok();
    };
    line("ready", u64::from(is_ready));
    line("calls_total", counted.calls);
    line("calls_in_flight", counted.in_flight as u64);
    line("calls_abandoned", counted.abandoned as u64);
    line("calls_limit", plugin.calls_max() as u64);
    line("busy_total", counted.busy);
    line("timeouts_total", counted.timeouts);
    line("stale_completions_total", counted.stale_completions);
    line("rejected_results_total", counted.rejected_results);
    line("dropped_events_total", counted.dropped_events);
    line("dropped_notices_total", counted.dropped_notices);
    line("overruns_total", counted.overruns);
    line("demoted_tools_total", counted.demoted_tools);
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
        let url = format!("http://{}{}", http.address, http.path);
        tracing::info!(listener = %http.name, %url, "Listening.");
    }
    if front.has_stdio() {
        tracing::info!("Listening on standard input.");
    }
    if let Some(control) = control {
        tracing::info!(url = %control.address(), "Control listening.");
    }
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(profile = %plan.name, version, "Serving. Stop with Ctrl-C.");
}
