//! Refuses calls of a tool that fails, until probes say that it is well again.
//!
//! Each tool has a circuit of its own, and everything else that a plugin offers has one together: a tool that hangs
//! closes nothing but itself. Failures are timeouts, panics, internal errors and a plugin that cannot serve. Faults of
//! clients, refusals of ours and cancelled calls say nothing of a tool and are not counted; an error that the tool
//! reports to the model is an answer. While a circuit is open, calls are refused before they reach the plugin: 503
//! `circuit_open` with the rest of the time. Then a few probes decide.
//!
//! ```toml
//! [layer.circuit_breaker]
//! failure_percent = 50
//! open_ms = 5000
//! ```
//!
//! Source: Nygard, "Release It!", 2007; count window, slow calls and half-open probes after resilience4j, growing open
//! times after Envoy's outlier detection.

mod config;
mod core;
#[cfg(all(test, feature = "loom"))]
mod interleavings;
mod state;
#[cfg(test)]
mod tests;
mod window;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use protocol::{Call, Outcome, Refusal, RefusalKind, Reply, codes};
use telemetry::RefusalCounter;
use tower_layer::Layer;
use tower_service::Service;

use crate::Mode;
use crate::roster::{Index, Roster, Unit, scope};

use self::core::{Core, Pass, Rules, Verdict};

pub use self::core::Phase;
pub use config::Config;
pub use state::{CircuitReport, Forced, Opening, State};

/// The layer's name.
pub const NAME: &str = "circuit_breaker";

/// Whose circuit, and from when on its calls are slow.
#[derive(Debug)]
struct Circuit {
    core: Arc<Core>,
    plugin: Arc<str>,
    tool: Option<Arc<str>>,
    slow_after: Duration,
}

/// Makes [`CircuitBreaker`] services.
#[derive(Clone, Debug)]
pub struct CircuitBreakerLayer {
    mode: Mode,
    rules: Rules,
    state: State,
    index: Index,
    circuits: Arc<[Circuit]>,
    refused: RefusalCounter,
}

impl CircuitBreakerLayer {
    /// A layer that follows `config`, for what is in `roster`, and goes by what `state` knows.
    #[must_use]
    pub fn new(config: &Config, roster: &Roster, state: State) -> Self {
        let cores = state.circuits(config, roster);
        let circuit = |(core, unit): (Arc<Core>, &Unit)| Circuit {
            core,
            plugin: Arc::clone(roster.plugin_of(unit)),
            tool: unit.tool.clone(),
            slow_after: unit.deadline * config.slow_deadline_percent / 100,
        };
        Self {
            mode: config.mode,
            rules: Rules::new(config),
            index: roster.index(),
            circuits: cores.into_iter().zip(roster.units()).map(circuit).collect(),
            state,
            refused: RefusalCounter::new(NAME, RefusalKind::CircuitOpen),
        }
    }

    fn admit(&self, call: &Call) -> Result<Option<Trial<'_>>, Refusal> {
        let Some(target) = call.target.filter(|_| self.mode != Mode::Off) else { return Ok(None) };
        let Some(circuit) = self.circuits.get(self.index.of(target)) else { return Ok(None) };
        let pass = match circuit.core.pass_closed() {
            Some(pass) => pass,
            None => match circuit.core.admit(&self.rules, self.state.now_ms()) {
                Ok(pass) => pass,
                Err(left_ms) => {
                    let refusal = refusal(circuit, Duration::from_millis(left_ms));
                    return self.mode.judge(refusal, &self.refused).map(|()| None);
                }
            },
        };
        Ok(Some(Trial {
            layer: self,
            circuit,
            pass,
            is_task: call.is_task,
            begun: None,
            verdict: Verdict::Void,
        }))
    }
}

fn refusal(circuit: &Circuit, left: Duration) -> Refusal {
    let message =
        "This failed too often, or does not end, and is left alone for a while; try again later.";
    let scope = scope(&circuit.plugin, circuit.tool.as_deref());
    Refusal::new(RefusalKind::CircuitOpen, NAME, scope, message).with_retry_after(left)
}

/// What a result says of who answered.
fn verdict(result: &Result<Reply, Refusal>, was_slow: bool) -> Verdict {
    match result {
        Ok(reply) => match &reply.outcome {
            Outcome::Done(_) | Outcome::InputRequired(_) => Verdict::Answered { was_slow },
            Outcome::Failed(fault) if fault.code == codes::INTERNAL_ERROR => Verdict::Failed,
            Outcome::Failed(_) => Verdict::Void,
        },
        Err(refusal) => match refusal.kind {
            RefusalKind::TimedOut | RefusalKind::PluginUnavailable => Verdict::Failed,
            _ => Verdict::Void,
        },
    }
}

/// A call that a circuit let pass. Dropped without a verdict, it was cancelled.
#[derive(Debug)]
pub struct Trial<'s> {
    layer: &'s CircuitBreakerLayer,
    circuit: &'s Circuit,
    pass: Pass,
    is_task: bool,
    /// The first time that the call had to wait: one that never waits needs no clock.
    begun: Option<Instant>,
    verdict: Verdict,
}

impl Trial<'_> {
    fn end(mut self, result: &Result<Reply, Refusal>) {
        // Tasks have their own time.
        let waited = self.begun.filter(|_| !self.is_task);
        let was_slow = waited.is_some_and(|begun| begun.elapsed() >= self.circuit.slow_after);
        self.verdict = verdict(result, was_slow);
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        let Self { layer, circuit, pass, verdict, .. } = self;
        circuit.core.settle(*pass, *verdict, &layer.rules, || layer.state.now_ms());
    }
}

impl<S> Layer<S> for CircuitBreakerLayer {
    type Service = CircuitBreaker<S>;

    fn layer(&self, inner: S) -> CircuitBreaker<S> {
        CircuitBreaker { layer: self.clone(), inner }
    }
}

/// Lets calls pass while their circuit is closed, and watches what becomes of them.
#[derive(Clone, Debug)]
pub struct CircuitBreaker<S> {
    layer: CircuitBreakerLayer,
    inner: S,
}

impl<'s, S> Service<Call> for &'s CircuitBreaker<S>
where
    &'s S: Service<Call, Response = Reply, Error = Refusal>,
{
    type Response = Reply;
    type Error = Refusal;
    type Future = ResponseFuture<'s, <&'s S as Service<Call>>::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        (&self.inner).poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        match self.layer.admit(&call) {
            Ok(trial) => ResponseFuture::Admitted { future: (&self.inner).call(call), trial },
            Err(refusal) => ResponseFuture::Refused { refusal: Some(Box::new(refusal)) },
        }
    }
}

pin_project_lite::pin_project! {
    /// The inner reply, watched; or the refusal.
    #[project = Project]
    #[allow(missing_docs)] // Fields of a future that nobody else makes.
    pub enum ResponseFuture<'s, F> {
        /// Running.
        Admitted { #[pin] future: F, trial: Option<Trial<'s>> },
        /// Decided.
        Refused { refusal: Option<Box<Refusal>> },
    }
}

impl<F: Future<Output = Result<Reply, Refusal>>> Future for ResponseFuture<'_, F> {
    type Output = Result<Reply, Refusal>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Project::Admitted { future, trial } => match future.poll(cx) {
                Poll::Ready(result) => {
                    if let Some(trial) = trial.take() {
                        trial.end(&result);
                    }
                    Poll::Ready(result)
                }
                Poll::Pending => {
                    if let Some(trial) = trial {
                        trial.begun.get_or_insert_with(Instant::now);
                    }
                    Poll::Pending
                }
            },
            Project::Refused { refusal } => {
                Poll::Ready(Err(*refusal.take().expect("a future is not polled after it is ready")))
            }
        }
    }
}
