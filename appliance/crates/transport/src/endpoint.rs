//! What every transport serves: the current generation, and what lives beside it.

use std::sync::Arc;

use protocol::{Bound, Permit, Refusal, RefusalKind};
use runtime::{Changes, Phase, Switch, Tasks, Vitals, Watches};

use crate::session::Sessions;

/// What every transport serves. One for the process, shared by all listeners.
pub struct Endpoint {
    /// Leads to the current generation.
    pub switch: Arc<Switch>,
    /// Legacy sessions.
    pub sessions: Arc<Sessions>,
    /// Tasks of modern clients.
    pub tasks: Arc<Tasks>,
    /// What changes under open streams.
    pub changes: Changes,
    /// Subscribed resources.
    pub watches: Arc<Watches>,
    /// Whether the process serves.
    pub vitals: Arc<Vitals>,
    /// Turns true when the process ends: long-lived streams say goodbye.
    pub ending: tokio::sync::watch::Sender<bool>,
}

impl Endpoint {
    /// Refuses new work while the process is not serving.
    pub(crate) fn check_phase(&self) -> Result<(), Refusal> {
        let message = match self.vitals.phase() {
            Phase::Ready | Phase::Leaving => return Ok(()),
            Phase::Starting => "The server is starting; try again shortly.",
            Phase::Draining => "The server is stopping; try again elsewhere.",
        };
        Err(Refusal::new(RefusalKind::Draining, "lifecycle", "process", message)
            .with_retry_after(std::time::Duration::from_secs(1)))
    }

    /// The bound on streams of either era.
    fn streams(&self) -> &Arc<Bound> {
        self.sessions.bounds()[1]
    }

    /// A place for one more stream.
    pub(crate) fn take_stream(&self) -> Result<Permit, Refusal> {
        self.streams().try_take().ok_or_else(|| {
            Refusal::new(
                RefusalKind::SessionsExhausted,
                "session",
                "process",
                "Every stream is taken; try again later.",
            )
            .with_limit(self.streams().limit() as u64)
            .with_retry_after(std::time::Duration::from_secs(5))
        })
    }
}
