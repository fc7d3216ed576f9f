//! H6, H8, H18, H19: what is refused leaves everything as it was, and every attempt is told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use rustix::process::Signal;
use serde_json::Value;

use crate::Outcome;
use crate::reload::live::{Live, ON_REQUEST, play};
use crate::stage::clients::{Clients, together};
use crate::stage::profile::mark;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};

/// Bad and good profiles in turn.
pub(super) const ALTERNATE: Scenario = Scenario {
    name: "alternate",
    title: "bad and good profiles in turn under load: what served serves on, the next good one comes in",
    left: "",
    play: alternate,
};

/// Attempts of every kind at once.
pub(super) const LEDGER: Scenario = Scenario {
    name: "ledger",
    title: "attempts of every kind from all sides: each is told once, in order",
    left: "",
    play: ledger,
};

/// What is wrong, how it is called in the ledger, and what a problem says of it.
const BAD: [(&str, &str, &str); 8] = [
    ("[layer\n", "refused", "not TOML"),
    ("[layer.timeout]\ndeadline_mss = 1\n", "refused", "did you mean `deadline_ms`?"),
    ("[layer.concurrency]\ncalls_max = \"many\"\n", "refused", "layer.concurrency.calls_max"),
    ("[plugin.other]\nlibrary = \"libnowhere.so\"\n", "refused", "libnowhere.so"),
    ("[plugin.twin]\nlibrary = \"libecho.so\"\n", "refused", "already offered by plugin.echo"),
    (
        "[plugin.bad]\nlibrary = \"libmisbehave.so\"\nconfig = { panics_in = \"start\" }\n",
        "refused",
        "plugin.bad",
    ),
    (
        "[plugin.bad]\nlibrary = \"libmisbehave.so\"\nconfig = { panics_in = \"describe\" }\n",
        "refused",
        "plugin.bad",
    ),
    ("[process]\nworker_threads = 3\n", "restart_required", "process.worker_threads"),
];

fn alternate(stage: &mut Stage<'_>) -> Outcome {
    let rounds = stage.pick(16, 500);
    let good = |number: u32| format!("{ON_REQUEST}{}", mark(number));
    // Three of the bad ones load a library, whose image stays though it does not start.
    let rules = Rules::USUAL.with_libraries(u64::from(rounds) / 2);
    play(stage, &good(0), rules, |live, findings| {
        let clients = Clients::echo(8);
        let (tally, played) = clients.beside(live.appliance, 100.0, || {
            let mut wrong = Vec::new();
            for (round, (bad, result, said)) in (1..=rounds).zip(BAD.iter().cycle()) {
                let before = live.generation()?;
                let attempt = live.reload_with(&format!("{}{bad}", good(round)))?;
                let told = attempt["problems"].to_string();
                let is_whole = attempt["result"] == *result
                    && told.contains(said)
                    && live.generation()? == before
                    && live.serves("server.list_ttl_ms")? == (round - 1).to_string();
                if !is_whole {
                    wrong.push(attempt);
                }
                live.applies(&good(round))?;
            }
            Ok::<_, String>(wrong)
        })?;
        let wrong = played?;
        findings.see(&tally);
        findings.show("rounds", rounds.into(), "");
        findings.exactly("bad ones that were not refused whole", wrong.len() as u64, 0);
        findings.exactly("calls that failed or were refused", tally.failed() + tally.refused(), 0);
        wrong.iter().take(3).for_each(|attempt| findings.note(attempt.to_string()));
        Ok(())
    })
}

fn ledger(stage: &mut Stage<'_>) -> Outcome {
    let (each, seed) = (stage.pick(20, 250), stage.seed);
    play(stage, &format!("{ON_REQUEST}{}", mark(0)), Rules::USUAL, |live, findings| {
        let written = AtomicU32::new(1);
        let told = together(4, |number| {
            let mut chance = fastrand::Rng::with_seed(seed.wrapping_add(number as u64));
            let mut told = Vec::new();
            for _ in 0..each {
                told.extend(act(live, &mut chance, &written)?);
            }
            Ok(told)
        })?;
        // Whatever was only asked for has ended before this one, and may have found this content already.
        live.reload_with(&format!("{ON_REQUEST}{}", mark(0)))?;
        let serves = live.serves("server.list_ttl_ms")?;
        findings.exactly("the last content serves", u64::from(serves == "0"), 1);
        let attempts = live.attempts()?;
        let number = |attempt: &Value| attempt["attempt"].as_u64().unwrap_or_default();
        let last = attempts.last().map(number).unwrap_or_default();
        // By now: every snapshot is of later.
        live.appliance.metric_by_now("toolrack_generation")?;
        let series = live.appliance.metrics()?;
        let of_reloads = |(name, _): &(&String, &f64)| name.starts_with("toolrack_reloads_total{");
        let counted: f64 = series.iter().filter(of_reloads).map(|(_, count)| count).sum();
        findings.show("attempts", last as f64, "");
        findings.exactly("attempts that the metrics count", counted as u64, last);
        let gaps = attempts.windows(2).filter(|pair| number(&pair[1]) != number(&pair[0]) + 1);
        findings.exactly("gaps in the ledger", gaps.count() as u64, 0);
        let back = attempts
            .windows(2)
            .filter(|pair| pair[1]["generation"].as_u64() < pair[0]["generation"].as_u64());
        findings.exactly("generations out of order", back.count() as u64, 0);
        // Whoever shared an attempt was told the same of it. What was posted too late to be one has no number.
        let mut by_number = BTreeMap::new();
        let differ = told
            .iter()
            .flatten()
            .filter(|attempt| number(attempt) > 0)
            .filter(|attempt| by_number.entry(number(attempt)).or_insert(*attempt) != attempt);
        findings.exactly("attempts that were told differently", differ.count() as u64, 0);
        Ok(())
    })
}

/// A writing, good or bad, and somebody who asks; the attempt, for whoever waited.
fn act(
    live: &Live<'_>,
    chance: &mut fastrand::Rng,
    written: &AtomicU32,
) -> Result<Option<Value>, String> {
    let number = written.fetch_add(1, Relaxed);
    let bad = if chance.bool() { "" } else { BAD[chance.usize(..3)].0 };
    // By another file in its place: writers at once do not meet in one.
    let tables = format!("{ON_REQUEST}{}{bad}", mark(number));
    live.replace(&tables)?;
    match chance.u8(..4) {
        0 => live.appliance.signal(Signal::HUP).map(|()| None),
        1 => live.appliance.order("/admin/reload", &[], "").map(|_| None),
        2 => live.post(&tables).map(Some),
        _ => live.reload().map(Some),
    }
}
