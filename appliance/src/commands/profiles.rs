//! `toolrack profiles`.

use std::fmt::Write;
use std::process::ExitCode;

use profile::{built_in, built_ins};

use crate::cli::Profiles;
use crate::exit;
use crate::hardware::Hardware;

/// The profiles that are part of the program.
pub(crate) fn run(command: &Profiles) -> ExitCode {
    match command {
        Profiles::List => {
            let lines = built_ins()
                .iter()
                .map(|profile| format!("{:<10} {}\n", profile.name, profile.description()));
            super::say(&lines.collect::<String>())
        }
        Profiles::Show { name } => match built_in(name) {
            Some(profile) => super::say(profile.text),
            None => {
                super::complain(&format!(
                    "there is no built-in profile `{name}`; `toolrack profiles list` names them"
                ));
                ExitCode::from(exit::USAGE)
            }
        },
        Profiles::Recommend => super::say(&recommend(&Hardware::read())),
    }
}

fn recommend(hardware: &Hardware) -> String {
    let mut out = String::new();
    writeln!(out, "cores    {} ({})", hardware.cores, hardware.cores_from).ok();
    writeln!(out, "memory   {} MiB ({})", hardware.memory_bytes >> 20, hardware.memory_from).ok();
    writeln!(out, "\nBegin with `dev` and write down what this machine is to carry:\n").ok();
    writeln!(out, "  format = 1\n  extends = \"dev\"\n").ok();
    writeln!(
        out,
        "  [layer.concurrency]\n  calls_max = {}    # 64 for each core",
        hardware.cores * 64
    )
    .ok();
    out
}
