//! One map of keys, under its own lock.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use governor::nanos::Nanos;
use protocol::sync::Mutex;
use protocol::{Bound, Share};

use super::Level;

/// When the bucket of each key will be full, in nanoseconds since the epoch of the buckets.
type FullAt = HashMap<u64, u64, BuildHasherDefault<KeyIsHash>>;

/// One map. Its places are counted together with those of all others.
#[derive(Debug)]
pub(super) struct Shard(Mutex<Known>);

#[derive(Debug)]
struct Known {
    full_at: FullAt,
    places: Share,
}

impl Shard {
    pub(super) fn new(keys: &Arc<Bound>) -> Self {
        let places = Share::none(Arc::clone(keys));
        Self(Mutex::new(Known { full_at: FullAt::default(), places }))
    }

    /// Decides by what is known of `key`, and keeps the outcome. `None` when there is no place for one more key.
    pub(super) fn measure_and_replace<T, E>(
        &self,
        key: u64,
        decide: impl Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    ) -> Option<Result<T, E>> {
        let mut known = self.0.lock();
        let Known { full_at, places } = &mut *known;
        let count = full_at.len();
        Some(match full_at.entry(key) {
            Entry::Occupied(mut entry) => {
                decide(Some((*entry.get()).into())).map(|(good, next)| {
                    entry.insert(next.into());
                    good
                })
            }
            Entry::Vacant(place) => {
                if !places.resize(count + 1) {
                    return None;
                }
                // A full bucket has a call to give.
                decide(None).map(|(good, next)| {
                    place.insert(next.into());
                    good
                })
            }
        })
    }

    /// Every key that is not full by `now_ns`.
    pub(super) fn levels(&self, now_ns: u64) -> Vec<Level> {
        let known = self.0.lock();
        let level = |(key, full_at): (&u64, &u64)| {
            let full_in_ns = full_at.checked_sub(now_ns).filter(|left| *left > 0)?;
            Some(Level { key: *key, full_in_ns })
        };
        known.full_at.iter().filter_map(level).collect()
    }

    /// Has the bucket of `key` full no sooner than `full_at_ns`, if there is a place for it.
    pub(super) fn restore(&self, key: u64, full_at_ns: u64) {
        let mut known = self.0.lock();
        let Known { full_at, places } = &mut *known;
        let count = full_at.len();
        match full_at.entry(key) {
            Entry::Occupied(mut entry) => {
                let later = full_at_ns.max(*entry.get());
                entry.insert(later);
            }
            Entry::Vacant(place) => {
                if places.resize(count + 1) {
                    place.insert(full_at_ns);
                }
            }
        }
    }

    /// Forgets what is full by `now_ns`: a key that is not known has a full bucket.
    pub(super) fn sweep(&self, now_ns: u64) {
        let mut known = self.0.lock();
        let Known { full_at, places } = &mut *known;
        full_at.retain(|_, full_at| *full_at > now_ns);
        if full_at.len() < full_at.capacity() / 4 {
            // Some room stays, so that what comes next need not grow at once.
            full_at.shrink_to(full_at.len() * 2);
        }
        let fits = places.resize(full_at.len());
        debug_assert!(fits, "less always fits");
    }
}

/// Keys are keyed hashes already: hashing them again would cost and gain nothing.
#[derive(Debug, Default)]
struct KeyIsHash(u64);

impl Hasher for KeyIsHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only for keys of other kinds, of which there are none.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}
