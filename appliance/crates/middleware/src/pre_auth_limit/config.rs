//! Settings of the `pre_auth_limit` layer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Mode;
use crate::buckets::{self, RATE_MAX};

/// How many requests an address may send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What to do with a request above the limit. Default: `enforce`.
    pub mode: Mode,
    /// Requests each second from one address (IPv6: from one /64), whatever they ask for. At the limit: 429 with
    /// `Retry-After`, and nothing of the body is read. From 1 to 1000000. Default: 100, twice what one client may call:
    /// sessions, pings and streams count here as well.
    pub requests_per_sec: u32,
    /// Requests that may come at once after a time of silence. From 1 to 1000000. Default: 200, two seconds of them.
    pub burst_requests: u32,
    /// Most addresses that are counted apart; those that come later share 256 places until one is free. From 256 to
    /// 1000000, which take about 24 bytes each. Default: 100000.
    pub keys_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            requests_per_sec: 100,
            burst_requests: 200,
            keys_max: buckets::DEFAULT_KEYS_MAX,
        }
    }
}

impl Config {
    /// What is wrong with these settings: the key, and a sentence that says how to mend it.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let rate = |key, value| buckets::outside(key, value, 1..=RATE_MAX);
        [
            rate("requests_per_sec", self.requests_per_sec),
            rate("burst_requests", self.burst_requests),
            buckets::outside("keys_max", self.keys_max, buckets::KEYS_RANGE),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
