//! One file for each command.

mod bench;
mod check;
mod control;
mod diff;
mod explain;
mod generations;
mod parent;
mod plugin;
mod profiles;
mod reload;
mod rollback;
mod selftest;
mod serve;
mod upgrade;

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use ::history::Record;
use profile::{Kept, Loaded, Plan, Posted, Problems, Sources, WorstCase, Written};
use protocol::Revision;

use crate::cli::{self, Cli, Command, ProfileOptions};
use crate::envelope::{self, AUTO};
use crate::exit;
use crate::hardware::Hardware;

/// Runs what was asked.
pub(crate) fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Serve { options, allow_last_good, end_with, take_over } => {
            match end_with.map_or(Ok(()), parent::end_with) {
                Ok(()) => serve::run(&options, allow_last_good, take_over),
                Err(code) => code,
            }
        }
        Command::Check(options) => check::run(&options),
        Command::Explain { options, key, asked } => explain::run(&options, key.as_deref(), &asked),
        Command::Reload(options) => reload::run(&options),
        Command::Diff(options) => diff::run(&options),
        Command::Upgrade(options) => upgrade::run(&options),
        Command::Generations(options) => generations::run(&options),
        Command::Rollback(options) => rollback::run(&options),
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
    let sources = Sources { posted, ..sources(options)? };
    profile::load(&sources).map_err(|problems| lines(&problems))
}

/// One line for each problem.
fn lines(problems: &Problems) -> Vec<String> {
    problems.0.iter().map(ToString::to_string).collect()
}

/// What the profile is made of that the options name.
fn sources(options: &ProfileOptions) -> Result<Sources, Vec<String>> {
    let profile = name_of(&options.profile)?;
    Ok(Sources {
        profile,
        posted: None,
        environment: cli::profile_environment(),
        set: options.set.clone(),
        library_search: cli::library_search(),
    })
}

/// Where relative paths of the profile begin; `None` for one that is part of the program.
fn profile_folder(options: &ProfileOptions) -> Option<&Path> {
    let is_built_in = options.profile == AUTO || profile::built_in(&options.profile).is_some();
    if is_built_in { None } else { Path::new(&options.profile).parent() }
}

/// Loads a profile that served before. `Err`: one line for each problem.
fn load_kept(record: &Record, options: &ProfileOptions) -> Result<Loaded, Vec<String>> {
    let here = profile_folder(options);
    let is_here = here.and_then(|here| std::path::absolute(here).ok()) == record.folder;
    let kept = Kept {
        generation: record.number,
        name: &record.name,
        // As it was named now, so that a plugin whose library has the same path is the same.
        folder: if is_here { here.map(Path::to_owned) } else { record.folder.clone() },
        library_search: cli::library_search(),
        values: &record.profile,
    };
    profile::load_kept(kept).map_err(|problems| lines(&problems))
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

/// Prints one line that helps to standard error.
fn hint(line: &str) {
    writeln!(std::io::stderr(), "hint: {line}").ok();
}

/// Complains and ends so.
fn failed(code: u8, why: &str) -> ExitCode {
    complain(why);
    ExitCode::from(code)
}

/// Prints problems; the exit code says that the profile is wrong.
fn complain_of_all(problems: &[String]) -> ExitCode {
    for problem in problems {
        complain(problem);
    }
    ExitCode::from(exit::CONFIG)
}
