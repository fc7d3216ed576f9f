//! The table: a row for each check, a column for each client, era and transport.

use super::CHECKS;
use super::clients::{CLIENTS, Era};
use super::install;
use super::runs::{Run, Verdict};
use crate::run;

/// Of the names of the checks.
const LABEL_WIDTH: usize = 18;
/// Of a column.
const WIDTH: usize = 8;
/// Of a client's columns: two eras over two transports.
const RUNS_WIDTH: usize = 4 * WIDTH;

/// Prints the table and what its signs mean.
pub(super) fn print(runs: &[Run]) {
    let names: String =
        CLIENTS.iter().map(|client| format!("{:<RUNS_WIDTH$}", client.name)).collect();
    run::say(&format!("  {:LABEL_WIDTH$}{}", "", names.trim_end()));
    row("", runs, |run| run.era.name());
    row("", runs, |run| run.transport.name());
    for check in CHECKS {
        row(check, runs, |run| match (run.client.not_spoken(run.era), run.verdicts.get(check)) {
            (Some(_), _) => "-",
            (None, Some(Verdict::Good)) => "ok",
            (None, Some(Verdict::Bad(_))) => "FAIL",
            (None, None) => "MISSING",
        });
    }
    for client in &CLIENTS {
        let reason = client.not_spoken(Era::Modern);
        let reason =
            reason.map_or_else(String::new, |reason| format!("; - is not spoken: {reason}"));
        run::say(&format!("  {} is {}{reason}", client.name, install::version(client)));
    }
}

fn row(label: &str, runs: &[Run], cell: impl Fn(&Run) -> &'static str) {
    let cells: String = runs.iter().map(|run| format!("{:<WIDTH$}", cell(run))).collect();
    run::say(&format!("  {label:LABEL_WIDTH$}{}", cells.trim_end()));
}
