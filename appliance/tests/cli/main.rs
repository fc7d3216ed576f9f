//! The command line of the real program: what it prints, where, and how it ends.
//!
//! Needs no plugins; what the program serves is tested in `it`.

mod explain;
mod explain_call;
mod golden;
mod profiles;
mod serve;
mod usage;

use std::io::Write;
use std::process::{Command, Stdio};

/// The program, with an environment that says nothing to it.
fn toolrack() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toolrack"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TOOLRACK_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs a command to its end.
fn end(command: &mut Command) -> Ended {
    let output = command.output().expect("the program runs");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

/// Runs the program with these arguments, to its end.
fn run(arguments: &[&str]) -> Ended {
    end(toolrack().args(arguments))
}

/// A file with a profile.
fn profile(text: &str) -> tempfile::TempPath {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file.into_temp_path()
}
