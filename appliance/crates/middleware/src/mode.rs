//! Whether a layer acts, only watches, or is absent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use protocol::Refusal;
use telemetry::RefusalCounter;

/// What a layer does when it would refuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It refuses.
    #[default]
    Enforce,
    /// It lets the call pass, and counts and logs what it would have refused.
    Shadow,
    /// It is not there.
    Off,
}

impl Mode {
    /// Turns a layer's verdict into what happens: counts it, and drops it in shadow mode.
    ///
    /// # Errors
    /// The refusal, when it is to be enforced.
    pub fn judge(self, refusal: Refusal, counter: &RefusalCounter) -> Result<(), Refusal> {
        counter.count(&refusal, self == Self::Shadow);
        match self {
            Self::Enforce => Err(refusal),
            Self::Shadow | Self::Off => Ok(()),
        }
    }
}
