use std::sync::atomic::AtomicUsize;

use proptest::prelude::*;

use protocol::Lender;

use super::*;

fn slots(count: usize) -> Slots {
    Slots::new(count, Arc::default())
}

fn completion(text: &'static str) -> Result<Completion, BadResult> {
    Ok(Completion {
        status: 0,
        format: 1,
        is_public: false,
        ttl_ms: 0,
        body: Bytes::from_static(text.as_bytes()),
        state: Bytes::new(),
        mime: None,
    })
}

fn body(slots: &Slots, handle: CallHandle) -> Option<Bytes> {
    slots.take(handle).map(|result| result.expect("a completion").body)
}

#[test]
fn the_first_completion_wins_and_the_second_is_stale() {
    let slots = slots(1);
    let call = slots.open(Listener::default(), None).expect("free");
    assert_eq!(slots.complete(call, completion("one")), OK);
    assert_eq!(slots.complete(call, completion("two")), E_STALE);
    assert_eq!(body(&slots, call).as_deref(), Some(&b"one"[..]));
    assert_eq!(slots.complete(call, completion("three")), E_STALE);
    assert_eq!(slots.counters.snapshot().stale_completions, 2);
}

#[test]
fn an_abandoned_call_keeps_its_place_until_the_plugin_lets_go() {
    let slots = slots(1);
    let call = slots.open(Listener::default(), None).expect("free");
    assert!(slots.give_up(call));
    assert_eq!(slots.check(call), E_CANCELLED);
    assert!(slots.open(Listener::default(), None).is_none());
    assert_eq!(slots.counters.snapshot().abandoned, 1);
    assert_eq!(slots.complete(call, completion("late")), E_STALE);
    assert!(slots.open(Listener::default(), None).is_some());
    assert_eq!(slots.counters.snapshot().abandoned, 0);
}

#[test]
fn forged_handles_hit_nothing() {
    let slots = slots(4);
    let call = slots.open(Listener::default(), None).expect("free");
    for handle in (0..10_000).chain([u64::MAX, call ^ 1, call + (1 << 32)]) {
        if handle != call {
            assert_eq!(slots.complete(handle, completion("x")), E_STALE);
        }
    }
    assert_eq!(slots.check(call), OK);
}

#[test]
fn progress_must_increase_and_be_wanted() {
    let slots = slots(2);
    let (events, mut heard) = tokio::sync::mpsc::channel(8);
    let listener = Listener { events: Some(events), wants_progress: true, log_level: None };
    let call = slots.open(listener, None).expect("free");
    let event = || Event::Detach { retry_ms: 1 };
    for value in [0.0, 1.0, 1.0, 0.5, f64::NAN, 2.0] {
        assert_eq!(slots.progress(call, value, event), OK);
    }
    assert_eq!(std::iter::from_fn(|| heard.try_recv().ok()).count(), 3);
    slots.tell(call, Some(LogLevel::Emergency), event);
    assert!(heard.try_recv().is_err(), "no level was asked for");
    drop(heard);
    assert_eq!(slots.check(call), E_CANCELLED);
}

#[test]
fn completing_and_giving_up_at_once_ends_a_call_exactly_once() {
    let slots = slots(8);
    let ended = AtomicUsize::new(0);
    for _ in 0..2_000 {
        let call = slots.open(Listener::default(), None).expect("free");
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    if slots.complete(call, completion("x")) == OK {
                        ended.fetch_add(1, Relaxed);
                    }
                });
            }
            scope.spawn(|| slots.give_up(call));
        });
        drop(slots.take(call));
        slots.let_go(call);
    }
    let counted = slots.counters.snapshot();
    assert_eq!((counted.in_flight, counted.abandoned), (0, 0));
    assert_eq!(slots.free.len(), 8);
    assert!(ended.load(Relaxed) <= 2_000);
}

#[test]
fn late_completions_at_once_free_the_place_once() {
    let slots = slots(2);
    for _ in 0..2_000 {
        let (held, call) =
            (slots.open(Listener::default(), None), slots.open(Listener::default(), None));
        let (held, call) = (held.expect("free"), call.expect("free"));
        assert!(slots.give_up(call));
        let together = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for number in 0..4 {
                let (slots, together) = (&slots, &together);
                scope.spawn(move || {
                    together.wait();
                    match number {
                        0 => drop(slots.let_go(call)),
                        _ => assert_eq!(slots.complete(call, completion("late")), E_STALE),
                    }
                });
            }
        });
        // A place that was freed twice would be given out twice, and one client would read another's answer.
        assert_eq!(slots.free.len(), 1);
        assert_eq!(slots.complete(held, completion("x")), OK);
        assert_eq!(body(&slots, held).as_deref(), Some(&b"x"[..]));
    }
    let counted = slots.counters.snapshot();
    assert_eq!((counted.in_flight, counted.abandoned), (0, 0));
}

proptest! {
    #[test]
    fn places_are_never_lost_or_doubled(steps in prop::collection::vec((0u8..5, 0usize..6), 1..200)) {
        let slots = slots(3);
        let mut calls = Vec::new();
        for (step, pick) in steps {
            let call = calls.get(pick % calls.len().max(1)).copied().unwrap_or(0);
            match step {
                0 => calls.extend(slots.open(Listener::default(), None)),
                1 => drop(slots.complete(call, completion("x"))),
                2 => drop(slots.take(call)),
                3 => drop(slots.give_up(call)),
                _ => drop(slots.let_go(call)),
            }
            let counted = slots.counters.snapshot();
            prop_assert_eq!(counted.in_flight + slots.free.len(), 3);
            prop_assert!(counted.abandoned <= counted.in_flight);
        }
    }
}

/// Counts what is told to a lender.
#[derive(Debug, Default)]
struct Told {
    stuck: AtomicUsize,
    given_back: AtomicUsize,
}

impl Lender for Told {
    fn stuck(&self) {
        self.stuck.fetch_add(1, Relaxed);
    }

    fn give_back(&self, _: Option<std::time::Instant>, was_stuck: bool) {
        self.stuck.fetch_sub(usize::from(was_stuck), Relaxed);
        self.given_back.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_lease_is_held_until_the_plugin_lets_go_and_not_only_until_its_caller_does() {
    let slots = Slots::new(1, Arc::default());
    let told = Arc::new(Told::default());
    let lease = || Some(Lease::new(Arc::clone(&told) as Arc<dyn Lender>, None));
    let counted = || (told.stuck.load(Relaxed), told.given_back.load(Relaxed));
    let call = slots.open(Listener::default(), lease()).expect("free");
    assert!(slots.open(Listener::default(), lease()).is_none(), "full");
    assert_eq!(counted(), (0, 1), "a call that finds no place gives its lease back");
    assert!(slots.give_up(call));
    slots.mark_stuck(call);
    slots.mark_stuck(call);
    assert_eq!(counted(), (1, 1));
    slots.complete(call, Err(BadResult("late")));
    assert_eq!(counted(), (0, 2));
    slots.mark_stuck(call);
    assert_eq!(counted(), (0, 2), "a call that is over is not stuck");
}
