//! How often each of very many may act: a bucket for each key, filled by time and emptied by calls.
//!
//! The algorithm is GCRA (ITU-T I.371), by the crate `governor`: of each key one number is kept, the time at which its
//! bucket will be full. governor's own maps do not fit: their quota is fixed when they are made, so that buckets could
//! not outlive a change of settings; they have no cap on keys; and one pass over all of them forgets keys, with calls
//! waiting. So its limiter is made for each decision, which costs nothing but a few moves, around a store of our own:
//!
//! - Keys lie in [`SHARDS`] maps with a lock each, held for one look-up or for the sweep of one map.
//! - A key whose bucket is full says nothing, and is forgotten by the sweep, which takes a tenth of the maps at a time.
//! - At the cap, keys that are not known share [`OVERFLOW_BUCKETS`] buckets: nobody gets in for being one too many.

#[cfg(all(test, feature = "shuttle"))]
mod interleavings;
mod shard;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use governor::RateLimiter;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use protocol::{Bound, Quota};

use shard::Shard;

/// Maps that share the keys. Not a power of two: maps grow by doubling, all at about the same number of keys, and a
/// million keys, the most that settings allow, should fill them well. They take 22 MiB in maps of this number. A model
/// makes them anew for each schedule, and has few keys.
pub const SHARDS: usize = if cfg!(feature = "shuttle") { 2 } else { 80 };

/// Buckets that keys share which found no place of their own.
pub const OVERFLOW_BUCKETS: usize = 256;

/// Sweeps after which every map was looked through.
pub const SWEEPS: usize = 10;

/// How many keys settings allow: at least as many as share buckets, at most what was measured to fit 32 MiB.
pub(crate) const KEYS_RANGE: RangeInclusive<u32> = OVERFLOW_BUCKETS as u32..=1_000_000;

/// Keys where settings say nothing: more clients than one process serves, in 3 MiB.
pub(crate) const DEFAULT_KEYS_MAX: u32 = 100_000;

/// The highest rate and burst that settings allow: more than a process can serve.
pub(crate) const RATE_MAX: u32 = 1_000_000;

/// What is wrong with a setting that must be in `range`.
pub(crate) fn outside(
    key: &'static str,
    value: u32,
    range: RangeInclusive<u32>,
) -> Option<(&'static str, String)> {
    let message = || format!("{value} is outside of {} to {}", range.start(), range.end());
    (!range.contains(&value)).then(|| (key, message()))
}

/// A rate with its burst, ready to be decided by.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    quota: Quota,
    gcra: governor::Quota,
}

impl Rate {
    /// `count` calls in each time of `per`, and `burst` at once. `None`, which is no limit, when either is zero.
    #[must_use]
    pub fn new(class: &'static str, count: u32, per: Duration, burst: u32) -> Option<Self> {
        let period = per.checked_div(count)?;
        let burst = NonZeroU32::new(burst)?;
        let gcra = governor::Quota::with_period(period)?.allow_burst(burst);
        Some(Self { quota: Quota { class, burst, period }, gcra })
    }

    /// What clients are told of it.
    #[must_use]
    pub const fn quota(&self) -> Quota {
        self.quota
    }
}

/// How empty one bucket is, as another process can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Whose it is.
    pub key: u64,
    /// After so many nanoseconds it is full again.
    pub full_in_ns: u64,
}

/// A bucket for each key.
#[derive(Debug)]
pub struct Buckets {
    shards: Box<[Shard]>,
    overflow: Box<[InMemoryState]>,
    keys: Arc<Bound>,
    epoch: Instant,
    next_shard: AtomicUsize,
}

impl Buckets {
    /// No keys yet. `name` is the metric label of the bound on keys.
    #[must_use]
    pub fn new(name: &'static str, keys_max: u32) -> Self {
        let keys = Bound::new(name, keys_max as usize);
        Self {
            shards: (0..SHARDS).map(|_| Shard::new(&keys)).collect(),
            overflow: (0..OVERFLOW_BUCKETS).map(|_| InMemoryState::default()).collect(),
            keys,
            epoch: Instant::now(),
            next_shard: AtomicUsize::new(0),
        }
    }

    /// The bound on keys, for metrics: how many have a bucket, and how often one found no place.
    #[must_use]
    pub const fn keys(&self) -> &Arc<Bound> {
        &self.keys
    }

    /// Follows new settings. Keys above a lowered cap stay until they are forgotten.
    pub fn set_keys_max(&self, keys_max: u32) {
        self.keys.set_limit(keys_max as usize);
    }

    /// Takes a call out of the bucket of `key`.
    ///
    /// # Errors
    /// When the bucket is empty: after which time, counted from `now`, a call would be good.
    pub fn take(&self, key: u64, rate: &Rate, now: Instant) -> Result<(), Duration> {
        let limiter: Limiter<'_> = RateLimiter::new(rate.gcra, self, Reading::default());
        let now = self.since_epoch(now);
        limiter.clock().0.set(now);
        limiter.check_key(&key).map_err(|refused| refused.wait_time_from(now))
    }

    /// Forgets the keys of a tenth of the maps whose buckets are full at `now`, and gives their memory back. To be
    /// called once a second; calls go on meanwhile.
    pub fn sweep(&self, now: Instant) {
        let now_ns = self.since_epoch(now).as_u64();
        for _ in 0..SHARDS.div_ceil(SWEEPS) {
            let next = self.next_shard.fetch_add(1, Relaxed) % SHARDS;
            self.shards[next].sweep(now_ns);
        }
    }

    /// Every bucket that is not full at `now`. Calls go on meanwhile. What keys share that found no place is not told.
    #[must_use]
    pub fn levels(&self, now: Instant) -> Vec<Level> {
        let now_ns = self.since_epoch(now).as_u64();
        self.shards.iter().flat_map(|shard| shard.levels(now_ns)).collect()
    }

    /// Empties buckets to these levels, as of `now`; one that is emptier already stays as it is. Those for whose keys
    /// there is no place are left out.
    pub fn restore(&self, levels: &[Level], now: Instant) {
        let now_ns = self.since_epoch(now).as_u64();
        for level in levels {
            let full_at_ns = now_ns.saturating_add(level.full_in_ns);
            self.shard(level.key).restore(level.key, full_at_ns);
        }
    }

    fn since_epoch(&self, now: Instant) -> Nanos {
        // 584 years fit.
        (now.saturating_duration_since(self.epoch).as_nanos() as u64).into()
    }

    /// The map of a key. Within it, the key's lowest and highest bits are used.
    fn shard(&self, key: u64) -> &Shard {
        let middle = u64::from(key as u32);
        &self.shards[((middle * SHARDS as u64) >> 32) as usize]
    }
}

impl StateStore for &Buckets {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        match self.shard(*key).measure_and_replace(*key, &decide) {
            Some(decided) => decided,
            None => {
                let overflow = &self.overflow[*key as usize % OVERFLOW_BUCKETS];
                overflow.measure_and_replace(&NotKeyed::NonKey, decide)
            }
        }
    }
}

type Limiter<'b> = RateLimiter<u64, &'b Buckets, Reading, NoOpMiddleware<Nanos>>;

/// A clock that was read already: nanoseconds since the buckets were made, which is what a new reading shows.
#[derive(Debug, Default)]
struct Reading(Cell<Nanos>);

impl Clock for Reading {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.get()
    }
}
