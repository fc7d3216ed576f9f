//! Settings of the `memory` layer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ladder::HYSTERESIS_PERCENT;
use crate::{ByteSize, Mode};

/// How near to its memory limit the process may come, and how many bytes bodies may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What to do with a request that there is no memory for. In `shadow`, connections and idle times are left alone as
    /// well, and a body that does not say its size is counted for each 64 KiB. Default: `enforce`.
    pub mode: Mode,
    /// Bytes of memory that this process may use. The limits of its control groups and the memory of the machine hold
    /// besides; whatever is nearest counts. At least 16 MiB. Default: none, those others alone.
    pub limit_bytes: Option<ByteSize>,
    /// Most bytes that all request bodies and answers in the house take together. Each body is reserved before it is
    /// read; an eighth is kept for bodies up to 64 KiB, so that uploads cannot shut light calls out. At the limit: 503
    /// with `Retry-After`, or 413 for a body that could never fit. From 1 MiB to 1 TiB. Default: a quarter of the
    /// smallest limit on memory, at most 2 GiB, which leaves room for what is made of the bodies.
    pub ledger_bytes_max: Option<ByteSize>,
    /// Percent of the limit from which on new streams are refused and idle connections are kept for half as long. The
    /// four percents ascend, from 10 to 100; each is left again 3 percent lower. Default: 80.
    pub soft_percent: u8,
    /// Percent of the limit from which on the time of idle connections shrinks, down to 2 s at `critical_percent`.
    /// Default: 85.
    pub high_percent: u8,
    /// Percent of the limit from which on tools and resources are refused. Default: 90.
    pub hard_percent: u8,
    /// Percent of the limit from which on only cancellations, answers to questions and pings are served, and new
    /// connections are turned away. Default: 95, which leaves a kernel that counts late a twentieth.
    pub critical_percent: u8,
}

impl Config {
    /// The steps of the ladder with their keys, the lowest first.
    pub(super) fn percents(&self) -> [(&'static str, u8); 4] {
        [
            ("soft_percent", self.soft_percent),
            ("high_percent", self.high_percent),
            ("hard_percent", self.hard_percent),
            ("critical_percent", self.critical_percent),
        ]
    }

    /// What is wrong with these settings: the key, and a sentence that says how to mend it.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let least = ByteSize::mib(16);
        if let Some(limit) = self.limit_bytes.filter(|limit| *limit < least) {
            problems.push(("limit_bytes", format!("{limit} is below {least}; no process fits")));
        }
        let (least, most) = (ByteSize::mib(1), ByteSize::mib(1 << 20));
        if let Some(size) = self.ledger_bytes_max.filter(|size| *size < least || *size > most) {
            problems.push(("ledger_bytes_max", format!("{size} is outside of {least} to {most}")));
        }
        let percents = self.percents();
        for (key, percent) in percents {
            if !(10..=100).contains(&percent) {
                problems.push((key, format!("{percent} is outside of 10 to 100")));
            }
        }
        for [(lower, below), (key, percent)] in percents.array_windows() {
            if percent <= below {
                let message = format!("{percent} is not above {lower}, which is {below}");
                problems.push((key, message));
            }
        }
        problems
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            limit_bytes: None,
            ledger_bytes_max: None,
            soft_percent: 80,
            high_percent: 85,
            hard_percent: 90,
            critical_percent: 95,
        }
    }
}

// A step that is left before the one below it is reached would never be left.
const _: () = assert!(HYSTERESIS_PERCENT < 10);
