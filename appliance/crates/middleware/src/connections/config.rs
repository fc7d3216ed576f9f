//! Settings of the `connections` layer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Mode;

/// How many connections may be open, how many of one address, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What to do with a connection above a bound. In `shadow` no connection ends for its age, and a start with too few
    /// descriptors is only warned of. Default: `enforce`.
    pub mode: Mode,
    /// Most connections at once, over all listeners; each has its own `connections_max` besides. At the limit: 503 and
    /// closed. From 1 to 1000000. Default: 10000, 140 MiB of idle ones.
    pub connections_max: usize,
    /// Most connections of one client address: one IPv4 address, or one IPv6 /64, which is what one subscriber has. At
    /// the limit: 429 and closed. Behind a proxy all clients have the proxy's address: then write as many as
    /// `connections_max`. From 1 to 1000000. Default: 256, forty times what a browser opens.
    pub per_address_max: usize,
    /// File descriptors that must be left beside connections: for plugins, files and probes. The program does not
    /// start when `connections_max` and these are more than it may open. From 0 to 1000000. Default: 1024.
    pub descriptors_reserve: u64,
    /// Milliseconds after which a connection ends, up to a tenth earlier so that those of one moment do not return in
    /// one moment. What is in flight is answered first: HTTP/1 hears `Connection: close`, HTTP/2 GOAWAY. Spreads
    /// long-lived clients over replicas. From 1 to 604800000. Default: 3600000, one hour.
    pub age_max_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            connections_max: 10_000,
            per_address_max: 256,
            descriptors_reserve: 1_024,
            age_max_ms: 3_600_000,
        }
    }
}

impl Config {
    /// What is wrong with these settings: the key, and a sentence that says how to mend it.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let ranges = [
            ("connections_max", self.connections_max as u64, 1..=1_000_000),
            ("per_address_max", self.per_address_max as u64, 1..=1_000_000),
            ("descriptors_reserve", self.descriptors_reserve, 0..=1_000_000),
            ("age_max_ms", self.age_max_ms, 1..=604_800_000),
        ];
        ranges
            .into_iter()
            .filter(|(_, value, range)| !range.contains(value))
            .map(|(key, value, range)| {
                (key, format!("{value} is outside of {} to {}", range.start(), range.end()))
            })
            .collect()
    }
}
