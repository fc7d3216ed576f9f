//! `cargo ci stress`: hostile and heavy load on the real program; each scenario with its figures, held against goals.
//!
//! Promises are counts: breaking one fails the run. Times are measured on whatever machine this is: one beyond its goal
//! is printed as missed, and in the short run fails beyond a bound that no machine has a reason to pass.

pub(crate) mod appliance;
pub(crate) mod clients;
pub(crate) mod figure;
pub(crate) mod findings;
mod frames;
mod group;
mod peer;
pub(crate) mod report;
pub(crate) mod rules;
pub(crate) mod scenario;
mod scenarios;
pub(crate) mod wait;

use std::time::Instant;

use figure::Outcome;
use findings::Findings;
use report::{Entry, Report};
use scenario::{Length, Scenario, Stage};

use crate::run;

/// Plugins that the scenarios call, those of `cargo ci reload` included.
const PLUGINS: [&str; 5] = ["echo", "conformance", "misbehave", "time", "filesystem"];
/// What chance begins with, unless a seed is given: failures of the short run can be made again.
const SEED: u64 = 20_260_728;
/// How long the soak of the long run lasts by default, in minutes.
const SOAK_MINUTES: u64 = 10;

/// Hostile and heavy load on the real program.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The amounts of the reference instead of those of a check: an hour instead of minutes.
    #[arg(long)]
    long: bool,
    /// Only these scenarios, by name.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Say which there are, and what of each waits for later parts of the program.
    #[arg(long)]
    list: bool,
    /// Drive the debug build, without building it: for the tests, which have built it.
    #[arg(long)]
    debug: bool,
    /// What chance begins with.
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// Minutes of the soak in the long run; the reference says 120.
    #[arg(long, default_value_t = SOAK_MINUTES)]
    soak_minutes: u64,
}

/// The short run on what the tests have built.
pub(crate) fn check() -> crate::Outcome {
    run(&Arguments {
        long: false,
        only: Vec::new(),
        list: false,
        debug: true,
        seed: SEED,
        soak_minutes: SOAK_MINUTES,
    })
}

/// Plays the chosen scenarios, prints their figures and writes the report.
pub(crate) fn run(arguments: &Arguments) -> crate::Outcome {
    let chosen = scenario::choose(scenarios::ALL, &arguments.only)?;
    if arguments.list {
        for scenario in chosen {
            run::say(&format!("{:12} {}", scenario.name, scenario.title));
            if !scenario.left.is_empty() {
                run::say(&format!("{:12}   later: {}", "", scenario.left));
            }
        }
        return Ok(());
    }
    if cfg!(debug_assertions) && !arguments.debug {
        return run::optimized("cargo ci stress");
    }
    let folder = if arguments.debug { "target/debug" } else { build()? };
    load::process::raise_descriptors()?;
    let length = if arguments.long { Length::Long } else { Length::Short };
    run::say(&format!("{length:?} run of {} scenarios, seed {}", chosen.len(), arguments.seed));
    let mut report = Report::new("stress", length, arguments.seed, folder);
    for scenario in chosen {
        let stage = Stage {
            length,
            seed: arguments.seed,
            soak_minutes: arguments.soak_minutes,
            folder,
            findings: Findings::new(length == Length::Short),
        };
        report.entries.push(play(scenario, stage));
    }
    report.finish()
}

/// Builds the release program with the plugins; where they are.
pub(crate) fn build() -> Result<&'static str, String> {
    let mut arguments = vec!["build", "--release", "--package", "toolrack"];
    for plugin in PLUGINS {
        arguments.extend(["--package", plugin]);
    }
    run::must("cargo", &arguments)?;
    Ok("target/release")
}

/// Plays one scenario and prints its figures.
pub(crate) fn play(scenario: &'static Scenario, mut stage: Stage<'_>) -> Entry {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_have_names_of_their_own() {
        let mut names: Vec<_> = scenarios::ALL.iter().map(|scenario| scenario.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        let seeds = (1..=20).map(|number| format!("s{number:02}"));
        assert!(seeds.into_iter().all(|seed| names.contains(&seed.as_str())), "{names:?}");
    }

    #[test]
    fn only_what_is_named_is_played() {
        let choose = |name: &str| scenario::choose(scenarios::ALL, &[name.to_owned()]);
        let chosen = choose("s03").unwrap();
        assert_eq!(chosen.iter().map(|scenario| scenario.name).collect::<Vec<_>>(), ["s03"]);
        assert!(choose("s99").is_err());
    }
}
