//! `[history]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is kept of the generations that served.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct History {
    /// The folder that they are kept in, each as one file with its effective values; a path from this profile's folder.
    /// It is made when it is not there, and refused when others than its owner can write to it, since what is kept there
    /// may be served. Secrets are kept as the references that they are; settings of plugins as they are written, so the
    /// files are their owner's alone. Default: none: they are kept in memory, and end with the process.
    pub(crate) folder: Option<String>,
    /// How many of them are kept, from 2 to 100; the oldest leave first. Default: 5.
    pub(crate) generations_max: u64,
}

impl Default for History {
    fn default() -> Self {
        Self { folder: None, generations_max: 5 }
    }
}
