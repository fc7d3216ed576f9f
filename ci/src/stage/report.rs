//! The report of a run: a table on the screen, JSON and Markdown in a folder of `target`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::figure::{Figure, Outcome, number};
use super::findings::Findings;
use super::scenario::{Length, Scenario};
use crate::run;

/// What one scenario found.
#[derive(Serialize)]
pub(crate) struct Entry {
    name: &'static str,
    title: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    left: &'static str,
    /// `held`, `missed`, `failed` or `skipped`.
    pub(crate) verdict: &'static str,
    /// How long it took, in seconds.
    pub(crate) secs: f64,
    figures: Vec<Figure>,
    notes: Vec<String>,
    error: Option<String>,
}

impl Entry {
    /// The entry of a scenario that was played.
    pub(crate) fn new(
        scenario: &Scenario,
        findings: &Findings,
        error: Option<String>,
        outcome: Outcome,
        took: Duration,
    ) -> Self {
        let verdict = match outcome {
            Outcome::Held => "held",
            Outcome::Missed => "missed",
            Outcome::Failed => "failed",
        };
        Self {
            name: scenario.name,
            title: scenario.title,
            left: scenario.left,
            verdict,
            secs: took.as_secs_f64(),
            figures: findings.figures().to_vec(),
            notes: findings.notes().to_vec(),
            error,
        }
    }
}

/// All entries and where they come from.
#[derive(Serialize)]
pub(crate) struct Report {
    /// The task whose run it was: the name of the folder and of the files.
    task: &'static str,
    length: Length,
    seed: u64,
    folder: String,
    processor: String,
    cores: usize,
    kernel: String,
    /// In the order in which they were played.
    pub(crate) entries: Vec<Entry>,
}

impl Report {
    /// Nothing played yet.
    pub(crate) fn new(task: &'static str, length: Length, seed: u64, folder: &Path) -> Self {
        Self {
            task,
            length,
            seed,
            folder: folder.display().to_string(),
            processor: load::machine::processor(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: load::machine::kernel(),
            entries: Vec::new(),
        }
    }

    /// Prints the table and writes the files; fails when a promise was broken.
    pub(crate) fn finish(&self) -> crate::Outcome {
        run::say(&self.table());
        let task = self.task;
        let folder = run::target().join(task);
        let json = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join(format!("{task}.json")), json))
            .and_then(|()| std::fs::write(folder.join(format!("{task}.md")), self.page()))
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        run::say(&format!("Written: {0}/{task}.md and {task}.json", folder.display()));
        let failed: Vec<_> =
            self.entries.iter().filter(|entry| entry.verdict == "failed").collect();
        if failed.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = failed.iter().map(|entry| entry.name).collect();
        Err(format!(
            "promises broken in {}; their figures are above, `--only {}` plays them again",
            names.join(", "),
            names.join(",")
        ))
    }

    fn table(&self) -> String {
        let mut table = String::from("\n");
        for entry in &self.entries {
            let promises = entry.figures.iter().filter(|figure| figure.side.is_some());
            let held = promises.clone().filter(|figure| figure.outcome == Outcome::Held).count();
            // Writing to a string cannot fail.
            writeln!(
                table,
                "{:12} {:8} {:3} of {:3} held {:7.1} s  {}",
                entry.name,
                entry.verdict,
                held,
                promises.count(),
                entry.secs,
                entry.title
            )
            .ok();
        }
        table
    }

    fn page(&self) -> String {
        let mut page = format!(
            "# cargo ci {}\n\n{:?} run, seed {}, {}, {} with {} cores, kernel {}. The load came from the same cores.\n",
            self.task, self.length, self.seed, self.folder, self.processor, self.cores, self.kernel
        );
        for entry in &self.entries {
            write!(
                page,
                "\n## {}: {}\n\n{}, {:.1} s.\n",
                entry.name, entry.title, entry.verdict, entry.secs
            )
            .ok();
            if !entry.left.is_empty() {
                writeln!(page, "Later: {}.", entry.left).ok();
            }
            page.push_str("\n| figure | measured | goal | |\n|---|---|---|---|\n");
            for figure in &entry.figures {
                let outcome = match figure.outcome {
                    Outcome::Held => "",
                    Outcome::Missed => "missed",
                    Outcome::Failed => "failed",
                };
                let goal = figure.goal_text().unwrap_or_default();
                let (what, measured) = (&figure.what, number(figure.measured));
                writeln!(page, "| {what} | {measured} {} | {goal} | {outcome} |", figure.unit).ok();
            }
            for said in entry.notes.iter().chain(&entry.error) {
                write!(page, "\n- {}\n", said.replace('\n', "\n  ")).ok();
            }
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(findings: &Findings, error: Option<String>) -> Report {
        fn nothing(_: &mut super::super::scenario::Stage<'_>) -> crate::Outcome {
            Ok(())
        }
        let scenario = Scenario { name: "s00", title: "A title", left: "Sleep", play: nothing };
        let outcome = if error.is_some() { Outcome::Failed } else { findings.outcome() };
        let mut report = Report::new("stress", Length::Short, 7, Path::new("target/debug"));
        report.entries.push(Entry::new(&scenario, findings, error, outcome, Duration::ZERO));
        report
    }

    #[test]
    fn page_says_each_figure_with_its_goal() {
        let mut findings = Findings::new(true);
        findings.exactly("panics", 1, 0);
        findings.note("a note");
        let page = report(&findings, Some("it broke".to_owned())).page();
        for part in [
            "## s00: A title",
            "Later: Sleep.",
            "| panics | 1  | = 0 | failed |",
            "a note",
            "it broke",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }

    #[test]
    fn table_counts_what_was_held() {
        let mut findings = Findings::new(true);
        findings.exactly("a", 0, 0);
        findings.exactly("b", 1, 0);
        findings.show("c", 1.0, "");
        assert!(report(&findings, None).table().contains("s00          failed     1 of   2 held"));
    }
}
