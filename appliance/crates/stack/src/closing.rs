//! The end of a stack that was replaced: what still runs in it is refused.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use protocol::{Refusal, RefusalKind};

/// Whether calls of a stack may still wait for something.
#[derive(Debug)]
pub(crate) struct Closing {
    is_closed: AtomicBool,
    drain: Duration,
}

impl Closing {
    /// They may, and for so long after the stack is replaced.
    pub(crate) const fn new(drain: Duration) -> Self {
        Self { is_closed: AtomicBool::new(false), drain }
    }

    /// They may not. Whoever waits must be woken by other means.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Relaxed);
    }

    /// Whether they may not. To be asked after the wish to be woken: whoever closes wakes afterwards, by the same locks.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Relaxed)
    }

    /// What a call hears that waits when it may not.
    pub(crate) fn refusal(&self) -> Refusal {
        Refusal::new(
            RefusalKind::TimedOut,
            "lifecycle",
            "generation",
            "The call did not end in time after the server's settings were changed.",
        )
        .with_limit(u64::try_from(self.drain.as_millis()).unwrap_or(u64::MAX))
    }
}
