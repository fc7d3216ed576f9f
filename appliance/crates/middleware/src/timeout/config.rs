//! Settings of the `timeout` layer.

use std::num::NonZeroU64;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Mode;

/// How long a call may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What to do with a call that takes longer. Default: `enforce`.
    pub mode: Mode,
    /// Milliseconds from the parsed call to its answer. At the limit: the call is cancelled and answered with an
    /// error that says so. Default: 30000, at most 600000.
    pub deadline_ms: NonZeroU64,
}

impl Config {
    /// What is wrong with these settings: the key, and a sentence that says how to mend it.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let limit = 600_000;
        if self.deadline_ms.get() <= limit {
            return Vec::new();
        }
        vec![("deadline_ms", format!("{} is above {limit}, ten minutes", self.deadline_ms))]
    }
}

impl Default for Config {
    fn default() -> Self {
        // What clients' own SDKs wait for before they give up is 60 s; half of it leaves them time to hear why.
        Self {
            mode: Mode::Enforce,
            deadline_ms: NonZeroU64::new(30_000).expect("30000 is not zero"),
        }
    }
}
