//! Another program takes over from one that serves.

mod failing;
mod load;
mod state;

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::Mutex;

use serde_json::Value;
use tempfile::TempPath;

use crate::program::{Answer, Program, profile, toolrack};
use crate::wire::until;

/// A profile that is read at the start alone, and whose processes drain fast.
const QUICK: &str = "[reload]\nwatch = false\n[shutdown]\ndrain_ms = 2000\n";

/// A program that can be upgraded, and whoever took over from it.
struct Upgraded {
    program: Program,
    profile: TempPath,
    heirs: Mutex<Vec<u32>>,
}

impl Upgraded {
    fn start(more: &str) -> Self {
        Self::start_by(toolrack(), more)
    }

    fn start_by(command: Command, more: &str) -> Self {
        let profile = profile(&format!("{QUICK}{more}"));
        let program = Program::start_by(command, &profile, &[]);
        Self { program, profile, heirs: Mutex::default() }
    }

    fn ask(&self, query: &str) -> Answer {
        let host = &self.program.control;
        let head = format!("POST /admin/upgrade{query} HTTP/1.1\r\nHost: {host}\r\n");
        self.program.request_control(&head)
    }

    /// Upgrades it; the number of the process that serves.
    #[track_caller]
    fn upgrade(&self) -> u32 {
        self.upgrade_with("")
    }

    #[track_caller]
    fn upgrade_with(&self, query: &str) -> u32 {
        let told = self.ask(query);
        assert_eq!(told.status, 200, "{told:?}");
        let process = told.json()["process"].as_u64().and_then(|process| process.try_into().ok());
        let process: u32 = process.expect("a number");
        self.heirs.lock().expect("no test panics with it").push(process);
        process
    }

    /// Asks in vain; the reasons.
    #[track_caller]
    fn refused(&self, query: &str) -> String {
        let told = self.ask(query);
        assert_eq!(told.status, 409, "{told:?}");
        let told = told.json();
        let problems = told["problems"].as_array().expect("a list");
        problems.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
    }

    fn initial_ends(&mut self) {
        assert_eq!(self.program.wait(), Some(0));
    }
}

impl Drop for Upgraded {
    fn drop(&mut self) {
        // Those before it have ended, or end by themselves.
        let Some(heir) = self.heirs.get_mut().ok().and_then(|heirs| heirs.last().copied()) else {
            return;
        };
        let words = std::fs::read_to_string(format!("/proc/{heir}/cmdline")).unwrap_or_default();
        if words.contains("--take-over") {
            kill("KILL", heir);
        }
    }
}

fn kill(signal: &str, process: u32) {
    let status = Command::new("kill").args(["-s", signal, &process.to_string()]).status();
    assert!(status.expect("kill runs").signal().is_none());
}

/// Waits until a process is gone, or nobody but its parent has to notice.
fn until_gone(process: u32) {
    until("the process ends", || {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"));
        stat.map_or(true, |stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
    });
}
