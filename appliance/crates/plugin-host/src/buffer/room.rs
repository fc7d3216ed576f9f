//! The memory of one buffer.

use std::sync::LazyLock;

use bytes::Bytes;
use crossbeam_queue::ArrayQueue;
use memmap2::{MmapMut, RemapOptions};

/// From this size on memory is a mapping of its own, which whoever frees it can give back to the system at once.
///
/// The allocator has a page for every block above 128 KiB. When another thread frees one, the page is kept until the
/// thread that took it has asked for a hundred more, and the threads of a plugin ask for little else than answers.
pub(super) const MAPPED_MIN: usize = 128 << 10;
/// Up to this size mappings are used again: the first touch of each page takes the kernel longer than all else that is
/// done with its bytes. 1 MiB, so that few of them are never much memory.
const SPARE_MAX: usize = 1 << 20;
/// Mappings of each size that wait to be used again: those of all plugins together keep 7.5 MiB at most.
const SPARES_MAX: usize = 4;

/// How many sizes there are: each is twice the one before, from [`MAPPED_MIN`] to [`SPARE_MAX`].
const SIZES: usize = (SPARE_MAX / MAPPED_MIN).ilog2() as usize + 1;

/// By size.
static SPARES: LazyLock<[ArrayQueue<MmapMut>; SIZES]> =
    LazyLock::new(|| std::array::from_fn(|_| ArrayQueue::new(SPARES_MAX)));

/// Where mappings of so many bytes wait, and the size that they have; `None`: they are not used again.
fn spares(cap: usize) -> Option<(&'static ArrayQueue<MmapMut>, usize)> {
    let size = cap.max(MAPPED_MIN).checked_next_power_of_two()?;
    let index = (size / MAPPED_MIN).ilog2() as usize;
    SPARES.get(index).map(|spares| (spares, size))
}

/// Memory for some bytes, and how many are in use.
#[derive(Debug)]
pub(super) enum Room {
    Heap(Vec<u8>),
    Mapped(Mapped),
}

/// A mapping of its own.
#[derive(Debug)]
pub(super) struct Mapped {
    /// At least `cap` bytes; taken out when it ends.
    map: Option<MmapMut>,
    cap: usize,
    len: usize,
}

/// There is no more memory.
#[derive(Debug)]
pub(super) struct Exhausted;

impl Room {
    /// Room for at least `cap` bytes, and for one, so that the memory has an address of its own.
    pub(super) fn new(cap: usize) -> Result<Self, Exhausted> {
        if cap >= MAPPED_MIN {
            return Mapped::new(cap).map(Self::Mapped);
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(cap.max(1)).map_err(|_| Exhausted)?;
        Ok(Self::Heap(bytes))
    }

    /// Room that holds a copy of `bytes`.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, Exhausted> {
        let mut room = Self::new(bytes.len())?;
        match &mut room {
            Self::Heap(heap) => heap.extend_from_slice(bytes),
            Self::Mapped(mapped) => mapped.fill(bytes),
        }
        Ok(room)
    }

    pub(super) fn capacity(&self) -> usize {
        match self {
            Self::Heap(bytes) => bytes.capacity(),
            Self::Mapped(mapped) => mapped.cap,
        }
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut u8 {
        match self {
            Self::Heap(bytes) => bytes.as_mut_ptr(),
            Self::Mapped(mapped) => mapped.all_mut().as_mut_ptr(),
        }
    }

    /// Says how many bytes are in use.
    ///
    /// # Safety
    /// `len` is at most the capacity, and so many bytes were written.
    pub(super) unsafe fn set_len(&mut self, len: usize) {
        match self {
            // SAFETY: as the caller vouches.
            Self::Heap(bytes) => unsafe { bytes.set_len(len) },
            Self::Mapped(mapped) => mapped.len = len,
        }
    }

    /// Makes room for `cap` bytes at least; those in use stay. What fails changes nothing.
    pub(super) fn grow(&mut self, cap: usize) -> Result<(), Exhausted> {
        match self {
            Self::Heap(bytes) if cap < MAPPED_MIN => {
                bytes.try_reserve_exact(cap.saturating_sub(bytes.len())).map_err(|_| Exhausted)
            }
            Self::Heap(bytes) => {
                let mut mapped = Mapped::new(cap)?;
                mapped.fill(bytes);
                *self = Self::Mapped(mapped);
                Ok(())
            }
            Self::Mapped(mapped) => mapped.resize(cap),
        }
    }

    /// The bytes in use, without much more memory than they need: it is held for as long as the answer is.
    pub(super) fn into_bytes(self) -> Bytes {
        match self {
            Self::Heap(mut bytes) => {
                if bytes.capacity() > bytes.len().saturating_mul(2).max(4_096) {
                    bytes.shrink_to_fit();
                }
                bytes.into()
            }
            Self::Mapped(mapped) if mapped.len < MAPPED_MIN => {
                Bytes::copy_from_slice(mapped.as_ref())
            }
            Self::Mapped(mut mapped) => {
                if mapped.mapped_bytes() > mapped.len.saturating_mul(2) {
                    // It is no less right when it stays larger.
                    mapped.resize(mapped.len).ok();
                }
                Bytes::from_owner(mapped)
            }
        }
    }
}

impl Mapped {
    fn new(cap: usize) -> Result<Self, Exhausted> {
        let (spares, size) = spares(cap).unzip();
        let map = match spares.and_then(ArrayQueue::pop) {
            Some(map) => map,
            None => MmapMut::map_anon(size.unwrap_or(cap)).map_err(|_| Exhausted)?,
        };
        Ok(Self { map: Some(map), cap, len: 0 })
    }

    /// Makes room for `cap` bytes, which is at least what is in use.
    fn resize(&mut self, cap: usize) -> Result<(), Exhausted> {
        let size = spares(cap).map_or(cap, |(_, size)| size);
        if let Some(map) = self.map.as_mut().filter(|map| map.len() != size) {
            // SAFETY: anonymous memory, so no file can end before it; nothing borrows from it, and whoever had its
            // address gets the new one.
            unsafe { map.remap(size, RemapOptions::new().may_move(true)) }
                .map_err(|_| Exhausted)?;
        }
        self.cap = cap;
        Ok(())
    }

    /// How much is mapped.
    fn mapped_bytes(&self) -> usize {
        self.map.as_ref().map_or(0, |map| map.len())
    }

    fn all_mut(&mut self) -> &mut [u8] {
        self.map.as_deref_mut().unwrap_or_default()
    }

    fn fill(&mut self, bytes: &[u8]) {
        self.all_mut()[..bytes.len()].copy_from_slice(bytes);
        self.len = bytes.len();
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map.as_deref().unwrap_or_default()[..self.len]
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let Some(map) = self.map.take() else { return };
        if let Some((spares, size)) = spares(map.len())
            && size == map.len()
        {
            // One more than may wait goes back to the system.
            drop(spares.push(map));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_mappings_of_each_size_wait_to_be_used_again() {
        let sizes = [MAPPED_MIN, MAPPED_MIN + 1, SPARE_MAX / 2, SPARE_MAX / 2 + 1, SPARE_MAX];
        for cap in sizes {
            let (spares, size) = spares(cap).expect("used again");
            assert!(cap <= size && size < 2 * cap, "{size} for {cap}");
            let held: Vec<_> = (0..=SPARES_MAX).map(|_| Mapped::new(cap).expect("room")).collect();
            assert!(held.iter().all(|mapped| mapped.mapped_bytes() == size && mapped.cap == cap));
            drop(held);
            // Tests beside this one take some, each fewer than all.
            assert!(!spares.is_empty() && spares.capacity() == SPARES_MAX);
        }
        assert!(spares(SPARE_MAX + 1).is_none());
        assert!(spares(usize::MAX).is_none());
    }

    #[test]
    fn what_was_much_larger_than_its_bytes_is_cut_to_a_size_that_waits() {
        let mut mapped = Mapped::new(8 * SPARE_MAX).expect("room");
        mapped.fill(&vec![7; SPARE_MAX - 1]);
        let bytes = Room::Mapped(mapped).into_bytes();
        assert!(bytes.len() == SPARE_MAX - 1 && bytes.iter().all(|byte| *byte == 7));
        let mut mapped = Mapped::new(SPARE_MAX).expect("room");
        mapped.resize(MAPPED_MIN + 1).expect("less room");
        assert_eq!(mapped.mapped_bytes(), 2 * MAPPED_MIN);
    }
}
