//! Whether a plugin that runs is still what a start would lead to.

use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;

use crate::error::LoadError;
use crate::load::Checked;
use crate::plugin::Plugin;
use crate::settings::Settings;

impl Plugin {
    /// Whether a start with `settings` would lead to the same: its library has the bytes that run, and it is told the
    /// same. Which start it would be does not matter. Reads the library, unless the system says that it is as it was.
    ///
    /// # Errors
    /// When the library would not be loaded.
    pub fn is_as(&self, settings: &Settings) -> Result<bool, LoadError> {
        let library = Checked::open(&settings.library)?;
        Ok(self.is_told(settings) && self.runs(library)?)
    }

    fn runs(&self, library: Checked<'_>) -> Result<bool, LoadError> {
        let stamp = library.stamp();
        if stamp.is_some() && *self.seen.lock() == stamp {
            return Ok(true);
        }
        let is_same = self.core().image.holds(&library.read()?);
        if is_same {
            *self.seen.lock() = stamp;
        }
        Ok(is_same)
    }

    /// Whether it was told the same as `settings` say, whatever its library is by now.
    #[must_use]
    pub fn is_told(&self, settings: &Settings) -> bool {
        Settings { generation: settings.generation, ..self.settings().clone() } == *settings
    }

    /// The digest of its library: SHA-256 in hexadecimal. Reads the image when it is asked for the first time.
    #[must_use]
    pub fn digest(&self) -> &'static str {
        self.core().image.digest()
    }

    /// The library that it was started from.
    #[must_use]
    pub fn library(&self) -> &Path {
        &self.settings().library
    }

    /// Whether its library has the bytes that run, and could be loaded. Reads it, unless the system says that it is as it was.
    #[must_use]
    pub fn is_as_its_library(&self) -> bool {
        Checked::open(self.library()).and_then(|library| self.runs(library)).unwrap_or(false)
    }

    /// Has everybody who waits for a call of this plugin look again at whether they still want to.
    pub fn wake_calls(&self) {
        self.core().host.slots.wake_all();
    }

    /// Which start of a plugin of this name it is, from 1.
    #[must_use]
    pub const fn start_number(&self) -> u32 {
        self.settings().generation
    }

    /// Whether it has said that a list of its own changed, and was not described since.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.core().host.changed.load(SeqCst) != 0
    }
}
