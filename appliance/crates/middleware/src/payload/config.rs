//! Settings of the `payload` layer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ByteSize, Mode};

/// How large a request and an answer may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What to do with a body above its cap. Default: `enforce`. In `shadow` and `off`, requests are still
    /// limited to 64 MiB and answers to their plugin's own cap: nothing in the house is without a limit.
    pub mode: Mode,
    /// Most bytes of one request body, or of one line on stdio. At the limit: 413, never read. Default: 4 MiB.
    pub request_bytes_max: ByteSize,
    /// Most bytes of one result; those of plugins have a cap of their own below it, `layer.bulkhead.response_bytes_max`.
    /// At the limit: an error instead of the result. Default: 16 MiB.
    pub response_bytes_max: ByteSize,
}

impl Config {
    /// What a request body is limited to when the layer does not enforce: the parser's offsets are 32 bits wide,
    /// and a body is held in memory whole.
    pub const HARD_REQUEST_BYTES_MAX: ByteSize = ByteSize::mib(64);

    /// What is wrong with these settings: the key, and a sentence that says how to mend it.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if self.request_bytes_max < ByteSize::kib(1)
            || self.request_bytes_max > Self::HARD_REQUEST_BYTES_MAX
        {
            let message = format!(
                "{} is outside of 1KiB to {}",
                self.request_bytes_max,
                Self::HARD_REQUEST_BYTES_MAX
            );
            problems.push(("request_bytes_max", message));
        }
        if self.response_bytes_max < ByteSize::kib(1)
            || self.response_bytes_max > ByteSize::mib(1024)
        {
            let message = format!("{} is outside of 1KiB to 1GiB", self.response_bytes_max);
            problems.push(("response_bytes_max", message));
        }
        problems
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            // The TypeScript SDK's own limit; a base64 image of 3 MB still fits.
            request_bytes_max: ByteSize::mib(4),
            response_bytes_max: ByteSize::mib(16),
        }
    }
}
