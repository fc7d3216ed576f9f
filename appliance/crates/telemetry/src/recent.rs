//! The last refusals of each kind, for an operator who has the id of one.
//!
//! Written by the threads that serve and read by the control thread, with atomics alone: nobody waits for anybody.
//! Each slot is a sequence lock (Boehm, "Can seqlocks get along with programming language memory models?", MSPC 2012)
//! whose words are atomics themselves, so that a torn read is seen and thrown away.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::refusal::CAUSES;
use protocol::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use protocol::sync::atomic::{AtomicU64, fence};
use protocol::{Cause, Refusal, RefusalId, RefusalKind};

/// Words for a scope. Longer ones are cut: names of tools that no client could tell apart any more are rare.
const SCOPE_WORDS: usize = 9;
/// Words of a slot: id, time, principal, limit, wait, generation, cause and length of the scope, then the scope.
const WORDS: usize = 7 + SCOPE_WORDS;

/// A refusal as it is remembered: nothing of the request, and of its sender no more than a hash of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// What its client was told.
    pub id: RefusalId,
    /// What the catalogue says of it.
    pub cause: &'static Cause,
    /// What the bound covers; cut after 72 bytes.
    pub scope: String,
    /// The bound that was reached, in the unit of its key.
    pub limit: Option<u64>,
    /// What the client was told to wait.
    pub retry_after: Option<Duration>,
    /// The hash of who was refused, where that is known. Means nothing in any other process.
    pub principal: Option<u64>,
    /// The generation that judged; 0 before any did.
    pub generation: u64,
    /// When, since 1970.
    pub at: Duration,
}

/// The last refusals, as many of each kind: a flood of one kind leaves those of others alone.
#[derive(Debug)]
pub struct RecentRefusals {
    per_kind: usize,
    /// How many there were of each kind, remembered or not.
    counts: [AtomicU64; RefusalKind::ALL.len()],
    /// Made when the first of its kind comes.
    rings: [OnceLock<Ring>; RefusalKind::ALL.len()],
}

impl RecentRefusals {
    /// Remembers `per_kind` of each kind, which take about 150 bytes each; 0 for none.
    #[must_use]
    pub fn new(per_kind: usize) -> Self {
        let counts = std::array::from_fn(|_| AtomicU64::new(0));
        Self { per_kind, counts, rings: [const { OnceLock::new() }; RefusalKind::ALL.len()] }
    }

    /// Remembers a refusal that `generation` made. Forgets the oldest of its kind.
    pub fn note(&self, refusal: &Refusal, generation: u64) {
        tracing::debug!(
            request = %refusal.id(),
            layer = refusal.layer,
            kind = refusal.kind.as_str(),
            scope = %refusal.scope,
            limit = refusal.limit,
            "Refused."
        );
        self.counts[refusal.kind as usize].fetch_add(1, Relaxed);
        if self.per_kind > 0 {
            let ring = self.rings[refusal.kind as usize].get_or_init(|| Ring::new(self.per_kind));
            ring.put(&words(refusal, generation));
        }
    }

    /// The refusal of this id, unless it was forgotten. Looks at every slot, and waits for nobody.
    #[must_use]
    pub fn find(&self, id: RefusalId) -> Option<Remembered> {
        let mut slots = self.rings.iter().filter_map(OnceLock::get).flat_map(|ring| &ring.slots);
        slots.find_map(|slot| slot.get(id.number())).and_then(|words| remembered(id, &words))
    }

    /// How many refusals clients were told of so far, by their kinds in the order of [`RefusalKind::ALL`].
    #[must_use]
    pub fn counts(&self) -> [u64; RefusalKind::ALL.len()] {
        std::array::from_fn(|kind| self.counts[kind].load(Relaxed))
    }

    /// How many are remembered.
    #[must_use]
    pub fn count(&self) -> usize {
        let kept = |ring: &Ring| {
            usize::try_from(ring.next.load(Relaxed)).unwrap_or(usize::MAX).min(ring.slots.len())
        };
        self.rings.iter().filter_map(OnceLock::get).map(kept).sum()
    }
}

/// The last refusals of one kind.
#[derive(Debug)]
struct Ring {
    slots: Box<[Slot<WORDS>]>,
    /// How many have come.
    next: AtomicU64,
}

impl Ring {
    fn new(count: usize) -> Self {
        Self { slots: (0..count).map(|_| Slot::default()).collect(), next: AtomicU64::new(0) }
    }

    fn put(&self, words: &[u64; WORDS]) {
        let turn = self.next.fetch_add(1, Relaxed) % self.slots.len() as u64;
        // The remainder of a length is an index.
        self.slots[turn as usize].put(words);
    }
}

/// One refusal. The turn is odd while somebody writes.
#[derive(Debug)]
struct Slot<const WORDS: usize> {
    turn: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl<const WORDS: usize> Default for Slot<WORDS> {
    fn default() -> Self {
        Self { turn: AtomicU64::new(0), words: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl<const WORDS: usize> Slot<WORDS> {
    /// Writes, unless another thread does, which was overtaken by a whole ring: then this one is not remembered.
    fn put(&self, words: &[u64; WORDS]) {
        let turn = self.turn.load(Relaxed);
        let is_free = turn.is_multiple_of(2)
            && self.turn.compare_exchange(turn, turn + 1, Acquire, Relaxed).is_ok();
        if !is_free {
            return;
        }
        fence(Release);
        for (slot, word) in self.words.iter().zip(words) {
            slot.store(*word, Relaxed);
        }
        self.turn.store(turn + 2, Release);
    }

    /// What is written here, if it has this id and nobody is writing.
    fn get(&self, id: u64) -> Option<[u64; WORDS]> {
        let turn = self.turn.load(Acquire);
        if turn == 0 || !turn.is_multiple_of(2) || self.words[0].load(Relaxed) != id {
            return None;
        }
        let words = std::array::from_fn(|number| self.words[number].load(Relaxed));
        fence(Acquire);
        (self.turn.load(Relaxed) == turn && words[0] == id).then_some(words)
    }
}

/// No bound, no wait.
const NONE: u64 = u64::MAX;

fn words(refusal: &Refusal, generation: u64) -> [u64; WORDS] {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(NONE - 1);
    let is_its = |cause: &Cause| {
        cause.kind == refusal.kind && cause.layer == refusal.layer && cause.covers(&refusal.scope)
    };
    let cause = CAUSES.iter().position(is_its).unwrap_or(CAUSES.len());
    let scope = &refusal.scope[..refusal.scope.floor_char_boundary(SCOPE_WORDS * 8)];
    let mut words = [0; WORDS];
    words[..7].copy_from_slice(&[
        refusal.id().number(),
        ms(at),
        refusal.principal.map_or(0, protocol::Principal::key),
        refusal.limit.unwrap_or(NONE),
        refusal.retry_after().map_or(NONE, ms),
        generation,
        (cause as u64) << 32 | scope.len() as u64,
    ]);
    for (word, bytes) in words[7..].iter_mut().zip(scope.as_bytes().chunks(8)) {
        let mut whole = [0; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_le_bytes(whole);
    }
    words
}

/// `None` for what is in no catalogue.
fn remembered(id: RefusalId, words: &[u64; WORDS]) -> Option<Remembered> {
    let [_, at_ms, principal, limit, wait_ms, generation, cause, scope @ ..] = words;
    let bytes: Vec<u8> = scope.iter().flat_map(|word| word.to_le_bytes()).collect();
    let length = (cause & 0xffff_ffff) as usize;
    Some(Remembered {
        id,
        cause: CAUSES.get((cause >> 32) as usize)?,
        scope: String::from_utf8_lossy(bytes.get(..length)?).into_owned(),
        limit: (*limit != NONE).then_some(*limit),
        retry_after: (*wait_ms != NONE).then(|| Duration::from_millis(*wait_ms)),
        principal: (*principal != 0).then_some(*principal),
        generation: *generation,
        at: Duration::from_millis(*at_ms),
    })
}

#[cfg(all(test, feature = "loom"))]
mod interleavings;
#[cfg(test)]
mod tests {
    use protocol::Principal;

    use super::*;

    fn refusal(scope: String) -> Refusal {
        Refusal::new(RefusalKind::PluginBusy, "bulkhead", scope, "Busy.")
            .with_limit(7)
            .with_retry_after(Duration::from_secs(2))
            .for_principal(Principal::local())
    }

    fn overloaded() -> Refusal {
        Refusal::new(RefusalKind::Overloaded, "concurrency", "process", "Full.")
    }

    #[test]
    fn what_was_noted_is_found_with_all_that_an_operator_may_know() {
        let recent = RecentRefusals::new(4);
        let refusal = refusal("tool:search".to_owned());
        recent.note(&refusal, 3);
        let found = recent.find(refusal.id()).expect("it is recent");
        assert_eq!((found.cause.kind, found.cause.layer), (refusal.kind, "bulkhead"));
        assert_eq!((&*found.scope, found.limit, found.generation), ("tool:search", Some(7), 3));
        assert_eq!(found.retry_after, refusal.retry_after());
        assert_eq!(found.principal, Some(Principal::local().key()));
        assert!(found.at > Duration::from_secs(1_700_000_000), "{:?}", found.at);
        assert_eq!(recent.find(overloaded().id()), None);
    }

    #[test]
    fn a_long_name_is_cut_between_two_characters() {
        let recent = RecentRefusals::new(4);
        let refusal = refusal(format!("tool:{}", "\u{e9}".repeat(100)));
        recent.note(&refusal, 1);
        let found = recent.find(refusal.id()).expect("it is recent");
        assert_eq!(found.scope, format!("tool:{}", "\u{e9}".repeat(33)));
    }

    #[test]
    fn a_flood_of_one_kind_forgets_its_own_alone() {
        let recent = RecentRefusals::new(4);
        let rare = refusal("plugin:files".to_owned());
        recent.note(&rare, 1);
        let flood: Vec<_> = (0..100).map(|_| overloaded()).collect();
        flood.iter().for_each(|refusal| recent.note(refusal, 1));
        assert!(recent.find(rare.id()).is_some());
        let kept = flood.iter().filter(|refusal| recent.find(refusal.id()).is_some()).count();
        assert_eq!((kept, recent.count()), (4, 5));
        assert!(recent.find(flood[99].id()).is_some() && recent.find(flood[95].id()).is_none());
    }

    #[test]
    fn without_room_nothing_is_remembered() {
        let recent = RecentRefusals::new(0);
        let refusal = overloaded();
        recent.note(&refusal, 1);
        assert_eq!((recent.find(refusal.id()), recent.count()), (None, 0));
        let mut counts = [0; RefusalKind::ALL.len()];
        counts[refusal.kind as usize] = 1;
        assert_eq!(recent.counts(), counts, "counted all the same");
    }

    #[test]
    fn whoever_reads_while_others_write_reads_one_refusal_or_none() {
        let recent = RecentRefusals::new(2);
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0_u64..2)
                .map(|writer| {
                    let recent = &recent;
                    scope.spawn(move || {
                        for turn in 0_u64..2_000 {
                            let number = turn * 2 + writer;
                            let refusal = refusal(format!("tool:{number}")).with_limit(number);
                            recent.note(&refusal, number);
                            if let Some(found) = recent.find(refusal.id()) {
                                assert_eq!(found.generation, number);
                                assert_eq!(found.limit, Some(number));
                                assert_eq!(found.scope, format!("tool:{number}"));
                            }
                        }
                    })
                })
                .collect();
            writers.into_iter().for_each(|writer| writer.join().expect("no torn read"));
        });
    }
}
