//! From settings to a started plugin: out of its file, or out of memory.

use std::path::Path;
use std::sync::Arc;

use crate::error::LoadError;
use crate::images;
use crate::load;
use crate::manifest::Manifest;
use crate::plugin::Plugin;
use crate::settings::{NoticeSink, Settings};

impl Plugin {
    /// Loads, creates and describes a plugin. Blocks; bounded by five seconds for each of the last two. An image
    /// of the same bytes that serves nobody is used again; there may be `images_max` of all of them.
    ///
    /// # Errors
    /// Every reason not to run it.
    pub fn start(
        settings: Settings,
        notices: NoticeSink,
        images_max: usize,
    ) -> Result<Arc<Self>, LoadError> {
        let bytes = load::read_checked(&settings.library)?;
        Self::start_bytes(settings, notices, images_max, &bytes)
    }

    /// The same of a library that was loaded before, by its digest, whatever its file says now; see [`images::has`].
    ///
    /// # Errors
    /// Every reason not to run it.
    pub fn start_from(
        settings: Settings,
        notices: NoticeSink,
        images_max: usize,
        digest: &str,
    ) -> Result<Arc<Self>, LoadError> {
        let image = images::find(digest).ok_or(LoadError::NoImage)?;
        let bytes = image.bytes().map_err(|_| LoadError::NoImage)?;
        Self::start_bytes(settings, notices, images_max, &bytes)
    }

    fn start_bytes(
        settings: Settings,
        notices: NoticeSink,
        images_max: usize,
        bytes: &[u8],
    ) -> Result<Arc<Self>, LoadError> {
        let path: &Path = &settings.library;
        let manifest = Manifest::from_elf(bytes).map_err(|fault| fault.at(path))?;
        let image = load::load(path, bytes, images_max)?;
        Self::start_image(settings, notices, manifest, image)
    }
}
