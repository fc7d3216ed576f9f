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
    /// How many things were wrong with the files when the process started without them.
    pub(super) problems: usize,
}

/// The profile that serves.
pub(super) struct Effective(ArcSwap<Shown>);

impl Effective {
    /// The first one, instead of files with which so many things are wrong.
    pub(super) fn new(loaded: Loaded, source: Source, problems: usize) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(Shown { problems, ..Shown::of(loaded, source) })))
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
        Self { loaded, json, toml, source, problems: 0 }
    }
}
