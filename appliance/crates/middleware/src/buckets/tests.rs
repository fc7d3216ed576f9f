use std::sync::atomic::AtomicU32;

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn per_sec(count: u32, burst: u32) -> Rate {
    Rate::new("client", count, Duration::from_secs(1), burst).expect("a limit")
}

/// A key like those of principals: all bits vary.
fn key(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31)
}

fn sweep_all(buckets: &Buckets, now: Instant) {
    (0..SWEEPS).for_each(|_| buckets.sweep(now));
}

#[test]
fn a_rate_of_nothing_is_no_limit() {
    for (count, burst) in [(0, 1), (1, 0), (0, 0)] {
        assert!(Rate::new("client", count, MINUTE, burst).is_none(), "{count}, {burst}");
    }
}

#[test]
fn a_quota_says_when_a_whole_burst_is_good_again() {
    let quota = per_sec(50, 100).quota();
    assert_eq!((quota.period, quota.window()), (Duration::from_millis(20), Duration::from_secs(2)));
}

#[test]
fn a_burst_is_good_at_once_and_then_one_call_each_period() {
    let buckets = Buckets::new("keys", 10);
    let (rate, start) = (per_sec(10, 3), Instant::now());
    let admitted = |at| (0..10).filter(|_| buckets.take(key(1), &rate, at).is_ok()).count();
    assert_eq!(admitted(start), 3);
    assert_eq!(admitted(start + Duration::from_millis(99)), 0);
    assert_eq!(admitted(start + Duration::from_millis(100)), 1);
    assert_eq!(admitted(start + MINUTE), 3);
    assert_eq!(buckets.take(key(2), &rate, start), Ok(()), "another key");
}

#[test]
fn what_was_used_up_is_used_up_where_it_is_restored() {
    let (before, after) = (Buckets::new("keys", 10), Buckets::new("keys", 10));
    let (rate, start) = (per_sec(10, 3), Instant::now());
    for _ in 0..3 {
        before.take(key(1), &rate, start).expect("its burst");
    }
    before.take(key(2), &rate, start).expect("its burst");
    after.restore(&before.levels(start), start);
    assert!(after.take(key(1), &rate, start).is_err());
    assert_eq!(after.take(key(1), &rate, start + Duration::from_millis(100)), Ok(()));
    let admitted = (0..3).filter(|_| after.take(key(2), &rate, start).is_ok()).count();
    assert_eq!(admitted, 2, "one of three was used");
    let mut kept = after.levels(start + MINUTE);
    assert!(kept.is_empty(), "{kept:?}");
    kept = after.levels(start);
    after.restore(&before.levels(start), start);
    assert_eq!(after.levels(start).len(), kept.len(), "the same keys");
    assert!(after.take(key(2), &rate, start).is_err(), "nothing is given back");
}

#[test]
fn no_more_buckets_are_restored_than_there_are_places() {
    let buckets = Buckets::new("keys", 2);
    let level = |number| Level { key: key(number), full_in_ns: 1_000_000_000 };
    let start = Instant::now();
    buckets.restore(&[level(1), level(2), level(3)], start);
    assert_eq!((buckets.levels(start).len(), buckets.keys().used()), (2, 2));
    buckets.restore(&[Level { key: key(1), full_in_ns: u64::MAX }], start);
    assert_eq!(buckets.levels(start).len(), 2, "no number is too high");
}

#[test]
fn ten_times_the_quota_for_a_minute_admits_quota_and_burst() {
    let buckets = Buckets::new("keys", 10);
    let (rate, start) = (per_sec(50, 100), Instant::now());
    let calls = (0..60_000_u32).map(|ms| start + Duration::from_millis(ms.into()));
    let admitted = calls.filter(|at| buckets.take(key(1), &rate, *at).is_ok()).count();
    assert!((3_069..=3_131).contains(&admitted), "{admitted} of 3100 ± 1 %");
}

#[test]
fn a_clock_that_stands_still_or_goes_back_gives_nothing() {
    let buckets = Buckets::new("keys", 10);
    let (rate, start) = (per_sec(1, 2), Instant::now() + MINUTE);
    (0..2).for_each(|_| buckets.take(key(1), &rate, start).expect("a burst"));
    for back in [0, 1, 30, 90] {
        let at = start.checked_sub(Duration::from_secs(back)).expect("after the boot");
        assert!(buckets.take(key(1), &rate, at).is_err(), "{back}");
    }
}

#[test]
fn buckets_outlive_a_change_of_settings() {
    let buckets = Buckets::new("keys", 10);
    let start = Instant::now();
    (0..100).for_each(|_| buckets.take(key(1), &per_sec(50, 100), start).expect("a burst"));
    let reloaded = (0..60_u64).filter(|secs| {
        buckets.set_keys_max(10 + *secs as u32);
        buckets.take(key(1), &per_sec(50, 100), start + Duration::from_millis(*secs)).is_ok()
    });
    assert_eq!(reloaded.count(), 2, "one each 20 ms, however often settings change");
    assert!(buckets.take(key(1), &per_sec(1, 1), start + Duration::from_millis(60)).is_err());
}

#[test]
fn keys_above_the_cap_share_buckets_and_are_never_let_in_for_it() {
    let buckets = Buckets::new("keys", 10);
    let (rate, start) = (per_sec(1, 1), Instant::now());
    let admitted = (0..10_000).filter(|n| buckets.take(key(*n), &rate, start).is_ok()).count();
    assert_eq!(admitted, 10 + OVERFLOW_BUCKETS);
    assert_eq!((buckets.keys().used(), buckets.keys().refused()), (10, 9_990));
    let known = (0..10).filter(|n| buckets.take(key(*n), &rate, start + MINUTE).is_ok()).count();
    assert_eq!(known, 10, "who has a place keeps it");
}

#[test]
fn a_sweep_forgets_full_buckets_only() {
    let buckets = Buckets::new("keys", 1_000);
    let (rate, start) = (per_sec(1, 2), Instant::now());
    (0..500).for_each(|n| buckets.take(key(n), &rate, start).expect("the first"));
    buckets.take(key(0), &rate, start).expect("the second");
    sweep_all(&buckets, start + Duration::from_millis(999));
    assert_eq!(buckets.keys().used(), 500);
    sweep_all(&buckets, start + Duration::from_millis(1_000));
    assert_eq!(buckets.keys().used(), 1);
    assert!(buckets.take(key(0), &rate, start + Duration::from_millis(999)).is_err());
    sweep_all(&buckets, start + MINUTE);
    assert_eq!((buckets.keys().used(), buckets.keys().peak()), (0, 500));
}

#[test]
fn a_forgotten_key_makes_room_at_the_cap() {
    let buckets = Buckets::new("keys", 1);
    let (rate, start) = (per_sec(1, 1), Instant::now());
    buckets.take(key(1), &rate, start).expect("a place");
    buckets.take(key(2), &rate, start).expect("a shared bucket");
    let later = start + MINUTE;
    sweep_all(&buckets, later);
    buckets.take(key(2), &rate, later).expect("a place of its own");
    assert_eq!((buckets.keys().used(), buckets.keys().refused()), (1, 1));
}

#[test]
fn threads_together_get_no_more_than_a_burst() {
    let buckets = Buckets::new("keys", 1);
    let (rate, start) = (per_sec(1, 50), Instant::now());
    for number in [key(1), key(2)] {
        let admitted = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let good = (0..100).filter(|_| buckets.take(number, &rate, start).is_ok());
                    admitted.fetch_add(good.count() as u32, Relaxed);
                });
            }
        });
        assert_eq!(admitted.into_inner(), 50, "of its own bucket, and of a shared one");
    }
}

/// What is done to buckets.
#[derive(Clone, Debug)]
enum Step {
    Take(u64),
    Wait(u64),
    Sweep,
}

const MACHINE_PERIOD_MS: u64 = 100;
const MACHINE_BURST: u64 = 3;
const MACHINE_KEYS: u64 = 4;

/// The same as it is told in a sentence: a bucket gains one call each period, and holds no more than the burst.
#[derive(Clone, Debug)]
struct Model {
    /// What each bucket holds, in milliseconds of gaining.
    held_ms: [u64; MACHINE_KEYS as usize],
    now_ms: u64,
    /// Whether the last step was a call that is good.
    is_good: bool,
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        let full_ms = MACHINE_BURST * MACHINE_PERIOD_MS;
        let held_ms = [full_ms; MACHINE_KEYS as usize];
        Just(Self { held_ms, now_ms: 0, is_good: false }).boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Step> {
        prop_oneof![
            6 => (0..MACHINE_KEYS).prop_map(Step::Take),
            2 => (1..2 * MACHINE_PERIOD_MS).prop_map(Step::Wait),
            1 => Just(Step::Sweep),
        ]
        .boxed()
    }

    fn apply(mut state: Self, step: &Step) -> Self {
        state.is_good = false;
        match step {
            Step::Take(key) => {
                let held_ms = &mut state.held_ms[*key as usize];
                if let Some(left_ms) = held_ms.checked_sub(MACHINE_PERIOD_MS) {
                    (*held_ms, state.is_good) = (left_ms, true);
                }
            }
            Step::Wait(ms) => {
                state.now_ms += ms;
                for held_ms in &mut state.held_ms {
                    *held_ms = (*held_ms + ms).min(MACHINE_BURST * MACHINE_PERIOD_MS);
                }
            }
            Step::Sweep => {}
        }
        state
    }
}

struct Machine {
    buckets: Buckets,
    start: Instant,
}

impl Machine {
    fn take(&self, number: u64, now: Instant) -> Result<(), Duration> {
        let rate = per_sec(1_000 / MACHINE_PERIOD_MS as u32, MACHINE_BURST as u32);
        self.buckets.take(key(number), &rate, now)
    }
}

impl StateMachineTest for Machine {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(_: &Model) -> Self {
        let buckets = Buckets::new("keys", MACHINE_KEYS as u32);
        Self { start: buckets.epoch, buckets }
    }

    fn apply(machine: Self, model: &Model, step: Step) -> Self {
        let now = machine.start + Duration::from_millis(model.now_ms);
        match step {
            Step::Take(number) => match machine.take(number, now) {
                Ok(()) => assert!(model.is_good, "more than the model gives"),
                Err(wait) => {
                    assert!(!model.is_good, "less than the model gives");
                    let missing_ms = MACHINE_PERIOD_MS - model.held_ms[number as usize];
                    assert_eq!(wait, Duration::from_millis(missing_ms));
                }
            },
            Step::Wait(_) => {}
            Step::Sweep => sweep_all(&machine.buckets, now),
        }
        machine
    }

    fn check_invariants(machine: &Self, model: &Model) {
        // Whose bucket is not full is known; others may be forgotten.
        let begun = model.held_ms.iter().filter(|ms| **ms < MACHINE_BURST * MACHINE_PERIOD_MS);
        assert!((begun.count()..=MACHINE_KEYS as usize).contains(&machine.buckets.keys().used()));
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_bucket_gives_what_its_model_gives(sequential 1..40 => Machine);
}

proptest! {
    #[test]
    fn calls_of_any_pattern_stay_within_quota_and_burst(
        count in 1_u32..1_000,
        burst in 1_u32..200,
        pauses_us in prop::collection::vec(0_u64..50_000, 1..500),
    ) {
        let buckets = Buckets::new("keys", 10);
        let (rate, start) = (per_sec(count, burst), Instant::now());
        let (mut at, mut admitted) = (start, 0);
        for pause_us in pauses_us {
            at += Duration::from_micros(pause_us);
            match buckets.take(key(1), &rate, at) {
                Ok(()) => admitted += 1,
                Err(wait) => {
                    prop_assert!(!wait.is_zero());
                    let early = wait - Duration::from_nanos(1);
                    prop_assert!(buckets.take(key(1), &rate, at + early).is_err());
                }
            }
            let elapsed = at - start;
            let quota = elapsed.as_nanos() / rate.quota().period.as_nanos();
            prop_assert!(admitted <= quota + u128::from(burst), "{admitted} after {elapsed:?}");
        }
    }

    #[test]
    fn who_waits_as_told_is_let_in(
        count in 1_u32..1_000,
        burst in 1_u32..200,
        pauses_us in prop::collection::vec(0_u64..50_000, 1..500),
    ) {
        let buckets = Buckets::new("keys", 10);
        let (rate, mut at) = (per_sec(count, burst), Instant::now());
        for pause_us in pauses_us {
            at += Duration::from_micros(pause_us);
            if let Err(wait) = buckets.take(key(1), &rate, at) {
                at += wait;
                prop_assert!(buckets.take(key(1), &rate, at).is_ok());
            }
        }
    }

    #[test]
    fn sweeps_change_no_decision(
        count in 1_u32..100,
        burst in 1_u32..5,
        steps in prop::collection::vec((0_u64..200, 0_u64..4, any::<bool>()), 1..300),
    ) {
        let (swept, unswept) = (Buckets::new("keys", 10), Buckets::new("keys", 10));
        let (rate, mut at) = (per_sec(count, burst), unswept.epoch);
        for (pause_ms, number, is_swept) in steps {
            at += Duration::from_millis(pause_ms);
            if is_swept {
                sweep_all(&swept, at);
            }
            let taken = swept.take(key(number), &rate, at).is_ok();
            prop_assert_eq!(taken, unswept.take(key(number), &rate, at).is_ok());
        }
    }
}
