//! From the start of the process to its first answer.

use load::{Client, Era};
use serde::Serialize;

use super::Settings;
use super::contestants::{self, Contestant, Role};
use super::process::Process;
use crate::statistics::{median, rotation, spread};

/// Medians over all starts.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// The contestant, and what it was started with.
    pub(crate) server: String,
    /// Milliseconds.
    pub(crate) start_ms: f64,
    /// Distance of the best and the worst start as a share of the median.
    pub(crate) spread: f64,
}

/// Starts each again and again, in turns.
pub(crate) fn measure(
    chosen: &[&'static Contestant],
    settings: &Settings,
) -> Result<Vec<Row>, String> {
    let mut programs = Vec::new();
    for contestant in chosen {
        let era = contestant.eras.last().map_or(Era::Modern, |(era, _)| *era);
        programs.push((
            contestant.name.to_owned(),
            contestant.argv(era, 160),
            era,
            contestant.speaks_mcp(),
        ));
        if contestant.role == Role::Ours {
            let argv = contestants::serve("ci/bench/five-plugins.toml");
            programs.push((FIVE_PLUGINS.to_owned(), argv, era, true));
        }
    }
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); programs.len()];
    for round in 0..settings.starts {
        for place in rotation(programs.len(), round) {
            if let (Some((_, argv, era, speaks_mcp)), Some(times)) =
                (programs.get(place), times.get_mut(place))
            {
                times.push(start_ms(argv, *era, *speaks_mcp, settings.cores.server)?);
            }
        }
    }
    let rows = programs.into_iter().zip(times).map(|((server, ..), times)| Row {
        server,
        start_ms: median(&times).unwrap_or_default(),
        spread: spread(&times).unwrap_or_default(),
    });
    Ok(rows.collect())
}

/// Ours with five plugins, in the report.
pub(crate) const FIVE_PLUGINS: &str = "toolrack, five plugins";

fn start_ms(argv: &[String], era: Era, speaks_mcp: bool, core: usize) -> Result<f64, String> {
    let process = Process::start(argv, Some(core))?;
    Client::connect(process.target())?.call(era, "x", speaks_mcp)?;
    Ok(process.started_at().elapsed().as_secs_f64() * 1e3)
}
