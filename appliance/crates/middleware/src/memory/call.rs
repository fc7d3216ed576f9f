//! The call half: refuses by the method, and counts the bytes of answers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use protocol::{Call, Class, Refusal, Reply};
use tower_layer::Layer;
use tower_service::Service;

use super::gate::Gate;

/// Answers below this cost more to count than they weigh: as many as there may be calls are a megabyte or so.
const ANSWER_BYTES_MIN: usize = 4 << 10;

/// Makes [`MemoryCall`] services.
#[derive(Clone, Debug)]
pub struct MemoryCallLayer(Gate);

impl MemoryCallLayer {
    /// A layer that asks `gate`.
    #[must_use]
    pub const fn new(gate: Gate) -> Self {
        Self(gate)
    }
}

impl<S> Layer<S> for MemoryCallLayer {
    type Service = MemoryCall<S>;

    fn layer(&self, inner: S) -> MemoryCall<S> {
        MemoryCall { gate: self.0.clone(), inner }
    }
}

/// Refuses what the level does not allow. An answer is never refused for want of memory: it is there already, and what
/// it takes keeps the next bodies out.
#[derive(Clone, Debug)]
pub struct MemoryCall<S> {
    gate: Gate,
    inner: S,
}

impl<S> MemoryCall<S> {
    /// The service that it guards, which some ask about what is no call.
    #[must_use]
    pub const fn inner(&self) -> &S {
        &self.inner
    }
}

impl<'s, S> Service<Call> for &'s MemoryCall<S>
where
    &'s S: Service<Call, Response = Reply, Error = Refusal>,
{
    type Response = Reply;
    type Error = Refusal;
    type Future = CountFuture<'s, <&'s S as Service<Call>>::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        (&self.inner).poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        match self.gate.check(Class::of(call.method())) {
            Ok(()) => CountFuture::Admitted { future: (&self.inner).call(call), gate: &self.gate },
            Err(refusal) => CountFuture::Refused { refusal: Some(Box::new(refusal)) },
        }
    }
}

pin_project_lite::pin_project! {
    /// The inner reply with its bytes counted, or the refusal.
    #[project = Project]
    #[allow(missing_docs)] // Fields of a future that nobody else makes.
    pub enum CountFuture<'s, F> {
        /// Running.
        Admitted { #[pin] future: F, gate: &'s Gate },
        /// Decided.
        Refused { refusal: Option<Box<Refusal>> },
    }
}

impl<F: Future<Output = Result<Reply, Refusal>>> Future for CountFuture<'_, F> {
    type Output = Result<Reply, Refusal>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Project::Admitted { future, gate } => {
                let mut reply = ready!(future.poll(cx))?;
                let bytes = reply.outcome.bytes();
                if bytes >= ANSWER_BYTES_MIN
                    && let Some(mut share) = gate.share()
                {
                    share.resize_anyway(bytes);
                    reply.held.add_bytes(share);
                }
                Poll::Ready(Ok(reply))
            }
            Project::Refused { refusal } => {
                Poll::Ready(Err(*refusal.take().expect("a future is not polled after it is ready")))
            }
        }
    }
}
