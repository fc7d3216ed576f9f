//! What sessions count.

use ::metrics::{Counter, counter};
use telemetry::Metric;

/// The counters, looked up once.
pub(super) struct Tally {
    pub(super) ended_by_client: Counter,
    pub(super) ended_for_idleness: Counter,
    pub(super) ended_by_shutdown: Counter,
    pub(super) messages_dropped: Counter,
}

impl Tally {
    pub(super) fn new() -> Self {
        let ended =
            |reason: &'static str| counter!(Metric::SessionsEnded.name(), "reason" => reason);
        Self {
            ended_by_client: ended("client"),
            ended_for_idleness: ended("idle"),
            ended_by_shutdown: ended("shutdown"),
            messages_dropped: counter!(Metric::StreamMessagesDropped.name()),
        }
    }
}
