//! Settings of the `circuit_breaker` layer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Mode;

/// When calls of a tool that fails are refused at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What to do with a call whose circuit is open. Default: `enforce`.
    pub mode: Mode,
    /// How many of a tool's last calls are judged together, from 1 to 1000. Default: 100, so that one call weighs a
    /// hundredth.
    pub window_calls: u32,
    /// Fewer calls than these are not judged, from 1 to `window_calls`. Default: 20, since half of fewer is chance.
    pub calls_min: u32,
    /// Percent of the judged calls that must have failed for the circuit to open, from 1 to 100. Default: 50.
    pub failure_percent: u32,
    /// Percent of the judged calls that must have been slow for the circuit to open, from 1 to 100. Default: 80, since
    /// slow answers are still answers.
    pub slow_percent: u32,
    /// Percent of its deadline after which a call was slow, from 1 to 100. Default: 80.
    pub slow_deadline_percent: u32,
    /// Milliseconds for which a circuit first stays open: 503 with the rest of it in `Retry-After`. Doubles each time
    /// that the probes after it fail; a tenth more or less, by the tool's name. From 1. Default: 5000.
    pub open_ms: u64,
    /// Longest of those times in milliseconds, at most 600000. Default: 60000, so that a tool that is well again is
    /// back after a minute.
    pub open_max_ms: u64,
    /// Most calls at once that try whether the tool is well again, from 1 to 100. Default: 3.
    pub probes_max: u32,
    /// How many of those must succeed for the circuit to close, from 1 to 100; one failure opens it again. Default: 5.
    pub probes_needed: u32,
    /// Milliseconds without a success after which a circuit whose probes do not come back opens again, from 1 to
    /// 600000. Default: 10000.
    pub half_open_ms: u64,
}

impl Config {
    /// What is wrong with these settings: the key, and a sentence that says how to mend it.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let numbers = [
            ("window_calls", u64::from(self.window_calls), 1, 1_000),
            ("calls_min", self.calls_min.into(), 1, self.window_calls.clamp(1, 1_000).into()),
            ("failure_percent", self.failure_percent.into(), 1, 100),
            ("slow_percent", self.slow_percent.into(), 1, 100),
            ("slow_deadline_percent", self.slow_deadline_percent.into(), 1, 100),
            ("open_max_ms", self.open_max_ms, 1, 600_000),
            ("open_ms", self.open_ms, 1, self.open_max_ms.clamp(1, 600_000)),
            ("probes_max", self.probes_max.into(), 1, 100),
            ("probes_needed", self.probes_needed.into(), 1, 100),
            ("half_open_ms", self.half_open_ms, 1, 600_000),
        ];
        let outside =
            numbers.into_iter().filter(|(_, value, least, most)| !(least..=most).contains(&value));
        outside
            .map(|(key, value, least, most)| {
                (key, format!("{value} is outside of {least} to {most}"))
            })
            .collect()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            window_calls: 100,
            calls_min: 20,
            failure_percent: 50,
            slow_percent: 80,
            slow_deadline_percent: 80,
            open_ms: 5_000,
            open_max_ms: 60_000,
            probes_max: 3,
            probes_needed: 5,
            half_open_ms: 10_000,
        }
    }
}
