//! Text that keeps its place in the ledger of bodies for as long as anybody has a piece of it.

use bytes::Bytes;
use protocol::Share;

/// `text`, whose bytes `share` counts until its last slice is gone.
pub(crate) fn with_share(text: Bytes, share: Option<Share>) -> Bytes {
    match share {
        Some(mut share) => {
            // What did not declare its size reserved whole steps. Less always succeeds.
            let bytes = share.held().min(text.len());
            share.resize_anyway(bytes);
            Bytes::from_owner(Reserved { text, _share: share })
        }
        None => text,
    }
}

struct Reserved {
    text: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Reserved {
    fn as_ref(&self) -> &[u8] {
        &self.text
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
