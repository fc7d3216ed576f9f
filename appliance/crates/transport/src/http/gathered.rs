//! The pieces of a body on their way to be one.

use bytes::{Bytes, BytesMut};
use mapped::{BYTES_MIN, Mapped};

/// What has come of a body. A single piece is not copied; many bytes have a mapping.
#[derive(Debug)]
pub(super) enum Gathered {
    One(Bytes),
    Heap(BytesMut),
    Mapped(Mapped),
}

impl Gathered {
    /// Nothing yet.
    pub(super) const fn new() -> Self {
        Self::One(Bytes::new())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(bytes) => bytes.len(),
            Self::Heap(bytes) => bytes.len(),
            Self::Mapped(bytes) => bytes.len(),
        }
    }

    /// Appends `piece` to a body that will have `whole` bytes, as far as that is known.
    pub(super) fn push(&mut self, piece: Bytes, whole: usize) {
        let bytes = self.len() + piece.len();
        let is_in = match self {
            Self::One(first) if first.is_empty() => {
                *first = piece;
                return;
            }
            Self::Heap(heap) if bytes < BYTES_MIN || bytes <= heap.capacity() => {
                heap.extend_from_slice(&piece);
                true
            }
            Self::Mapped(mapped) => mapped.append(&piece).is_ok(),
            Self::One(_) | Self::Heap(_) => false,
        };
        if !is_in {
            *self = self.moved(&piece, whole.max(bytes));
        }
    }

    /// The same and `piece`, where there is room for `whole` bytes. What the system does not map the allocator may
    /// still have.
    fn moved(&self, piece: &[u8], whole: usize) -> Self {
        if whole >= BYTES_MIN
            && let Ok(mut mapped) = Mapped::with(whole, self.as_ref())
            && mapped.append(piece).is_ok()
        {
            return Self::Mapped(mapped);
        }
        let mut heap = BytesMut::with_capacity(whole);
        heap.extend_from_slice(self.as_ref());
        heap.extend_from_slice(piece);
        Self::Heap(heap)
    }

    /// All of it.
    pub(super) fn into_bytes(self) -> Bytes {
        match self {
            Self::One(bytes) => bytes,
            Self::Heap(bytes) => bytes.freeze(),
            Self::Mapped(bytes) => bytes.into_bytes(),
        }
    }
}

impl AsRef<[u8]> for Gathered {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::One(bytes) => bytes,
            Self::Heap(bytes) => bytes,
            Self::Mapped(bytes) => bytes.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_single_piece_is_not_copied() {
        let piece = Bytes::from(vec![b'x'; 2 * BYTES_MIN]);
        let mut gathered = Gathered::new();
        gathered.push(piece.clone(), piece.len());
        assert_eq!(gathered.into_bytes().as_ptr(), piece.as_ptr());
    }

    #[test]
    fn many_bytes_have_a_mapping_as_soon_as_that_is_known() {
        let piece = Bytes::from(vec![b'x'; 1_024]);
        let (mut known, mut unknown) = (Gathered::new(), Gathered::new());
        for _ in 0..2 {
            known.push(piece.clone(), BYTES_MIN);
            unknown.push(piece.clone(), 0);
        }
        assert!(matches!(known, Gathered::Mapped(_)));
        assert!(matches!(unknown, Gathered::Heap(_)));
        while unknown.len() <= BYTES_MIN {
            unknown.push(piece.clone(), 0);
        }
        assert!(matches!(unknown, Gathered::Mapped(_)));
    }

    proptest! {
        #[test]
        fn nothing_is_lost(
            sizes in prop::collection::vec(0..100_000_usize, 0..8),
            whole in 0..400_000_usize,
        ) {
            let mut bytes = (0..=250_u8).cycle();
            let mut gathered = Gathered::new();
            let mut all = Vec::new();
            for size in sizes {
                let piece: Vec<u8> = bytes.by_ref().take(size).collect();
                all.extend_from_slice(&piece);
                gathered.push(piece.into(), whole);
                prop_assert_eq!(gathered.len(), all.len());
            }
            prop_assert!(gathered.into_bytes() == all);
        }
    }
}
