//! `toolrack selftest`: proves the protections of an appliance that serves, in a lane beside its clients.
//!
//! The appliance opens the lane: listeners of its own on loopback, by the plan that it serves, with states, counts and
//! a plugin that nobody else meets. The attacks come from here, over real connections, and every key of a protection
//! that the plan turns on gets a verdict.

mod answer;
mod checks;
mod client;
mod judge;
mod keys;
mod lane;
mod reach;
mod report;
mod run;
mod wire;

use std::process::ExitCode;

use super::failed;
use crate::cli::SelftestOptions;
use crate::commands::control::Control;
use crate::exit;
use checks::{GROUPS, Group};
use judge::Verdict;
use keys::Untried;
use lane::Test;
use report::Report;
use run::{Run, Stopped};

/// Tests, reports, and says by its code whether everything behaved.
pub(crate) fn run(options: &SelftestOptions) -> ExitCode {
    let control = match Control::named(&options.appliance) {
        Ok(control) => control,
        Err(why) => return failed(exit::USAGE, &why),
    };
    if let Some(unknown) =
        options.layer.iter().find(|layer| !keys::groups().contains(&layer.as_str()))
    {
        let known = keys::groups().join(", ");
        return failed(
            exit::USAGE,
            &format!("--layer {unknown}: no such layer; choose of {known}"),
        );
    }
    let test = match Test::begin(control) {
        Ok(test) => test,
        Err(why) => return failed(exit::TEMPORARY, &why),
    };
    let report = attack(test, &options.layer);
    let text = if options.json { report.to_json() } else { report.to_table() };
    super::say(&text);
    ExitCode::from(report.code())
}

/// Runs every group that is wanted, and completes the findings.
fn attack(test: Test, wanted: &[String]) -> Report {
    let begun = test.begun.clone();
    let mut run = Run::new(test);
    let (known, mut stopped) = match run.open(&[]) {
        Ok(lane) => {
            let is_closed = lane.listeners.is_empty();
            let why = "the profile has no listener for HTTP, over which a test attacks";
            (reach::turned_on(&lane, &begun), is_closed.then(|| why.to_owned()))
        }
        Err(Stopped(why)) => (Vec::new(), Some(why)),
    };
    let is_wanted =
        |table: &str| wanted.is_empty() || wanted.iter().any(|layer| keys::belongs(table, layer));
    let mut without_probe = Vec::new();
    for Group { tables, needs_probe, check } in GROUPS {
        if stopped.is_some() || !tables.iter().any(|table| is_wanted(table)) {
            continue;
        }
        if *needs_probe && begun.probe_missing.is_some() {
            without_probe.extend(*tables);
            continue;
        }
        if let Err(Stopped(why)) = check(&mut run) {
            stopped = Some(why);
        }
    }
    let mut findings = std::mem::take(&mut run.findings);
    findings.retain(|finding| is_wanted(&finding.key));
    let known: Vec<_> = known.into_iter().filter(|known| is_wanted(&known.key)).collect();
    let untried = Untried { stopped: stopped.as_deref(), without_probe: &without_probe };
    let lacking = keys::complete(&mut findings, &known, &untried);
    let stopped = stopped.or_else(|| keys::says_lacking(lacking, begun.probe_missing.as_deref()?));
    Report::new(&begun, findings, stopped)
}

impl Report {
    /// What the program ends with.
    fn code(&self) -> u8 {
        let has_misbehaved =
            self.findings().iter().any(|finding| finding.verdict == Verdict::Misbehaved);
        if has_misbehaved {
            exit::MISBEHAVED
        } else if self.stopped().is_some() {
            exit::TEMPORARY
        } else {
            exit::OK
        }
    }
}
