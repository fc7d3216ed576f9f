//! What came back before a change and after it, and whether it is worse.

mod intended;
mod judge;
#[cfg(test)]
mod tests;

use std::time::Duration;

use protocol::RefusalKind;
use stack::Kit;
use telemetry::CallReading;

pub use intended::Intended;
pub use judge::{Breach, Reason, judge};

/// How many kinds of refusals there are.
const KINDS: usize = RefusalKind::ALL.len();

/// What was counted since the process started.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    calls: CallReading,
    /// By their kinds.
    refusals: [u64; KINDS],
    /// Of the plugins that serve.
    plugin_faults: u64,
}

impl Counts {
    /// Everything that was counted so far; `unready` faults come to those that plugins count.
    #[must_use]
    pub fn of(kit: &Kit, unready: u64) -> Self {
        let faults = |counted: plugin_host::CounterSnapshot| {
            counted.rejected_results + counted.demoted_tools
        };
        Self {
            calls: kit.meter.reading(),
            refusals: kit.recent.counts(),
            plugin_faults: unready
                + kit.plugins.iter().map(|plugin| faults(plugin.counted())).sum::<u64>(),
        }
    }

    /// What came since `earlier`, in so long a time.
    #[must_use]
    pub fn since(&self, earlier: &Self, took: Duration) -> Window {
        let calls = CallReading {
            passed: self.calls.passed.saturating_sub(earlier.calls.passed),
            failed: self.calls.failed.saturating_sub(earlier.calls.failed),
            times: differences(&self.calls.times, &earlier.calls.times),
        };
        let counts = Self {
            calls,
            refusals: differences(&self.refusals, &earlier.refusals),
            plugin_faults: self.plugin_faults.saturating_sub(earlier.plugin_faults),
        };
        Window { counts, took }
    }
}

fn differences<const LENGTH: usize>(now: &[u64; LENGTH], before: &[u64; LENGTH]) -> [u64; LENGTH] {
    std::array::from_fn(|at| now[at].saturating_sub(before[at]))
}

/// What came in some time.
#[derive(Clone, Debug, Default)]
pub struct Window {
    counts: Counts,
    took: Duration,
}

impl Window {
    /// Requests that were answered or refused.
    fn requests(&self) -> u64 {
        self.counts.calls.passed + self.counts.refusals.iter().sum::<u64>()
    }

    /// Calls whose time is known.
    fn timed(&self) -> u64 {
        self.counts.calls.times.iter().sum()
    }
}
