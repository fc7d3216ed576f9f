//! Running programs, and saying what happens.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Outcome;

/// Prints one line.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout();
    // A reader that has gone away does not stop a check.
    writeln!(out, "{line}").ok();
    out.flush().ok();
}

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.to_owned(), Path::to_owned)
}

/// Where cargo builds, which a setting of cargo may move: this program is in `debug` of it.
pub(crate) fn target() -> PathBuf {
    let program = std::env::current_exe().ok();
    let folder = program.as_deref().and_then(|program| program.ancestors().nth(2));
    folder.map_or_else(|| root().join("target"), Path::to_owned)
}

/// A program in the root of the checkout.
pub(crate) fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(arguments).current_dir(root()).stdin(Stdio::null());
    command
}

/// Runs a program to its end.
pub(crate) fn must(name: &str, arguments: &[&str]) -> Outcome {
    finish(program(name, arguments), &format!("{name} {}", arguments.join(" ")))
}

/// Runs a command to its end; `label` names it when it fails.
pub(crate) fn finish(mut command: Command, label: &str) -> Outcome {
    let status = command.status().map_err(|error| format!("cannot run `{label}`: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{label}` ended with {status}; its own words are above"))
    }
}

/// Starts over as an optimized build: a generator must be faster than what it measures.
pub(crate) fn optimized(label: &str) -> Outcome {
    let mut cargo = program("cargo", &["run", "--quiet", "--release", "--package", "ci", "--"]);
    cargo.args(std::env::args_os().skip(1));
    finish(cargo, label)
}

/// What a program prints to standard output.
pub(crate) fn output(name: &str, arguments: &[&str]) -> Result<String, String> {
    let label = format!("{name} {}", arguments.join(" "));
    let output = program(name, arguments)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run `{label}`: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{label}` ended with {}", output.status));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| format!("`{label}` printed something that is not text"))
}
