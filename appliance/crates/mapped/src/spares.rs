//! Mappings that wait to be used again: the first touch of each page takes the kernel longer than all else that is done
//! with its bytes.

use std::sync::LazyLock;

use crossbeam_queue::ArrayQueue;
use memmap2::MmapMut;

use crate::{BYTES_MIN, Exhausted};

/// Up to this size mappings are used again. 1 MiB, so that few of them are never much memory.
const SPARE_MAX: usize = 1 << 20;
/// Mappings of each size that wait: all of them are 7.5 MiB.
const SPARES_MAX: usize = 4;

/// How many sizes there are: each is twice the one before, from [`BYTES_MIN`] to [`SPARE_MAX`].
const SIZES: usize = (SPARE_MAX / BYTES_MIN).ilog2() as usize + 1;

/// By size.
static SPARES: LazyLock<[ArrayQueue<MmapMut>; SIZES]> =
    LazyLock::new(|| std::array::from_fn(|_| ArrayQueue::new(SPARES_MAX)));

/// Where mappings for so many bytes wait, and the size that they have; `None`: they are not used again.
fn spares(cap: usize) -> Option<(&'static ArrayQueue<MmapMut>, usize)> {
    let size = cap.max(BYTES_MIN).checked_next_power_of_two()?;
    let index = (size / BYTES_MIN).ilog2() as usize;
    SPARES.get(index).map(|spares| (spares, size))
}

/// A mapping of `cap` bytes at least.
pub(crate) fn take(cap: usize) -> Result<MmapMut, Exhausted> {
    let (spares, size) = spares(cap).unzip();
    match spares.and_then(ArrayQueue::pop) {
        Some(map) => Ok(map),
        None => MmapMut::map_anon(size.unwrap_or(cap)).map_err(|_| Exhausted),
    }
}

/// Keeps a mapping for whoever comes next, if not enough of its size wait already.
pub(crate) fn give(map: MmapMut) {
    if let Some((spares, size)) = spares(map.len())
        && size == map.len()
    {
        // One more than may wait goes back to the system.
        drop(spares.push(map));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_mappings_of_each_size_wait_to_be_used_again() {
        let sizes = [1, BYTES_MIN, BYTES_MIN + 1, SPARE_MAX / 2, SPARE_MAX / 2 + 1, SPARE_MAX];
        for cap in sizes {
            let (spares, size) = spares(cap).expect("used again");
            assert!(cap <= size && size < 2 * cap.max(BYTES_MIN), "{size} for {cap}");
            let held: Vec<_> = (0..=SPARES_MAX).map(|_| take(cap).expect("room")).collect();
            assert!(held.iter().all(|map| map.len() == size));
            held.into_iter().for_each(give);
            // Tests beside this one take some, each fewer than all.
            assert!(!spares.is_empty() && spares.capacity() == SPARES_MAX);
        }
        assert!(spares(SPARE_MAX + 1).is_none());
        assert!(spares(usize::MAX).is_none());
    }
}
