//! How much a plugin may write into the operator's log: a flood must not fill a disk or hide its neighbours' lines.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Lines of one plugin in one second.
const LINES_PER_SEC_MAX: u32 = 1_000;

/// Lines that a plugin has written in the current second.
#[derive(Debug, Default)]
pub(crate) struct LogLines {
    second: AtomicU64,
    lines: AtomicU32,
}

/// Whether a line is written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is.
    Written,
    /// It is the first of this second that is not: worth a line of the host's own.
    FirstLeftOut,
    /// It is not.
    LeftOut,
}

impl LogLines {
    /// Counts a line; `now_ns` is the monotonic clock. Threads that meet at the turn of a second may count a few lines
    /// for the wrong one.
    pub(crate) fn admit(&self, now_ns: u64) -> Admission {
        let second = now_ns / 1_000_000_000;
        if self.second.swap(second, Relaxed) != second {
            self.lines.store(0, Relaxed);
        }
        match self.lines.fetch_add(1, Relaxed) {
            lines if lines < LINES_PER_SEC_MAX => Admission::Written,
            LINES_PER_SEC_MAX => Admission::FirstLeftOut,
            _ => Admission::LeftOut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_what_is_too_much_for_a_second_and_begins_anew_in_the_next() {
        let lines = LogLines::default();
        for second in [7, 8] {
            let admit = || lines.admit(second * 1_000_000_000 + 5);
            assert!((0..LINES_PER_SEC_MAX).all(|_| admit() == Admission::Written));
            assert_eq!(admit(), Admission::FirstLeftOut);
            assert!((0..10_000).all(|_| admit() == Admission::LeftOut));
        }
    }
}
