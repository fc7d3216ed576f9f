//! Settings of the `rate_limit` layer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Mode;
use crate::buckets::{self, RATE_MAX};

/// How often a client may call, and a tool be called. Each limit is a rate and a burst; a rate of 0 turns it off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What to do with a call above a limit. Default: `enforce`.
    pub mode: Mode,
    /// Calls of one client each second: tools, resources, prompts, completions, lists. At the limit: 429 with
    /// `Retry-After`. From 0, which is no limit, to 1000000. Default: 50, many times what an agent that reads its
    /// answers sends.
    pub calls_per_sec: u32,
    /// Calls of one client that may come at once after a time of silence. From 1 to 1000000. Default: 100, two seconds
    /// of them.
    pub burst_calls: u32,
    /// Calls of one tool each second, of all clients together. At the limit: 429. From 0 to 1000000. Default: 0, no
    /// limit.
    pub tool_calls_per_sec: u32,
    /// Calls of one tool that may come at once. From 1 to 1000000. Default: 100.
    pub tool_burst_calls: u32,
    /// Calls of one tool by one client each second. At the limit: 429. From 0 to 1000000. Default: 0, no limit.
    pub client_tool_calls_per_sec: u32,
    /// Calls of one tool by one client that may come at once. From 1 to 1000000. Default: 20.
    pub client_tool_burst_calls: u32,
    /// Sessions that one client may begin each minute (`initialize`, revisions up to 2025-11-25). At the limit: 429.
    /// From 0, which is no limit, to 1000000. Default: 30: a client needs one, and one that restarts in a loop needs to
    /// be slowed down.
    pub sessions_per_min: u32,
    /// Sessions that one client may begin at once. From 1 to 1000000. Default: 30, a minute of them.
    pub burst_sessions: u32,
    /// Most keys of each limit that are counted apart: clients, tools, pairs of both; those that come later share 256
    /// places until one is free. From 256 to 1000000, which take about 24 bytes each. Default: 100000.
    pub keys_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            calls_per_sec: 50,
            burst_calls: 100,
            tool_calls_per_sec: 0,
            tool_burst_calls: 100,
            client_tool_calls_per_sec: 0,
            client_tool_burst_calls: 20,
            sessions_per_min: 30,
            burst_sessions: 30,
            keys_max: buckets::DEFAULT_KEYS_MAX,
        }
    }
}

impl Config {
    /// What is wrong with these settings: the key, and a sentence that says how to mend it.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let rate = |key, value| buckets::outside(key, value, 0..=RATE_MAX);
        let burst = |key, value| buckets::outside(key, value, 1..=RATE_MAX);
        [
            rate("calls_per_sec", self.calls_per_sec),
            burst("burst_calls", self.burst_calls),
            rate("tool_calls_per_sec", self.tool_calls_per_sec),
            burst("tool_burst_calls", self.tool_burst_calls),
            rate("client_tool_calls_per_sec", self.client_tool_calls_per_sec),
            burst("client_tool_burst_calls", self.client_tool_burst_calls),
            rate("sessions_per_min", self.sessions_per_min),
            burst("burst_sessions", self.burst_sessions),
            buckets::outside("keys_max", self.keys_max, buckets::KEYS_RANGE),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
