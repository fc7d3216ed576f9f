//! The plan of a lane: the live plan with what must differ, and with what its test wishes to differ.
//!
//! Deadlines can only be shortened, and bounds of connections only be lowered: a lane never takes more than the plan
//! would let a client take. What differs is told to the test, which says so in its report.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use middleware::Mode;
use profile::Plan;
use profile::plan::{
    HttpPlan, ListenerPlan, PluginLimitsPlan, PluginPlan, ToolLimitsPlan, TransportPlan,
};
use serde_json::{Value, json};

/// The name of the plugin that stands in for all others.
pub(super) const PROBE: &str = "probe";
/// The library of it.
const PROBE_LIBRARY: &str = "libprobe.so";
/// Calls that it takes at once unless it is to be bounded like another: more than a lane has connections.
pub(super) const PROBE_CALLS_MAX: usize = 2_048;
/// The wish that bounds it like the plugin of this name.
const LIKE: &str = "like";
/// The wish that takes the queues away from before the permits: with them, no call finds the permits taken.
const WITHOUT_QUEUES: (&str, &str) = ("layer.fairness.mode", "off");

/// A plan, and what of the live one it does not keep.
pub(super) struct LanePlan {
    pub(super) plan: Plan,
    /// Keys with their live value and the lane's.
    pub(super) changed: Vec<Value>,
}

impl LanePlan {
    /// The plan of a lane that has at most so many connections.
    ///
    /// # Errors
    /// The wish that cannot be granted.
    pub(super) fn new(
        live: &Plan,
        wishes: &[(String, String)],
        connections_max: usize,
        has_probe: bool,
    ) -> Result<Self, String> {
        let mut plan = live.clone();
        plan.control = None;
        plan.listeners.retain_mut(to_loopback);
        plan.plugins = if has_probe { vec![probe(Vec::new())] } else { Vec::new() };
        let mut lane = Self { plan, changed: Vec::new() };
        lane.lower_connections(connections_max);
        for (key, value) in wishes {
            if key == LIKE {
                lane.bound_like(live, value)?;
                continue;
            }
            if (&**key, &**value) == WITHOUT_QUEUES {
                let live = std::mem::replace(&mut lane.plan.layers.fairness.mode, Mode::Off);
                note(&mut lane.changed, key, (live != Mode::Off).then_some(live), Mode::Off);
                continue;
            }
            let ms = value.parse::<NonZeroU64>().map_err(|_| {
                format!("`{key}={value}`: write a number of milliseconds from 1 upward")
            })?;
            if !lane.shorten(key, ms) {
                return Err(format!("`{key}` is nothing that a lane can shorten"));
            }
        }
        Ok(lane)
    }

    fn lower_connections(&mut self, most: usize) {
        let layer = &mut self.plan.layers.connections;
        let of_layer = lower(&mut layer.connections_max, most);
        note(&mut self.changed, "layer.connections.connections_max", of_layer, most);
        for (name, http) in http(&mut self.plan.listeners) {
            let from = lower(&mut http.connections_max, most);
            note(&mut self.changed, &format!("listen.{name}.http.connections_max"), from, most);
        }
    }

    /// Bounds the probe like the live plugin `name`.
    fn bound_like(&mut self, live: &Plan, name: &str) -> Result<(), String> {
        let other = live.plugins.iter().find(|plugin| &*plugin.name == name);
        let other = other.ok_or_else(|| format!("there is no plugin `{name}`"))?;
        for probe in &mut self.plan.plugins {
            probe.limits = other.limits.clone();
        }
        Ok(())
    }

    /// Shortens what `key` names, wherever it is longer. `false`: the key names nothing of that kind.
    fn shorten(&mut self, key: &str, ms: NonZeroU64) -> bool {
        let layers = &mut self.plan.layers;
        let number = match key {
            "layer.bulkhead.queue_wait_ms" => &mut layers.bulkhead.queue_wait_ms,
            "layer.circuit_breaker.half_open_ms" => &mut layers.circuit_breaker.half_open_ms,
            "layer.circuit_breaker.open_ms" => &mut layers.circuit_breaker.open_ms,
            "layer.connections.age_max_ms" => &mut layers.connections.age_max_ms,
            "layer.fairness.wait_ms" => &mut layers.fairness.wait_ms,
            "layer.http.http2.ping_answer_ms" => &mut layers.http.http2.ping_answer_ms,
            "layer.http.http2.ping_ms" => &mut layers.http.http2.ping_ms,
            "layer.timeout.deadline_ms" => {
                let from = lower(&mut layers.timeout.deadline_ms, ms);
                note(&mut self.changed, key, from, ms);
                return true;
            }
            "plugin.deadline_ms" => {
                for probe in &mut self.plan.plugins {
                    let deadline = Duration::from_millis(ms.get());
                    lower(&mut probe.limits.deadline, deadline);
                    lower(&mut probe.limits.each_tool.deadline, deadline);
                }
                return true;
            }
            _ => return self.shorten_of_listeners(key, ms.get()),
        };
        let from = lower(number, ms.get());
        note(&mut self.changed, key, from, ms.get());
        true
    }

    fn shorten_of_listeners(&mut self, key: &str, ms: u64) -> bool {
        let Some(of) = key.strip_prefix("listen.http.") else { return false };
        let mut is_known = true;
        for (name, http) in http(&mut self.plan.listeners) {
            let deadline = match of {
                "first_byte_ms" => &mut http.first_byte_deadline,
                "head_ms" => &mut http.head_deadline,
                "body_ms" => &mut http.body_deadline,
                "body_window_ms" => &mut http.body_window,
                "idle_ms" => &mut http.idle_deadline,
                "write_ms" => &mut http.write_deadline,
                "heartbeat_ms" => &mut http.heartbeat,
                _ => {
                    is_known = false;
                    break;
                }
            };
            let from = lower(deadline, Duration::from_millis(ms));
            let from = from.map(|from| from.as_millis() as u64);
            note(&mut self.changed, &format!("listen.{name}.http.{of}"), from, ms);
        }
        is_known
    }
}

/// Takes the smaller of both; the value before, if it was larger.
fn lower<T: Ord + Copy>(value: &mut T, most: T) -> Option<T> {
    (*value > most).then(|| std::mem::replace(value, most))
}

fn note<T: serde::Serialize>(changed: &mut Vec<Value>, key: &str, from: Option<T>, to: T) {
    if let Some(from) = from {
        changed.push(json!({ "key": key, "live": from, "lane": to }));
    }
}

fn http(listeners: &mut [ListenerPlan]) -> impl Iterator<Item = (&Arc<str>, &mut HttpPlan)> {
    listeners.iter_mut().filter_map(|listener| match &mut listener.transport {
        TransportPlan::Http(http) => Some((&listener.name, http)),
        TransportPlan::Stdio(_) => None,
    })
}

/// Moves a listener to a free port of this machine; `false`: there is only one standard input.
fn to_loopback(listener: &mut ListenerPlan) -> bool {
    match &mut listener.transport {
        TransportPlan::Http(http) => {
            http.bind = ([127, 0, 0, 1], 0).into();
            true
        }
        TransportPlan::Stdio(_) => false,
    }
}

/// The plugin that stands in for others, looked for in `search`, with bounds that no test meets.
pub(super) fn probe(search: Vec<PathBuf>) -> PluginPlan {
    let deadline = Duration::from_secs(600);
    PluginPlan {
        name: PROBE.into(),
        library: PROBE_LIBRARY.into(),
        search,
        config_json: "{}".to_owned(),
        limits: PluginLimitsPlan {
            concurrent_calls: PROBE_CALLS_MAX,
            queue_calls: PROBE_CALLS_MAX,
            threads_max: 2,
            deadline,
            response_bytes_max: 1 << 30,
            overrun: Duration::from_secs(1),
            overruns_max: u32::MAX,
            each_tool: ToolLimitsPlan {
                concurrent_calls: PROBE_CALLS_MAX,
                blocking_calls: PROBE_CALLS_MAX,
                queue_calls: PROBE_CALLS_MAX,
                deadline,
            },
        },
        tools: std::collections::BTreeMap::new(),
    }
}
