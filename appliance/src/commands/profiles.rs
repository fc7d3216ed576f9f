//! `toolrack profiles`.

use std::fmt::Write;
use std::process::ExitCode;

use middleware::ByteSize;
use profile::{BuiltIn, built_in, built_ins};

use crate::cli::Profiles;
use crate::envelope::{self, Candidate, Choice};
use crate::exit;
use crate::hardware::{Hardware, Limit};

/// The profiles that are part of the program.
pub(crate) fn run(command: &Profiles) -> ExitCode {
    match command {
        Profiles::List => list(),
        Profiles::Show { name } => show(name),
        Profiles::Recommend { cores, memory } => {
            recommend(&elsewhere(Hardware::read(), *cores, *memory))
        }
    }
}

fn list() -> ExitCode {
    let candidates = match envelope::candidates() {
        Ok(candidates) => candidates,
        Err(problems) => return broken(&problems.to_string()),
    };
    let width = built_ins().iter().map(|profile| profile.name.len()).max().unwrap_or(0);
    let line = |profile: &BuiltIn| {
        let of_box = candidates.iter().find(|candidate| candidate.name == profile.name);
        let carries =
            of_box.map_or_else(String::new, |candidate| format!(" {}", carries(candidate)));
        format!("{:<width$} {}{carries}\n", profile.name, profile.description())
    };
    super::say(&built_ins().iter().map(line).collect::<String>())
}

/// The envelope beyond cores and memory.
fn carries(candidate: &Candidate) -> String {
    let Candidate { envelope, .. } = candidate;
    let figures = [
        ("calls/s", envelope.calls_per_sec),
        ("connections", envelope.connections),
        ("sessions", envelope.sessions),
        ("open files", envelope.descriptors),
    ];
    let figures =
        figures.iter().filter_map(|(what, figure)| Some(format!("{} {what}", (*figure)?)));
    format!("Up to {}.", figures.collect::<Vec<_>>().join(", "))
}

fn show(name: &str) -> ExitCode {
    let Some(profile) = built_in(name) else {
        let names: Vec<_> = built_ins().iter().map(|profile| profile.name).collect();
        let why = format!("there is no built-in profile `{name}`; choose of {}", names.join(", "));
        return super::failed(exit::USAGE, &why);
    };
    super::say(profile.text)
}

/// This machine with what is known of another one.
fn elsewhere(here: Hardware, cores: Option<u16>, memory: Option<ByteSize>) -> Hardware {
    let mut host = here;
    if let Some(cores) = cores {
        (host.cores, host.cores_from) = (cores.into(), Limit::Given);
    }
    if let Some(memory) = memory {
        (host.memory_bytes, host.memory_from) = (memory.0, Limit::Given);
    }
    if cores.is_some() || memory.is_some() {
        host.descriptors = None;
    }
    host
}

fn recommend(host: &Hardware) -> ExitCode {
    match envelope::choose(host) {
        Ok(choice) => super::say(&advice(host, &choice)),
        Err(error) => broken(&error),
    }
}

/// The program's own profiles are not good.
fn broken(problem: &str) -> ExitCode {
    super::failed(exit::INTERNAL, problem)
}

fn advice(host: &Hardware, choice: &Choice) -> String {
    let Choice { profile, fits, next } = choice;
    let name = profile.name;
    let mut out = String::from("What the process may use:\n");
    writeln!(out, "  cores       {} ({})", host.cores, host.cores_from).ok();
    writeln!(out, "  memory      {} MiB ({})", host.memory_bytes >> 20, host.memory_from).ok();
    if let Some(descriptors) = host.descriptors {
        writeln!(out, "  open files  {descriptors} (RLIMIT_NOFILE)").ok();
    }
    let reason = if *fits { "the largest profile that fits" } else { "the smallest profile" };
    writeln!(out, "\nRecommended: {name}, {reason}. {}", carries(profile)).ok();
    let of_memory = ByteSize(profile.envelope.memory_bytes);
    let worst = profile.worst_case_bytes >> 20;
    writeln!(
        out,
        "When everything that it admits is there at once, it takes {worst} MiB of {of_memory}."
    )
    .ok();
    let say_lacking = |out: &mut String, of: &Candidate, whose: &str| {
        for (_, text) in envelope::lacking(&of.envelope, host) {
            writeln!(out, "{whose} {text}.").ok();
        }
    };
    if !fits {
        say_lacking(&mut out, profile, "It is made for");
    }
    if let Some(next) = next.as_ref().filter(|_| *fits) {
        say_lacking(&mut out, next, &format!("The next, {}, is made for", next.name));
    }
    let needed = profile.envelope.descriptors.zip(host.descriptors);
    if let Some((needed, _)) = needed.filter(|(needed, there)| there < needed) {
        writeln!(out, "It needs {needed} open files: raise `ulimit -Hn`, or LimitNOFILE.").ok();
    }
    write!(
        out,
        "
Try it:
  toolrack serve --profile {name} --set plugin.echo.library=libecho.so

Make it yours, in a file:
  format = 1
  extends = \"{name}\"

  [plugin.echo]
  library = \"libecho.so\"

Then: toolrack check --profile FILE
"
    )
    .ok();
    out
}
