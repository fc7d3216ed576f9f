//! How long something takes on the mean of late.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Times count for about as many as this.
const TIMES: u64 = 100;

/// An exponential mean of times: one atomic.
#[derive(Debug, Default)]
pub(crate) struct Mean(AtomicU64);

impl Mean {
    /// Two that end at once may lose one of their times; the mean does not care.
    pub(crate) fn note(&self, took: Duration) {
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let before_ns = self.0.load(Relaxed);
        let mean_ns = match before_ns {
            0 => took_ns,
            _ => before_ns - before_ns / TIMES + took_ns / TIMES,
        };
        self.0.store(mean_ns.max(1), Relaxed);
    }

    /// How long `count` take that go one after the other in each of so many lanes; zero while nothing was noted.
    pub(crate) fn of(&self, count: u64, lanes: u64) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed).saturating_mul(count) / lanes.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_is_the_mean_and_later_ones_move_it() {
        let mean = Mean::default();
        assert_eq!(mean.of(5, 1), Duration::ZERO);
        mean.note(Duration::from_secs(1));
        assert_eq!(mean.of(6, 3), Duration::from_secs(2));
        mean.note(Duration::from_secs(2));
        assert_eq!(mean.of(1, 1), Duration::from_millis(1_010));
        assert_eq!(mean.of(1, 0), Duration::from_millis(1_010));
    }
}
