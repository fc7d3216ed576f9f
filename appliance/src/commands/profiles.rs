//! `toolrack profiles`.

use std::process::ExitCode;

use profile::plan::LayersPlan;
use profile::{Sources, built_in, built_ins};

use crate::cli::Profiles;
use crate::exit;
use crate::hardware::Hardware;

/// The built-in profile that a profile of one's own begins with.
const BASE: &str = "dev";

/// Calls at once for each core: most calls wait for something else most of the time.
const CALLS_PER_CORE: u64 = 64;

/// The profiles that are part of the program.
pub(crate) fn run(command: &Profiles) -> ExitCode {
    match command {
        Profiles::List => super::say(&list()),
        Profiles::Show { name } => show(name),
        Profiles::Recommend => recommend(),
    }
}

fn list() -> String {
    let line =
        |profile: &profile::BuiltIn| format!("{:<10} {}\n", profile.name, profile.description());
    built_ins().iter().map(line).collect()
}

fn show(name: &str) -> ExitCode {
    let Some(profile) = built_in(name) else {
        super::complain(&format!(
            "there is no built-in profile `{name}`; `toolrack profiles list` names them"
        ));
        return ExitCode::from(exit::USAGE);
    };
    super::say(profile.text)
}

fn recommend() -> ExitCode {
    // As it is in the program: what the environment says belongs to a profile that runs here.
    let sources = Sources { profile: BASE.to_owned(), ..Sources::default() };
    match profile::load(&sources) {
        Ok(loaded) => super::say(&advice(Hardware::read(), &loaded.plan.layers)),
        Err(problems) => {
            super::complain(&problems.to_string());
            ExitCode::from(exit::INTERNAL)
        }
    }
}

fn advice(hardware: Hardware, layers: &LayersPlan) -> String {
    let Hardware { cores, cores_from, memory_bytes, memory_from } = hardware;
    let payload = &layers.payload;
    let call_bytes = payload.request_bytes_max.bytes() + payload.response_bytes_max.bytes();
    let by_cores = cores as u64 * CALLS_PER_CORE;
    let by_memory = memory_bytes / 2 / (call_bytes as u64).max(1);
    let (calls, reason) = if by_memory < by_cores {
        let call_mib = call_bytes >> 20;
        (by_memory.max(1), format!("half of the memory at {call_mib} MiB for each call"))
    } else {
        (by_cores, format!("{CALLS_PER_CORE} for each core"))
    };
    format!(
        "\
What this process may use here:
  cores    {cores} ({cores_from})
  memory   {} MiB ({memory_from})

This version has no profiles for given hardware. Begin with `{BASE}`, and say in a file of your own
what differs:

  format = 1
  extends = \"{BASE}\"

  [layer.concurrency]
  calls_max = {calls}    # {reason}

Then: toolrack check --profile FILE
",
        memory_bytes >> 20,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::Limit;

    fn advised(cores: usize, memory_bytes: u64) -> String {
        let sources = Sources { profile: BASE.to_owned(), ..Sources::default() };
        let layers = profile::load(&sources).expect("good").plan.layers;
        let (cores_from, memory_from) = (Limit::Affinity, Limit::Machine);
        advice(Hardware { cores, cores_from, memory_bytes, memory_from }, &layers)
    }

    #[test]
    fn advice_follows_the_cores_while_there_is_memory() {
        let said = advised(4, 64 << 30);
        assert!(said.contains("calls_max = 256    # 64 for each core\n"), "{said}");
    }

    #[test]
    fn advice_follows_the_memory_where_it_is_narrower() {
        let said = advised(4, 1 << 30);
        let line = "calls_max = 25    # half of the memory at 20 MiB for each call\n";
        assert!(said.contains(line), "{said}");
        assert!(advised(1, 0).contains("calls_max = 1 "));
    }
}
