//! One figure of a scenario and the goal that it is held against.

use serde::Serialize;

/// A figure with its goal.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    /// What was counted or measured.
    pub(crate) what: String,
    /// What came out.
    pub(crate) measured: f64,
    /// On which side of `goal` it must be; absent: it is only shown.
    pub(crate) side: Option<Side>,
    /// The goal.
    pub(crate) goal: f64,
    /// Of both.
    pub(crate) unit: &'static str,
    /// What missing the goal means.
    pub(crate) outcome: Outcome,
}

/// Where a goal is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    /// At the goal.
    Exactly,
    /// At the goal or above it.
    AtLeast,
    /// At the goal or below it.
    AtMost,
}

/// How a figure stands to its goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// At its goal.
    Held,
    /// A time beyond its goal: printed, since it says as much of the machine as of the program.
    Missed,
    /// A promise broken.
    Failed,
}

impl Side {
    fn holds(self, measured: f64, goal: f64) -> bool {
        match self {
            Self::Exactly => (measured - goal).abs() < 0.5,
            Self::AtLeast => measured >= goal,
            Self::AtMost => measured <= goal,
        }
    }

    /// As a reader says it.
    pub(crate) const fn sign(self) -> &'static str {
        match self {
            Self::Exactly => "=",
            Self::AtLeast => "at least",
            Self::AtMost => "at most",
        }
    }
}

impl Figure {
    /// A promise: missing it fails the run.
    pub(crate) fn promise(what: &str, measured: f64, side: Side, goal: f64) -> Self {
        let outcome = if side.holds(measured, goal) { Outcome::Held } else { Outcome::Failed };
        Self { what: what.to_owned(), measured, side: Some(side), goal, unit: "", outcome }
    }

    /// A measure that noise can spoil: beyond `goal` it is missed, and beyond `bound`, if there is one, it fails.
    pub(crate) fn measure(
        what: &str,
        measured: f64,
        side: Side,
        goal: f64,
        bound: Option<f64>,
    ) -> Self {
        let is_hopeless = bound.is_some_and(|bound| !side.holds(measured, bound));
        let outcome = match (side.holds(measured, goal), is_hopeless) {
            (true, _) => Outcome::Held,
            (false, false) => Outcome::Missed,
            (false, true) => Outcome::Failed,
        };
        Self { what: what.to_owned(), measured, side: Some(side), goal, unit: "", outcome }
    }

    /// A figure without a goal.
    pub(crate) fn shown(what: &str, measured: f64, unit: &'static str) -> Self {
        let outcome = Outcome::Held;
        Self { what: what.to_owned(), measured, side: None, goal: 0.0, unit, outcome }
    }

    /// With its unit.
    pub(crate) const fn in_unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// The line that is printed of it.
    pub(crate) fn line(&self) -> String {
        let mark = match self.outcome {
            Outcome::Held => "  ",
            Outcome::Missed => "~ ",
            Outcome::Failed => "! ",
        };
        let goal = self.goal_text().map(|goal| format!("  ({goal})")).unwrap_or_default();
        format!("  {mark}{}: {} {}{goal}", self.what, number(self.measured), self.unit)
    }

    /// The goal as a reader says it.
    pub(crate) fn goal_text(&self) -> Option<String> {
        self.side.map(|side| format!("{} {}", side.sign(), number(self.goal)))
    }
}

/// A number with as many digits as tell something.
pub(crate) fn number(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 1_000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_promise_fails_and_late_time_is_missed() {
        assert_eq!(Figure::promise("", 9.0, Side::Exactly, 10.0).outcome, Outcome::Failed);
        assert_eq!(Figure::promise("", 10.0, Side::Exactly, 10.0).outcome, Outcome::Held);
        let time = |ms, bound| Figure::measure("", ms, Side::AtMost, 5.0, bound).outcome;
        assert_eq!(time(5.0, None), Outcome::Held);
        assert_eq!(time(50.0, None), Outcome::Missed);
        assert_eq!(time(50.0, Some(100.0)), Outcome::Missed);
        assert_eq!(time(101.0, Some(100.0)), Outcome::Failed);
    }

    #[test]
    fn line_says_figure_goal_and_how_it_stands() {
        let figure = Figure::measure("p99", 7.25, Side::AtMost, 5.0, None).in_unit("ms");
        assert_eq!(figure.line(), "  ~ p99: 7.250 ms  (at most 5)");
        assert_eq!(Figure::shown("calls", 3.0, "").line(), "    calls: 3 ");
    }
}
