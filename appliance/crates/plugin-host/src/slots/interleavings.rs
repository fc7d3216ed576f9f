//! The places of a plugin in interleavings by chance of the plugin's threads and the host's.

use std::sync::atomic::AtomicBool;
use std::task::Wake;
use std::time::Instant;

use protocol::Lender;
use protocol::sync::{explore, thread};

use super::*;

fn opened(slots: &Slots) -> CallHandle {
    slots.open(Listener::default(), None).expect("free")
}

fn late() -> Result<Completion, BadResult> {
    Err(BadResult("late"))
}

fn spawn<T: Send + 'static>(
    slots: &Arc<Slots>,
    work: impl FnOnce(&Slots) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let slots = Arc::clone(slots);
    thread::spawn(move || work(&slots))
}

/// Counts what comes back.
#[derive(Debug, Default)]
struct GivenBack(AtomicUsize);

impl Lender for GivenBack {
    fn stuck(&self) {}

    fn give_back(&self, _: Option<Instant>, _: bool) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn a_call_that_is_completed_twice_and_given_up_at_once_ends_once() {
    explore(|| {
        let slots = Arc::new(Slots::new(1, Arc::default()));
        let given_back = Arc::new(GivenBack::default());
        let lease = Lease::new(Arc::clone(&given_back) as Arc<dyn Lender>, None);
        let call = slots.open(Listener::default(), Some(lease)).expect("free");
        let plugin = [(); 2].map(|()| spawn(&slots, move |slots| slots.complete(call, late())));
        slots.give_up(call);
        let answers = plugin.map(|thread| thread.join().expect("no thread panics"));
        assert!(answers.iter().filter(|rc| **rc == OK).count() <= 1, "one completion wins");
        assert_eq!(given_back.0.load(SeqCst), 1, "the lease came back once");
        assert_eq!(slots.free.len(), 1, "the place came back once");
        let counted = slots.counters.snapshot();
        assert_eq!((counted.in_flight, counted.abandoned), (0, 0));
    });
}

#[test]
fn late_completions_leave_the_next_call_of_the_place_alone() {
    explore(|| {
        let slots = Arc::new(Slots::new(1, Arc::default()));
        let call = opened(&slots);
        assert!(slots.give_up(call));
        let plugin = [(); 2].map(|()| spawn(&slots, move |slots| slots.complete(call, late())));
        let next = slots.open(Listener::default(), None);
        if let Some(next) = next {
            assert_ne!(next, call);
            assert_eq!(slots.check(next), OK);
        }
        for thread in plugin {
            assert_eq!(thread.join().expect("no thread panics"), E_STALE);
        }
        let next = next.unwrap_or_else(|| opened(&slots));
        assert!(slots.take(next).is_none(), "ended by the call before it");
        assert_eq!(slots.complete(next, late()), OK);
        assert!(slots.take(next).is_some());
    });
}

#[test]
fn who_gives_a_call_up_hides_no_other_that_is_awaited() {
    explore(|| {
        let slots = Arc::new(Slots::new(2, Arc::default()));
        let (_awaited, call) = (opened(&slots), opened(&slots));
        let gives_up = spawn(&slots, move |slots| slots.give_up(call));
        let completes = spawn(&slots, move |slots| slots.complete(call, late()));
        let awaited = slots.counters.awaited();
        assert!((1..=2).contains(&awaited), "{awaited}");
        gives_up.join().expect("no thread panics");
        completes.join().expect("no thread panics");
        assert_eq!(slots.counters.awaited(), 1);
    });
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn who_waits_for_a_call_finds_its_end_or_is_woken_by_it() {
    explore(|| {
        let slots = Arc::new(Slots::new(1, Arc::default()));
        let call = opened(&slots);
        let completes = spawn(&slots, move |slots| slots.complete(call, late()));
        let woken = Arc::new(Woken::default());
        // In the order in which `PendingCall` asks.
        let mut ended = slots.take(call);
        if ended.is_none() {
            slots.wake_by(call, &Arc::clone(&woken).into());
            ended = slots.take(call);
        }
        assert_eq!(completes.join().expect("no thread panics"), OK);
        assert!(ended.is_some() || woken.0.load(SeqCst), "a wake-up was lost");
    });
}
