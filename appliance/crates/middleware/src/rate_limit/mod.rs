//! Bounds how often a client may call, a tool be called, and a session be begun.
//!
//! It protects everybody else from a client that loops, and a tool from all clients together. Call stage, before any
//! permit is taken. A bucket for each client, each tool, each pair of both (GCRA, see [`crate::buckets`]); a call must
//! be good for all of them, and one that is refused by its tool has still cost its client. Who a client is says
//! [`protocol::Principal`].
//!
//! - Counted: `tools/call`, `resources/read`, `prompts/get`, `completion/complete`, every list, `server/discover`, and
//!   `initialize` as a session.
//! - Never counted: `ping`, notifications, cancellations, the end of a session, asking for a task; later rounds of a
//!   call, which are the house's own; and whatever does not come as far as this, such as malformed messages.
//! - A tool that does not exist counts against the client alone, so that made-up names fill no map.
//!
//! ```toml
//! [layer.rate_limit]
//! calls_per_sec = 50
//! burst_calls = 100
//! ```

mod config;
mod limits;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use protocol::json::Raw;
use protocol::{Call, Param, Principal, Refusal, RefusalKind, Reply, TargetItem};
use telemetry::RefusalCounter;
use tower_layer::Layer;
use tower_service::Service;

use crate::Mode;

pub use config::Config;
use limits::Limits;
pub use limits::State;

/// The layer's name.
pub const NAME: &str = "rate_limit";

/// Makes [`RateLimit`] services.
#[derive(Clone, Debug)]
pub struct RateLimitLayer {
    mode: Mode,
    limits: Limits,
    state: State,
    refused: RefusalCounter,
}

impl RateLimitLayer {
    /// A layer that follows `config` and counts in `state`.
    #[must_use]
    pub fn new(config: &Config, state: State) -> Self {
        Self {
            mode: config.mode,
            limits: Limits::new(config),
            state,
            refused: RefusalCounter::new(NAME, RefusalKind::RateLimited),
        }
    }

    /// Counts a session that `principal` begins: the one method that counts and is no call of the stack.
    ///
    /// # Errors
    /// When it begins too many.
    pub fn admit_session(&self, principal: Principal) -> Result<(), Refusal> {
        let Some(limit) = &self.limits.session else { return Ok(()) };
        let (sessions, key) = (&self.state.0.session, principal.key());
        self.judge(limit.take(sessions, key, principal, None, Instant::now()))
    }

    fn admit(&self, call: &Call) -> Result<(), Refusal> {
        if call.round > 0 || !self.limits.are_of_calls() {
            return Ok(());
        }
        let (used, principal, now) = (&*self.state.0, call.principal, call.begun);
        if let Some(limit) = &self.limits.client {
            self.judge(limit.take(&used.client, principal.key(), principal, None, now))?;
        }
        match tool(call).filter(|_| self.limits.are_of_tools()) {
            None => Ok(()),
            Some(name) => self.admit_tool(&name, principal, now),
        }
    }

    /// First what one client may, so that a client without a call left takes none from others.
    fn admit_tool(&self, name: &str, principal: Principal, now: Instant) -> Result<(), Refusal> {
        let used = &*self.state.0;
        let tool = limits::tool_key(name);
        if let Some(limit) = &self.limits.client_tool {
            // Both are keyed hashes, and so is what they make together.
            let key = principal.key() ^ tool;
            self.judge(limit.take(&used.client_tool, key, principal, Some(name), now))?;
        }
        if let Some(limit) = &self.limits.tool {
            self.judge(limit.take(&used.tool, tool, principal, Some(name), now))?;
        }
        Ok(())
    }

    fn judge(&self, taken: Result<(), Refusal>) -> Result<(), Refusal> {
        taken.or_else(|refusal| self.mode.judge(refusal, &self.refused))
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit { layer: self.clone(), inner }
    }
}

/// Takes a call out of its buckets, or refuses it.
#[derive(Clone, Debug)]
pub struct RateLimit<S> {
    layer: RateLimitLayer,
    inner: S,
}

impl<S> RateLimit<S> {
    /// The layer that made it.
    pub const fn layer(&self) -> &RateLimitLayer {
        &self.layer
    }
}

impl<'s, S> Service<Call> for &'s RateLimit<S>
where
    &'s S: Service<Call, Response = Reply, Error = Refusal>,
{
    type Response = Reply;
    type Error = Refusal;
    type Future = ResponseFuture<<&'s S as Service<Call>>::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        (&self.inner).poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        match self.layer.admit(&call) {
            Ok(()) => ResponseFuture::Admitted { future: (&self.inner).call(call) },
            Err(refusal) => ResponseFuture::Refused { refusal: Some(Box::new(refusal)) },
        }
    }
}

/// The name of the tool that is called, when there is such a tool. Not its number, which other generations have for
/// other tools.
fn tool(call: &Call) -> Option<Cow<'_, str>> {
    match call.target?.item {
        TargetItem::Tool(_) => call.envelope.param(Param::Name).and_then(Raw::as_str),
        _ => None,
    }
}

pin_project_lite::pin_project! {
    /// The inner reply, or the refusal.
    #[project = Project]
    #[allow(missing_docs)] // Fields of a future that nobody else makes.
    pub enum ResponseFuture<F> {
        /// Running.
        Admitted { #[pin] future: F },
        /// Decided.
        Refused { refusal: Option<Box<Refusal>> },
    }
}

impl<F: Future<Output = Result<Reply, Refusal>>> Future for ResponseFuture<F> {
    type Output = Result<Reply, Refusal>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Project::Admitted { future } => future.poll(cx),
            Project::Refused { refusal } => {
                Poll::Ready(Err(*refusal.take().expect("a future is not polled after it is ready")))
            }
        }
    }
}
