//! Whether the process that was taken over from is still there.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// While it is there, its clients can begin sessions, which the process after learns of from it and nobody else does.
#[derive(Default)]
pub(in super::super) struct Before {
    is_there: Mutex<bool>,
    news: Condvar,
}

impl Before {
    pub(super) fn begins(&self) {
        *self.lock() = true;
    }

    pub(super) fn ends(&self) {
        *self.lock() = false;
        self.news.notify_all();
    }

    /// Waits until it is gone; `false`: it is there for longer than this.
    pub(super) fn is_gone_within(&self, patience: Duration) -> bool {
        let waited = self.news.wait_timeout_while(self.lock(), patience, |is_there| *is_there);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_there.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_hears_of_the_end() {
        let before = Before::default();
        assert!(before.is_gone_within(Duration::ZERO), "there was none");
        before.begins();
        assert!(!before.is_gone_within(Duration::from_millis(1)));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| before.is_gone_within(Duration::from_secs(60)));
            before.ends();
            assert!(waiting.join().expect("it ends"));
        });
    }
}
