//! Mappings that wait to be used again: the first touch of each page takes the kernel longer than all else that is done
//! with its bytes.

use std::collections::VecDeque;
use std::sync::Mutex;

use memmap2::MmapMut;

use crate::{BYTES_MIN, Exhausted};

/// Most bytes of mappings that wait: the largest body of a usual call and its answer, or 64 of the smallest.
pub const SPARES_BYTES_MAX: usize = 8 << 20;
/// Larger ones do not wait: one would be all.
const SPARE_BYTES_MAX: usize = SPARES_BYTES_MAX / 2;
/// Sizes are so many parts of a power of two apart, so that bytes of about the same length share mappings. Those that
/// are used again were touched whole: an eighth at most is held for nothing, as with the allocator.
const STEPS: usize = 8;

/// Of the whole process. Nobody waits for it: whoever finds it taken does without.
static SPARES: Mutex<Spares> = Mutex::new(Spares { maps: VecDeque::new(), bytes: 0 });

/// A mapping of `cap` bytes at least.
pub(crate) fn take(cap: usize) -> Result<MmapMut, Exhausted> {
    let size = size_for(cap).ok_or(Exhausted)?;
    let spare = SPARES.try_lock().ok().and_then(|mut spares| spares.take(size));
    match spare {
        Some(map) => Ok(map),
        None => MmapMut::map_anon(size).map_err(|_| Exhausted),
    }
}

/// Keeps a mapping for whoever comes next.
pub(crate) fn give(map: MmapMut) {
    if map.len() > SPARE_BYTES_MAX {
        return;
    }
    // What goes back to the system does so when nobody is kept from the others.
    let _over = SPARES.try_lock().ok().map(|mut spares| spares.give(map));
}

/// The size of a mapping for so many bytes; `None`: there is none so large.
fn size_for(cap: usize) -> Option<usize> {
    let cap = cap.max(BYTES_MIN);
    cap.checked_next_multiple_of((1 << cap.ilog2()) / STEPS)
}

/// From the one that has waited longest to the one that came last.
#[derive(Debug)]
struct Spares {
    maps: VecDeque<MmapMut>,
    bytes: usize,
}

impl Spares {
    /// One of `size` bytes: the last that came, which is the likeliest to be in a cache.
    fn take(&mut self, size: usize) -> Option<MmapMut> {
        let at = self.maps.iter().rposition(|map| map.len() == size)?;
        let map = self.maps.remove(at)?;
        self.bytes -= map.len();
        Some(map)
    }

    /// Keeps `map`, and returns those that are too much now.
    fn give(&mut self, map: MmapMut) -> Vec<MmapMut> {
        self.bytes += map.len();
        self.maps.push_back(map);
        let mut over = Vec::new();
        while self.bytes > SPARES_BYTES_MAX
            && let Some(oldest) = self.maps.pop_front()
        {
            self.bytes -= oldest.len();
            over.push(oldest);
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(size: usize) -> MmapMut {
        MmapMut::map_anon(size).expect("room")
    }

    #[test]
    fn sizes_are_an_eighth_apart() {
        assert_eq!([0, 1, BYTES_MIN].map(size_for), [Some(BYTES_MIN); 3]);
        assert_eq!(size_for(BYTES_MIN + 1), Some(BYTES_MIN + BYTES_MIN / STEPS));
        for cap in [BYTES_MIN + 1, 700_001, SPARE_BYTES_MAX - 1, SPARE_BYTES_MAX + 1, 1 << 40] {
            let size = size_for(cap).expect("a size");
            assert!(cap <= size && size - cap < cap / STEPS, "{size} for {cap}");
        }
        assert_eq!(size_for(usize::MAX), None);
    }

    #[test]
    fn what_waits_is_used_by_bytes_of_its_size() {
        let mut spares = Spares { maps: VecDeque::new(), bytes: 0 };
        let (size, larger) = (4 * BYTES_MIN, 5 * BYTES_MIN);
        let given = [size, larger, size].map(map);
        let last = given[2].as_ptr();
        given.into_iter().for_each(|map| drop(spares.give(map)));
        assert_eq!(spares.take(size).map(|map| map.as_ptr()), Some(last));
        let lengths = [size, size, larger + 1].map(|size| spares.take(size).map(|map| map.len()));
        assert_eq!(lengths, [Some(size), None, None]);
        assert_eq!((spares.bytes, spares.maps.len()), (larger, 1));
    }

    #[test]
    fn what_has_waited_longest_makes_room() {
        let mut spares = Spares { maps: VecDeque::new(), bytes: 0 };
        for _ in 0..SPARES_BYTES_MAX / BYTES_MIN {
            assert!(spares.give(map(BYTES_MIN)).is_empty());
        }
        let over = spares.give(map(BYTES_MIN + 1));
        assert_eq!(over.iter().map(|map| map.len()).collect::<Vec<_>>(), [BYTES_MIN; 2]);
        assert!(spares.bytes <= SPARES_BYTES_MAX);
        assert_eq!(spares.bytes, spares.maps.iter().map(|map| map.len()).sum::<usize>());
    }

    #[test]
    fn threads_that_come_at_once_get_mappings_of_their_own() {
        std::thread::scope(|scope| {
            for byte in 0..4 {
                scope.spawn(move || {
                    for _ in 0..200 {
                        let mut map = take(BYTES_MIN).expect("room");
                        map[..64].fill(byte);
                        std::thread::yield_now();
                        assert!(map[..64].iter().all(|found| *found == byte));
                        give(map);
                    }
                });
            }
        });
    }
}
