//! The plan of a lane: the live plan with what must differ, and with what its test wishes to differ.
//!
//! Numbers can only be lowered: a lane never takes more than the plan would let a client take. What differs is told to
//! the test, which says so in its report.

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

use super::bounds::{lower, lower_key, note};

/// The name of the plugin that stands in for all others.
pub(super) const PROBE: &str = "probe";
/// The library of it.
const PROBE_LIBRARY: &str = "libprobe.so";
/// Calls that it takes at once unless it is to be bounded like another: more than a lane has connections.
pub(super) const PROBE_CALLS_MAX: usize = 2_048;
/// The wish that bounds it like the plugin of this name.
const LIKE: &str = "like";
/// What that wish says for a plugin without limits of its own; no plugin has this name.
const WITHOUT_LIMITS: &str = "";
/// The wish that shortens the deadline of the probe, which is a key of no live plugin.
const PROBE_DEADLINE: &str = "plugin.deadline_ms";
/// The wish that takes the queues away from before the permits: with them, no call finds the permits taken.
const WITHOUT_QUEUES: (&str, &str) = ("layer.fairness.mode", "off");

/// Takes a layer away; its mode before, if it had another.
fn lower_mode(mode: &mut Mode) -> Option<Mode> {
    (*mode != Mode::Off).then(|| std::mem::replace(mode, Mode::Off))
}

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
                let before = lower_mode(&mut lane.plan.layers.fairness.mode);
                note(&mut lane.changed, key, before.map(|live| (json!(live), json!(Mode::Off))));
                continue;
            }
            let most = value
                .parse::<NonZeroU64>()
                .map_err(|_| format!("`{key}={value}`: write a number from 1 upward"))?;
            if key == PROBE_DEADLINE {
                lane.shorten_probe(most);
            } else if !lower_key(&mut lane.plan, key, most, &mut lane.changed) {
                return Err(format!("`{key}` is nothing that a lane can lower"));
            }
        }
        Ok(lane)
    }

    fn lower_connections(&mut self, most: usize) {
        let Some(most) = NonZeroU64::new(most as u64) else { return };
        for key in ["layer.connections.connections_max", "listen.http.connections_max"] {
            lower_key(&mut self.plan, key, most, &mut self.changed);
        }
    }

    /// Lets calls of the probe end sooner.
    fn shorten_probe(&mut self, most: NonZeroU64) {
        let most = Duration::from_millis(most.get());
        for PluginPlan { limits, .. } in &mut self.plan.plugins {
            lower(&mut limits.deadline, most);
            lower(&mut limits.each_tool.deadline, most);
        }
    }

    /// Bounds the probe like the live plugin `name`, or like one that has no limits of its own.
    fn bound_like(&mut self, live: &Plan, name: &str) -> Result<(), String> {
        if name == WITHOUT_LIMITS {
            let bulkhead = &live.layers.bulkhead;
            let [calls, waiting] = [bulkhead.concurrent_calls, bulkhead.queue_calls]
                .map(|most| usize::try_from(most).unwrap_or(usize::MAX));
            for PluginPlan { limits, .. } in &mut self.plan.plugins {
                let each_tool =
                    ToolLimitsPlan::usual(calls, waiting, limits.threads_max, limits.deadline);
                (limits.concurrent_calls, limits.queue_calls) = (calls, waiting);
                limits.each_tool = each_tool;
            }
            return Ok(());
        }
        let other = live.plugins.iter().find(|plugin| &*plugin.name == name);
        let other = other.ok_or_else(|| format!("there is no plugin `{name}`"))?;
        for probe in &mut self.plan.plugins {
            probe.limits = other.limits.clone();
        }
        Ok(())
    }
}

pub(super) fn http(
    listeners: &mut [ListenerPlan],
) -> impl Iterator<Item = (&Arc<str>, &mut HttpPlan)> {
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
