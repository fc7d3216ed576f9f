//! What the accept loop counts.

use ::metrics::{Counter, counter};
use telemetry::Metric;

use super::progress::Closed;

/// The counters of one listener, looked up once.
pub(super) struct Tally {
    pub(super) accepted: Counter,
    pub(super) refused: Counter,
    pub(super) accept_failed: Counter,
    pub(super) streams_stalled: Counter,
    closed: [Counter; Closed::ALL.len()],
}

impl Tally {
    pub(super) fn new(listener: &str) -> Self {
        let of = |metric: Metric| counter!(metric.name(), "listener" => listener.to_owned());
        Self {
            accepted: of(Metric::ConnectionsAccepted),
            refused: of(Metric::ConnectionsRefused),
            accept_failed: of(Metric::AcceptFailures),
            streams_stalled: of(Metric::StreamsStalled),
            closed: Closed::ALL.map(|reason| {
                counter!(Metric::ConnectionsClosed.name(), "listener" => listener.to_owned(), "reason" => reason.as_str())
            }),
        }
    }

    pub(super) fn closed(&self, reason: Closed) {
        self.closed[reason as usize].increment(1);
    }
}
