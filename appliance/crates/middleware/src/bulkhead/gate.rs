//! Lets so many in at once, and the others in the order in which they came.

use std::collections::VecDeque;

use protocol::sync::Mutex;
use protocol::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use protocol::sync::atomic::{AtomicU32, AtomicU64};
use tokio::sync::oneshot;

/// One who waits; a message is a place.
type Waiter = oneshot::Sender<()>;

/// How many are in, and how many wait: one word, so that nobody begins to wait in the moment in which the last place
/// is given back to nobody.
#[derive(Clone, Copy)]
struct Word(u64);

impl Word {
    const fn new(inside: u32, waiting: u32) -> Self {
        Self((inside as u64) << 32 | waiting as u64)
    }

    const fn inside(self) -> u32 {
        (self.0 >> 32) as u32
    }

    const fn waiting(self) -> u32 {
        self.0 as u32
    }
}

/// Lets so many in at once. Without anybody who waits, coming and going are one exchange each.
#[derive(Debug)]
pub(super) struct Gate {
    limit: AtomicU32,
    word: AtomicU64,
    peak: AtomicU32,
    waiters: Mutex<VecDeque<Waiter>>,
}

impl Gate {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit: AtomicU32::new(clamp(limit)),
            word: AtomicU64::new(0),
            peak: AtomicU32::new(0),
            waiters: Mutex::default(),
        }
    }

    /// Comes in, unless it is full or somebody waits. `Ok` tells how many were in before.
    pub(super) fn enter(&self) -> Option<u32> {
        let limit = self.limit.load(Relaxed);
        let more = |word| {
            let word = Word(word);
            let has_room = word.waiting() == 0 && word.inside() < limit;
            has_room.then(|| Word::new(word.inside() + 1, 0).0)
        };
        let before = Word(self.word.fetch_update(AcqRel, Acquire, more).ok()?).inside();
        self.note(before + 1);
        Some(before)
    }

    /// Comes in although it may be full. `true` when it was not.
    pub(super) fn enter_anyway(&self) -> bool {
        let before = Word(self.word.fetch_add(Word::new(1, 0).0, AcqRel));
        self.note(before.inside() + 1);
        before.inside() < self.limit.load(Relaxed)
    }

    fn note(&self, inside: u32) {
        // A plain load first: under steady load the peak does not move.
        if inside > self.peak.load(Relaxed) {
            self.peak.fetch_max(inside, Relaxed);
        }
    }

    /// Stands in the queue. What is received is a place, which must be given back with [`Gate::leave`].
    pub(super) fn wait(&self) -> oneshot::Receiver<()> {
        let (turn, receiver) = oneshot::channel();
        let mut waiters = self.waiters.lock();
        waiters.push_back(turn);
        self.word.fetch_add(1, AcqRel);
        // A place may have come free since the look that found none.
        self.admit(&mut waiters);
        receiver
    }

    /// Leaves the queue without having come in.
    pub(super) fn give_up(&self, mut turn: oneshot::Receiver<()>) {
        turn.close();
        if turn.try_recv().is_ok() {
            return self.leave();
        }
        let mut waiters = self.waiters.lock();
        let before = waiters.len();
        waiters.retain(|waiter| !waiter.is_closed());
        self.word.fetch_sub((before - waiters.len()) as u64, AcqRel);
    }

    /// Gives a place back: to the first who waits, if anybody does.
    pub(super) fn leave(&self) {
        let less = |word| {
            let word = Word(word);
            (word.waiting() == 0).then(|| Word::new(word.inside() - 1, 0).0)
        };
        if self.word.fetch_update(AcqRel, Acquire, less).is_ok() {
            return;
        }
        let mut waiters = self.waiters.lock();
        self.word.fetch_sub(Word::new(1, 0).0, AcqRel);
        self.admit(&mut waiters);
    }

    /// Lets in who waits, as far as there is room. Under the lock: only its holder changes how many wait.
    fn admit(&self, waiters: &mut VecDeque<Waiter>) {
        let limit = self.limit.load(Relaxed);
        let turn = |word| {
            let word = Word(word);
            let has_room = word.waiting() > 0 && word.inside() < limit;
            has_room.then(|| Word::new(word.inside() + 1, word.waiting() - 1).0)
        };
        while let Ok(before) = self.word.fetch_update(AcqRel, Acquire, turn) {
            let waiter = waiters.pop_front();
            if waiter.is_some_and(|waiter| waiter.send(()).is_ok()) {
                self.note(Word(before).inside() + 1);
            } else {
                // It gave up in this moment.
                self.word.fetch_sub(Word::new(1, 0).0, AcqRel);
            }
        }
    }

    /// Changes the limit. Who is in stays; who waits may come in.
    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.store(clamp(limit), Relaxed);
        self.admit(&mut self.waiters.lock());
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.load(Relaxed) as usize
    }

    pub(super) fn inside(&self) -> usize {
        Word(self.word.load(Relaxed)).inside() as usize
    }

    #[cfg(test)]
    fn waiting(&self) -> usize {
        Word(self.word.load(Relaxed)).waiting() as usize
    }

    pub(super) fn peak(&self) -> usize {
        self.peak.load(Relaxed) as usize
    }
}

/// Far below what half a word holds, so that counts never meet.
fn clamp(limit: usize) -> u32 {
    limit.min(1 << 24) as u32
}

#[cfg(all(test, feature = "loom"))]
mod interleavings;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_in_as_many_as_fit_and_then_in_the_order_of_the_queue() {
        let gate = Gate::new(2);
        assert_eq!((gate.enter(), gate.enter(), gate.enter()), (Some(0), Some(1), None));
        let (mut first, mut second) = (gate.wait(), gate.wait());
        assert!(first.try_recv().is_err());
        gate.leave();
        assert!(first.try_recv().is_ok() && second.try_recv().is_err());
        gate.leave();
        assert!(second.try_recv().is_ok());
        assert_eq!((gate.inside(), gate.waiting(), gate.peak()), (2, 0, 2));
    }

    #[test]
    fn nobody_comes_in_before_those_who_wait() {
        let gate = Gate::new(1);
        gate.enter().expect("room");
        let waiter = gate.wait();
        assert_eq!(gate.enter(), None);
        gate.leave();
        assert_eq!(gate.enter(), None, "the place was given to who waits");
        gate.give_up(waiter);
        assert_eq!(gate.enter(), Some(0));
    }

    #[test]
    fn who_gives_up_leaves_nothing_behind() {
        let gate = Gate::new(1);
        gate.enter().expect("room");
        for _ in 0..1_000 {
            gate.give_up(gate.wait());
        }
        assert_eq!((gate.waiting(), gate.waiters.lock().len()), (0, 0));
        gate.leave();
        assert_eq!(gate.inside(), 0);
    }

    #[test]
    fn a_higher_limit_lets_in_who_waits_and_a_lower_one_sends_nobody_out() {
        let gate = Gate::new(1);
        gate.enter().expect("room");
        let mut waiter = gate.wait();
        gate.set_limit(2);
        assert!(waiter.try_recv().is_ok());
        gate.set_limit(1);
        gate.leave();
        assert_eq!((gate.inside(), gate.enter()), (1, None));
    }

    #[test]
    fn every_place_comes_back_whoever_waits_comes_or_gives_up_at_once() {
        let gate = Gate::new(3);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let gate = &gate;
                scope.spawn(move || {
                    for turn in 0..2_000 {
                        if gate.enter().is_some() {
                            assert!(gate.inside() <= 3);
                            gate.leave();
                        } else {
                            let waiter = gate.wait();
                            if (turn + thread) % 2 == 0 {
                                gate.give_up(waiter);
                            } else {
                                waiter.blocking_recv().expect("a gate never goes away");
                                gate.leave();
                            }
                        }
                    }
                });
            }
        });
        assert_eq!((gate.inside(), gate.waiting()), (0, 0));
    }
}
