//! The messages that one stream keeps for a reader that is late or comes back.

use std::collections::VecDeque;

use bytes::Bytes;

/// Numbered messages, the oldest of which leave when there are too many. The newest always stays.
#[derive(Debug, Default)]
pub(super) struct Replay {
    kept: VecDeque<Bytes>,
    kept_bytes: usize,
    /// Number of the newest message; the first is 1.
    last: u64,
}

impl Replay {
    /// Adds a message and returns the number of the oldest that is still there.
    pub(super) fn push(&mut self, message: Bytes, events_max: usize, bytes_max: usize) -> u64 {
        self.kept_bytes += message.len();
        self.kept.push_back(message);
        self.last += 1;
        while self.kept.len() > 1 && (self.kept.len() > events_max || self.kept_bytes > bytes_max) {
            if let Some(oldest) = self.kept.pop_front() {
                self.kept_bytes -= oldest.len();
            }
        }
        self.oldest()
    }

    /// Number of the newest message, 0 when there was none yet.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// The first message that is still there with a number above `number`.
    pub(super) fn after(&self, number: u64) -> Option<(u64, &Bytes)> {
        let wanted = number.saturating_add(1).max(self.oldest());
        let at = usize::try_from(wanted - self.oldest()).ok()?;
        self.kept.get(at).map(|message| (wanted, message))
    }

    /// Number of the oldest message that is still there; of the next one when there is none.
    pub(super) fn oldest(&self) -> u64 {
        self.last + 1 - self.kept.len() as u64
    }
}
