//! How often something may happen, as clients are told of it.

use std::num::NonZeroU32;
use std::time::Duration;

/// So many calls at once, and one more after each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// What is counted apart: the policy's name in `RateLimit` fields. A word of the program's own.
    pub class: &'static str,
    /// Calls that may come at once after a time of silence.
    pub burst: NonZeroU32,
    /// After which one more call is good.
    pub period: Duration,
}

impl Quota {
    /// How long it takes until a burst is good again after one.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.period.saturating_mul(self.burst.get())
    }
}
