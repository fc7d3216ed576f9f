//! The memory of one buffer.

use bytes::Bytes;
use memmap2::{MmapMut, RemapOptions};

/// From this size on memory is a mapping of its own, which whoever frees it gives back to the system at once.
///
/// The allocator has a page for every block above 128 KiB. When another thread frees one, the page is kept until the
/// thread that took it has asked for a hundred more, and the threads of a plugin ask for little else than answers.
pub(super) const MAPPED_MIN: usize = 128 << 10;

/// Memory for some bytes, and how many are in use.
#[derive(Debug)]
pub(super) enum Room {
    Heap(Vec<u8>),
    Mapped(Mapped),
}

/// A mapping of its own.
#[derive(Debug)]
pub(super) struct Mapped {
    map: MmapMut,
    len: usize,
}

/// There is no more memory.
#[derive(Debug)]
pub(super) struct Exhausted;

impl Room {
    /// Room for at least `cap` bytes, and for one, so that the memory has an address of its own.
    pub(super) fn new(cap: usize) -> Result<Self, Exhausted> {
        if cap >= MAPPED_MIN {
            let map = MmapMut::map_anon(cap).map_err(|_| Exhausted)?;
            return Ok(Self::Mapped(Mapped { map, len: 0 }));
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
            Self::Mapped(mapped) => {
                mapped.map[..bytes.len()].copy_from_slice(bytes);
                mapped.len = bytes.len();
            }
        }
        Ok(room)
    }

    pub(super) fn capacity(&self) -> usize {
        match self {
            Self::Heap(bytes) => bytes.capacity(),
            Self::Mapped(mapped) => mapped.map.len(),
        }
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut u8 {
        match self {
            Self::Heap(bytes) => bytes.as_mut_ptr(),
            Self::Mapped(mapped) => mapped.map.as_mut_ptr(),
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
                let mut map = MmapMut::map_anon(cap).map_err(|_| Exhausted)?;
                let len = bytes.len();
                map[..len].copy_from_slice(bytes);
                *self = Self::Mapped(Mapped { map, len });
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
                if mapped.map.len() > mapped.len.saturating_mul(2) {
                    // It is no less right when it stays larger.
                    mapped.resize(mapped.len).ok();
                }
                Bytes::from_owner(mapped)
            }
        }
    }
}

impl Mapped {
    fn resize(&mut self, cap: usize) -> Result<(), Exhausted> {
        // SAFETY: anonymous memory, so no file can end before it; nothing borrows from it, and whoever had its address
        // gets the new one.
        unsafe { self.map.remap(cap, RemapOptions::new().may_move(true)) }.map_err(|_| Exhausted)
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map[..self.len]
    }
}
