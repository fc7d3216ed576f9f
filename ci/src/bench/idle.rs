//! What waits costs memory: the process itself, a connection that is kept, a session of 2025-11-25.

use load::{Client, Era};
use serde::Serialize;

use super::Settings;
use super::contestants::{Contestant, Role};
use super::process::Process;
use crate::run;

/// Calls before the first look, so that what is made once is not counted for each.
const WARM_UP_CALLS: usize = 64;

/// What one contestant holds.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// The contestant.
    pub(crate) server: &'static str,
    /// Resident memory after its first answer, in bytes.
    pub(crate) resident_bytes: u64,
    /// Connections that were kept open, each after one call.
    pub(crate) connections: usize,
    /// Resident memory for each of them, in bytes.
    pub(crate) connection_bytes: f64,
    /// Sessions that were opened on one connection and never used.
    pub(crate) sessions: Option<usize>,
    /// Resident memory for each of them, in bytes.
    pub(crate) session_bytes: Option<f64>,
}

/// Measures each in processes of its own.
pub(crate) fn measure(
    chosen: &[&'static Contestant],
    settings: &Settings,
) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for contestant in chosen {
        let row =
            row(contestant, settings).map_err(|error| format!("{}: {error}", contestant.name))?;
        run::say(&format!("  {} done", contestant.name));
        rows.push(row);
    }
    Ok(rows)
}

fn row(contestant: &Contestant, settings: &Settings) -> Result<Row, String> {
    let is_ours = contestant.is_ours();
    let era = contestant.eras.last().map_or(Era::Modern, |(era, _)| *era);
    let process = start(contestant, era, settings)?;
    let speaks_mcp = contestant.speaks_mcp();
    Client::connect(process.target())?.call(era, "x", speaks_mcp)?;
    let resident_bytes = process.resident_bytes()?;

    let connections = settings.idle_connections;
    let mut client = Client::connect(process.target())?;
    for _ in 0..WARM_UP_CALLS {
        client.call(era, "x", speaks_mcp)?;
    }
    let before = process.resident_bytes()?;
    let mut kept = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut client = Client::connect(process.target())?;
        client.call(era, "x", speaks_mcp)?;
        kept.push(client);
    }
    let connection_bytes = each(before, process.resident_bytes()?, connections);
    drop(kept);
    drop(process);

    let has_sessions = contestant.role != Role::Ceiling
        && contestant.eras.iter().any(|(era, _)| *era == Era::Session);
    let sessions = if is_ours { settings.idle_sessions } else { settings.idle_sessions / 10 };
    let session_bytes = if has_sessions {
        let process = start(contestant, Era::Session, settings)?;
        Some(session_bytes(&process, sessions)?)
    } else {
        None
    };
    Ok(Row {
        server: contestant.name,
        resident_bytes,
        connections,
        connection_bytes,
        sessions: has_sessions.then_some(sessions),
        session_bytes,
    })
}

fn start(contestant: &Contestant, era: Era, settings: &Settings) -> Result<Process, String> {
    let mut argv = contestant.argv(era, 160);
    if contestant.is_ours() {
        // Its bounds are there to prevent just this.
        argv.extend(["--set", "listen.public.http.connections_max=20000"].map(str::to_owned));
        argv.extend(["--set", "session.sessions_max=1000000"].map(str::to_owned));
    }
    Process::start(&argv, Some(settings.cores.server))
}

fn session_bytes(process: &Process, sessions: usize) -> Result<f64, String> {
    let mut client = Client::connect(process.target())?;
    for _ in 0..WARM_UP_CALLS {
        client.open_session()?;
    }
    let before = process.resident_bytes()?;
    for _ in 0..sessions {
        client.open_session()?;
    }
    Ok(each(before, process.resident_bytes()?, sessions))
}

fn each(before: u64, after: u64, count: usize) -> f64 {
    (after as f64 - before as f64) / count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_shared_among_what_was_added() {
        assert_eq!(each(1_000, 3_000, 4), 500.0);
        assert_eq!(each(1_000, 900, 1), -100.0);
    }
}
