//! A gate in every interleaving of two or three threads.

use std::sync::Arc;

use protocol::sync::atomic::AtomicUsize;
use protocol::sync::{explore, thread};

use super::*;

/// A gate of one place, which is taken.
fn full() -> Arc<Gate> {
    let gate = Arc::new(Gate::new(1));
    assert_eq!(gate.enter(), Some(0));
    gate
}

fn spawn<T: 'static>(
    gate: &Arc<Gate>,
    work: impl FnOnce(&Gate) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let gate = Arc::clone(gate);
    thread::spawn(move || work(&gate))
}

fn assert_empty(gate: &Gate) {
    assert_eq!((gate.inside(), gate.waiting(), gate.waiters.lock().len()), (0, 0, 0));
    assert_eq!(gate.enter(), Some(0), "the place is there again");
}

#[test]
fn no_more_come_in_than_there_are_places() {
    explore(|| {
        let gate = Arc::new(Gate::new(1));
        let inside = Arc::new(AtomicUsize::new(0));
        let threads = [(); 2].map(|()| {
            let inside = Arc::clone(&inside);
            spawn(&gate, move |gate| {
                let has_come = gate.enter().is_some();
                if has_come {
                    assert_eq!(inside.fetch_add(1, Relaxed), 0, "one at a time");
                    inside.fetch_sub(1, Relaxed);
                    gate.leave();
                }
                has_come
            })
        });
        let came = threads.map(|thread| thread.join().expect("no thread panics"));
        assert!(came.contains(&true));
        assert_empty(&gate);
    });
}

#[test]
fn who_begins_to_wait_while_the_place_comes_back_gets_it() {
    explore(|| {
        let gate = full();
        let leaves = spawn(&gate, Gate::leave);
        let mut turn = gate.wait();
        leaves.join().expect("no thread panics");
        assert!(turn.try_recv().is_ok(), "forgotten");
        assert_eq!((gate.inside(), gate.waiting()), (1, 0));
        gate.leave();
        assert_empty(&gate);
    });
}

#[test]
fn who_begins_to_wait_while_the_limit_is_raised_comes_in() {
    explore(|| {
        let gate = full();
        let raises = spawn(&gate, |gate| gate.set_limit(2));
        let mut turn = gate.wait();
        raises.join().expect("no thread panics");
        assert!(turn.try_recv().is_ok(), "forgotten");
        gate.leave();
        gate.leave();
        assert_empty(&gate);
    });
}

#[test]
fn a_place_that_is_given_to_one_who_gives_up_comes_back() {
    explore(|| {
        let gate = full();
        let turn = gate.wait();
        // On a thread of its own, so that the place may come before its first step.
        let gives_up = spawn(&gate, move |gate| gate.give_up(turn));
        let leaves = spawn(&gate, Gate::leave);
        gives_up.join().expect("no thread panics");
        leaves.join().expect("no thread panics");
        assert_empty(&gate);
    });
}

#[test]
fn who_stands_behind_one_who_gives_up_gets_the_place() {
    explore(|| {
        let gate = full();
        let (first, mut second) = (gate.wait(), gate.wait());
        let gives_up = spawn(&gate, move |gate| gate.give_up(first));
        let leaves = spawn(&gate, Gate::leave);
        gives_up.join().expect("no thread panics");
        leaves.join().expect("no thread panics");
        assert!(second.try_recv().is_ok(), "forgotten");
        gate.leave();
        assert_empty(&gate);
    });
}
