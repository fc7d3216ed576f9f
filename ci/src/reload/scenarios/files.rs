//! H2, H3, H4: content decides, storms are coalesced, halves are never taken for wholes.

use std::fs::{File, FileTimes, OpenOptions};
use std::io::Write;
use std::time::{Duration, Instant, SystemTime};

use crate::Outcome;
use crate::reload::live::{Live, play};
use crate::stage::findings::Findings;
use crate::stage::profile::{mark, text};
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::stage::wait;

/// The key that tells one writing from another.
const MARK: &str = "server.list_ttl_ms";
/// The key that stands at the end of what is written in steps.
const END: &str = "session.replay_events_max";
/// A writer that is silent for a quarter of a second counts as done; with what a machine needs to tell of it.
const PAUSE_MAX: Duration = Duration::from_millis(120);
/// How long the contract gives a change to come in.
const SEEN_MS: f64 = 2_000.0;
/// What no machine has a reason to need.
const SEEN_BOUND_MS: f64 = 45_000.0;

/// Writes without end.
pub(super) const STORM: Scenario = Scenario {
    name: "storm",
    title: "a thousand writes a second: few activations, and the last content serves",
    left: "",
    play: storm,
};

/// Events without content.
pub(super) const TOUCH: Scenario = Scenario {
    name: "touch",
    title: "a thousand touches: nobody reads the profile again",
    left: "",
    play: touch,
};

/// Halves of a profile.
pub(super) const TORN: Scenario = Scenario {
    name: "torn",
    title: "a writer that truncates and appends in small steps: no part of it is ever applied",
    left: "",
    play: torn,
};

/// Waits until the mark serves, and judges how long that took.
fn comes_in(live: &Live<'_>, findings: &mut Findings, number: u32) {
    let begun = Instant::now();
    let serves = live.comes_to_serve(MARK, &number.to_string());
    findings.exactly("the last content serves", serves.into(), 1);
    let took_ms = begun.elapsed().as_secs_f64() * 1e3;
    findings.time_ms("from the last write to that", took_ms, SEEN_MS, SEEN_BOUND_MS);
}

fn storm(stage: &mut Stage<'_>) -> Outcome {
    let writes: u32 = stage.pick(1_000, 10_000);
    play(stage, &mark(1), Rules::USUAL, |live, findings| {
        let before = live.generation()?;
        let begun = Instant::now();
        for number in 1..=writes {
            // In place, and by another file in its place.
            if number % 2 == 0 {
                live.write(&mark(number + 1))?;
            } else {
                live.replace(&mark(number + 1))?;
            }
            let due = Duration::from_millis(number.into());
            wait::pass(due.saturating_sub(begun.elapsed()));
        }
        let took = begun.elapsed();
        comes_in(live, findings, writes + 1);
        let activations = (live.generation()? - before) as f64;
        findings.show("writes", writes.into(), "");
        findings.show("while writing", took.as_secs_f64() * 1e3, "ms");
        let interval_ms: f64 = live.serves("reload.interval_ms")?.parse().unwrap_or(1_000.0);
        let most = begun.elapsed().as_secs_f64() * 1e3 / interval_ms + 1.0;
        findings.at_most("activations", activations, most);
        one_at_a_time(live, findings)
    })
}

/// Attempts are numbered without a gap, and each applied one is one generation.
fn one_at_a_time(live: &Live<'_>, findings: &mut Findings) -> Outcome {
    let attempts = live.attempts()?;
    findings.show("attempts in the ledger", attempts.len() as f64, "");
    let numbers: Vec<_> =
        attempts.iter().filter_map(|attempt| attempt["attempt"].as_u64()).collect();
    let gaps = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    findings.exactly("attempts that are missing in the ledger", gaps as u64, 0);
    let applied: Vec<_> = attempts
        .iter()
        .filter(|attempt| attempt["result"] == "applied")
        .filter_map(|attempt| attempt["generation"].as_u64())
        .collect();
    let twice = applied.windows(2).filter(|pair| pair[1] <= pair[0]).count();
    findings.exactly("generations that two attempts made", twice as u64, 0);
    Ok(())
}

fn touch(stage: &mut Stage<'_>) -> Outcome {
    play(stage, &mark(1), Rules::USUAL, |live, findings| {
        let before = live.generation()?;
        let failed = |error: std::io::Error| format!("cannot touch the profile: {error}");
        for _ in 0..1_000 {
            let now = FileTimes::new().set_modified(SystemTime::now());
            let file = OpenOptions::new().append(true).open(live.path()).map_err(failed)?;
            file.set_times(now).map_err(failed)?;
        }
        // The same content once more, as a file of its own.
        let again = live.folder.join("again");
        std::fs::copy(live.path(), &again).map_err(failed)?;
        std::fs::rename(&again, live.path()).map_err(failed)?;
        findings.exactly("activations after the touches", live.generation()? - before, 0);
        live.write(&mark(2))?;
        comes_in(live, findings, 2);
        findings.exactly("activations with the change after them", live.generation()? - before, 1);
        let attempts = live.attempts()?;
        let idle = attempts.iter().filter(|attempt| attempt["result"] == "unchanged").count();
        findings.exactly("attempts that found nothing", idle as u64, 0);
        Ok(())
    })
}

/// A profile whose every line is the end of a good one: what comes first would serve, were it taken for the whole.
fn layered(number: u32) -> String {
    let mut tables = format!("{}page_items_max = 1\n", mark(number));
    let filler = format!("# {}\n", "a line that says nothing ".repeat(10));
    (0..64).for_each(|_| tables.push_str(&filler));
    tables.push_str("[session]\nreplay_events_max = 7\n");
    text(&tables)
}

fn torn(stage: &mut Stage<'_>) -> Outcome {
    let time = stage.pick(Duration::from_secs(4), Duration::from_secs(60));
    let whole = "[session]\nreplay_events_max = 7\n";
    play(
        stage,
        &format!("{}page_items_max = 1\n{whole}", mark(1)),
        Rules::USUAL,
        |live, findings| {
            let (begun, mut number, mut parts) = (Instant::now(), 1, 0);
            let mut pause = Duration::ZERO;
            while begun.elapsed() < time {
                number += 1;
                // Each other one so slowly that a look finds the same part twice.
                let step = Duration::from_millis(if number % 2 == 0 { 1 } else { 40 });
                pause = pause.max(in_steps(live, &layered(number), step)?);
                let serves = live.serves(END)?;
                parts += u64::from(serves != "7");
            }
            findings.show("times that it was written", f64::from(number - 1), "");
            comes_in(live, findings, number);
            let serves = live.serves(END)?;
            findings.exactly("the end of it serves", u64::from(serves == "7"), 1);
            let torn = live.attempts()?.iter().filter(|attempt| took_a_part(attempt)).count();
            findings.show("longest pause of the writer", pause.as_secs_f64() * 1e3, "ms");
            if pause < PAUSE_MAX {
                findings.exactly("looks that found a part of it serving", parts, 0);
                findings.exactly("parts of it that were applied", torn as u64, 0);
            } else {
                findings.note("the machine held the writer up for so long that it counted as done: no verdict");
            }
            Ok(())
        },
    )
}

/// Whether an attempt applied what has not the end, or brought the end back after one that had not.
fn took_a_part(attempt: &serde_json::Value) -> bool {
    let changed = attempt["changed"].as_array().into_iter().flatten();
    attempt["result"] == "applied" && changed.into_iter().any(|key| key == END)
}

/// Truncates the profile and writes it anew, a kibibyte at each step; the longest pause between two of them.
fn in_steps(live: &Live<'_>, text: &str, step: Duration) -> Result<Duration, String> {
    let failed = |error: std::io::Error| format!("cannot write the profile: {error}");
    let mut file = File::create(live.path()).map_err(failed)?;
    let (mut longest, mut last) = (Duration::ZERO, Instant::now());
    for part in text.as_bytes().chunks(1_024) {
        file.write_all(part).map_err(failed)?;
        wait::pass(step);
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    Ok(longest)
}
