//! Gives every call a deadline.
//!
//! The deadline travels with the call: a plugin sees it, and may shorten it by its own `limits.deadline_ms`. When it
//! passes, the call is dropped, which cancels it in the plugin, and the client is told that the tool may have run.
//!
//! ```toml
//! [layer.timeout]
//! deadline_ms = 30000
//! ```

mod config;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use protocol::{Call, Refusal, RefusalKind, Reply};
use telemetry::RefusalCounter;
use tokio::time::Sleep;
use tower_layer::Layer;
use tower_service::Service;

use crate::Mode;

pub use config::Config;

/// The layer's name.
pub const NAME: &str = "timeout";

/// Makes [`Timeout`] services.
#[derive(Clone, Debug)]
pub struct TimeoutLayer {
    mode: Mode,
    after: Duration,
    refused: RefusalCounter,
}

impl TimeoutLayer {
    /// A layer that follows `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            mode: config.mode,
            after: Duration::from_millis(config.deadline_ms.get()),
            refused: RefusalCounter::new(NAME, RefusalKind::TimedOut),
        }
    }

    fn refusal(&self) -> Refusal {
        Refusal::new(RefusalKind::TimedOut, NAME, "call", "The call did not finish in time.")
            .with_limit(self.after.as_millis() as u64)
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout { layer: self.clone(), inner }
    }
}

/// Sets a deadline on each call and keeps it.
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    layer: TimeoutLayer,
    inner: S,
}

impl<'s, S> Service<Call> for &'s Timeout<S>
where
    &'s S: Service<Call, Response = Reply, Error = Refusal>,
{
    type Response = Reply;
    type Error = Refusal;
    type Future = ResponseFuture<'s, <&'s S as Service<Call>>::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        (&self.inner).poll_ready(cx)
    }

    fn call(&mut self, mut call: Call) -> Self::Future {
        let layer = &self.layer;
        // A task has a deadline of its own, and whoever runs it keeps it.
        let deadline = (layer.mode != Mode::Off && !call.is_task).then(|| call.begun + layer.after);
        if layer.mode == Mode::Enforce && !call.is_task {
            call.deadline = deadline;
        }
        ResponseFuture { future: (&self.inner).call(call), layer, deadline, sleep: None }
    }
}

pin_project_lite::pin_project! {
    /// The inner reply, unless the deadline comes first.
    pub struct ResponseFuture<'s, F> {
        #[pin]
        future: F,
        layer: &'s TimeoutLayer,
        deadline: Option<Instant>,
        // Made at the first wait: most calls never wait, and a timer costs more than they do.
        sleep: Option<Pin<Box<Sleep>>>,
    }
}

impl<F: Future<Output = Result<Reply, Refusal>>> Future for ResponseFuture<'_, F> {
    type Output = Result<Reply, Refusal>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(result) = this.future.poll(cx) {
            return Poll::Ready(result);
        }
        let Some(deadline) = *this.deadline else {
            return Poll::Pending;
        };
        let sleep =
            this.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
        if sleep.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        // Judged once: in shadow mode the call goes on without a deadline.
        *this.deadline = None;
        match this.layer.mode.judge(this.layer.refusal(), &this.layer.refused) {
            Err(refusal) => Poll::Ready(Err(refusal)),
            Ok(()) => Poll::Pending,
        }
    }
}
