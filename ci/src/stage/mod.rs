//! What the suites of scenarios share: the real program under a profile of its own, clients that load it, what must hold
//! afterwards, and the report of a run.

pub(crate) mod appliance;
pub(crate) mod clients;
pub(crate) mod figure;
pub(crate) mod findings;
pub(crate) mod group;
pub(crate) mod http2;
pub(crate) mod profile;
pub(crate) mod report;
pub(crate) mod rules;
pub(crate) mod scenario;
pub(crate) mod wait;

use std::time::Instant;

use figure::Outcome;
use findings::Findings;
use report::{Entry, Report};
use scenario::{Length, Scenario, Stage, choose};

use crate::{release, run};

/// What chance begins with, unless a seed is given: failures of the short run can be made again.
const SEED: u64 = 20_260_728;

/// Scenarios that are run together.
pub(crate) struct Suite {
    /// The task of `cargo ci`, and where its report goes.
    pub(crate) task: &'static str,
    /// In the order in which they are played.
    pub(crate) scenarios: &'static [&'static Scenario],
}

/// Which scenarios of a suite, and how much of them.
#[derive(clap::Args)]
pub(crate) struct Choice {
    /// The amounts of the reference instead of those of a check: up to an hour instead of minutes.
    #[arg(long)]
    long: bool,
    /// Only these scenarios, by name.
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Drive the debug build, without building it: for the tests, which have built it.
    #[arg(long)]
    debug: bool,
    /// What chance begins with.
    #[arg(long, default_value_t = SEED)]
    seed: u64,
}

impl Choice {
    /// The short run of all of them, on what the tests have built.
    pub(crate) const CHECK: Self = Self { long: false, only: Vec::new(), debug: true, seed: SEED };
}

impl Suite {
    /// Plays the chosen scenarios, prints their figures and writes the report.
    pub(crate) fn run(&self, choice: &Choice, soak_minutes: u64) -> crate::Outcome {
        let chosen = choose(self.scenarios, &choice.only)?;
        if cfg!(debug_assertions) && !choice.debug {
            return run::optimized(&format!("cargo ci {}", self.task));
        }
        let folder = if choice.debug { run::target().join("debug") } else { release::build()? };
        load::process::raise_descriptors()?;
        let (length, seed) = (if choice.long { Length::Long } else { Length::Short }, choice.seed);
        run::say(&format!("{length:?} run of {} scenarios, seed {seed}", chosen.len()));
        let mut report = Report::new(self.task, length, seed, &folder);
        for scenario in chosen {
            let findings = Findings::new(length == Length::Short);
            let stage = Stage { length, seed, soak_minutes, folder: &folder, findings };
            report.entries.push(play(scenario, stage));
        }
        report.finish()
    }
}

/// Plays one scenario and prints its figures.
fn play(scenario: &'static Scenario, mut stage: Stage<'_>) -> Entry {
    run::say(&format!("== {}: {}", scenario.name, scenario.title));
    let begun = Instant::now();
    let error = (scenario.play)(&mut stage).err();
    let findings = stage.findings;
    for figure in findings.figures() {
        run::say(&figure.line());
    }
    for note in findings.notes() {
        run::say(&format!("    note: {note}"));
    }
    if let Some(error) = &error {
        run::say(&format!("  ! {error}"));
    }
    let outcome = if error.is_some() { Outcome::Failed } else { findings.outcome() };
    let entry = Entry::new(scenario, &findings, error, outcome, begun.elapsed());
    run::say(&format!("== {}: {}, {:.1} s", scenario.name, entry.verdict, entry.secs));
    entry
}
