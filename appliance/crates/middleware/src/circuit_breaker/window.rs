//! The last calls of a circuit: how many failed, how many were slow. Atomics only.

use protocol::sync::atomic::Ordering::{AcqRel, Relaxed};
use protocol::sync::atomic::{AtomicU8, AtomicU32};

/// A place that no call has filled yet.
const EMPTY: u8 = 0;
const WELL: u8 = 1;
const FAILED: u8 = 2;
const SLOW: u8 = 3;

/// The last calls, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) calls: u32,
    pub(super) failed: u32,
    pub(super) slow: u32,
}

/// A ring of the last calls. Calls that end at once may see each other's counts a call early or late, which moves the
/// verdict by a call and no further.
#[derive(Debug)]
pub(super) struct Window {
    ring: Box<[AtomicU8]>,
    next: AtomicU32,
    calls: AtomicU32,
    failed: AtomicU32,
    slow: AtomicU32,
}

impl Window {
    pub(super) fn new(calls: u32) -> Self {
        Self {
            ring: (0..calls.max(1)).map(|_| AtomicU8::new(EMPTY)).collect(),
            next: AtomicU32::new(0),
            calls: AtomicU32::new(0),
            failed: AtomicU32::new(0),
            slow: AtomicU32::new(0),
        }
    }

    /// How many calls it holds.
    pub(super) fn size(&self) -> u32 {
        self.ring.len() as u32
    }

    /// Puts a call in the place of the oldest.
    pub(super) fn record(&self, has_failed: bool, was_slow: bool) -> Tally {
        let kind = match (has_failed, was_slow) {
            (true, _) => FAILED,
            (false, true) => SLOW,
            (false, false) => WELL,
        };
        let at = self.next.fetch_add(1, Relaxed) as usize % self.ring.len();
        // Counted before it can be seen (hence the ordering of the swap), so that no count ever falls below zero.
        self.count(kind, |counter| counter.fetch_add(1, Relaxed));
        let before = self.ring[at].swap(kind, AcqRel);
        self.count(before, |counter| counter.fetch_sub(1, Relaxed));
        if before == EMPTY {
            self.calls.fetch_add(1, Relaxed);
        }
        self.tally()
    }

    fn count(&self, kind: u8, change: impl Fn(&AtomicU32) -> u32) {
        match kind {
            FAILED => change(&self.failed),
            SLOW => change(&self.slow),
            _ => return,
        };
    }

    pub(super) fn tally(&self) -> Tally {
        Tally {
            calls: self.calls.load(Relaxed),
            failed: self.failed.load(Relaxed),
            slow: self.slow.load(Relaxed),
        }
    }

    /// Forgets every call.
    pub(super) fn clear(&self) {
        for place in &self.ring {
            // By the same steps as a call that pushes another out, so that calls that end meanwhile stay counted.
            let before = place.swap(EMPTY, AcqRel);
            self.count(before, |counter| counter.fetch_sub(1, Relaxed));
            if before != EMPTY {
                self.calls.fetch_sub(1, Relaxed);
            }
        }
        self.next.store(0, Relaxed);
    }

    /// What the places say, while nobody records.
    #[cfg(test)]
    pub(super) fn recount(&self) -> Tally {
        let of = |kind| self.ring.iter().filter(|place| place.load(Relaxed) == kind).count() as u32;
        Tally { calls: self.size() - of(EMPTY), failed: of(FAILED), slow: of(SLOW) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_call_leaves_first() {
        let window = Window::new(3);
        for (has_failed, was_slow) in [(true, false), (false, true), (true, true)] {
            window.record(has_failed, was_slow);
        }
        assert_eq!(window.tally(), Tally { calls: 3, failed: 2, slow: 1 });
        assert_eq!(window.record(false, false), Tally { calls: 3, failed: 1, slow: 1 });
        assert_eq!(window.record(false, false), Tally { calls: 3, failed: 1, slow: 0 });
        window.clear();
        assert_eq!(window.tally(), Tally::default());
    }

    #[test]
    fn calls_that_end_at_once_are_all_counted() {
        let window = Window::new(64);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let window = &window;
                scope.spawn(move || {
                    for call in 0..1_000 {
                        window.record(call % 2 == 0, thread == 0);
                    }
                });
            }
        });
        assert_eq!(window.tally(), window.recount());
        assert_eq!(window.tally().calls, 64);
    }
}
