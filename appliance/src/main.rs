//! `toolrack`: the MCP appliance that people configure instead of code.

mod cli;
mod commands;
mod exit;
mod hardware;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run(cli::parse())
}
