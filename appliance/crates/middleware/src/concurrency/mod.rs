//! Bounds how many calls are in the house at once, and guarantees each class of them a part.
//!
//! A call takes one permit, and its answer keeps it until the last byte has left or the reader is gone. Without a
//! permit for its class it is refused at once with 429 and `Retry-After`; who may wait for one instead is another
//! layer's business, which hands the call on with its permit. Reads and works (see [`Class`]) have a guaranteed share
//! each, and what is guaranteed to nobody is for both. Control is over at once and needs no permit; streams have a
//! budget of their own.
//!
//! ```toml
//! [layer.concurrency]
//! calls_max = 256
//! read_share_percent = 20
//! ```
//!
//! Source: partitions and `Gradient2Limit` of Netflix concurrency-limits.

mod config;
mod gradient;
mod learned;
#[cfg(test)]
mod tests;
mod times;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use protocol::{Call, Class, ClassBound, Outcome, Permit, Reading, Refusal, RefusalKind, Reply};
use telemetry::RefusalCounter;
use tower_layer::Layer;
use tower_service::Service;

use crate::Mode;
use gradient::Gradient;

pub use config::Config;

/// The layer's name.
pub const NAME: &str = "concurrency";

/// When a refused client may come back. Without a queue there is nothing to estimate from; one second is the least
/// that the header can say.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What outlives a generation: the permits that are out, and how long calls took.
#[derive(Clone, Debug)]
pub struct State {
    bound: Arc<ClassBound>,
    gradient: Arc<Gradient>,
}

impl State {
    /// No permits out.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let bound = ClassBound::new("concurrency_calls", config.shares());
        let state = Self { bound, gradient: Arc::new(Gradient::new()) };
        state.follow(config);
        state
    }

    /// Follows new settings; permits above a lowered bound stay out until their calls end.
    pub fn follow(&self, config: &Config) {
        let shares = config.shares();
        self.bound.set_shares(shares);
        // What nobody enforces must not be moved by what it measures.
        let is_adaptive = config.adaptive && config.mode == Mode::Enforce;
        self.gradient.follow(is_adaptive, shares.calls_max, &self.bound);
    }

    /// The bound, for who waits for its permits.
    #[must_use]
    pub const fn bound(&self) -> &Arc<ClassBound> {
        &self.bound
    }

    /// The whole and each class, for their metrics.
    pub fn readings(&self) -> impl Iterator<Item = (&'static str, Reading)> {
        self.bound.readings()
    }
}

/// Makes [`Concurrency`] services.
#[derive(Clone, Debug)]
pub struct ConcurrencyLayer {
    mode: Mode,
    is_adaptive: bool,
    state: State,
    refused: RefusalCounter,
}

impl ConcurrencyLayer {
    /// A layer that follows `config` and counts in `state`.
    #[must_use]
    pub fn new(config: &Config, state: State) -> Self {
        Self {
            mode: config.mode,
            is_adaptive: config.adaptive && config.mode == Mode::Enforce,
            state,
            refused: RefusalCounter::new(NAME, RefusalKind::Overloaded),
        }
    }

    fn admit(&self, call: &mut Call, class: Class) -> Result<Option<Permit>, Refusal> {
        let waited_for = call.permit.take();
        if waited_for.is_some() || !matches!(class, Class::Read | Class::Work) {
            return Ok(waited_for);
        }
        match self.mode {
            Mode::Off => Ok(None),
            Mode::Enforce => match self.state.bound.try_take(class) {
                Some(permit) => Ok(Some(permit)),
                None => self.refuse(class).map(|()| None),
            },
            Mode::Shadow => {
                let (permit, within) = self.state.bound.take_anyway(class);
                if !within {
                    self.refuse(class)?;
                }
                Ok(Some(permit))
            }
        }
    }

    fn refuse(&self, class: Class) -> Result<(), Refusal> {
        let bound = &self.state.bound;
        bound.count_refusal(class);
        let message = "Every call permit is taken; try again later.";
        let whole = bound.limit();
        // Where others' guarantees or an adaptive limit stand in the way, the class is what is full.
        let (scope, limit) = match bound.used() < whole {
            true => (class.as_str(), bound.limit_of(class)),
            false => ("process", whole),
        };
        let refusal = Refusal::new(RefusalKind::Overloaded, NAME, scope, message)
            .with_limit(limit as u64)
            .with_retry_after(RETRY_AFTER);
        self.mode.judge(refusal, &self.refused)
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

#[cfg(test)]
impl<S> Concurrency<S> {
    /// What it guards.
    pub(crate) const fn inner(&self) -> &S {
        &self.inner
    }
}

impl<'s, S> Service<Call> for &'s Concurrency<S>
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
        let class = Class::of(call.method());
        match self.layer.admit(&mut call, class) {
            Ok(permit) => {
                let is_timed = self.layer.is_adaptive && class == Class::Work;
                let timed = is_timed.then(|| (Instant::now(), &self.layer.state));
                ResponseFuture::Admitted { future: (&self.inner).call(call), permit, timed }
            }
            Err(refusal) => ResponseFuture::Refused { refusal: Some(Box::new(refusal)) },
        }
    }
}

pin_project_lite::pin_project! {
    /// The inner reply with the permit added, or the refusal.
    #[project = Project]
    #[allow(missing_docs)] // Fields of a future that nobody else makes.
    pub enum ResponseFuture<'s, F> {
        /// Running.
        Admitted { #[pin] future: F, permit: Option<Permit>, timed: Option<(Instant, &'s State)> },
        /// Decided.
        Refused { refusal: Option<Box<Refusal>> },
    }
}

impl<F: Future<Output = Result<Reply, Refusal>>> Future for ResponseFuture<'_, F> {
    type Output = Result<Reply, Refusal>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Project::Admitted { future, permit, timed } => {
                let mut reply = ready!(future.poll(cx))?;
                if let Some((begun, state)) = timed.take()
                    && matches!(reply.outcome, Outcome::Done(_))
                {
                    let now = Instant::now();
                    state.gradient.note(now.duration_since(begun), now, &state.bound);
                }
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
