//! The profile that serves, for those who show it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use profile::Loaded;

/// A profile and its text for `/admin/plan`.
pub(super) struct Shown {
    pub(super) loaded: Loaded,
    pub(super) json: Bytes,
}

/// The profile that serves.
pub(super) struct Effective(ArcSwap<Shown>);

impl Effective {
    pub(super) fn new(loaded: Loaded) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(Shown::of(loaded))))
    }

    /// The one at this moment.
    pub(super) fn load(&self) -> Arc<Shown> {
        self.0.load_full()
    }

    /// Shows another one from now on.
    pub(super) fn follow(&self, loaded: Loaded) {
        self.0.store(Arc::new(Shown::of(loaded)));
    }
}

impl Shown {
    fn of(loaded: Loaded) -> Self {
        let json = Bytes::from(loaded.to_json());
        Self { loaded, json }
    }
}
