//! Shares permits fairly: when there is none, calls wait in queues of their clients, and queues take turns.
//!
//! It protects every client from the greedy ones. While there are permits and nobody waits, a call passes at the cost
//! of a few atomics. Otherwise reads and works wait, each class for itself, in bounded queues: a client has a hand of
//! eight out of 128 and waits in one of them (shuffle sharding); queues that are not empty take turns (deficit round
//! robin), those of clients that seldom wait first, and permits that come back go to the next. A client has at most so
//! many calls under way and so many waiting, reads and works together. Which permits these are is not its business: it
//! hands calls on with theirs.
//!
//! Refused, before anything was done: 429 `client_busy` when as many calls of the client wait as may, or when one has
//! waited for too long for its own client's calls to end; 429 `overloaded` when as many wait as may in all, or when a
//! call waited for too long: one second, or 20 ms in a queue that was not empty for 100 ms, since a queue that stands
//! makes everybody late and serves nobody more. Where all places to wait are taken, the newest call of the longest
//! queue makes room for a client that has less. Control and streams never wait here.
//!
//! ```toml
//! [layer.fairness]
//! client_calls_max = 32
//! wait_ms = 1000
//! ```
//!
//! Sources: API Priority and Fairness of Kubernetes (shuffle sharding); Shreedhar and Varghese, 1995 (deficit round
//! robin); CoDel, RFC 8289, as in Maurer, "Fail at Scale", 2015 (the shorter wait in a standing queue); FQ-CoDel,
//! RFC 8290 (both for each queue, fresh queues first, and room made by the longest).

mod config;
#[cfg(test)]
mod gates;
#[cfg(all(test, feature = "shuttle", not(feature = "loom")))]
mod interleavings;
mod queues;
mod state;
mod tallies;
#[cfg(test)]
mod tests;
mod waiting;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use protocol::{Call, Class, Permit, Refusal, RefusalKind, Reply};
use telemetry::RefusalCounter;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::Mode;
use state::{Candidate, Entered, Full, Patience, Shared, Turn};
use waiting::{Lost, Waiting};

pub use config::Config;
pub use state::State;

/// The layer's name.
pub const NAME: &str = "fairness";

/// A call takes a turn for each begun piece of its text of so many bytes.
const TURN_BYTES: usize = 1 << 20;
/// And at most so many.
const TURNS_MAX: usize = 16;

/// Makes [`Fairness`] services.
#[derive(Clone, Debug)]
pub struct FairnessLayer {
    config: Config,
    state: State,
    client_busy: RefusalCounter,
    overloaded: RefusalCounter,
}

/// What becomes of a call.
enum Admitted {
    /// It goes on, with the share that it takes of its client's.
    Now(Option<Permit>),
    /// It waits.
    Later(Waiting),
}

impl FairnessLayer {
    /// A layer that follows `config`, and waits in `state`.
    #[must_use]
    pub fn new(config: &Config, state: State) -> Self {
        Self {
            config: config.clone(),
            state,
            client_busy: RefusalCounter::new(NAME, RefusalKind::ClientBusy),
            overloaded: RefusalCounter::new(NAME, RefusalKind::Overloaded),
        }
    }

    fn admit(&self, call: &mut Call) -> Result<Admitted, Refusal> {
        let class = Class::of(call.method());
        if self.config.mode == Mode::Off || !state::WAITING.contains(&class) {
            return Ok(Admitted::Now(None));
        }
        let (shared, key) = (&self.state.0, call.principal.key());
        if self.config.mode == Mode::Shadow {
            let (share, before) = shared.take_share_anyway(key);
            let most = self.config.client_calls_max + self.config.client_queue_calls_max;
            if before >= most {
                self.refuse_client(key, class, most)?;
            }
            return Ok(Admitted::Now(Some(share)));
        }
        let turns = (call.envelope.bytes() / TURN_BYTES + 1).min(TURNS_MAX);
        let candidate = Candidate { key, class, cost: turns as u32 };
        let patience = Patience {
            usual: Duration::from_millis(self.config.wait_ms),
            standing: Duration::from_millis(self.config.standing_wait_ms),
            deadline: call.deadline.map(Instant::from_std),
        };
        match shared.enter(candidate, patience) {
            Entered::Now(Turn { share, permit }) => {
                call.permit = permit;
                Ok(Admitted::Now(Some(share)))
            }
            Entered::Later(ticket) => Ok(Admitted::Later(Waiting::new(shared, class, ticket))),
            Entered::Never(full) => match full {
                Full::Client => {
                    let most = self.config.client_queue_calls_max;
                    self.refuse_client(key, class, most)
                }
                Full::All => self.refuse_all(key, class, u64::from(self.config.queue_calls_max)),
            }
            .map(|()| Admitted::Now(None)),
        }
    }

    /// What a call is told that waited in vain.
    fn refuse_waited(&self, call: &Call, lost: Lost) -> Result<(), Refusal> {
        let (key, class) = (call.principal.key(), Class::of(call.method()));
        match lost {
            Lost::TooLate(_) if self.state.0.has_its_share(key) => {
                self.refuse_client(key, class, self.config.client_calls_max)
            }
            Lost::TooLate(wait) => self.refuse_all(key, class, wait.as_millis() as u64),
            Lost::Evicted => self.refuse_all(key, class, u64::from(self.config.queue_calls_max)),
        }
    }

    fn refuse_client(&self, key: u64, class: Class, limit: u32) -> Result<(), Refusal> {
        let message = "As many of your calls as your share are under way or wait; try again later.";
        let refusal = Refusal::new(RefusalKind::ClientBusy, NAME, "client", message)
            .with_limit(limit.into())
            .with_retry_after(self.state.0.retry_after(key, class));
        self.config.mode.judge(refusal, &self.client_busy)
    }

    fn refuse_all(&self, key: u64, class: Class, limit: u64) -> Result<(), Refusal> {
        let message = "More calls wait than can be served in time; try again later.";
        let refusal = Refusal::new(RefusalKind::Overloaded, NAME, class.as_str(), message)
            .with_limit(limit)
            .with_retry_after(self.state.0.retry_after(key, class));
        self.config.mode.judge(refusal, &self.overloaded)
    }
}

impl<S> Layer<S> for FairnessLayer {
    type Service = Fairness<S>;

    fn layer(&self, inner: S) -> Fairness<S> {
        Fairness { layer: self.clone(), inner }
    }
}

/// Lets each call pass, wait for its turn, or neither.
#[derive(Clone, Debug)]
pub struct Fairness<S> {
    layer: FairnessLayer,
    inner: S,
}

impl<'s, S> Service<Call> for &'s Fairness<S>
where
    &'s S: Service<Call, Response = Reply, Error = Refusal>,
{
    type Response = Reply;
    type Error = Refusal;
    type Future = ResponseFuture<'s, S, <&'s S as Service<Call>>::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        (&self.inner).poll_ready(cx)
    }

    fn call(&mut self, mut call: Call) -> Self::Future {
        match self.layer.admit(&mut call) {
            Ok(Admitted::Now(share)) => {
                ResponseFuture::Admitted { future: (&self.inner).call(call), share, begun: None }
            }
            Ok(Admitted::Later(waiting)) => ResponseFuture::Waiting {
                queued: Some(Box::new(Queued { call, waiting })),
                fairness: self,
            },
            Err(refusal) => ResponseFuture::Refused { refusal: Some(Box::new(refusal)) },
        }
    }
}

/// A call that waits.
#[derive(Debug)]
pub struct Queued {
    call: Call,
    waiting: Waiting,
}

/// Since when a call runs that had to wait, and where its time is noted: others need it only then.
#[derive(Debug)]
pub struct Begun<'s>(Instant, &'s Shared);

pin_project_lite::pin_project! {
    /// The inner reply, after a wait for a turn or at once; or the refusal.
    #[project = Project]
    #[allow(missing_docs)] // Fields of a future that nobody else makes.
    pub enum ResponseFuture<'s, S, F> {
        /// Running.
        Admitted { #[pin] future: F, share: Option<Permit>, begun: Option<Begun<'s>> },
        /// In its queue.
        Waiting { queued: Option<Box<Queued>>, fairness: &'s Fairness<S> },
        /// Decided.
        Refused { refusal: Option<Box<Refusal>> },
    }
}

impl<'s, S, F> Future for ResponseFuture<'s, S, F>
where
    &'s S: Service<Call, Response = Reply, Error = Refusal, Future = F>,
    F: Future<Output = Result<Reply, Refusal>>,
{
    type Output = Result<Reply, Refusal>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const OVER: &str = "a future is not polled after it is ready";
        loop {
            match self.as_mut().project() {
                Project::Admitted { future, share, begun } => {
                    let result = ready!(future.poll(cx));
                    if let Some(Begun(begun, shared)) = begun.take() {
                        shared.mean.note(begun.elapsed());
                    }
                    let mut reply = result?;
                    if let Some(share) = share.take() {
                        reply.held.add(share);
                    }
                    return Poll::Ready(Ok(reply));
                }
                Project::Waiting { queued, fairness } => {
                    let waiting = &mut queued.as_mut().expect(OVER).waiting;
                    let turn = ready!(waiting.poll_turn(cx));
                    let fairness: &'s Fairness<S> = fairness;
                    let Queued { mut call, waiting } = *queued.take().expect(OVER);
                    drop(waiting);
                    let mut share = None;
                    match turn {
                        Ok(turn) => {
                            share = Some(turn.share);
                            call.permit = turn.permit;
                        }
                        Err(lost) => fairness.layer.refuse_waited(&call, lost)?,
                    }
                    let begun = Some(Begun(Instant::now(), &fairness.layer.state.0));
                    let future = (&fairness.inner).call(call);
                    self.set(Self::Admitted { future, share, begun });
                }
                Project::Refused { refusal } => {
                    return Poll::Ready(Err(*refusal.take().expect(OVER)));
                }
            }
        }
    }
}
