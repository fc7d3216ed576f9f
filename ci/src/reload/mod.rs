//! `cargo ci reload`: the evidence that a profile can be changed while it serves.
//!
//! `promises.rs` maps each promise to the tests and scenarios that hold it; the scenarios play the parts of it that take
//! a load, on the stage of `cargo ci stress`.

mod live;
mod promises;
mod scenarios;
mod streams;

use crate::run;
use crate::stress;
use crate::stress::findings::Findings;
use crate::stress::report::Report;
use crate::stress::scenario::{Length, Stage, choose};

/// What chance begins with, unless a seed is given.
const SEED: u64 = 20_260_728;

/// Changes of a profile that serves, under load.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The amounts of the contract instead of those of a check: half an hour instead of a minute and a half.
    #[arg(long)]
    long: bool,
    /// Only these scenarios, by name.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Say which promises there are, and what holds each of them.
    #[arg(long)]
    list: bool,
    /// Drive the debug build, without building it: for the tests, which have built it.
    #[arg(long)]
    debug: bool,
    /// What chance begins with.
    #[arg(long, default_value_t = SEED)]
    seed: u64,
}

/// The short run on what the tests have built.
pub(crate) fn check() -> crate::Outcome {
    run(&Arguments { long: false, only: Vec::new(), list: false, debug: true, seed: SEED })
}

/// Plays the chosen scenarios, prints their figures and writes the report.
pub(crate) fn run(arguments: &Arguments) -> crate::Outcome {
    if arguments.list {
        promises::list();
        return Ok(());
    }
    let chosen = choose(scenarios::ALL, &arguments.only)?;
    if cfg!(debug_assertions) && !arguments.debug {
        return run::optimized("cargo ci reload");
    }
    let folder = if arguments.debug { "target/debug" } else { stress::build()? };
    load::process::raise_descriptors()?;
    let (length, seed) =
        (if arguments.long { Length::Long } else { Length::Short }, arguments.seed);
    run::say(&format!("{length:?} run of {} scenarios, seed {seed}", chosen.len()));
    let mut report = Report::new("reload", length, seed, folder);
    for scenario in chosen {
        let findings = Findings::new(length == Length::Short);
        let stage = Stage { length, seed, soak_minutes: 0, folder, findings };
        report.entries.push(stress::play(scenario, stage));
    }
    report.finish()
}
