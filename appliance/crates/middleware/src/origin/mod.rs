//! Refuses requests that a browser was tricked into sending: `Host` and `Origin` must be on the list.
//!
//! Defence against DNS rebinding (MCP 2025-11-25, transports, security warning). Edge stage, every method and
//! path, before the body is read.
//!
//! - On a loopback listener, `localhost`, `127.0.0.1` and `[::1]` are allowed as host and as origin, any port.
//! - On any other listener nothing is allowed by itself: `allowed_hosts` must name the public names.
//! - A request without `Origin` does not come from a browser and is judged by its host alone.
//!
//! ```toml
//! [layer.origin]
//! allowed_hosts = ["mcp.example.com"]
//! allowed_origins = ["https://chat.example.com"]
//! ```

mod config;
mod rule;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use protocol::{Admission, Head, Refusal, RefusalKind};
use telemetry::RefusalCounter;
use tower_layer::Layer;

use crate::Mode;
use crate::edge::{Edge, EdgeLayer};

pub use config::Config;
use rule::Rules;

/// The layer's name.
pub const NAME: &str = "origin";

/// Makes [`Origin`] services.
#[derive(Clone, Debug)]
pub struct OriginLayer {
    mode: Mode,
    rules: Arc<Rules>,
    refused: RefusalCounter,
}

impl OriginLayer {
    /// A layer that follows `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            mode: config.mode,
            rules: Arc::new(Rules::new(config)),
            refused: RefusalCounter::new(NAME, RefusalKind::OriginForbidden),
        }
    }
}

impl<S> Layer<S> for OriginLayer {
    type Service = Origin<S>;

    fn layer(&self, inner: S) -> Origin<S> {
        Edge::new(self.clone(), inner)
    }
}

/// Admits only heads whose `Host` and `Origin` are allowed.
pub type Origin<S> = Edge<OriginLayer, S>;

impl EdgeLayer for OriginLayer {
    fn judge(&self, head: &Head<'_>, _: &mut Admission) -> Result<(), Refusal> {
        if self.mode == Mode::Off {
            return Ok(());
        }
        match self.rules.check(head) {
            Ok(()) => Ok(()),
            Err(refusal) => self.mode.judge(refusal, &self.refused),
        }
    }
}
