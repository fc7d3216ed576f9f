//! H10, H11, H12: nothing is lost because of a reload.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use load::Tally;
use serde_json::json;

use crate::reload::live::{Live, ask, play};
use crate::reload::streams::{List, Streams};
use crate::stage::clients::{Clients, accepted_ms};
use crate::stage::findings::Findings;
use crate::stage::profile::mark;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::stage::wait;

/// From one tick to the next.
const EVERY: Duration = Duration::from_millis(100);
/// An event among so many ticks.
const TICKS_PER_EVENT: u32 = 5;
/// A limit that changes and that no call meets.
const LIMITS: u32 = 7;

/// Reloads under a steady load.
pub(super) const STEADY: Scenario = Scenario {
    name: "steady",
    title: "ten reloads a second under steady calls, new connections and open streams",
    left: "",
    play: steady,
};

fn tables(reload: u32) -> String {
    let calls = 9_000 + reload % LIMITS;
    // On probation, each of them: none does harm.
    format!(
        "[reload]\nwatch = false\ninterval_ms = 0\n{}[layer.concurrency]\ncalls_max = {calls}\n",
        mark(60_000 + reload)
    )
}

fn steady(stage: &mut Stage<'_>) -> Result<(), String> {
    let (calls, connections) = stage.pick((500.0, 50.0), (2_000.0, 200.0));
    let (streams, reloads) = stage.pick((40, 50), (100, 600));
    let rules = Rules { mebibytes: 64, ..Rules::USUAL };
    play(stage, &tables(0), rules, |live, findings| {
        let streams = Streams::open(live, streams)?;
        let (steady, fresh) = (Clients::echo(64), Clients::echo(64).once_each());
        // The same load with and without reloads.
        let load = |ticks: RangeInclusive<u32>, what| -> Result<_, String> {
            steady.beside(live.appliance, calls, || {
                fresh.beside(live.appliance, connections, || pass(live, &streams, ticks, what))
            })
        };
        let (before, played) = load(1..=reloads / 2, What::Events)?;
        let (_, played) = played?;
        played?;
        let (during, played) = load(reloads / 2 + 1..=reloads / 2 + reloads, What::Reloads)?;
        let (newcomers, played) = played?;
        let slowest = played?;
        let events = u64::from((reloads / 2 + reloads) / TICKS_PER_EVENT);
        unharmed(findings, "a steady client", &during);
        unharmed(findings, "a new connection", &newcomers);
        findings.exactly("streams that ended", streams.ended(), 0);
        findings.exactly("events missed or repeated", streams.misheard(List::Prompts, events), 0);
        findings.exactly("told of tools that nobody changed", streams.misheard(List::Tools, 0), 0);
        let gone_back =
            live.attempts()?.iter().filter(|one| one["result"] == "rolled_back").count();
        findings.exactly("good ones that were taken back", gone_back as u64, 0);
        findings.show("reloads", f64::from(reloads), "");
        findings.show("events on each stream", events as f64, "");
        findings.show("slowest reload", slowest.as_secs_f64() * 1e3, "ms");
        for (share, name) in [(0.5, "p50"), (0.9, "p90"), (0.999, "p99.9")] {
            findings.show(&format!("{name} before"), accepted_ms(&before, share), "ms");
            findings.show(&format!("{name} during"), accepted_ms(&during, share), "ms");
        }
        let before_ms = accepted_ms(&before, 0.99);
        findings.show("p99 before", before_ms, "ms");
        let goal_ms = (before_ms * 1.2).max(1.0);
        findings.time_ms("p99 during", accepted_ms(&during, 0.99), goal_ms, goal_ms + 5_000.0);
        streams.close(live)
    })
}

/// Every call was answered with what it asked for.
fn unharmed(findings: &mut Findings, of: &str, tally: &Tally) {
    findings.see(tally);
    findings.exactly(&format!("calls of {of} that failed"), tally.failed(), 0);
    findings.exactly(&format!("calls of {of} that were refused"), tally.refused(), 0);
    findings.at_least(&format!("calls of {of}"), tally.accepted as f64, 1.0);
    if let Some(error) = &tally.first_error {
        findings.note(format!("{of}: {error}"));
    }
}

/// What happens at each tick of the clock.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// Now and then an event on the streams.
    Events,
    /// A reload as well.
    Reloads,
}

/// Passes these ticks by the clock; the slowest reload.
fn pass(
    live: &Live<'_>,
    streams: &Streams,
    ticks: RangeInclusive<u32>,
    what: What,
) -> Result<Duration, String> {
    let (begun, mut slowest) = (Instant::now(), Duration::ZERO);
    // One connection through it all: it takes each generation as it comes.
    let mut client = live.client()?;
    let event = live.call_of("test_trigger_prompt_change", json!({}));
    for (passed, tick) in (1..).zip(ticks) {
        if what == What::Reloads {
            let asked = Instant::now();
            live.applies(&tables(tick))?;
            slowest = slowest.max(asked.elapsed());
        }
        if tick % TICKS_PER_EVENT == 0 {
            let (status, said) = ask(&mut client, &event)?;
            if status != 200 || said.get("result").is_none() {
                return Err(format!("no event: status {status}, {said}"));
            }
            // Told one by one, so that none stands for two.
            if !streams.all_hear(List::Prompts, u64::from(tick / TICKS_PER_EVENT)) {
                break;
            }
        }
        wait::pass((EVERY * passed).saturating_sub(begun.elapsed()));
    }
    Ok(slowest)
}
