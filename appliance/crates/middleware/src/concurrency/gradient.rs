//! How many calls work may have at once, by how long its calls take: the adaptive limit.
//!
//! While the short-term time is at most half as long again as the long-term one, the limit grows; beyond, it shrinks in
//! their proportion. Source: `Gradient2Limit` of Netflix concurrency-limits, with its numbers, fed once per window with
//! the time in which nine of ten calls were answered.

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use protocol::{Class, ClassBound};

/// The limit is looked at once in such a time.
const WINDOW: Duration = Duration::from_millis(100);
/// A window with fewer calls says nothing.
const SAMPLES_MIN: u32 = 20;
/// The limit never falls below this, or the ceiling where that is lower: a mistake must not stop the house.
const FLOOR: usize = 16;
/// How much longer than usual calls may take before the limit shrinks.
const TOLERANCE: f64 = 1.5;
/// How much of a new limit counts.
const SMOOTHING: f64 = 0.2;
/// How many calls may wait inside plugins: what the limit grows by.
const HEADROOM: f64 = 4.0;
/// What is usual is the mean of about so many windows: one minute.
const LONG_WINDOWS: f64 = 600.0;
/// After so few windows the mean is the plain one.
const WARM_UP_WINDOWS: u32 = 10;
/// Times are counted in steps of an eighth of a power of two of nanoseconds.
const STEPS: usize = 64 * 8;

/// The adaptive limit: atomics only.
#[derive(Debug)]
pub(super) struct Gradient {
    epoch: Instant,
    is_on: AtomicBool,
    ceiling: AtomicU32,
    window_ends_ns: AtomicU64,
    /// Calls of this window by how long they took.
    times: Box<[AtomicU32]>,
    windows: AtomicU32,
    /// Bits of a float: nanoseconds.
    usual_ns: AtomicU64,
    /// Bits of a float: calls.
    limit: AtomicU64,
}

impl Gradient {
    /// Switched off.
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            is_on: AtomicBool::new(false),
            ceiling: AtomicU32::new(0),
            window_ends_ns: AtomicU64::new(0),
            times: (0..STEPS).map(|_| AtomicU32::new(0)).collect(),
            windows: AtomicU32::new(0),
            usual_ns: AtomicU64::new(0),
            limit: AtomicU64::new(0),
        }
    }

    /// Follows new settings. What was learned stays; a limit begins at its ceiling.
    pub(super) fn follow(&self, is_on: bool, ceiling: usize, bound: &ClassBound) {
        let was_on = self.is_on.swap(is_on, AcqRel);
        self.ceiling.store(ceiling as u32, Relaxed);
        let limit = match was_on && is_on {
            true => self.limit().min(ceiling as f64),
            false => ceiling as f64,
        };
        self.limit.store(limit.to_bits(), Relaxed);
        bound.set_most(Class::Work, if is_on { limit as usize } else { ClassBound::CALLS_MAX });
    }

    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Acquire)
    }

    #[cfg(test)]
    pub(super) fn has_noted(&self) -> bool {
        self.window_ends_ns.load(Relaxed) > 0
    }

    fn limit(&self) -> f64 {
        f64::from_bits(self.limit.load(Relaxed))
    }

    /// Notes a call that was answered at `now` after `took`; whoever is the first after the end of a window moves the
    /// limit of `bound`.
    pub(super) fn note(&self, took: Duration, now: Instant, bound: &Arc<ClassBound>) {
        self.times[step(took)].fetch_add(1, Relaxed);
        let now_ns = nanos(now.saturating_duration_since(self.epoch));
        let ends_ns = self.window_ends_ns.load(Relaxed);
        if now_ns < ends_ns {
            return;
        }
        let next_ns = now_ns + nanos(WINDOW);
        if self.window_ends_ns.compare_exchange(ends_ns, next_ns, AcqRel, Relaxed).is_ok()
            && let Some(short_ns) = self.nine_of_ten()
        {
            self.move_limit(short_ns, bound);
        }
    }

    /// The time in which nine of ten calls were answered, which empties the window; `None` when they were too few.
    fn nine_of_ten(&self) -> Option<f64> {
        let mut counts = [0; STEPS];
        let mut all = 0;
        for (count, kept) in counts.iter_mut().zip(&self.times) {
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

    fn move_limit(&self, short_ns: f64, bound: &Arc<ClassBound>) {
        let usual_ns = self.note_usual(short_ns);
        let limit = self.limit();
        // Where half of the limit is idle, it is not the limit that calls feel.
        if (bound.used_of(Class::Work) as f64) < limit / 2.0 {
            return;
        }
        let gradient = (TOLERANCE * usual_ns / short_ns).clamp(0.5, 1.0);
        let aim = limit * gradient + HEADROOM;
        let ceiling = f64::from(self.ceiling.load(Relaxed));
        let moved = limit * (1.0 - SMOOTHING) + aim * SMOOTHING;
        let moved = moved.clamp((FLOOR as f64).min(ceiling), ceiling);
        self.limit.store(moved.to_bits(), Relaxed);
        if self.is_on() {
            bound.set_most(Class::Work, moved as usize);
        }
    }

    fn note_usual(&self, short_ns: f64) -> f64 {
        let before = f64::from_bits(self.usual_ns.load(Relaxed));
        let windows = self.windows.load(Relaxed);
        let weight = match windows < WARM_UP_WINDOWS {
            true => {
                self.windows.store(windows + 1, Relaxed);
                1.0 / f64::from(windows + 1)
            }
            false => 2.0 / (LONG_WINDOWS + 1.0),
        };
        let mean = before + (short_ns - before) * weight;
        // After a long overload, what is usual comes down faster than it went up.
        let usual_ns = if mean / short_ns > 2.0 { mean * 0.95 } else { mean };
        self.usual_ns.store(usual_ns.to_bits(), Relaxed);
        usual_ns
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2)
}

/// The step of a time: its highest bit, and the three below.
fn step(took: Duration) -> usize {
    let ns = nanos(took).max(8);
    let power = ns.ilog2();
    (power * 8) as usize + ((ns >> (power - 3)) & 7) as usize
}

#[cfg(test)]
mod tests {
    use protocol::{Permit, Shares};

    use super::*;

    const CEILING: usize = 100;

    struct House {
        gradient: Gradient,
        bound: Arc<ClassBound>,
        now: Instant,
        _busy: Vec<Permit>,
    }

    impl House {
        fn new(busy: usize) -> Self {
            let shares = Shares { calls_max: CEILING, guaranteed: [0; 2] };
            let bound = ClassBound::new("test", shares);
            let gradient = Gradient::new();
            gradient.follow(true, CEILING, &bound);
            let busy = (0..busy).map(|_| bound.take_anyway(Class::Work).0).collect();
            let now = gradient.epoch;
            Self { gradient, bound, now, _busy: busy }
        }

        /// Windows with so many calls that each take so long; the limit after them.
        fn pass(&mut self, windows: u32, calls: u32, took_ms: u64) -> usize {
            for _ in 0..windows {
                for _ in 0..calls {
                    self.now += WINDOW / calls;
                    self.gradient.note(Duration::from_millis(took_ms), self.now, &self.bound);
                }
            }
            self.bound.limit_of(Class::Work)
        }
    }

    #[test]
    fn steady_times_keep_the_limit_at_its_ceiling() {
        assert_eq!(House::new(CEILING).pass(50, 40, 10), CEILING);
    }

    #[test]
    fn longer_times_shrink_the_limit_to_its_floor_and_shorter_ones_give_it_back() {
        let mut house = House::new(CEILING);
        house.pass(20, 40, 10);
        assert!(house.pass(2, 40, 80) < CEILING);
        assert_eq!(house.pass(30, 40, 80), FLOOR);
        assert_eq!(house.pass(200, 40, 10), CEILING);
    }

    #[test]
    fn a_little_longer_is_tolerated() {
        let mut house = House::new(CEILING);
        house.pass(20, 40, 10);
        assert_eq!(house.pass(20, 40, 13), CEILING);
    }

    #[test]
    fn few_calls_move_nothing() {
        let mut house = House::new(CEILING);
        house.pass(20, 40, 10);
        house.pass(1, 10, 10);
        assert_eq!(house.pass(20, 10, 80), CEILING);
    }

    #[test]
    fn an_idle_house_moves_nothing() {
        let mut house = House::new(CEILING / 4);
        house.pass(20, 40, 10);
        assert_eq!(house.pass(20, 40, 80), CEILING);
    }

    #[test]
    fn a_few_slow_calls_among_many_are_not_what_counts() {
        let mut house = House::new(CEILING);
        house.pass(20, 40, 10);
        for _ in 0..20 {
            house.pass(1, 38, 10);
            house.gradient.note(Duration::from_secs(9), house.now, &house.bound);
        }
        assert_eq!(house.bound.limit_of(Class::Work), CEILING);
    }

    #[test]
    fn switched_off_it_lets_go_of_the_limit_and_follows_a_lower_ceiling() {
        let mut house = House::new(CEILING);
        house.pass(20, 40, 10);
        house.pass(20, 40, 80);
        house.gradient.follow(true, 10, &house.bound);
        assert_eq!(house.bound.limit_of(Class::Work), 10);
        house.gradient.follow(false, CEILING, &house.bound);
        assert_eq!(house.bound.limit_of(Class::Work), CEILING);
    }

    #[test]
    fn steps_are_an_eighth_apart_and_hold_every_time() {
        assert_eq!(step(Duration::ZERO), 24);
        assert!(step(Duration::MAX) < STEPS);
        assert!(step(Duration::from_nanos(1_024)) < step(Duration::from_nanos(1_152)));
    }
}
