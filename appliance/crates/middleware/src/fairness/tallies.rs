//! How many of each client there are, for any number of clients in a fixed place.

use std::sync::Arc;

use protocol::sync::atomic::{AtomicU32, Ordering::SeqCst};
use protocol::{ClassBound, Keeper, Permit};

/// Counters in a row; a power of two. A model makes them anew for each schedule, and has few clients.
const COUNTERS: usize = if cfg!(feature = "shuttle") { 4 } else { 4_096 };

/// Counts by client in two rows of counters; a client has one in each, and the lower one is its count. So no client
/// ever has more than its count says, and one is thought to have more than it has only while both of its counters are
/// shared with busy ones: for 16 busy clients once in 60000. Nothing is locked, allocated or forgotten.
///
/// Source: the count-min sketch of Cormode and Muthukrishnan, 2005, used for fairness as in Stochastic Fair Blue by
/// Feng, Kandlur, Saha and Shin, 2001.
#[derive(Debug)]
pub(super) struct Tallies {
    rows: [Box<[AtomicU32]>; 2],
    /// Whose waiters are told when a count falls.
    told: Option<Arc<ClassBound>>,
}

impl Tallies {
    /// Nothing counted.
    pub(super) fn new(told: Option<Arc<ClassBound>>) -> Self {
        let row = || (0..COUNTERS).map(|_| AtomicU32::new(0)).collect();
        Self { rows: [row(), row()], told }
    }

    /// Keys are keyed hashes: any of their bits are as good as others.
    fn counters(&self, key: u64) -> [&AtomicU32; 2] {
        [&self.rows[0][key as usize % COUNTERS], &self.rows[1][(key >> 32) as usize % COUNTERS]]
    }

    /// How many of a client there are, or more.
    pub(super) fn of(&self, key: u64) -> u32 {
        let [one, other] = self.counters(key);
        one.load(SeqCst).min(other.load(SeqCst))
    }

    /// Counts one more, also above every limit; how many there were.
    pub(super) fn add_anyway(&self, key: u64) -> u32 {
        let [one, other] = self.counters(key);
        one.fetch_add(1, SeqCst).min(other.fetch_add(1, SeqCst))
    }

    /// Counts one more of a client that has fewer than `limit`.
    pub(super) fn add(&self, key: u64, limit: u32) -> bool {
        let is_within = self.add_anyway(key) < limit;
        if !is_within {
            self.subtract(key);
        }
        is_within
    }

    /// Takes one back, and tells nobody.
    pub(super) fn subtract(&self, key: u64) {
        for counter in self.counters(key) {
            counter.fetch_sub(1, SeqCst);
        }
    }

    /// What gives one back that was counted.
    pub(super) fn permit(self: &Arc<Self>, key: u64) -> Permit {
        Permit::new(Arc::clone(self) as Arc<dyn Keeper>, key)
    }
}

impl Keeper for Tallies {
    fn give_back(&self, key: u64) {
        self.subtract(key);
        if let Some(bound) = &self.told {
            bound.tell_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_client_up_to_its_limit() {
        let tallies = Arc::new(Tallies::new(None));
        let (one, other) = (1 << 32 | 1, 2 << 32 | 2);
        assert!(tallies.add(one, 2) && tallies.add(one, 2) && !tallies.add(one, 2));
        assert!(tallies.add(other, 2));
        drop(tallies.permit(one));
        assert_eq!((tallies.of(one), tallies.of(other)), (1, 1));
    }

    #[test]
    fn a_client_that_shares_one_counter_is_not_held_back() {
        let tallies = Tallies::new(None);
        let (busy, shares) = (1 << 32 | 1, 2 << 32 | 1);
        for number in 0..100 {
            assert_eq!(tallies.add_anyway(busy), number);
        }
        assert_eq!((tallies.of(busy), tallies.of(shares)), (100, 0));
        assert!(tallies.add(shares, 1));
    }
}
