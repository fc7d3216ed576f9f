//! What is shown while it runs: on a terminal one line that is rewritten, elsewhere a line for each step.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use load::Tally;
use load::receipt::Step;

/// How often the line is rewritten.
const PERIOD: Duration = Duration::from_secs(1);
/// Goes to the beginning of the line and clears it.
const CLEAR: &str = "\r\x1b[2K";

/// Standard error.
pub(super) struct Progress {
    is_terminal: bool,
    begun: Instant,
    shown_at: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { is_terminal: std::io::stderr().is_terminal(), begun: now, shown_at: now }
    }

    /// A step begins.
    pub(super) fn begin(&mut self, name: &str, planned_per_sec: Option<f64>) {
        self.begun = Instant::now();
        self.shown_at = self.begun;
        if self.is_terminal {
            let pace = planned_per_sec
                .map_or_else(|| "as fast as it answers".to_owned(), |rate| format!("{rate:.0}/s"));
            self.write(&format!("{CLEAR}{name}: {pace}"));
        }
    }

    /// Shows how it goes, once a second.
    pub(super) fn show(&mut self, name: &str, tally: &Tally) {
        if !self.is_terminal || self.shown_at.elapsed() < PERIOD {
            return;
        }
        self.shown_at = Instant::now();
        let (accepted, refused, failed) = (tally.accepted, tally.refused(), tally.failed());
        let seconds = self.begun.elapsed().as_secs();
        self.write(&format!(
            "{CLEAR}{name}: {seconds} s, {accepted} accepted, {refused} refused, {failed} failed"
        ));
    }

    /// A step has ended.
    pub(super) fn end(&self, step: &Step) {
        let p99 = step
            .accepted_latency
            .map_or_else(String::new, |latency| format!(", p99 {:.1} ms", latency.p99_us / 1e3));
        let clear = if self.is_terminal { CLEAR } else { "" };
        self.write(&format!(
            "{clear}{}: {:.0}/s offered, {:.0}/s accepted, {} refused, {} failed, {} not sent{p99}\n",
            step.name,
            step.offered_per_sec,
            step.goodput_per_sec,
            step.refused,
            step.failed,
            step.not_sent
        ));
    }

    fn write(&self, text: &str) {
        let mut stderr = std::io::stderr();
        // Nobody may be reading.
        stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()).ok();
    }
}
