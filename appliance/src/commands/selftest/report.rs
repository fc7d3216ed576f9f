//! What a test came to: a table for people, JSON for machines.
//!
//! The JSON is one object and keeps its shape: `format` (1), `profile`, `generation`, `behaved`, `stopped` (why the
//! test is not whole, or null), `counts` by verdict, and `findings`, each with `key`, `verdict` (`exercised`,
//! `changed_behaviour`, `not_exercised`, `misbehaved`), `sent`, `expected`, `seen` and `why`.

use std::fmt::Write;

use serde::Serialize;

use super::judge::{Finding, Verdict};
use super::lane::Begun;

/// The number of the shape.
const FORMAT: u32 = 1;

/// A whole report.
#[derive(Serialize)]
pub(super) struct Report {
    format: u32,
    profile: String,
    generation: u64,
    behaved: bool,
    stopped: Option<String>,
    counts: Counts,
    findings: Vec<Finding>,
}

/// How many keys have each verdict.
#[derive(Serialize)]
struct Counts {
    exercised: usize,
    changed_behaviour: usize,
    not_exercised: usize,
    misbehaved: usize,
}

impl Report {
    pub(super) fn new(begun: &Begun, findings: Vec<Finding>, stopped: Option<String>) -> Self {
        let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
        let counts = Counts {
            exercised: count(Verdict::Exercised),
            changed_behaviour: count(Verdict::ChangedBehaviour),
            not_exercised: count(Verdict::NotExercised),
            misbehaved: count(Verdict::Misbehaved),
        };
        Self {
            format: FORMAT,
            profile: begun.profile.clone(),
            generation: begun.generation,
            behaved: counts.misbehaved == 0 && stopped.is_none(),
            stopped,
            counts,
            findings,
        }
    }

    pub(super) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    pub(super) fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// For machines.
    pub(super) fn to_json(&self) -> String {
        // Strings and numbers alone: there is nothing that could fail.
        serde_json::to_string_pretty(self)
            .map_or_else(|error| error.to_string(), |text| text + "\n")
    }

    /// For people: a line for each key, and what was seen below those that misbehaved.
    pub(super) fn to_table(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        writeln!(out, "profile `{}`, generation {}\n", self.profile, self.generation).ok();
        let key_width = self.findings.iter().map(|finding| finding.key.len()).max().unwrap_or(0);
        for finding in &self.findings {
            let Finding { key, verdict, seen, why, .. } = finding;
            let verdict = verdict.as_str();
            let told = match (seen.is_empty(), why.is_empty()) {
                (true, _) => why.clone(),
                (false, true) => seen.clone(),
                (false, false) => format!("{seen} ({why})"),
            };
            writeln!(out, "{key:key_width$}  {verdict:17}  {told}").ok();
            if finding.verdict == Verdict::Misbehaved {
                writeln!(
                    out,
                    "{:key_width$}  sent: {}; expected: {}",
                    "", finding.sent, finding.expected
                )
                .ok();
            }
        }
        let Counts { exercised, changed_behaviour, not_exercised, misbehaved } = &self.counts;
        writeln!(
            out,
            "\n{changed_behaviour} keys changed behaviour at their edge, {exercised} were exercised beyond it, \
             {not_exercised} were not exercised, {misbehaved} misbehaved."
        )
        .ok();
        if let Some(why) = &self.stopped {
            writeln!(out, "The test is not whole: {why}").ok();
        }
        out
    }
}
