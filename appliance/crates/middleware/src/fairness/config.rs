//! Settings of the `fairness` layer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::queues::{HAND, LENGTH, QUEUES};
use crate::Mode;

/// Who waits for a permit of `concurrency`, for how long, and what one client may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What to do with a call for which there is no permit: `enforce` lets it wait for its turn, and refuses what would
    /// wait for too long; `shadow` and `off` leave it to `concurrency`. Default: `enforce`.
    pub mode: Mode,
    /// Most reads and works of one client under way at once; more wait. From 1 to 1048576. Default: 32, an eighth of
    /// `layer.concurrency.calls_max` where that is the default.
    pub client_calls_max: u32,
    /// Most calls of one client that wait. At the limit: 429 `client_busy`. From 0 to 128. Default: 64, twice what may
    /// be under way.
    pub client_queue_calls_max: u32,
    /// Most calls that wait, of all clients. At the limit: 429 `overloaded`, for the newest call of the longest queue.
    /// From 0 to 4096. Default: 1024, four for each permit.
    pub queue_calls_max: u32,
    /// Longest wait in milliseconds: then 429 `overloaded`, or `client_busy` for a client that has its share. From 1 to
    /// 600000. Default: 1000, since who waits longer is better told when to come back.
    pub wait_ms: u64,
    /// The same for a call that comes to a queue that was not empty for 100 ms: a queue that stands serves nobody
    /// better for being long. From 1 to `wait_ms`. Default: 20.
    pub standing_wait_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            client_calls_max: 32,
            client_queue_calls_max: 64,
            queue_calls_max: 1_024,
            wait_ms: 1_000,
            standing_wait_ms: 20,
        }
    }
}

impl Config {
    /// What is wrong with these settings: the key, and a sentence that says how to mend it.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let outside = |key, value: u64, least: u64, most: u64| {
            let message = || format!("{value} is outside of {least} to {most}");
            (!(least..=most).contains(&value)).then(|| (key, message()))
        };
        let (hand, all) = ((HAND * LENGTH) as u64, 2 * (QUEUES * LENGTH) as u64);
        [
            outside("client_calls_max", self.client_calls_max.into(), 1, 1 << 20),
            outside("client_queue_calls_max", self.client_queue_calls_max.into(), 0, hand),
            outside("queue_calls_max", self.queue_calls_max.into(), 0, all),
            outside("wait_ms", self.wait_ms, 1, 600_000),
            outside("standing_wait_ms", self.standing_wait_ms, 1, self.wait_ms.clamp(1, 600_000)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
