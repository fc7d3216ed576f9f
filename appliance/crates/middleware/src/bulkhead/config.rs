//! Settings of the `bulkhead` layer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Mode;

/// How many calls of one plugin, and of one tool, may be at work at once. The numbers stand with the plugins.
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
}

impl Config {
    /// What is wrong with these settings: the key, and a sentence that says how to mend it.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        if (1..=600_000).contains(&self.queue_wait_ms) {
            return Vec::new();
        }
        vec![("queue_wait_ms", format!("{} is outside of 1 to 600000", self.queue_wait_ms))]
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { mode: Mode::Enforce, queue_wait_ms: 1_000 }
    }
}
