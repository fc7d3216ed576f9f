//! Settings of the `concurrency` layer.

use std::num::NonZeroUsize;

use protocol::{ClassBound, Shares};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Mode;

/// How many calls may be in the house at once, and what each class is guaranteed of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What to do with a call above the bound. Default: `enforce`.
    pub mode: Mode,
    /// Most calls at once, over all listeners. At the limit: 429 with `Retry-After`. From 1 to 1048576. Default: 256.
    pub calls_max: NonZeroUsize,
    /// Percent of `calls_max` that only lists, discovery, prompts and completions may use, rounded down. Both shares
    /// together are at most 100; what they leave is for whoever comes first. Default: 20, so that clients find their way
    /// while every tool is busy.
    pub read_share_percent: u8,
    /// Percent of `calls_max` that only tools and resources may use, rounded down. Default: 50, so that no flood of lists
    /// takes most of the house.
    pub work_share_percent: u8,
    /// Whether tools and resources get fewer permits while they take longer than they used to: from 16 up to
    /// `calls_max`, by the time in which nine of ten calls of the last 100 ms were answered. When they take long for ten
    /// seconds, or for two while nobody knows how short they can be, half as many are let in for a moment, to see whether
    /// they wait for each other. Default: false, since a fixed bound behaves the same every day.
    pub adaptive: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            // Enough for 16 cores that each wait for 16 calls; above that, latency grows and goodput does not.
            calls_max: NonZeroUsize::new(256).expect("256 is not zero"),
            read_share_percent: 20,
            work_share_percent: 50,
            adaptive: false,
        }
    }
}

impl Config {
    /// What is wrong with these settings: the key, and a sentence that says how to mend it.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let calls_max = self.calls_max.get();
        if calls_max > ClassBound::CALLS_MAX {
            let most = ClassBound::CALLS_MAX;
            problems.push(("calls_max", format!("{calls_max} is outside of 1 to {most}")));
        }
        let sum = u32::from(self.read_share_percent) + u32::from(self.work_share_percent);
        if sum > 100 {
            let message = format!(
                "read_share_percent and work_share_percent are {sum} together; lower them to at most 100"
            );
            problems.push(("work_share_percent", message));
        }
        problems
    }

    /// The shares in calls.
    #[must_use]
    pub fn shares(&self) -> Shares {
        let calls_max = self.calls_max.get().min(ClassBound::CALLS_MAX);
        let percents = [self.read_share_percent, self.work_share_percent];
        let guaranteed = percents.map(|percent| calls_max * usize::from(percent) / 100);
        Shares { calls_max, guaranteed }
    }
}
