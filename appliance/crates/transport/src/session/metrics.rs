//! What sessions count.

use ::metrics::{Counter, counter};

/// Sessions ended, by `reason`: `client`, `idle`, `shutdown`.
pub const ENDED: &str = "toolrack_sessions_ended_total";
/// Messages that left a stream's replay before any reader had taken them.
pub const MESSAGES_DROPPED: &str = "toolrack_stream_messages_dropped_total";

/// The counters, looked up once.
pub(super) struct Tally {
    pub(super) ended_by_client: Counter,
    pub(super) ended_for_idleness: Counter,
    pub(super) ended_by_shutdown: Counter,
    pub(super) messages_dropped: Counter,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            ended_by_client: counter!(ENDED, "reason" => "client"),
            ended_for_idleness: counter!(ENDED, "reason" => "idle"),
            ended_by_shutdown: counter!(ENDED, "reason" => "shutdown"),
            messages_dropped: counter!(MESSAGES_DROPPED),
        }
    }
}
