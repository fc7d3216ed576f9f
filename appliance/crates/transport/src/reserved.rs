//! Bytes that keep what they hold, a place in the ledger of bodies first of all, for as long as anybody has a piece of
//! them.

use bytes::Bytes;
use protocol::{Held, Share};

/// What goes through the house and through a socket in one piece: not worth an allocation of its own.
pub(crate) const SMALL_BYTES: usize = 4 << 10;

/// `text`, whose bytes `share` counts until its last slice is gone.
pub(crate) fn with_share(text: Bytes, share: Option<Share>) -> Bytes {
    match share {
        Some(mut share) => {
            // What did not declare its size reserved whole steps. Less always succeeds.
            let bytes = share.held().min(text.len());
            share.resize_anyway(bytes);
            Bytes::from_owner(Keeping { bytes: text, _kept: share })
        }
        None => text,
    }
}

/// `message`, which keeps `held` until the last of it was written. A body is dropped when its last frame is handed on:
/// for a large one, long before the client has read it.
pub(crate) fn with_held(message: Bytes, held: Held) -> Bytes {
    Bytes::from_owner(Keeping { bytes: message, _kept: held })
}

struct Keeping<K> {
    bytes: Bytes,
    _kept: K,
}

impl<K> AsRef<[u8]> for Keeping<K> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use protocol::Bound;

    use super::*;

    #[test]
    fn the_last_slice_gives_the_bytes_back() {
        let ledger = Bound::new("ledger", 100);
        let mut share = Share::none(Arc::clone(&ledger));
        assert!(share.resize(64));
        let text = with_share(Bytes::from_static(b"a body"), Some(share));
        assert_eq!((&text[..], ledger.used()), (&b"a body"[..], 6));
        let slice = text.slice(2..3);
        drop(text);
        assert_eq!(ledger.used(), 6);
        drop(slice);
        assert_eq!(ledger.used(), 0);
    }
}
