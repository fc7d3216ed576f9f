//! The profile that serves, for those who show it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use profile::Loaded;
use runtime::Source;

/// A profile, and its texts for `/admin/plan` and `/admin/profile`.
pub(super) struct Shown {
    pub(super) loaded: Loaded,
    pub(super) json: Bytes,
    pub(super) toml: Bytes,
    pub(super) source: Source,
}

/// The profile that serves.
pub(super) struct Effective(ArcSwap<Shown>);

impl Effective {
    /// Of a profile that a start has read.
    pub(super) fn new(loaded: Loaded) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(Shown::of(loaded, Source::File))))
    }

    /// The one at this moment.
    pub(super) fn load(&self) -> Arc<Shown> {
        self.0.load_full()
    }

    /// Shows another one from now on.
    pub(super) fn follow(&self, loaded: Loaded, source: Source) {
        self.0.store(Arc::new(Shown::of(loaded, source)));
    }
}

impl Shown {
    fn of(loaded: Loaded, source: Source) -> Self {
        let (json, toml) = (loaded.to_json().into(), loaded.to_toml().into());
        Self { loaded, json, toml, source }
    }
}
