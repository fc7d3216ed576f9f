//! Settings of the `concurrency` layer.

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Mode;

/// How many calls may be in the house at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What to do with a call above the bound. Default: `enforce`.
    pub mode: Mode,
    /// Most calls at once, over all listeners. At the limit: 429 with `Retry-After`. Default: 256.
    pub calls_max: NonZeroUsize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            // Enough for 16 cores that each wait for 16 calls; above that, latency grows and goodput does not.
            calls_max: NonZeroUsize::new(256).expect("256 is not zero"),
        }
    }
}
