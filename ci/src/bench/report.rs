//! The report: one value, as JSON and as tables.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use serde::Serialize;

use super::goals::{Goal, Side};
use super::machine::Machine;
use super::{idle, instructions, rounds, startup, stdio};
use crate::run;

/// Where the reports are kept.
const FOLDER: &str = "ci/results";

/// Everything that one run has found out.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Where it was measured.
    pub(crate) machine: Machine,
    /// How it was measured, in words.
    pub(crate) method: Vec<String>,
    /// What was compared, by version.
    pub(crate) versions: BTreeMap<&'static str, String>,
    /// The profile of ours.
    pub(crate) profile: String,
    /// Throughput and latency over HTTP.
    pub(crate) throughput: Vec<rounds::Row>,
    /// Throughput over standard input and output.
    pub(crate) stdio: Vec<stdio::Row>,
    /// Memory of what waits.
    pub(crate) idle: Vec<idle::Row>,
    /// Time to the first answer.
    pub(crate) startup: Vec<startup::Row>,
    /// User instructions for one call.
    pub(crate) instructions: Vec<instructions::Row>,
    /// The goals.
    pub(crate) goals: Vec<Goal>,
}

impl Report {
    /// Writes both shapes; the tables.
    pub(crate) fn write(&self) -> Result<String, String> {
        let folder = run::root().join(FOLDER);
        let tables = self.tables();
        let json = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        let stamp: String = self.machine.date.chars().filter(char::is_ascii_digit).collect();
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for (name, text) in [("md", &tables), ("json", &json)] {
            let path = folder.join(format!("bench-{stamp}.{name}"));
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(tables)
    }

    /// The report in Markdown.
    fn tables(&self) -> String {
        let machine = &self.machine;
        let mut text = format!(
            "# Benchmark of {}\n\n{}, {} cores, Linux {}, {}, commit {}.\n",
            machine.date,
            machine.processor,
            machine.cores,
            machine.kernel,
            machine.compiler,
            machine.commit
        );
        let versions: Vec<_> =
            self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        text.push_str(&format!("Compared: {}.\n", versions.join(", ")));
        for line in &self.method {
            text.push_str(&format!("{line}\n"));
        }
        throughput(&mut text, &self.throughput);
        self.small_tables(&mut text);
        goals(&mut text, &self.goals);
        text
    }

    fn small_tables(&self, text: &mut String) {
        let rows = self.stdio.iter().map(|row| {
            format!(
                "{} | {:.0} | {:.0} % | {:.0} | {:.2} | {:.0}",
                row.text_bytes,
                row.messages_per_second,
                row.spread * 100.0,
                row.bare_messages_per_second,
                row.of_bare,
                row.roomy_messages_per_second
            )
        });
        let head = "bytes | messages/s | spread | bare loop | of bare loop | roomy bare loop";
        table(text, "stdio", head, rows);
        let rows = self.idle.iter().map(|row| {
            format!(
                "{} | {:.1} MiB | {:.1} KiB ({}) | {}",
                row.server,
                row.resident_bytes as f64 / f64::from(1 << 20),
                row.connection_bytes / 1024.0,
                row.connections,
                row.session_bytes
                    .zip(row.sessions)
                    .map_or_else(String::new, |(bytes, sessions)| {
                        format!("{bytes:.0} B ({sessions})")
                    })
            )
        });
        table(text, "Idle", "server | process | connection | session", rows);
        let rows = self.startup.iter().map(|row| {
            format!("{} | {:.1} ms | {:.0} %", row.server, row.start_ms, row.spread * 100.0)
        });
        table(text, "Start to first answer", "server | median | spread", rows);
        let rows = self.instructions.iter().map(|row| {
            let thousands = row.instructions / 1e3;
            format!("{} | {} | {} | {thousands:.1} k", row.server, row.era, row.text_bytes)
        });
        table(text, "User instructions", "server | era | bytes | for one call", rows);
    }
}

fn throughput(text: &mut String, rows: &[rounds::Row]) {
    let share = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.2}"));
    let lines = rows.iter().map(|row| {
        format!(
            "{} | {} | {} | {:.0} | {:.0} % | {} | {} | {:.1} | {:.1} | {:.0} | {:.0} | {:.0} | {:.1} | {}",
            row.text_bytes,
            row.era,
            row.server,
            row.requests_per_second,
            row.spread * 100.0,
            share(row.of_ceiling),
            share(row.of_best_peer),
            row.processor_us,
            row.generator_us,
            row.p50_us,
            row.p99_us,
            row.p999_us,
            row.resident_bytes as f64 / f64::from(1 << 20),
            row.errors
        )
    });
    let head = "bytes | era | server | requests/s | spread | of raw hyper | of best peer | CPU us | generator us | p50 us | p99 us | p999 us | RSS MiB | errors";
    table(text, "HTTP", head, lines);
    for row in rows {
        if let Some(error) = &row.first_error {
            text.push_str(&format!("\nFirst error of {} ({}): `{error}`\n", row.server, row.era));
        }
    }
}

fn goals(text: &mut String, goals: &[Goal]) {
    let lines = goals.iter().map(|goal| {
        let side = match goal.side {
            Side::AtLeast => "at least",
            Side::AtMost => "at most",
        };
        let verdict = match goal.is_held() {
            Some(true) => "held",
            Some(false) => "MISSED",
            None => "not measured",
        };
        let measured = goal.measured.map_or_else(String::new, number);
        format!("{} | {side} {} | {measured} | {verdict}", goal.what, number(goal.bound))
    });
    table(text, "Goals", "goal | bound | measured | verdict", lines);
}

/// Three digits or more, as many as say something.
fn number(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// One table; nothing when there are no rows.
fn table(text: &mut String, title: &str, head: &str, rows: impl Iterator<Item = String>) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    let rule = "---|".repeat(head.split('|').count());
    // Writing to a string cannot fail.
    write!(text, "\n## {title}\n\n| {head} |\n|{rule}\n").ok();
    for row in rows {
        writeln!(text, "| {row} |").ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_has_a_cell_for_each_heading() {
        let mut text = String::new();
        table(&mut text, "T", "a | b", ["1 | 2".to_owned()].into_iter());
        assert_eq!(text, "\n## T\n\n| a | b |\n|---|---|\n| 1 | 2 |\n");
    }

    #[test]
    fn table_without_rows_is_left_out() {
        let mut text = String::new();
        table(&mut text, "T", "a", std::iter::empty());
        assert_eq!(text, "");
    }

    #[test]
    fn numbers_keep_the_digits_that_matter() {
        assert_eq!(number(0.651), "0.65");
        assert_eq!(number(95_000.4), "95000");
    }
}
