//! The signals that end the process.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What an operator sends to end the process.
pub(super) struct Signals {
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
}

impl Signals {
    /// Listens to SIGTERM and SIGINT from now on.
    pub(super) fn new() -> Self {
        Self {
            terminate: signal(SignalKind::terminate()).ok(),
            interrupt: signal(SignalKind::interrupt()).ok(),
        }
    }

    /// Waits for one.
    pub(super) async fn next(&mut self) {
        match (&mut self.terminate, &mut self.interrupt) {
            (Some(terminate), Some(interrupt)) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            (Some(signal), None) | (None, Some(signal)) => {
                signal.recv().await;
            }
            (None, None) => std::future::pending().await,
        }
    }
}
