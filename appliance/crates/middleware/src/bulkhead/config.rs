//! Settings of the `bulkhead` layer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ByteSize, Mode};

/// How many calls of one plugin, and of one tool, may be at work at once. The numbers of single plugins stand with them,
/// those of all others here; these hold in every mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What to do with a call beyond `concurrent_calls` and `queue_calls` of its plugin or its tool. Default:
    /// `enforce`.
    pub mode: Mode,
    /// Longest that a call waits for its turn in milliseconds, within its deadline: then 429 with `Retry-After`. Tasks
    /// wait until their own deadline. From 1 to 600000. Default: 1000, since who waits longer is better told when to come
    /// back.
    pub queue_wait_ms: u64,
    /// `limits.concurrent_calls` of every plugin that has none of its own. From 1 to 100000. Default: 16.
    pub concurrent_calls: u64,
    /// `limits.queue_calls` of every plugin that has none of its own. From 0 to 100000. Default: 32.
    pub queue_calls: u64,
    /// `limits.response_bytes_max` of every plugin that has none of its own. From 1 KiB to 1 GiB. Default: 4 MiB.
    pub response_bytes_max: ByteSize,
}

impl Config {
    /// What is wrong with these settings: the key, and a sentence that says how to mend it.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let numbers = [
            ("queue_wait_ms", self.queue_wait_ms, 1, 600_000),
            ("concurrent_calls", self.concurrent_calls, 1, 100_000),
            ("queue_calls", self.queue_calls, 0, 100_000),
        ];
        let outside = numbers
            .into_iter()
            .filter(|(_, value, least, most)| !(least..=most).contains(&value))
            .map(|(key, value, least, most)| {
                (key, format!("{value} is outside of {least} to {most}"))
            });
        let (least, most) = (ByteSize::kib(1), ByteSize::mib(1_024));
        let size = self.response_bytes_max;
        let size = (!(least..=most).contains(&size))
            .then(|| ("response_bytes_max", format!("{size} is outside of {least} to {most}")));
        outside.chain(size).collect()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            queue_wait_ms: 1_000,
            concurrent_calls: 16,
            queue_calls: 32,
            response_bytes_max: ByteSize::mib(4),
        }
    }
}
