//! Checks, generators, conformance and benchmark: `cargo ci <task>`.

mod arrows;
mod bench;
mod boxes;
mod conformance;
mod dev;
mod interop;
mod models;
mod release;
mod reload;
mod run;
mod schemas;
mod server;
mod stage;
mod statistics;
mod stress;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rustix::fs::Mode;
use rustix::process::umask;

/// Checks, generators, conformance and benchmark.
#[derive(Parser)]
#[command(name = "cargo ci")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the appliance with its plugins and serve the `dev` profile; further arguments go to `toolrack serve`.
    Dev {
        /// For `toolrack serve`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build the program and its plugins as they are shipped: trained on clients of every kind, into `target/dist`.
    Release {
        /// Build nothing; see that the training works, on what the tests have built.
        #[arg(long)]
        check: bool,
    },
    /// Everything that must hold before a change lands.
    Test,
    /// Budgets and habits that no compiler checks.
    Tidy,
    /// The crates' dependencies are the ones that were drawn.
    Arrows,
    /// Write the generated files anew.
    Schemas {
        /// Write nothing; fail when something would change.
        #[arg(long)]
        check: bool,
    },
    /// Explore the models of the concurrent cores.
    Models,
    /// Run the official MCP conformance suite against the real program.
    Conformance,
    /// Drive the real program with the official clients, and check its messages against the official schemas.
    Interop,
    /// Measure the appliance beside its peers; not part of the tests.
    Bench(bench::Arguments),
    /// Hostile and heavy load on the real program, its figures held against their goals.
    Stress(stress::Arguments),
    /// Changes of a profile that serves, under load; `--list` maps each promise to what holds it.
    Reload(reload::Arguments),
}

/// Write access of anybody but the owner.
const NOT_OTHERS: Mode = Mode::WGRP.union(Mode::WOTH);

/// What a task ends with: a sentence that says what is wrong and how to mend it.
type Outcome = Result<(), String>;

fn main() -> ExitCode {
    // Under the umask 002 that many systems begin with, cargo would build libraries that the appliance refuses to load.
    umask(umask(NOT_OTHERS) | NOT_OTHERS);
    let outcome = match Cli::parse().task {
        Task::Dev { arguments } => dev::run(&arguments),
        Task::Release { check: true } => release::check(),
        Task::Release { check: false } => release::run(),
        Task::Test => test::run(),
        Task::Tidy => tidy::run(),
        Task::Arrows => arrows::run(),
        Task::Schemas { check } => schemas::run(check),
        Task::Models => models::run(),
        Task::Conformance => conformance::run(),
        Task::Interop => interop::run(),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Stress(arguments) => stress::run(&arguments),
        Task::Reload(arguments) => reload::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            run::say(&format!("FAILED: {message}"));
            ExitCode::FAILURE
        }
    }
}
