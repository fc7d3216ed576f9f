//! How many calls work may have at once, by how long its calls take: the adaptive limit.
//!
//! While calls take at most half as long again as usual, the limit grows; beyond, it shrinks in their proportion. It is
//! moved once per window, by the time in which nine of ten calls were answered. Source: `Gradient2Limit` of Netflix
//! concurrency-limits, with its numbers. There a long overload becomes what is usual, and the limit grows until it bounds
//! nothing. So what is usual is learned here from windows without pressure, and under pressure by halving the limit for
//! a moment, as Envoy's adaptive concurrency lowers it to measure `minRTT`; only where calls take long already.

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use protocol::{Class, ClassBound};

use super::learned::Learned;
use super::times::{Times, WINDOW};

/// The adaptive limit. A call touches atomics only; the lock is for who closes a window.
#[derive(Debug)]
pub(super) struct Gradient {
    epoch: Instant,
    is_on: AtomicBool,
    window_ends_ns: AtomicU64,
    times: Times,
    learned: Mutex<Learned>,
}

impl Gradient {
    /// Switched off.
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            is_on: AtomicBool::new(false),
            window_ends_ns: AtomicU64::new(0),
            times: Times::new(),
            learned: Mutex::default(),
        }
    }

    /// Follows new settings. What was learned stays; a limit begins at its ceiling.
    pub(super) fn follow(&self, is_on: bool, ceiling: usize, bound: &ClassBound) {
        let was_on = self.is_on.swap(is_on, AcqRel);
        let mut learned = self.learned.lock();
        learned.follow(ceiling, !(was_on && is_on));
        let most = if is_on { learned.allowed() } else { ClassBound::CALLS_MAX };
        bound.set_most(Class::Work, most);
    }

    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Acquire)
    }

    #[cfg(test)]
    pub(super) fn has_noted(&self) -> bool {
        self.window_ends_ns.load(Relaxed) > 0
    }

    /// Notes a call that was answered at `now` after `took`; whoever is the first after the end of a window moves the
    /// limit of `bound`.
    pub(super) fn note(&self, took: Duration, now: Instant, bound: &Arc<ClassBound>) {
        self.times.add(took);
        let now_ns = nanos(now.saturating_duration_since(self.epoch));
        let ends_ns = self.window_ends_ns.load(Relaxed);
        if now_ns < ends_ns {
            return;
        }
        let next_ns = now_ns + nanos(WINDOW);
        if self.window_ends_ns.compare_exchange(ends_ns, next_ns, AcqRel, Relaxed).is_err() {
            return;
        }
        let short_ns = self.times.nine_of_ten();
        // Held by new settings, which this window knows nothing of.
        let Some(mut learned) = self.learned.try_lock() else { return };
        learned.window(short_ns, bound.used_of(Class::Work));
        if self.is_on() {
            bound.set_most(Class::Work, learned.allowed());
        }
        if learned.is_measuring() {
            // Half as many calls at once may be half as many in a window.
            self.window_ends_ns.store(next_ns + nanos(WINDOW), Relaxed);
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use protocol::{Permit, Shares};

    use super::*;

    const CEILING: usize = 100;
    const FLOOR: usize = 16;

    /// As many calls as the limit allows, of those that want to.
    struct House {
        gradient: Gradient,
        bound: Arc<ClassBound>,
        now: Instant,
        wanted: usize,
        busy: Vec<Permit>,
    }

    impl House {
        /// Has seen what calls take while it was mostly idle, if it takes them anything.
        fn new(calm_ms: Option<u64>) -> Self {
            let shares = Shares { calls_max: CEILING, guaranteed: [0; 2] };
            let bound = ClassBound::new("test", shares);
            let gradient = Gradient::new();
            gradient.follow(true, CEILING, &bound);
            let now = gradient.epoch;
            let mut house = Self { gradient, bound, now, wanted: CEILING / 4, busy: Vec::new() };
            if let Some(took_ms) = calm_ms {
                house.pass(20, 40, took_ms);
            }
            house.wanted = CEILING;
            house
        }

        fn limit(&self) -> usize {
            self.bound.limit_of(Class::Work)
        }

        fn at_work(&self) -> usize {
            self.wanted.min(self.limit())
        }

        /// Windows with so many calls that each take so long; the limit after them.
        fn pass(&mut self, windows: u32, calls: u32, took_ms: u64) -> usize {
            self.pass_by(windows, |_| (calls, Duration::from_millis(took_ms)))
        }

        /// Windows with as many calls as `tool` says of so many at work, which each take so long; the limit after them.
        fn pass_by(&mut self, windows: u32, tool: impl Fn(usize) -> (u32, Duration)) -> usize {
            for _ in 0..windows {
                let at_work = self.at_work();
                self.busy.clear();
                self.busy.extend((0..at_work).map(|_| self.bound.take_anyway(Class::Work).0));
                let (calls, took) = tool(at_work);
                for _ in 0..calls {
                    self.now += WINDOW / calls;
                    self.gradient.note(took, self.now, &self.bound);
                }
            }
            self.limit()
        }
    }

    /// A tool of eight places in which a call takes 20 ms; whoever finds none free waits.
    fn narrow(at_work: usize) -> (u32, Duration) {
        let rounds = (at_work as f64 / 8.0).max(1.0);
        (at_work.min(8) as u32 * 5, Duration::from_millis(20).mul_f64(rounds))
    }

    /// A tool with a place for everybody, in which a call takes 60 ms.
    fn slow(at_work: usize) -> (u32, Duration) {
        let took = Duration::from_millis(60);
        ((at_work as f64 * WINDOW.div_duration_f64(took)) as u32, took)
    }

    #[test]
    fn steady_times_keep_the_limit_at_its_ceiling() {
        assert_eq!(House::new(Some(10)).pass(50, 40, 10), CEILING);
    }

    #[test]
    fn longer_times_shrink_the_limit_to_its_floor_and_shorter_ones_give_it_back() {
        let mut house = House::new(Some(10));
        assert!(house.pass(2, 40, 80) < CEILING);
        assert_eq!(house.pass(30, 40, 80), FLOOR);
        assert_eq!(house.pass(200, 40, 10), CEILING);
    }

    #[test]
    fn a_little_longer_is_tolerated() {
        assert_eq!(House::new(Some(10)).pass(20, 40, 13), CEILING);
    }

    #[test]
    fn few_calls_move_nothing() {
        let mut house = House::new(Some(10));
        house.pass(1, 10, 10);
        assert_eq!(house.pass(20, 10, 80), CEILING);
    }

    #[test]
    fn an_idle_house_moves_nothing_and_learns() {
        let mut house = House::new(Some(10));
        house.wanted = CEILING / 4;
        assert_eq!(house.pass(1_200, 40, 80), CEILING);
        house.wanted = CEILING;
        assert_eq!(house.pass(20, 40, 80), CEILING);
    }

    #[test]
    fn a_few_slow_calls_among_many_are_not_what_counts() {
        let mut house = House::new(Some(10));
        for _ in 0..20 {
            house.pass(1, 38, 10);
            house.gradient.note(Duration::from_secs(9), house.now, &house.bound);
        }
        assert_eq!(house.limit(), CEILING);
    }

    #[test]
    fn a_long_overload_never_becomes_what_is_usual() {
        let mut house = House::new(Some(20));
        // Ten minutes, after half a minute to come down.
        house.pass_by(300, narrow);
        for _ in 0..6_000 {
            let limit = house.pass_by(1, narrow);
            assert!(limit <= FLOOR, "{limit} calls at once, where eight have a place");
        }
    }

    #[test]
    fn calls_that_take_longer_than_they_did_get_their_permits_back() {
        let mut house = House::new(Some(20));
        house.pass_by(20, slow);
        assert!(house.limit() < CEILING, "it has seen that they take longer");
        // Ten seconds until the trial, and half a minute to grow.
        house.pass_by(450, slow);
        assert_eq!(house.limit(), CEILING);
    }

    #[test]
    fn whoever_begins_under_pressure_finds_out_by_halving() {
        let mut house = House::new(None);
        house.pass_by(15, narrow);
        assert_eq!(house.limit(), CEILING, "nothing is known yet");
        // Twenty seconds, and ten minutes.
        house.pass_by(200, narrow);
        assert!(house.limit() <= 2 * FLOOR, "{} calls at once", house.limit());
        house.pass_by(6_000, narrow);
        assert!(house.limit() <= FLOOR, "{} calls at once", house.limit());
        let mut house = House::new(None);
        house.pass_by(450, slow);
        assert_eq!(house.limit(), CEILING);
    }

    #[test]
    fn a_trial_that_nobody_answers_ends() {
        let mut house = House::new(Some(10));
        house.pass(40, 40, 80);
        house.gradient.learned.lock().begin_trial(80e6);
        house.pass(1, 40, 80);
        assert!(house.limit() < FLOOR);
        house.pass(10, 4, 80);
        assert_eq!(house.limit(), FLOOR);
    }

    #[test]
    fn switched_off_it_lets_go_of_the_limit_and_follows_a_lower_ceiling() {
        let mut house = House::new(Some(10));
        house.pass(20, 40, 80);
        house.gradient.follow(true, 10, &house.bound);
        assert_eq!(house.limit(), 10);
        house.gradient.follow(false, CEILING, &house.bound);
        assert_eq!(house.limit(), CEILING);
    }
}
