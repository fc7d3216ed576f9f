//! Bounds how many calls are in the house at once.
//!
//! A call takes one permit, and its answer keeps it until the last byte has left or the reader is gone. Above the
//! bound a call is refused at once with 429 and `Retry-After`: there is no queue to time out in.
//!
//! ```toml
//! [layer.concurrency]
//! calls_max = 256
//! ```

mod config;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use protocol::{Bound, Call, Permit, Refusal, RefusalKind, Reply};
use telemetry::RefusalCounter;
use tower_layer::Layer;
use tower_service::Service;

use crate::Mode;

pub use config::Config;

/// The layer's name.
pub const NAME: &str = "concurrency";

/// When a refused client may come back. Without a queue there is nothing to estimate from; one second is the least
/// that the header can say.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What outlives a generation: the permits that are out.
#[derive(Clone, Debug)]
pub struct State(Arc<Bound>);

impl State {
    /// No permits out.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self(Bound::new("concurrency_calls", config.calls_max.get()))
    }

    /// Follows new settings; permits above a lowered bound stay out until their calls end.
    pub fn follow(&self, config: &Config) {
        self.0.set_limit(config.calls_max.get());
    }

    /// The bound, for its metrics.
    #[must_use]
    pub const fn bound(&self) -> &Arc<Bound> {
        &self.0
    }
}

/// Makes [`Concurrency`] services.
#[derive(Clone, Debug)]
pub struct ConcurrencyLayer {
    mode: Mode,
    state: State,
    refused: RefusalCounter,
}

impl ConcurrencyLayer {
    /// A layer that follows `config` and counts in `state`.
    #[must_use]
    pub fn new(config: &Config, state: State) -> Self {
        Self {
            mode: config.mode,
            state,
            refused: RefusalCounter::new(NAME, RefusalKind::Overloaded),
        }
    }

    fn admit(&self) -> Result<Option<Permit>, Refusal> {
        let refusal = || {
            Refusal::new(
                RefusalKind::Overloaded,
                NAME,
                "process",
                "Every call permit is taken; try again later.",
            )
            .with_limit(self.state.0.limit() as u64)
            .with_retry_after(RETRY_AFTER)
        };
        match self.mode {
            Mode::Off => Ok(None),
            Mode::Enforce => match self.state.0.try_take() {
                Some(permit) => Ok(Some(permit)),
                None => self.mode.judge(refusal(), &self.refused).map(|()| None),
            },
            Mode::Shadow => {
                let (permit, within) = self.state.0.take_anyway();
                if !within {
                    self.mode.judge(refusal(), &self.refused)?;
                }
                Ok(Some(permit))
            }
        }
    }
}

impl<S> Layer<S> for ConcurrencyLayer {
    type Service = Concurrency<S>;

    fn layer(&self, inner: S) -> Concurrency<S> {
        Concurrency { layer: self.clone(), inner }
    }
}

/// Takes a permit for each call, or refuses it.
#[derive(Clone, Debug)]
pub struct Concurrency<S> {
    layer: ConcurrencyLayer,
    inner: S,
}

impl<'s, S> Service<Call> for &'s Concurrency<S>
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
        match self.layer.admit() {
            Ok(permit) => ResponseFuture::Admitted { future: (&self.inner).call(call), permit },
            Err(refusal) => ResponseFuture::Refused { refusal: Some(Box::new(refusal)) },
        }
    }
}

pin_project_lite::pin_project! {
    /// The inner reply with the permit added, or the refusal.
    #[project = Project]
    #[allow(missing_docs)] // Fields of a future that nobody else makes.
    pub enum ResponseFuture<F> {
        /// Running.
        Admitted { #[pin] future: F, permit: Option<Permit> },
        /// Decided.
        Refused { refusal: Option<Box<Refusal>> },
    }
}

impl<F: Future<Output = Result<Reply, Refusal>>> Future for ResponseFuture<F> {
    type Output = Result<Reply, Refusal>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Project::Admitted { future, permit } => {
                let mut reply = ready!(future.poll(cx))?;
                if let Some(permit) = permit.take() {
                    reply.held.add(permit);
                }
                Poll::Ready(Ok(reply))
            }
            Project::Refused { refusal } => {
                Poll::Ready(Err(*refusal.take().expect("a future is not polled after it is ready")))
            }
        }
    }
}
