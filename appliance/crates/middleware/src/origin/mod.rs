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
use std::task::{Context, Poll};

use protocol::{Admission, Head, Refusal, RefusalKind};
use telemetry::RefusalCounter;
use tower_layer::Layer;
use tower_service::Service;

use crate::Mode;

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
        Origin { layer: self.clone(), inner }
    }
}

/// Admits only heads whose `Host` and `Origin` are allowed.
#[derive(Clone, Debug)]
pub struct Origin<S> {
    layer: OriginLayer,
    inner: S,
}

impl<'s, S> Service<Head> for &'s Origin<S>
where
    &'s S: Service<Head, Response = Admission, Error = Refusal>,
{
    type Response = Admission;
    type Error = Refusal;
    type Future = crate::edge::EdgeFuture<<&'s S as Service<Head>>::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        (&self.inner).poll_ready(cx)
    }

    fn call(&mut self, head: Head) -> Self::Future {
        let OriginLayer { mode, rules, refused } = &self.layer;
        if *mode != Mode::Off
            && let Err(refusal) = rules.check(&head)
            && let Err(refusal) = mode.judge(refusal, refused)
        {
            return crate::edge::EdgeFuture::refused(refusal);
        }
        crate::edge::EdgeFuture::inner((&self.inner).call(head))
    }
}
