//! How long the calls of one window took.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How long a window is.
pub(super) const WINDOW: Duration = Duration::from_millis(100);
/// One with fewer calls says nothing.
const SAMPLES_MIN: u32 = 20;
/// Times are counted in steps of an eighth of a power of two of nanoseconds.
const STEPS: usize = 64 * 8;

/// Calls of a window by how long they took: atomics only.
#[derive(Debug)]
pub(super) struct Times(Box<[AtomicU32]>);

impl Times {
    pub(super) fn new() -> Self {
        Self((0..STEPS).map(|_| AtomicU32::new(0)).collect())
    }

    pub(super) fn add(&self, took: Duration) {
        self.0[step(took)].fetch_add(1, Relaxed);
    }

    /// The time in nanoseconds in which nine of ten calls were answered, which empties the window; `None` when they were
    /// too few.
    pub(super) fn nine_of_ten(&self) -> Option<f64> {
        let mut counts = [0; STEPS];
        let mut all = 0;
        for (count, kept) in counts.iter_mut().zip(&self.0) {
            // Most steps are empty, and looking is cheaper than writing.
            if kept.load(Relaxed) > 0 {
                *count = kept.swap(0, Relaxed);
                all += *count;
            }
        }
        if all < SAMPLES_MIN {
            return None;
        }
        let mut left = all - all / 10;
        let reached = counts.iter().position(|count| {
            left = left.saturating_sub(*count);
            left == 0
        });
        reached.map(|step| {
            let (power, eighth) = (step / 8, step % 8);
            (power as f64).exp2() * (1.0 + eighth as f64 / 8.0)
        })
    }
}

/// The step of a time: its highest bit, and the three below.
fn step(took: Duration) -> usize {
    let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(8);
    let power = ns.ilog2();
    (power * 8) as usize + ((ns >> (power - 3)) & 7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_an_eighth_apart_and_hold_every_time() {
        assert_eq!(step(Duration::ZERO), 24);
        assert!(step(Duration::MAX) < STEPS);
        assert!(step(Duration::from_nanos(1_024)) < step(Duration::from_nanos(1_152)));
    }

    #[test]
    fn few_calls_say_nothing_and_a_look_empties_the_window() {
        let times = Times::new();
        (1..SAMPLES_MIN).for_each(|_| times.add(Duration::from_nanos(1_024)));
        assert_eq!(times.nine_of_ten(), None);
        times.add(Duration::from_nanos(1_024));
        assert_eq!(times.nine_of_ten(), None);
        (0..SAMPLES_MIN).for_each(|_| times.add(Duration::from_nanos(1_024)));
        assert_eq!(times.nine_of_ten(), Some(1_024.0));
    }
}
