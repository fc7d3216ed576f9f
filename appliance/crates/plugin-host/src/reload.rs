//! Whether a plugin that runs is still what a start would lead to.

use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;

use crate::error::LoadError;
use crate::load;
use crate::plugin::Plugin;
use crate::settings::Settings;

impl Plugin {
    /// Whether a start with `settings` would lead to the same: its library has the bytes that run, and it is told the
    /// same. Which start it would be does not matter. Reads the library.
    ///
    /// # Errors
    /// When the library would not be loaded.
    pub fn is_as(&self, settings: &Settings) -> Result<bool, LoadError> {
        let bytes = load::read_checked(&settings.library)?;
        Ok(self.is_told(settings) && self.core().image.holds(&bytes))
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

    /// Whether its library has the bytes that run, and could be loaded. Reads it.
    #[must_use]
    pub fn is_as_its_library(&self) -> bool {
        load::read_checked(self.library()).is_ok_and(|bytes| self.core().image.holds(&bytes))
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
