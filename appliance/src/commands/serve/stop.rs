//! Signals, and the end of plugins.

use std::time::{Duration, Instant};

use profile::Plan;
use runtime::Switch;
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

/// Longest that plugins may take to end once nobody calls them.
const PLUGIN_GRACE: Duration = Duration::from_secs(2);

/// Ends every plugin, all at once.
pub(super) fn stop_plugins(switch: &Switch, plan: &Plan) {
    let deadline = Instant::now() + PLUGIN_GRACE.min(plan.shutdown.drain);
    let generation = switch.load();
    std::thread::scope(|scope| {
        for plugin in &generation.stack().kit().plugins {
            scope.spawn(move || {
                if let Err(error) = plugin.stop(deadline) {
                    tracing::warn!(plugin = %plugin.name(), %error, "Plugin did not stop.");
                }
            });
        }
    });
}
