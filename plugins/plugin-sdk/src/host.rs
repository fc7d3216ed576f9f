//! What the host does for a plugin between calls.

use plugin_abi as abi;

/// The host. Cheap to copy; usable from any thread.
#[derive(Clone, Copy)]
pub struct Host(&'static abi::Host);

// SAFETY: the ABI makes every function of the table callable from any thread, and the table lives for ever.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

impl Host {
    /// The host behind a table.
    ///
    /// # Safety
    /// `table` must be the one that `create` was given, or null-free and alive for ever.
    #[doc(hidden)]
    #[must_use]
    pub unsafe fn from_raw(table: *const abi::Host) -> Self {
        // SAFETY: the caller vouches for it.
        Self(unsafe { &*table })
    }

    pub(crate) const fn table(self) -> &'static abi::Host {
        self.0
    }

    /// Writes to the operator's log: `level` is one of [`abi::log`].
    pub(crate) fn log_raw(self, call: u64, level: i32, target: &str, message: &str) {
        if let Some(log) = self.0.log {
            let (target, message) =
                (abi::Str::new(target.as_bytes()), abi::Str::new(message.as_bytes()));
            // SAFETY: the texts are lent until this returns.
            unsafe { log(self.0.ctx, call, level, target, message) };
        }
    }

    /// Whether nobody waits for a call any more.
    pub(crate) fn is_cancelled(self, call: u64) -> bool {
        // SAFETY: callable at any time.
        self.0.check.is_some_and(|check| unsafe { check(self.0.ctx, call) } != abi::OK)
    }

    /// Writes an error to the operator's log.
    pub fn error(self, message: &str) {
        self.log_raw(0, abi::log::ERROR, "plugin", message);
    }

    /// Writes a warning to the operator's log.
    pub fn warn(self, message: &str) {
        self.log_raw(0, abi::log::WARN, "plugin", message);
    }

    /// Writes information to the operator's log.
    pub fn info(self, message: &str) {
        self.log_raw(0, abi::log::INFO, "plugin", message);
    }

    /// Writes detail to the operator's log.
    pub fn debug(self, message: &str) {
        self.log_raw(0, abi::log::DEBUG, "plugin", message);
    }

    /// The tools changed: the host asks for them again and tells every client.
    pub fn tools_changed(self) {
        self.notify(abi::notify::TOOLS_CHANGED, "");
    }

    /// The prompts changed.
    pub fn prompts_changed(self) {
        self.notify(abi::notify::PROMPTS_CHANGED, "");
    }

    /// The resources changed.
    pub fn resources_changed(self) {
        self.notify(abi::notify::RESOURCES_CHANGED, "");
    }

    /// The content of a resource changed.
    pub fn resource_updated(self, uri: &str) {
        self.notify(abi::notify::RESOURCE_UPDATED, uri);
    }

    fn notify(self, what: i32, uri: &str) {
        if let Some(notify) = self.0.notify {
            // SAFETY: the text is lent until this returns.
            unsafe { notify(self.0.ctx, what, abi::Str::new(uri.as_bytes())) };
        }
    }
}
