//! What the accept loop counts.

use ::metrics::{Counter, counter};

use super::progress::Closed;

/// Connections accepted and served, by `listener`.
pub const ACCEPTED: &str = "toolrack_connections_accepted_total";
/// Connections closed, by `listener` and `reason`: `done`, `first_byte`, `head`, `idle`, `write_stall`, `age`, `spent`,
/// `evicted`, `abuse`, `error`, `cut`.
pub const CLOSED: &str = "toolrack_connections_closed_total";
/// Connections turned away at a cap or for want of descriptors, by `listener`.
pub const REFUSED: &str = "toolrack_connections_refused_total";
/// Failures to accept a connection, by `listener`.
pub const ACCEPT_FAILED: &str = "toolrack_accept_failures_total";
/// HTTP/2 streams reset because their client stopped reading, by `listener`.
pub const STREAMS_STALLED: &str = "toolrack_streams_stalled_total";

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
        let of = |name: &'static str| counter!(name, "listener" => listener.to_owned());
        Self {
            accepted: of(ACCEPTED),
            refused: of(REFUSED),
            accept_failed: of(ACCEPT_FAILED),
            streams_stalled: of(STREAMS_STALLED),
            closed: Closed::ALL.map(|reason| {
                counter!(CLOSED, "listener" => listener.to_owned(), "reason" => reason.as_str())
            }),
        }
    }

    pub(super) fn closed(&self, reason: Closed) {
        self.closed[reason as usize].increment(1);
    }
}
