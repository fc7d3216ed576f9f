//! `toolrack`: the MCP appliance that people configure instead of code.

mod cli;
mod commands;
mod envelope;
mod exit;
mod hardware;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    commands::run(cli::parse())
}
