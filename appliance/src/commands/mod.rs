//! One file for each command.

mod bench;
mod check;
mod control;
mod diff;
mod explain;
mod parent;
mod plugin;
mod profiles;
mod reload;
mod selftest;
mod serve;
mod upgrade;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use profile::{Loaded, Plan, Posted, Sources, WorstCase, Written};
use protocol::Revision;

use crate::cli::{self, Cli, Command, ProfileOptions};
use crate::envelope::{self, AUTO};
use crate::exit;
use crate::hardware::Hardware;

/// Runs what was asked.
pub(crate) fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Serve { options, end_with, take_over } => {
            match end_with.map_or(Ok(()), parent::end_with) {
                Ok(()) => serve::run(&options, take_over),
                Err(code) => code,
            }
        }
        Command::Check(options) => check::run(&options),
        Command::Explain { options, key, asked } => explain::run(&options, key.as_deref(), &asked),
        Command::Reload(options) => reload::run(&options),
        Command::Diff(options) => diff::run(&options),
        Command::Upgrade(options) => upgrade::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Selftest(options) => selftest::run(&options),
        Command::Profiles(command) => profiles::run(&command),
        Command::Schema { non_reloadable: false } => say(&profile::schema()),
        Command::Schema { non_reloadable: true } => say(&not_reloadable()),
        Command::Plugin(command) => plugin::run(&command),
        Command::Version => {
            let revisions: Vec<_> =
                Revision::ALL.iter().map(|revision| revision.as_str()).collect();
            say(&format!("toolrack {}\nMCP {}\n", env!("CARGO_PKG_VERSION"), revisions.join(", ")))
        }
    }
}

/// Loads the profile that the options name, or the one that fits this machine. `Err`: one line for each problem.
fn load(options: &ProfileOptions) -> Result<Loaded, Vec<String>> {
    load_posted(options, None)
}

/// The same with a text in the place of that profile.
fn load_posted(options: &ProfileOptions, posted: Option<Posted>) -> Result<Loaded, Vec<String>> {
    let profile = name_of(&options.profile)?;
    let sources = Sources {
        profile,
        posted,
        environment: cli::profile_environment(),
        set: options.set.clone(),
        library_search: cli::library_search(),
    };
    profile::load(&sources).map_err(|problems| problems.0.iter().map(ToString::to_string).collect())
}

/// The profile that is meant by what was asked for: `auto` means the one that fits this machine.
fn name_of(asked: &str) -> Result<String, Vec<String>> {
    if asked != AUTO {
        return Ok(asked.to_owned());
    }
    let choice = envelope::choose(&Hardware::read()).map_err(|error| vec![error])?;
    Ok(choice.profile.name.to_owned())
}

/// The files that the profile consists of, as they are now.
fn written(options: &ProfileOptions) -> Vec<Written> {
    if options.profile == AUTO { Vec::new() } else { profile::written(&options.profile) }
}

/// Every key that takes a restart, each in a line with the reason.
fn not_reloadable() -> String {
    let keys = profile::not_reloadable();
    let width = keys.iter().map(|(key, _)| key.len()).max().unwrap_or_default();
    let lines = keys.iter().map(|(key, reason)| format!("{key:width$}  {reason}\n"));
    lines.collect()
}

/// What a plan takes at most, for people.
fn memory_table(plan: &Plan) -> String {
    WorstCase::of(plan).table(plan.hardware.as_ref().map(|hardware| hardware.memory_bytes))
}

/// Prints to standard output. A reader that has gone away is no failure; a full disk is.
fn say(text: &str) -> ExitCode {
    let mut stdout = std::io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            complain(&format!("cannot write to standard output: {error}"));
            ExitCode::from(exit::TEMPORARY)
        }
        _ => ExitCode::from(exit::OK),
    }
}

/// Prints one line to standard error.
fn complain(line: &str) {
    writeln!(std::io::stderr(), "error: {line}").ok();
}

/// Prints one line to standard error that is no failure.
fn warn(line: &str) {
    writeln!(std::io::stderr(), "warning: {line}").ok();
}

/// Prints problems; the exit code says that the profile is wrong.
fn complain_of_all(problems: &[String]) -> ExitCode {
    for problem in problems {
        complain(problem);
    }
    ExitCode::from(exit::CONFIG)
}
