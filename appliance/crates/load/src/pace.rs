//! When calls are due.

use std::time::{Duration, Instant};

/// What sets the pace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// The server: each connection calls again as soon as it has its answer.
    Closed,
    /// The clock: so many calls a second, whatever comes back.
    Open {
        /// Calls a second; more than none.
        calls_per_sec: f64,
    },
}

/// The calls of one open-loop run, each due at its own moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    begun: Instant,
    calls_per_sec: f64,
    count: u64,
    next: u64,
}

impl Schedule {
    /// As many calls as fall into `duration`.
    pub(crate) fn new(calls_per_sec: f64, begun: Instant, duration: Duration) -> Self {
        let count = (calls_per_sec * duration.as_secs_f64()).floor() as u64;
        Self { begun, calls_per_sec, count, next: 0 }
    }

    /// When the next call is due; `None` when there is none left.
    pub(crate) fn due(&self) -> Option<Instant> {
        (self.next < self.count)
            .then(|| self.begun + Duration::from_secs_f64(self.next as f64 / self.calls_per_sec))
    }

    /// The next call has its turn.
    pub(crate) fn take(&mut self) {
        self.next += 1;
    }

    /// The calls that are left have no turn any more.
    pub(crate) fn end(&mut self) {
        self.count = self.next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_due_at_even_distances() {
        let begun = Instant::now();
        let mut schedule = Schedule::new(4.0, begun, Duration::from_secs(1));
        let mut due_ms = Vec::new();
        while let Some(due) = schedule.due() {
            due_ms.push((due - begun).as_millis());
            schedule.take();
        }
        assert_eq!(due_ms, [0, 250, 500, 750]);
    }

    #[test]
    fn lateness_of_one_call_does_not_move_the_next() {
        let begun = Instant::now();
        let mut schedule = Schedule::new(1_000_000.0, begun, Duration::from_secs(3_600));
        for _ in 0..3_000_000 {
            schedule.take();
        }
        assert_eq!(schedule.due(), Some(begun + Duration::from_secs(3)));
    }

    #[test]
    fn nothing_is_due_after_the_end() {
        let mut schedule = Schedule::new(1_000.0, Instant::now(), Duration::from_secs(1));
        schedule.take();
        schedule.end();
        assert_eq!(schedule.due(), None);
    }

    #[test]
    fn time_too_short_for_a_call_has_none() {
        assert_eq!(Schedule::new(1.0, Instant::now(), Duration::from_millis(999)).due(), None);
    }
}
