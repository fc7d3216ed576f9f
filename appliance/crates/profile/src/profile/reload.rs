//! `[reload]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a change of this profile comes into a process that runs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Reload {
    /// Whether the files of the profile are watched: this one, those that it extends, and the libraries and secrets that
    /// it names. Other content is applied a quarter of a second after the last write, of libraries a second after it, or
    /// refused with reasons in the log and in `/admin/reloads` while what was there before serves on. SIGHUP and
    /// `toolrack reload` work in any case. Default: true, since a file that says something else than what serves is what
    /// operators stumble over; false where changes come in parts that only fit together.
    pub(crate) watch: bool,
    /// Milliseconds that loading and starting the plugins of a changed profile may take together, from 1 to 600000. At
    /// the limit: refused, and what was there before serves on. Default: 30000, three times what one plugin may take.
    pub(crate) stage_deadline_ms: u64,
}

impl Default for Reload {
    fn default() -> Self {
        Self { watch: true, stage_deadline_ms: 30_000 }
    }
}
