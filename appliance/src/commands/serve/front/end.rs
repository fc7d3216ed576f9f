//! The end of the process: notice, drain, and then whoever is left is cut.

use std::time::Duration;

use runtime::Phase;
use tokio::task::JoinSet;
use tokio::time::Instant;
use transport::Endpoint;

use super::super::stop::Signals;
use super::Front;
use crate::exit;

impl Front {
    /// Notice first, then drain, then let go. One more signal skips what is left.
    pub(super) async fn wind_down(&self, client: JoinSet<()>, mut signals: Signals) -> u8 {
        give_notice(&self.endpoint, &mut signals).await;
        self.stop(client, signals).await
    }

    /// The same without notice.
    pub(super) async fn stop(&self, mut client: JoinSet<()>, mut signals: Signals) -> u8 {
        let endpoint = &self.endpoint;
        endpoint.vitals.enter(Phase::Draining);
        let drain = endpoint.switch.load().plan().shutdown.drain;
        tracing::info!(
            drain_ms = drain.as_millis() as u64,
            "Stopping: no new calls, running ones may finish. One more signal stops at once."
        );
        endpoint.ending.send_replace(true);
        let deadline = Instant::now() + drain;
        let mut listeners = self.set().end(deadline);
        let mut cut = 0;
        let drained = async {
            if tokio::time::timeout_at(deadline, client.join_next()).await.is_err() {
                cut += 1;
            }
            while let Some(ended) = listeners.join_next().await {
                cut += ended.unwrap_or_default();
            }
        };
        let at_once = tokio::select! {
            () = drained => false,
            () = signals.next() => {
                self.set().abort();
                true
            }
        };
        endpoint.sessions.end_all();
        if at_once {
            tracing::warn!("Stopped at once: calls in flight were cut.");
        } else if cut > 0 {
            tracing::warn!(
                connections = cut,
                "Stopped; connections that did not finish in time were cut."
            );
        } else {
            tracing::info!("Stopped; every call was answered.");
        }
        exit::OK
    }
}

/// Serves on while load balancers notice that they should look elsewhere. A second signal skips what is left of it.
async fn give_notice(endpoint: &Endpoint, signals: &mut Signals) {
    let notice: Duration = endpoint.switch.load().plan().shutdown.notice;
    if notice.is_zero() {
        return;
    }
    endpoint.vitals.enter(Phase::Leaving);
    let notice_ms = notice.as_millis() as u64;
    tracing::info!(notice_ms, "Leaving: still serving, but no longer ready.");
    tokio::select! {
        () = tokio::time::sleep(notice) => {}
        () = signals.next() => {}
    }
}
