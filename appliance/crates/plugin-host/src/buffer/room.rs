//! The memory of one buffer.

use bytes::Bytes;
use mapped::{BYTES_MIN, Exhausted, Mapped};

/// Memory for some bytes, and how many are in use: a mapping if they are many.
#[derive(Debug)]
pub(super) enum Room {
    Heap(Vec<u8>),
    Mapped(Mapped),
}

impl Room {
    /// Room for at least `cap` bytes, and for one, so that the memory has an address of its own.
    pub(super) fn new(cap: usize) -> Result<Self, Exhausted> {
        if cap >= BYTES_MIN {
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
            Self::Mapped(mapped) => mapped.append(bytes)?,
        }
        Ok(room)
    }

    pub(super) fn capacity(&self) -> usize {
        match self {
            Self::Heap(bytes) => bytes.capacity(),
            Self::Mapped(mapped) => mapped.capacity(),
        }
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut u8 {
        match self {
            Self::Heap(bytes) => bytes.as_mut_ptr(),
            Self::Mapped(mapped) => mapped.room().as_mut_ptr(),
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
            Self::Mapped(mapped) => mapped.set_len(len),
        }
    }

    /// Makes room for `cap` bytes at least; those in use stay. What fails changes nothing.
    pub(super) fn grow(&mut self, cap: usize) -> Result<(), Exhausted> {
        match self {
            Self::Heap(bytes) if cap < BYTES_MIN => {
                bytes.try_reserve_exact(cap.saturating_sub(bytes.len())).map_err(|_| Exhausted)
            }
            Self::Heap(bytes) => {
                *self = Self::Mapped(Mapped::with(cap, bytes)?);
                Ok(())
            }
            Self::Mapped(mapped) => mapped.grow(cap),
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
            Self::Mapped(mapped) => mapped.into_bytes(),
        }
    }
}
