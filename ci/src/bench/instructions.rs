//! User instructions for one call, counted by valgrind: the same on a busy machine and on a quiet one.

use std::fs;
use std::process::{Command, Stdio};

use load::Client;
use load::wire::{self, Era, Tool};
use serde::Serialize;

use super::Settings;
use super::contestants::Contestant;
use super::process::Process;
use super::rounds::SIZES;
use crate::run;

/// Turns of the two runs whose difference is divided by the difference in calls, so that starting up cancels out. In a
/// turn every connection calls once. Starting up is not the same each time (clocks are compared until they agree, which
/// takes a million instructions more or less): the calls are so many that it is hundreds for one.
const TURNS: [usize; 2] = [2, 102];

/// One contestant in one case.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// The contestant.
    pub(crate) server: &'static str,
    /// The era.
    pub(crate) era: &'static str,
    /// Bytes of the text to echo.
    pub(crate) text_bytes: usize,
    /// User instructions for one call.
    pub(crate) instructions: f64,
}

/// Whether valgrind can be run.
pub(crate) fn available() -> bool {
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    valgrind.status().is_ok_and(|status| status.success())
}

/// Counts for each in each case.
pub(crate) fn measure(
    chosen: &[&'static Contestant],
    settings: &Settings,
) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for contestant in chosen {
        for text_bytes in SIZES {
            for (era, _) in contestant.eras {
                let count = |turns| {
                    count(contestant, *era, text_bytes, turns, settings)
                        .map_err(|error| format!("{}: {error}", contestant.name))
                };
                let [few, many] = TURNS;
                let calls = (many - few) * settings.connections;
                let start = count(few)?;
                rows.push(Row {
                    server: contestant.name,
                    era: era.name(),
                    text_bytes,
                    instructions: count(many)?.saturating_sub(start) as f64 / calls as f64,
                });
            }
        }
        run::say(&format!("  {} done", contestant.name));
    }
    Ok(rows)
}

/// All instructions of a process in which each connection calls `turns` times. All calls of a turn are under way at
/// once, as under load: what a server does once for many of them is shared among them.
fn count(
    contestant: &Contestant,
    era: Era,
    text_bytes: usize,
    turns: usize,
    settings: &Settings,
) -> Result<u64, String> {
    let folder = run::target().join("ci/bench");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let case = format!("{}-{}-{text_bytes}", contestant.name, era.name().replace(' ', "-"));
    let profile = folder.join(format!("callgrind.{case}"));
    let mut argv = vec!["valgrind".to_owned(), "--tool=callgrind".to_owned()];
    argv.push(format!("--callgrind-out-file={}", profile.display()));
    argv.push(format!("--log-file={}", folder.join("valgrind.log").display()));
    argv.extend(contestant.argv(era, text_bytes + 96));
    let process = Process::start(&argv, Some(settings.cores.server))?;
    let tool = Tool::echo(&wire::text(text_bytes));
    let mut clients = Vec::new();
    for _ in 0..settings.connections {
        let mut client = Client::connect(process.target())?;
        let session = client.prepare(era, contestant.speaks_mcp())?;
        let request = wire::call(process.target(), era, session.as_deref(), &tool, false);
        clients.push((client, request));
    }
    for _ in 0..turns {
        for (client, request) in &mut clients {
            client.send(request)?;
        }
        for (client, _) in &mut clients {
            let answer = client.receive()?;
            if answer.status != 200 {
                return Err(format!("status {}", answer.status));
            }
        }
    }
    process.terminate()?;
    let written =
        fs::read_to_string(&profile).map_err(|error| format!("{}: {error}", profile.display()))?;
    total(&written).ok_or_else(|| format!("{}: no total in it", profile.display()))
}

/// The sum in a profile as callgrind writes it.
fn total(profile: &str) -> Option<u64> {
    let line = profile.lines().find_map(|line| line.strip_prefix("totals: "))?;
    line.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_total_of_a_profile() {
        assert_eq!(total("events: Ir\nfn=(1) main\n7 40\n\ntotals: 4711\n"), Some(4711));
        assert_eq!(total("events: Ir\n"), None);
    }
}
