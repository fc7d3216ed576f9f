//! The signals that end the process.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::service_manager::ServiceManager;

/// What an operator sends to end the process.
pub(super) struct Signals {
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
    /// Hears of the first.
    manager: Arc<ServiceManager>,
}

impl Signals {
    /// Listens to SIGTERM and SIGINT from now on.
    pub(super) fn new(manager: Arc<ServiceManager>) -> Self {
        Self {
            manager,
            terminate: signal(SignalKind::terminate()).ok(),
            interrupt: signal(SignalKind::interrupt()).ok(),
        }
    }

    /// Waits for one.
    pub(super) async fn next(&mut self) {
        self.wait().await;
        self.manager.stopping("Stopping.");
    }

    async fn wait(&mut self) {
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
