//! What a scenario has found: its figures, what it could not do, and every kind of answer that it saw.

use std::collections::BTreeMap;

use load::Tally;
use protocol::RefusalKind;

use super::figure::{Figure, Outcome, Side};

/// Statuses that the reference documents; anything else is an answer that nobody promised.
const STATUSES: [u16; 19] =
    [100, 200, 202, 204, 400, 403, 404, 405, 406, 408, 411, 413, 414, 415, 417, 421, 429, 431, 503];

/// The findings of one scenario.
#[derive(Debug)]
pub(crate) struct Findings {
    /// Whether times are held against a generous bound as well: in the short run, whose machine is anybody's.
    is_bounded: bool,
    figures: Vec<Figure>,
    notes: Vec<String>,
    /// Answers that nobody promised.
    strange: BTreeMap<String, u64>,
}

impl Findings {
    /// Nothing yet.
    pub(crate) const fn new(is_bounded: bool) -> Self {
        Self { is_bounded, figures: Vec::new(), notes: Vec::new(), strange: BTreeMap::new() }
    }

    /// A count that must be exact.
    pub(crate) fn exactly(&mut self, what: &str, measured: u64, goal: u64) {
        self.figures.push(Figure::promise(what, measured as f64, Side::Exactly, goal as f64));
    }

    /// A promise from above.
    pub(crate) fn at_most(&mut self, what: &str, measured: f64, goal: f64) {
        self.figures.push(Figure::promise(what, measured, Side::AtMost, goal));
    }

    /// A promise from below.
    pub(crate) fn at_least(&mut self, what: &str, measured: f64, goal: f64) {
        self.figures.push(Figure::promise(what, measured, Side::AtLeast, goal));
    }

    /// Milliseconds with their goal and, for the short run, the bound that no machine may pass.
    pub(crate) fn time_ms(&mut self, what: &str, measured_ms: f64, goal_ms: f64, bound_ms: f64) {
        let bound = self.is_bounded.then_some(bound_ms);
        let figure = Figure::measure(what, measured_ms, Side::AtMost, goal_ms, bound);
        self.figures.push(figure.in_unit("ms"));
    }

    /// A measure that noise can spoil, without a bound: never fails.
    pub(crate) fn measure(
        &mut self,
        what: &str,
        measured: f64,
        side: Side,
        goal: f64,
        unit: &'static str,
    ) {
        self.figures.push(Figure::measure(what, measured, side, goal, None).in_unit(unit));
    }

    /// A figure without a goal.
    pub(crate) fn show(&mut self, what: &str, measured: f64, unit: &'static str) {
        self.figures.push(Figure::shown(what, measured, unit));
    }

    /// A sentence for the report.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Looks at every answer of a load: its kinds must be documented ones.
    pub(crate) fn see(&mut self, tally: &Tally) {
        for (name, count) in &tally.errors {
            let status = name.strip_prefix("status_").and_then(|status| status.parse().ok());
            if let Some(status) = status {
                self.see_status(status, *count);
            }
        }
        for (kind, count) in &tally.refusals {
            if !RefusalKind::ALL.iter().any(|known| known.as_str() == kind) {
                *self.strange.entry(format!("refusal {kind}")).or_default() += count;
            }
        }
    }

    /// The same for the status of an answer.
    pub(crate) fn see_status(&mut self, status: u16, count: u64) {
        if !STATUSES.contains(&status) {
            *self.strange.entry(format!("status {status}")).or_default() += count;
        }
    }

    /// The rule that all answers were documented ones, as a figure.
    pub(crate) fn judge_answers(&mut self) {
        if !self.strange.is_empty() {
            self.notes.push(format!("answers that nobody promised: {:?}", self.strange));
        }
        let count = self.strange.values().sum();
        self.exactly("undocumented answers", count, 0);
    }

    /// All figures, in the order in which they were found.
    pub(crate) fn figures(&self) -> &[Figure] {
        &self.figures
    }

    /// All sentences.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The worst of its figures.
    pub(crate) fn outcome(&self) -> Outcome {
        self.figures.iter().map(|figure| figure.outcome).max().unwrap_or(Outcome::Held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_that_nobody_promised_is_a_broken_promise() {
        let mut findings = Findings::new(true);
        findings.see_status(503, 9);
        findings.judge_answers();
        assert_eq!(findings.outcome(), Outcome::Held);
        findings.see_status(500, 1);
        findings.judge_answers();
        assert_eq!(findings.outcome(), Outcome::Failed);
    }

    #[test]
    fn generous_bound_counts_in_the_short_run_alone() {
        for (is_bounded, outcome) in [(true, Outcome::Failed), (false, Outcome::Missed)] {
            let mut findings = Findings::new(is_bounded);
            findings.time_ms("late", 3_000.0, 5.0, 2_000.0);
            assert_eq!(findings.outcome(), outcome);
        }
    }
}
