//! The bound on calls: one whole, of which reads and works have a part each that the other leaves to it.

use std::sync::{Arc, OnceLock, Weak};

use crate::bound::{Keeper, Permit, Reading};
use crate::class::Class;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};
use crate::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

/// Classes that are counted. Control is over at once and frees what others hold; streams have a budget of their own.
const COUNTED: [Class; 2] = [Class::Read, Class::Work];

/// Bits for the permits of one class in the one word.
const BITS: u32 = u64::BITS / COUNTED.len() as u32;

/// The permits that are out, by class: one word, so that each decision sees all of them at one moment.
#[derive(Clone, Copy)]
struct Out(u64);

impl Out {
    const fn one(index: usize) -> u64 {
        1 << (index as u32 * BITS)
    }

    const fn of(self, index: usize) -> u32 {
        (self.0 >> (index as u32 * BITS)) as u32
    }

    fn all(self) -> u32 {
        (0..COUNTED.len()).map(|index| self.of(index)).sum()
    }
}

/// Who waits for permits, and is told when one may be there.
pub trait Waiters: std::fmt::Debug + Send + Sync {
    /// A permit came back, or a limit was raised.
    fn look_again(&self);
}

/// How the whole is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Most calls at once.
    pub calls_max: usize,
    /// How many of them only reads, and only works, may use. Together at most `calls_max`.
    pub guaranteed: [usize; COUNTED.len()],
}

impl Shares {
    /// Most calls of `class` at once: what is guaranteed to others is not lent.
    #[must_use]
    pub fn most_of(self, class: Class) -> usize {
        let others: usize = self.guaranteed.iter().sum::<usize>() - self.guaranteed[index(class)];
        self.calls_max - others
    }
}

/// A limit on calls at once, of which each class has a guaranteed part; what is guaranteed to nobody is for both.
///
/// A call gets a permit when its class has not used its guarantee up, or when, with the guarantees of all classes set
/// aside, there is still room. So nobody is ever sent out for another, a guarantee is there at once, and the whole is
/// never exceeded. (Partitions with guaranteed shares: Netflix concurrency-limits. Those lend what is idle and exceed
/// the whole until it comes back; here the whole is a promise about memory.)
#[derive(Debug)]
pub struct ClassBound {
    name: &'static str,
    out: AtomicU64,
    limit: AtomicU32,
    guaranteed: [AtomicU32; COUNTED.len()],
    /// The most that each class may have, however much room there is.
    most: [AtomicU32; COUNTED.len()],
    peaks: [AtomicU32; COUNTED.len()],
    peak: AtomicU32,
    refused: [AtomicU64; COUNTED.len()],
    waiting: AtomicUsize,
    waiters: OnceLock<Weak<dyn Waiters>>,
}

impl ClassBound {
    /// The most that any limit can be: far below what its part of the word can count, so that classes never meet in it
    /// even when nobody enforces the limit.
    pub const CALLS_MAX: usize = 1 << 20;

    /// A bound with no permit out. `name` is its metric label.
    #[must_use]
    pub fn new(name: &'static str, shares: Shares) -> Arc<Self> {
        let bound = Self {
            name,
            out: AtomicU64::new(0),
            limit: AtomicU32::new(0),
            guaranteed: Default::default(),
            most: [u32::MAX; COUNTED.len()].map(AtomicU32::new),
            peaks: Default::default(),
            peak: AtomicU32::new(0),
            refused: Default::default(),
            waiting: AtomicUsize::new(0),
            waiters: OnceLock::new(),
        };
        bound.set_shares(shares);
        Arc::new(bound)
    }

    /// Follows new shares. Permits above a lowered limit stay out until they come back by themselves.
    pub fn set_shares(&self, shares: Shares) {
        let clamped = |count: usize| count.min(Self::CALLS_MAX) as u32;
        self.limit.store(clamped(shares.calls_max), SeqCst);
        for (guaranteed, count) in self.guaranteed.iter().zip(shares.guaranteed) {
            guaranteed.store(clamped(count), SeqCst);
        }
        self.tell_waiters();
    }

    /// Lets `class` have at most so many, its guarantee included.
    pub fn set_most(&self, class: Class, most: usize) {
        let most = most.min(Self::CALLS_MAX) as u32;
        if self.most[index(class)].swap(most, SeqCst) < most {
            self.tell_waiters();
        }
    }

    /// Takes a permit, if there is one for this class.
    #[must_use]
    pub fn try_take(self: &Arc<Self>, class: Class) -> Option<Permit> {
        let index = index(class);
        let more = |out| self.has_room(Out(out), index).then(|| out + Out::one(index));
        let before = self.out.fetch_update(SeqCst, SeqCst, more).ok()?;
        Some(self.permit(index, before))
    }

    /// Takes a permit even where there is none. The flag tells whether there was one: what shadow mode needs.
    #[must_use]
    pub fn take_anyway(self: &Arc<Self>, class: Class) -> (Permit, bool) {
        let index = index(class);
        let before = self.out.fetch_add(Out::one(index), SeqCst);
        (self.permit(index, before), self.has_room(Out(before), index))
    }

    /// Counts one who asked in vain.
    pub fn count_refusal(&self, class: Class) {
        self.refused[index(class)].fetch_add(1, Relaxed);
    }

    fn has_room(&self, out: Out, index: usize) -> bool {
        let guaranteed = |index: usize| self.guaranteed[index].load(SeqCst);
        let used = out.of(index);
        if used >= self.most[index].load(SeqCst) {
            return false;
        }
        let set_aside = |index| out.of(index).max(guaranteed(index));
        used < guaranteed(index)
            || (0..COUNTED.len()).map(set_aside).sum::<u32>() < self.limit.load(SeqCst)
    }

    /// The permit that was counted just now.
    fn permit(self: &Arc<Self>, index: usize, before: u64) -> Permit {
        let out = Out(before + Out::one(index));
        for (peak, used) in [(&self.peaks[index], out.of(index)), (&self.peak, out.all())] {
            // A plain load first: under steady load the peak does not move and its line stays shared.
            if used > peak.load(Relaxed) {
                peak.fetch_max(used, Relaxed);
            }
        }
        Permit::new(Arc::clone(self) as Arc<dyn Keeper>, index as u64)
    }

    /// Who is told of permits that come back while somebody waits. The first one stays.
    pub fn set_waiters(&self, waiters: Weak<dyn Waiters>) {
        self.waiters.get_or_init(|| waiters);
    }

    /// One more waits. Who looks for a permit after this, and finds none, is told of the next.
    pub fn begin_waiting(&self) {
        self.waiting.fetch_add(1, SeqCst);
    }

    /// One waits no more.
    pub fn end_waiting(&self) {
        self.waiting.fetch_sub(1, SeqCst);
    }

    /// Has who waits look again, if anybody does.
    pub fn tell_waiters(&self) {
        // Sequentially consistent with what came before it: either this sees who waits, or who waits sees the permit.
        if self.waiting.load(SeqCst) > 0
            && let Some(waiters) = self.waiters.get().and_then(Weak::upgrade)
        {
            waiters.look_again();
        }
    }

    /// The most calls at once.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.load(Relaxed) as usize
    }

    /// The most calls of a class at once: what the others are not guaranteed, or less where somebody said so.
    #[must_use]
    pub fn limit_of(&self, class: Class) -> usize {
        let own = index(class);
        let others = (0..COUNTED.len()).filter(|index| *index != own);
        let kept: u32 = others.map(|index| self.guaranteed[index].load(Relaxed)).sum();
        let free = self.limit.load(Relaxed).saturating_sub(kept);
        free.min(self.most[own].load(Relaxed)) as usize
    }

    /// How many permits are out.
    #[must_use]
    pub fn used(&self) -> usize {
        Out(self.out.load(Relaxed)).all() as usize
    }

    /// How many permits of a class are out.
    #[must_use]
    pub fn used_of(&self, class: Class) -> usize {
        Out(self.out.load(Relaxed)).of(index(class)) as usize
    }

    /// The whole and, by its name, each class at this moment.
    pub fn readings(&self) -> impl Iterator<Item = (&'static str, Reading)> {
        let refused = |index: usize| self.refused[index].load(Relaxed);
        let whole = Reading {
            name: self.name,
            limit: self.limit(),
            used: self.used(),
            peak: self.peak.load(Relaxed) as usize,
            refused: (0..COUNTED.len()).map(refused).sum(),
        };
        let of_class = move |class: Class| {
            let reading = Reading {
                name: self.name,
                limit: self.limit_of(class),
                used: self.used_of(class),
                peak: self.peaks[index(class)].load(Relaxed) as usize,
                refused: refused(index(class)),
            };
            (class.as_str(), reading)
        };
        std::iter::once(("", whole)).chain(COUNTED.into_iter().map(of_class))
    }
}

impl Keeper for ClassBound {
    fn give_back(&self, index: u64) {
        self.out.fetch_sub(Out::one(index as usize), SeqCst);
        self.tell_waiters();
    }
}

/// Where a class is counted; what is none of both would be work.
const fn index(class: Class) -> usize {
    match class {
        Class::Read => 0,
        Class::Control | Class::Work | Class::Stream => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bound(calls_max: usize, guaranteed: [usize; 2]) -> Arc<ClassBound> {
        ClassBound::new("test", Shares { calls_max, guaranteed })
    }

    fn take(bound: &Arc<ClassBound>, class: Class, count: usize) -> Vec<Permit> {
        (0..count).map_while(|_| bound.try_take(class)).collect()
    }

    #[test]
    fn what_is_guaranteed_to_nobody_is_for_both() {
        let bound = bound(10, [3, 4]);
        let work = take(&bound, Class::Work, 10);
        assert_eq!(work.len(), 7);
        assert_eq!((bound.limit_of(Class::Work), bound.limit_of(Class::Read)), (7, 6));
        drop(work);
        assert_eq!(take(&bound, Class::Read, 10).len(), 6);
    }

    #[test]
    fn a_guarantee_is_there_at_once_however_much_the_others_ask_for() {
        for (first, used) in [(Class::Work, [2, 8]), (Class::Read, [6, 4])] {
            let bound = bound(10, [2, 4]);
            let _first = take(&bound, first, 100);
            let _both = COUNTED.map(|class| take(&bound, class, 100));
            assert_eq!(COUNTED.map(|class| bound.used_of(class)), used);
        }
    }

    #[test]
    fn a_class_may_be_held_below_its_guarantee() {
        let bound = bound(10, [0, 5]);
        bound.set_most(Class::Work, 3);
        assert_eq!((take(&bound, Class::Work, 10).len(), bound.limit_of(Class::Work)), (3, 3));
        bound.set_most(Class::Work, 100);
        assert_eq!(take(&bound, Class::Work, 100).len(), 10);
    }

    #[test]
    fn a_lowered_limit_takes_nothing_away_and_keeps_the_guarantees() {
        let bound = bound(10, [0, 0]);
        let work = take(&bound, Class::Work, 10);
        bound.set_shares(Shares { calls_max: 4, guaranteed: [1, 0] });
        assert!(bound.try_take(Class::Work).is_none());
        let read = bound.try_take(Class::Read);
        assert!(read.is_some() && bound.try_take(Class::Read).is_none());
        drop(work);
        assert_eq!(take(&bound, Class::Work, 10).len(), 3);
    }

    #[test]
    fn taking_anyway_says_whether_there_was_one_and_is_counted() {
        let bound = bound(1, [0; 2]);
        let (_first, within) = bound.take_anyway(Class::Work);
        let (_second, beyond) = bound.take_anyway(Class::Read);
        assert!(within && !beyond);
        bound.count_refusal(Class::Read);
        let readings: Vec<_> = bound.readings().collect();
        let (scope, whole) = readings[0];
        assert_eq!((scope, whole.limit, whole.used, whole.peak, whole.refused), ("", 1, 2, 2, 1));
        assert_eq!((readings[1].0, readings[1].1.used, readings[1].1.refused), ("read", 1, 1));
    }

    #[derive(Debug, Default)]
    struct Told(AtomicU32);

    impl Waiters for Told {
        fn look_again(&self) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn who_waits_is_told_of_permits_and_of_raised_limits_and_nobody_else_is() {
        let bound = bound(1, [0; 2]);
        let told = Arc::new(Told::default());
        let listener: Weak<Told> = Arc::downgrade(&told);
        bound.set_waiters(listener);
        drop(bound.try_take(Class::Work));
        assert_eq!(told.0.load(Relaxed), 0);
        bound.begin_waiting();
        drop(bound.try_take(Class::Work));
        bound.set_shares(Shares { calls_max: 2, guaranteed: [0; 2] });
        bound.set_most(Class::Work, 1);
        bound.set_most(Class::Work, 2);
        assert_eq!(told.0.load(Relaxed), 3);
        bound.end_waiting();
        drop(bound.try_take(Class::Work));
        assert_eq!(told.0.load(Relaxed), 3);
    }

    #[test]
    fn threads_that_come_and_go_never_exceed_the_whole() {
        let bound = bound(6, [1, 2]);
        std::thread::scope(|scope| {
            for number in 0..4 {
                let bound = &bound;
                scope.spawn(move || {
                    for turn in 0..5_000 {
                        let permit = bound.try_take(COUNTED[(number + turn) % 2]);
                        assert!(bound.used() <= 6);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(bound.used(), 0);
    }

    proptest! {
        #[test]
        fn the_whole_is_never_exceeded_and_a_guarantee_never_refused(
            calls_max in 1_usize..40,
            parts in proptest::array::uniform2(0_usize..20),
            steps in proptest::collection::vec((0_usize..2, any::<bool>()), 0..200),
        ) {
            let mut room = calls_max;
            let guaranteed = parts.map(|part| { let part = part.min(room); room -= part; part });
            let bound = bound(calls_max, guaranteed);
            let mut out: [Vec<Permit>; 2] = Default::default();
            for (index, is_coming) in steps {
                if !is_coming {
                    out[index].pop();
                    continue;
                }
                let used = out[index].len();
                match bound.try_take(COUNTED[index]) {
                    Some(permit) => out[index].push(permit),
                    None => prop_assert!(used >= guaranteed[index]),
                }
                prop_assert!(bound.used() <= calls_max);
                prop_assert_eq!(bound.used(), out.iter().map(Vec::len).sum::<usize>());
            }
        }
    }
}
