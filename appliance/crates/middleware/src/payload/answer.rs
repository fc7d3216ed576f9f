//! The call half: caps the result.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use protocol::{Call, Refusal, RefusalKind, Reply};
use telemetry::RefusalCounter;
use tower_layer::Layer;
use tower_service::Service;

use super::{Config, NAME};
use crate::Mode;

/// Makes [`PayloadAnswer`] services.
#[derive(Clone, Debug)]
pub struct PayloadAnswerLayer {
    mode: Mode,
    bytes_max: usize,
    refused: RefusalCounter,
}

impl PayloadAnswerLayer {
    /// A layer that follows `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            mode: config.mode,
            bytes_max: config.response_bytes_max.bytes(),
            refused: RefusalCounter::new(NAME, RefusalKind::PayloadTooLarge),
        }
    }

    fn judge(&self, reply: Reply) -> Result<Reply, Refusal> {
        if self.mode == Mode::Off || reply.outcome.bytes() <= self.bytes_max {
            return Ok(reply);
        }
        let refusal = Refusal::new(
            RefusalKind::PayloadTooLarge,
            NAME,
            "response",
            "The result is too large.",
        )
        .with_limit(self.bytes_max as u64);
        self.mode.judge(refusal, &self.refused).map(|()| reply)
    }
}

impl<S> Layer<S> for PayloadAnswerLayer {
    type Service = PayloadAnswer<S>;

    fn layer(&self, inner: S) -> PayloadAnswer<S> {
        PayloadAnswer { layer: self.clone(), inner }
    }
}

/// Replaces a result above the cap by a refusal.
#[derive(Clone, Debug)]
pub struct PayloadAnswer<S> {
    layer: PayloadAnswerLayer,
    inner: S,
}

impl<'s, S> Service<Call> for &'s PayloadAnswer<S>
where
    &'s S: Service<Call, Response = Reply, Error = Refusal>,
{
    type Response = Reply;
    type Error = Refusal;
    type Future = AnswerFuture<'s, <&'s S as Service<Call>>::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        (&self.inner).poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        AnswerFuture { future: (&self.inner).call(call), layer: &self.layer }
    }
}

pin_project_lite::pin_project! {
    /// The inner reply, judged.
    pub struct AnswerFuture<'s, F> {
        #[pin]
        future: F,
        layer: &'s PayloadAnswerLayer,
    }
}

impl<F: Future<Output = Result<Reply, Refusal>>> Future for AnswerFuture<'_, F> {
    type Output = Result<Reply, Refusal>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let reply = ready!(this.future.poll(cx))?;
        Poll::Ready(this.layer.judge(reply))
    }
}
