//! Gives each plugin, and each tool in it, places of its own, so that one that hangs sinks nobody else.
//!
//! So many calls of a plugin are at work at once and so many wait, in their order, for a short time. A tool has bounds
//! within those of its plugin, by default half of them: a tool that hangs leaves the others their half. A place is held
//! until the plugin has let go of the call, however long ago its client was answered; calls that hold one beyond their
//! deadline are stuck. Beyond the bounds: 429 `plugin_busy`, with the time after which a place may be free by the mean
//! service time. Calls that are answered on the very thread that makes them need no place: the threads bound them.
//!
//! ```toml
//! [layer.bulkhead]
//! queue_wait_ms = 1000
//!
//! [plugin.files.limits]
//! concurrent_calls = 16
//! queue_calls = 32
//!
//! [plugin.files.tool.search]
//! concurrent_calls = 4
//! ```
//!
//! Source: Nygard, "Release It!", 2007.

mod config;
mod gate;
mod state;
#[cfg(test)]
mod tests;
mod waiting;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use protocol::{Call, Lease, Lender, Refusal, RefusalKind, Reply};
use telemetry::RefusalCounter;
use tower_layer::Layer;
use tower_service::Service;

use crate::Mode;
use crate::roster::{Index, Roster, scope};

use state::Cell;
use waiting::{TooLate, Waiting};

pub use config::Config;
pub use state::{PlaceReport, State, Stuck};

/// The layer's name.
pub const NAME: &str = "bulkhead";

/// Makes [`Bulkhead`] services.
#[derive(Clone, Debug)]
pub struct BulkheadLayer {
    mode: Mode,
    queue_wait: Duration,
    index: Index,
    cells: Arc<[Arc<Cell>]>,
    refused: RefusalCounter,
}

/// What becomes of a call.
enum Turn {
    /// It goes on.
    Now(Option<Lease>),
    /// It waits.
    Later(Waiting),
}

impl BulkheadLayer {
    /// A layer that follows `config`, with the bounds in `roster`, and counts in `state`.
    #[must_use]
    pub fn new(config: &Config, roster: &Roster, state: &State) -> Self {
        Self {
            mode: config.mode,
            queue_wait: Duration::from_millis(config.queue_wait_ms),
            index: roster.index(),
            cells: state.follow(roster).into(),
            refused: RefusalCounter::new(NAME, RefusalKind::PluginBusy),
        }
    }

    fn admit(&self, call: &Call) -> Result<Turn, Refusal> {
        let bounded = call.target.filter(|target| self.mode != Mode::Off && !target.runs_here);
        let cell = bounded.and_then(|target| self.cells.get(self.index.of(target)));
        match cell {
            None => Ok(Turn::Now(None)),
            Some(cell) if self.mode == Mode::Shadow => {
                let is_within = cell.gate.enter_anyway();
                if !cell.compartment.gate.enter_anyway() || !is_within {
                    self.refuse(cell)?;
                }
                Ok(Turn::Now(Some(lend(cell, None))))
            }
            Some(cell) => self.enter(cell, call),
        }
    }

    fn enter(&self, cell: &Arc<Cell>, call: &Call) -> Result<Turn, Refusal> {
        let before = cell.gate.enter();
        if let Some(before) = before
            && cell.compartment.gate.enter().is_some()
        {
            // Times matter only where it is getting full: elsewhere they would cost two looks at the clock.
            let is_filling = (before as usize + 1) * 2 > cell.gate.limit();
            return Ok(Turn::Now(Some(lend(cell, is_filling.then(Instant::now)))));
        }
        let until = match call.deadline {
            // Nobody waits for a task: it has the time that it has.
            Some(deadline) if call.is_task => deadline,
            Some(deadline) => deadline.min(Instant::now() + self.queue_wait),
            None => Instant::now() + self.queue_wait,
        };
        match Waiting::begin(cell, before.is_some(), until) {
            Some(waiting) => Ok(Turn::Later(waiting)),
            None => self.refuse(cell).map(|()| Turn::Now(None)),
        }
    }

    fn refuse(&self, cell: &Cell) -> Result<(), Refusal> {
        let compartment = &cell.compartment;
        compartment.refused.fetch_add(1, Relaxed);
        let is_of_tool = cell.gate.inside() >= cell.gate.limit();
        let (tool, limit) = if is_of_tool {
            (cell.tool.as_deref(), cell.gate.limit())
        } else {
            (None, compartment.gate.limit())
        };
        let refusal = Refusal::new(
            RefusalKind::PluginBusy,
            NAME,
            scope(&compartment.name, tool),
            "As many calls as this can take are under way; try again later.",
        );
        let refusal = refusal.with_limit(limit as u64).with_retry_after(cell.retry_after());
        self.mode.judge(refusal, &self.refused)
    }
}

/// A lease of a place that was taken.
fn lend(cell: &Arc<Cell>, begun: Option<Instant>) -> Lease {
    Lease::new(Arc::clone(cell) as Arc<dyn Lender>, begun)
}

impl<S> Layer<S> for BulkheadLayer {
    type Service = Bulkhead<S>;

    fn layer(&self, inner: S) -> Bulkhead<S> {
        Bulkhead { layer: self.clone(), inner }
    }
}

/// Lends each call a place, lets it wait for one, or refuses it.
#[derive(Clone, Debug)]
pub struct Bulkhead<S> {
    layer: BulkheadLayer,
    inner: S,
}

impl<'s, S> Service<Call> for &'s Bulkhead<S>
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
        match self.layer.admit(&call) {
            Ok(Turn::Now(lease)) => {
                call.lease = lease;
                ResponseFuture::Admitted { future: (&self.inner).call(call) }
            }
            Ok(Turn::Later(waiting)) => ResponseFuture::Waiting {
                queued: Some(Box::new(Queued { call, waiting })),
                bulkhead: self,
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

pin_project_lite::pin_project! {
    /// The inner reply, after a wait for a place or at once; or the refusal.
    #[project = Project]
    #[allow(missing_docs)] // Fields of a future that nobody else makes.
    pub enum ResponseFuture<'s, S, F> {
        /// Running.
        Admitted { #[pin] future: F },
        /// In the queue.
        Waiting { queued: Option<Box<Queued>>, bulkhead: &'s Bulkhead<S> },
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
                Project::Admitted { future } => return future.poll(cx),
                Project::Waiting { queued, bulkhead } => {
                    let waiting = &mut queued.as_mut().expect(OVER).waiting;
                    let turn = ready!(waiting.poll_turn(cx));
                    let bulkhead: &'s Bulkhead<S> = bulkhead;
                    let Queued { mut call, waiting } = *queued.take().expect(OVER);
                    match turn {
                        Ok(()) => call.lease = Some(lend(waiting.cell(), Some(Instant::now()))),
                        Err(TooLate) => bulkhead.layer.refuse(waiting.cell())?,
                    }
                    drop(waiting);
                    let future = (&bulkhead.inner).call(call);
                    self.set(Self::Admitted { future });
                }
                Project::Refused { refusal } => {
                    return Poll::Ready(Err(*refusal.take().expect(OVER)));
                }
            }
        }
    }
}
