//! Bounds in every interleaving of two or three threads.

use std::sync::Arc;

use crate::sync::{explore, thread};

/// One of each thread's work, at once with the others; what they came to.
fn at_once<T: Send + 'static>(works: Vec<Box<dyn FnOnce() -> T + Send>>) -> Vec<T> {
    let threads: Vec<_> = works.into_iter().map(thread::spawn).collect();
    threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
}

#[cfg(feature = "loom")]
mod in_loom {
    use super::*;
    use crate::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use crate::{Bound, Share};

    #[test]
    fn a_bound_lets_in_as_many_as_its_limit_and_never_refuses_all() {
        explore(|| {
            let bound = Bound::new("test", 1);
            let inside = Arc::new(AtomicUsize::new(0));
            let came = at_once(
                (0..3)
                    .map(|_| -> Box<dyn FnOnce() -> bool + Send> {
                        let (bound, inside) = (Arc::clone(&bound), Arc::clone(&inside));
                        Box::new(move || {
                            let Some(permit) = bound.try_take() else { return false };
                            assert_eq!(inside.fetch_add(1, Relaxed), 0, "one at a time");
                            inside.fetch_sub(1, Relaxed);
                            drop(permit);
                            true
                        })
                    })
                    .collect(),
            );
            assert!(came.contains(&true));
            assert_eq!((bound.used(), bound.peak()), (0, 1));
            let refused = came.iter().filter(|came| !**came).count() as u64;
            assert_eq!(bound.refused(), refused);
        });
    }

    #[test]
    fn shares_that_grow_and_shrink_at_once_never_hold_more_than_the_bound() {
        explore(|| {
            let bound = Bound::new("test", 4);
            let held = Arc::new(AtomicUsize::new(0));
            at_once(
                [3, 2]
                    .map(|most| -> Box<dyn FnOnce() + Send> {
                        let (bound, held) = (Arc::clone(&bound), Arc::clone(&held));
                        Box::new(move || {
                            let mut share = Share::none(bound);
                            for count in [1, most] {
                                let before = share.held();
                                if share.resize(count) {
                                    let all =
                                        held.fetch_add(count - before, Relaxed) + count - before;
                                    assert!(all <= 4, "{all} held");
                                }
                            }
                            held.fetch_sub(share.held(), Relaxed);
                        })
                    })
                    .into(),
            );
            assert_eq!(bound.used(), 0, "everything came back");
            assert!(bound.peak() <= 4);
        });
    }
}

/// Whoever waits goes by one order of all operations, which loom does not know.
#[cfg(all(feature = "shuttle", not(feature = "loom")))]
mod in_shuttle {
    use super::*;
    use crate::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use crate::{Class, ClassBound, Permit, Shares, Waiters};

    #[test]
    fn the_whole_is_never_exceeded_and_a_guarantee_is_there_whatever_the_others_do() {
        explore(|| {
            let bound = ClassBound::new("test", Shares { calls_max: 2, guaranteed: [1, 0] });
            let under_way = Arc::new(AtomicUsize::new(0));
            let came = at_once(
                [Class::Work, Class::Read, Class::Work]
                    .map(|class| -> Box<dyn FnOnce() -> bool + Send> {
                        let (bound, under_way) = (Arc::clone(&bound), Arc::clone(&under_way));
                        Box::new(move || {
                            let permit = bound.try_take(class);
                            if permit.is_some() {
                                assert!(under_way.fetch_add(1, SeqCst) < 2, "three at once");
                                under_way.fetch_sub(1, SeqCst);
                            }
                            permit.is_some()
                        })
                    })
                    .into(),
            );
            assert!(came[1], "the guarantee of reads");
            assert!(came[0] || came[2], "one work had room");
            assert_eq!((bound.used(), under_way.load(SeqCst)), (0, 0));
        });
    }

    /// Takes a permit for who waits as soon as it is told of one.
    #[derive(Debug)]
    struct Queue {
        bound: Arc<ClassBound>,
        told: AtomicUsize,
    }

    impl Waiters for Queue {
        fn look_again(&self) {
            self.told.fetch_add(1, SeqCst);
        }
    }

    /// What of a bound lets somebody in who waits.
    fn a_wait_ends_by(what: fn(&Arc<ClassBound>, Option<Permit>)) {
        explore(move || {
            let bound = ClassBound::new("test", Shares { calls_max: 1, guaranteed: [0; 2] });
            let queue = Arc::new(Queue { bound: Arc::clone(&bound), told: AtomicUsize::new(0) });
            let waiters: std::sync::Weak<Queue> = Arc::downgrade(&queue);
            bound.set_waiters(waiters);
            let permit = bound.try_take(Class::Work);
            let waits = {
                let queue = Arc::clone(&queue);
                thread::spawn(move || {
                    queue.bound.begin_waiting();
                    queue.bound.try_take(Class::Work)
                })
            };
            what(&bound, permit);
            let found = waits.join().expect("no thread panics");
            assert!(found.is_some() || queue.told.load(SeqCst) > 0, "a wake-up was lost");
        });
    }

    #[test]
    fn who_waits_finds_the_permit_that_comes_back_or_is_told_of_it() {
        a_wait_ends_by(|_, permit| drop(permit));
    }

    #[test]
    fn who_waits_finds_the_room_of_a_raised_limit_or_is_told_of_it() {
        a_wait_ends_by(|bound, permit| {
            bound.set_shares(Shares { calls_max: 2, guaranteed: [0; 2] });
            // Its return would tell of room as well.
            std::mem::forget(permit);
        });
    }
}
