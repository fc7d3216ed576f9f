//! Named bounds: nothing in the house is without a limit, and every limit counts what it holds.

use std::fmt::Debug;
use std::sync::Arc;

use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// A limit on how many of something may exist at once.
///
/// Clones of the `Arc` share the count. Taking and giving back are one atomic operation each.
#[derive(Debug)]
pub struct Bound {
    name: &'static str,
    limit: AtomicUsize,
    used: AtomicUsize,
    peak: AtomicUsize,
    refused: AtomicU64,
}

impl Bound {
    /// Makes a bound that admits `limit` holders. `name` is its metric label.
    #[must_use]
    pub fn new(name: &'static str, limit: usize) -> Arc<Self> {
        Arc::new(Self {
            name,
            limit: AtomicUsize::new(limit),
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// Takes one place, or counts a refusal.
    #[must_use]
    pub fn try_take(self: &Arc<Self>) -> Option<Permit> {
        let before = self.used.fetch_add(1, Relaxed);
        if before >= self.limit.load(Relaxed) {
            self.used.fetch_sub(1, Relaxed);
            self.refused.fetch_add(1, Relaxed);
            return None;
        }
        Some(self.permit(before + 1))
    }

    /// Takes one place even above the limit. `within` tells whether the limit would have allowed it:
    /// what shadow mode needs.
    #[must_use]
    pub fn take_anyway(self: &Arc<Self>) -> (Permit, bool) {
        let before = self.used.fetch_add(1, Relaxed);
        let within = before < self.limit.load(Relaxed);
        if !within {
            self.refused.fetch_add(1, Relaxed);
        }
        (self.permit(before + 1), within)
    }

    /// The permit of a place that is already counted, as one of `used`: what is used now may count others that are
    /// about to be refused.
    fn permit(self: &Arc<Self>, used: usize) -> Permit {
        self.note_peak(used);
        Permit::new(Arc::clone(self) as Arc<dyn Keeper>, 0)
    }

    fn note_peak(&self, used: usize) {
        // A plain load first: under steady load the peak does not move and its line stays shared.
        if used > self.peak.load(Relaxed) {
            self.peak.fetch_max(used, Relaxed);
        }
    }

    /// Changes the limit. Holders above a lowered limit stay until they leave by themselves.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Relaxed);
    }

    /// The metric label.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How many holders are admitted.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// How many holders there are.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// The most holders there ever were.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.peak.load(Relaxed)
    }

    /// How many asked in vain.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// All of it at one moment.
    #[must_use]
    pub fn reading(&self) -> Reading {
        Reading {
            name: self.name,
            limit: self.limit(),
            used: self.used(),
            peak: self.peak(),
            refused: self.refused(),
        }
    }
}

/// A bound at one moment, for its metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The metric label.
    pub name: &'static str,
    /// How many holders are admitted; `usize::MAX` for a bound that only counts.
    pub limit: usize,
    /// How many holders there are.
    pub used: usize,
    /// The most holders there ever were.
    pub peak: usize,
    /// How many asked in vain.
    pub refused: u64,
}

impl Keeper for Bound {
    fn give_back(&self, _: u64) {
        self.used.fetch_sub(1, Relaxed);
    }
}

/// Who counts permits, and hears of each that comes back.
pub trait Keeper: Debug + Send + Sync {
    /// A permit comes back; `of` is what the keeper noted on it.
    fn give_back(&self, of: u64);
}

/// One place under a bound; dropping it gives the place back.
#[derive(Debug)]
pub struct Permit {
    keeper: Arc<dyn Keeper>,
    of: u64,
}

impl Permit {
    /// A permit that its keeper has counted already, with a note of the keeper's own: what it counts it as.
    #[must_use]
    pub const fn new(keeper: Arc<dyn Keeper>, of: u64) -> Self {
        Self { keeper, of }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.keeper.give_back(self.of);
    }
}

/// As many places under a [`Bound`] as its holder needs at the moment: bytes, mostly. Dropping it gives all back.
#[derive(Debug)]
pub struct Share {
    bound: Arc<Bound>,
    held: usize,
}

impl Share {
    /// No places yet.
    #[must_use]
    pub const fn none(bound: Arc<Bound>) -> Self {
        Self { bound, held: 0 }
    }

    /// Holds `count` places from now on. `false`, and nothing changes, when the bound has no room for more; less always
    /// succeeds.
    #[must_use]
    pub fn resize(&mut self, count: usize) -> bool {
        self.resize_below(count, self.bound.limit.load(Relaxed))
    }

    /// The same for a holder that may not fill the bound: all holders together then hold at most `limit`.
    #[must_use]
    pub fn resize_below(&mut self, count: usize, limit: usize) -> bool {
        let bound = &self.bound;
        if let Some(more) = count.checked_sub(self.held).filter(|more| *more > 0) {
            let grow = |used: usize| used.checked_add(more).filter(|used| *used <= limit);
            let Ok(before) = bound.used.fetch_update(Relaxed, Relaxed, grow) else {
                bound.refused.fetch_add(1, Relaxed);
                return false;
            };
            bound.note_peak(before + more);
        } else {
            bound.used.fetch_sub(self.held - count, Relaxed);
        }
        self.held = count;
        true
    }

    /// Holds `count` places from now on, above the limit too: for what exists already and can only be counted.
    pub fn resize_anyway(&mut self, count: usize) {
        let bound = &self.bound;
        if let Some(more) = count.checked_sub(self.held) {
            bound.note_peak(bound.used.fetch_add(more, Relaxed).saturating_add(more));
        } else {
            bound.used.fetch_sub(self.held - count, Relaxed);
        }
        self.held = count;
    }

    /// Takes over the places of another share of the same bound; one of another bound would be counted in the wrong one
    /// and is given back instead.
    fn absorb(&mut self, mut other: Self) {
        if Arc::ptr_eq(&self.bound, &other.bound) {
            self.held += std::mem::take(&mut other.held);
        }
    }

    /// How many places it holds.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.bound.used.fetch_sub(self.held, Relaxed);
    }
}

/// The permits that an answer keeps until its last byte has left or its reader is gone.
///
/// They live in the response body, not in the future that made it: a future ends at the head.
#[derive(Debug, Default)]
pub struct Held {
    permits: [Option<Permit>; Self::CAPACITY],
    /// What the bytes of the answer hold.
    bytes: Option<Share>,
}

impl Held {
    /// How many permits fit: of the generation, of a stream, of `fairness` and of `concurrency`. Answers are handed on by
    /// value, so room that nobody uses is paid for.
    pub const CAPACITY: usize = 4;

    /// Adds a permit.
    ///
    /// # Panics
    /// When more than [`Held::CAPACITY`] are held, which is a fault in the stack and not in a call.
    pub fn add(&mut self, permit: Permit) {
        let free = self.permits.iter_mut().find(|slot| slot.is_none());
        *free.expect("Held::CAPACITY covers every layer that holds a permit") = Some(permit);
    }

    /// Adds what the bytes of the answer hold; they are counted in one bound, by one layer.
    pub fn add_bytes(&mut self, bytes: Share) {
        match &mut self.bytes {
            Some(held) => held.absorb(bytes),
            none => *none = Some(bytes),
        }
    }

    /// How many places the bytes of the answer hold.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        match &self.bytes {
            Some(bytes) => bytes.held(),
            None => 0,
        }
    }

    /// Takes over everything that `other` holds.
    pub fn absorb(&mut self, other: Self) {
        for permit in other.permits.into_iter().flatten() {
            self.add(permit);
        }
        if let Some(bytes) = other.bytes {
            self.add_bytes(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_above_the_limit_and_admits_again_after_a_drop() {
        let bound = Bound::new("test", 2);
        let first = bound.try_take();
        let second = bound.try_take();
        assert!(first.is_some() && second.is_some() && bound.try_take().is_none());
        drop(first);
        assert!(bound.try_take().is_some());
        assert_eq!((bound.used(), bound.peak(), bound.refused()), (1, 2, 1));
    }

    #[test]
    fn peak_never_counts_those_who_are_refused() {
        let bound = Bound::new("test", 2);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..20_000).for_each(|_| drop(bound.try_take())));
            }
        });
        assert!(bound.peak() <= 2, "{}", bound.peak());
        assert_eq!(bound.used(), 0);
    }

    #[test]
    fn takes_anyway_and_says_so() {
        let bound = Bound::new("test", 1);
        let (_first, within) = bound.take_anyway();
        assert!(within);
        let (_second, within) = bound.take_anyway();
        assert!(!within);
        assert_eq!(bound.used(), 2);
    }

    #[test]
    fn a_share_grows_within_the_bound_and_gives_back_what_it_held() {
        let bound = Bound::new("test", 10);
        let mut one = Share::none(Arc::clone(&bound));
        let mut other = Share::none(Arc::clone(&bound));
        assert!(one.resize(6) && other.resize(4) && !other.resize(5));
        assert!(one.resize(1) && other.resize(9) && !one.resize(2));
        assert_eq!((bound.used(), bound.peak(), bound.refused()), (10, 10, 2));
        bound.set_limit(0);
        assert!(other.resize(3) && !other.resize(usize::MAX));
        drop((one, other));
        assert_eq!(bound.used(), 0);
    }

    #[test]
    fn a_share_may_be_kept_from_filling_the_bound() {
        let bound = Bound::new("test", 10);
        let mut large = Share::none(Arc::clone(&bound));
        let mut small = Share::none(Arc::clone(&bound));
        assert!(large.resize_below(8, 8) && !large.resize_below(9, 8));
        assert!(small.resize(2) && !small.resize(3));
    }

    #[test]
    fn what_exists_already_is_counted_above_the_limit() {
        let bound = Bound::new("test", 10);
        let mut share = Share::none(Arc::clone(&bound));
        share.resize_anyway(30);
        assert_eq!((bound.used(), bound.peak(), bound.refused(), share.held()), (30, 30, 0, 30));
        share.resize_anyway(4);
        assert_eq!(bound.used(), 4);
        drop(share);
        assert_eq!(bound.used(), 0);
    }

    #[test]
    fn bytes_of_several_answers_are_held_together() {
        let bound = Bound::new("test", 10);
        let of = |count| {
            let mut share = Share::none(Arc::clone(&bound));
            share.resize_anyway(count);
            let mut held = Held::default();
            held.add_bytes(share);
            held
        };
        let mut outer = of(3);
        outer.absorb(of(4));
        outer.absorb(Held::default());
        assert_eq!((outer.bytes(), bound.used()), (7, 7));
        drop(outer);
        assert_eq!(bound.used(), 0);
    }

    #[test]
    fn an_absorbed_permit_outlives_its_first_holder() {
        let bound = Bound::new("test", 4);
        let mut inner = Held::default();
        inner.add(bound.try_take().expect("free"));
        let mut outer = Held::default();
        outer.absorb(inner);
        assert_eq!(bound.used(), 1);
        drop(outer);
        assert_eq!(bound.used(), 0);
    }
}
