//! Memory of its own for many bytes, which whoever frees it gives back to the system.
//!
//! The allocator has a page for every block above 128 KiB. When another thread frees one, the page is kept until the
//! thread that took it has asked for a hundred more. Bodies and answers are freed by whoever writes the last of them,
//! so that a few of 16 MiB that were long gone were most of the process.

mod spares;

use bytes::Bytes;
use memmap2::MmapMut;

pub use spares::SPARES_BYTES_MAX;

/// From this size on bytes are worth a mapping.
pub const BYTES_MIN: usize = 128 << 10;

/// A mapping, and how much of it is in use.
#[derive(Debug)]
pub struct Mapped {
    /// At least `cap` bytes; taken out when it ends.
    map: Option<MmapMut>,
    cap: usize,
    len: usize,
}

/// The system has no more memory, or no more mappings for this process.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system gives no more memory")]
pub struct Exhausted;

impl Mapped {
    /// Room for `cap` bytes.
    ///
    /// # Errors
    /// There is no more memory.
    pub fn new(cap: usize) -> Result<Self, Exhausted> {
        Ok(Self { map: Some(spares::take(cap)?), cap, len: 0 })
    }

    /// Room for `cap` bytes, of which the first are `bytes`.
    ///
    /// # Errors
    /// There is no more memory.
    pub fn with(cap: usize, bytes: &[u8]) -> Result<Self, Exhausted> {
        let mut mapped = Self::new(cap.max(bytes.len()))?;
        mapped.put(bytes);
        Ok(mapped)
    }

    /// How many bytes there is room for.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.cap
    }

    /// How many bytes are in use.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether none are.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of the room: what nobody has written is zero, or of somebody before.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.map.as_deref_mut().unwrap_or_default()[..self.cap]
    }

    /// Says how many bytes are in use: those of the room at most.
    pub fn set_len(&mut self, len: usize) {
        self.len = len.min(self.cap);
    }

    /// Appends `bytes`. Room is doubled, so that each byte is moved about once.
    ///
    /// # Errors
    /// There is no more memory; nothing was appended.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), Exhausted> {
        let wanted = self.len.checked_add(bytes.len()).ok_or(Exhausted)?;
        if wanted > self.cap {
            self.grow(wanted.max(self.cap.saturating_mul(2)))?;
        }
        self.put(bytes);
        Ok(())
    }

    /// Makes room for `cap` bytes at least; those in use stay.
    ///
    /// # Errors
    /// There is no more memory; nothing has changed.
    pub fn grow(&mut self, cap: usize) -> Result<(), Exhausted> {
        if cap <= self.mapped_bytes() {
            self.cap = self.cap.max(cap);
            return Ok(());
        }
        *self = Self::with(cap, self.as_ref())?;
        Ok(())
    }

    /// The bytes in use, without much more memory than they need: it is held for as long as they are.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        if self.len < BYTES_MIN {
            return Bytes::copy_from_slice(self.as_ref());
        }
        if self.mapped_bytes() > self.len.saturating_mul(2)
            && let Ok(smaller) = Self::with(self.len, self.as_ref())
        {
            return Bytes::from_owner(smaller);
        }
        Bytes::from_owner(self)
    }

    /// Appends what there is room for.
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        let begin = std::mem::replace(&mut self.len, end);
        self.room()[begin..end].copy_from_slice(bytes);
    }

    /// How much is mapped.
    fn mapped_bytes(&self) -> usize {
        self.map.as_ref().map_or(0, |map| map.len())
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map.as_deref().unwrap_or_default()[..self.len]
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if let Some(map) = self.map.take() {
            spares::give(map);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_while_the_room_grows() {
        let all: Vec<u8> = (0..3_000_000_u32).map(|byte| (byte % 251) as u8).collect();
        let mut mapped = Mapped::new(BYTES_MIN).expect("room");
        for piece in all.chunks(77_777) {
            mapped.append(piece).expect("more room");
        }
        assert!(mapped.capacity() >= all.len() && mapped.capacity() <= 4 * all.len());
        assert_eq!(mapped.len(), all.len());
        assert!(mapped.into_bytes() == all);
    }

    #[test]
    fn room_that_is_mapped_anyway_is_used_before_more_is_asked_for() {
        let mut mapped = Mapped::with(BYTES_MIN + 1, b"begin").expect("room");
        let at = mapped.room().as_ptr();
        mapped.grow(BYTES_MIN + 4_096).expect("more room");
        assert_eq!((mapped.room().as_ptr(), mapped.capacity()), (at, BYTES_MIN + 4_096));
        mapped.grow(2 * BYTES_MIN).expect("more room");
        assert!(mapped.room().len() == 2 * BYTES_MIN && mapped.as_ref() == b"begin");
    }

    #[test]
    fn what_was_much_larger_than_its_bytes_is_held_no_longer() {
        let large = 8 << 20;
        let mut mapped = Mapped::new(large).expect("room");
        mapped.append(&vec![7; BYTES_MIN + 1]).expect("fits");
        let at = mapped.as_ref().as_ptr();
        let bytes = mapped.into_bytes();
        assert!(bytes.as_ptr() != at && bytes == vec![7; BYTES_MIN + 1]);

        let mapped = Mapped::with(large, &vec![7; large / 2]).expect("room");
        let at = mapped.as_ref().as_ptr();
        assert_eq!(mapped.into_bytes().as_ptr(), at, "half of it is in use");

        let few = Mapped::with(large, b"few").expect("room");
        assert_eq!(few.into_bytes(), "few");
    }

    #[test]
    fn more_than_there_is_changes_nothing() {
        let mut mapped = Mapped::with(BYTES_MIN, b"some").expect("room");
        mapped.grow(usize::MAX / 2).expect_err("more than any system has");
        assert_eq!((mapped.as_ref(), mapped.capacity()), (&b"some"[..], BYTES_MIN));
        Mapped::new(usize::MAX).map(|_| ()).expect_err("more than any system has");
    }
}
