//! Official clients from their registries against the real program, and our messages against the official schemas.

mod clients;
mod install;
mod messages;
mod runs;
mod table;

use std::fs;
use std::path::PathBuf;
use std::thread;

use crate::Outcome;
use crate::run;
use crate::server::Server;

use clients::{CLIENTS, Client, Era, Transport};
use install::Installed;
use runs::{Run, Target};

/// What every client must show in every era that it speaks, over both transports.
const CHECKS: [&str; 16] = [
    "connect",
    "tools",
    "resources",
    "templates",
    "prompts",
    "call",
    "tool_error",
    "unknown_tool",
    "read",
    "prompt",
    "completion",
    "progress",
    "cancellation",
    "elicitation",
    "resource_update",
    "list_changed",
];

/// Runs every client, then validates messages.
pub(crate) fn run() -> Outcome {
    let mut build = vec!["build", "--quiet", "--package", "toolrack"];
    for plugin in ["conformance", "echo", "filesystem", "time"] {
        build.extend(["--package", plugin]);
    }
    run::must("cargo", &build)?;
    let installed = install::all()?;
    let files = files()?;
    let root = format!("plugin.filesystem.config.root={}", files.display());
    let server = Server::start_with("ci/interop/http.toml", &["--set", &root])?;
    let target = Target { url: server.url().to_owned(), root };
    let runs = drive(&installed, &target);
    table::print(&runs);
    let wrong: Vec<String> = runs.iter().flat_map(Run::wrong).collect();
    for line in &wrong {
        run::say(&format!("  {line}"));
    }
    let messages = messages::run();
    if wrong.is_empty() {
        messages
    } else {
        Err(format!("{} checks of the official clients failed; they are listed above", wrong.len()))
    }
}

/// An empty folder for the files that the clients write and follow.
fn files() -> Result<PathBuf, String> {
    let folder = run::root().join("target/ci/interop/files");
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

/// Every client in a thread of its own; its runs one after the other.
fn drive(installed: &Installed, target: &Target) -> Vec<Run> {
    thread::scope(|scope| {
        let threads: Vec<_> = CLIENTS
            .iter()
            .map(|client| scope.spawn(move || all_of(client, installed, target)))
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a run reports what goes wrong"))
            .collect()
    })
}

fn all_of(client: &'static Client, installed: &Installed, target: &Target) -> Vec<Run> {
    let mut runs = Vec::new();
    for era in [Era::Legacy, Era::Modern] {
        for transport in [Transport::Http, Transport::Stdio] {
            runs.push(Run::of(client, era, transport, installed, target));
        }
    }
    runs
}
