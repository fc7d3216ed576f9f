//! H10, H11, H12: nothing is lost because of a reload.

use std::time::{Duration, Instant};

use load::Tally;
use serde_json::json;

use crate::reload::live::{Live, ask, mark, play};
use crate::reload::streams::{List, Streams};
use crate::stage::clients::{Clients, accepted_ms};
use crate::stage::findings::Findings;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::stage::wait;

/// From one reload to the next.
const EVERY: Duration = Duration::from_millis(100);
/// An event among so many reloads.
const RELOADS_PER_EVENT: u32 = 5;
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
        let time = EVERY * reloads;
        let (before, _) = steady.beside(live.appliance, calls, || wait::pass(time.mul_f64(0.5)))?;
        let (during, played) = steady.beside(live.appliance, calls, || {
            fresh.beside(live.appliance, connections, || change(live, &streams, reloads))
        })?;
        let (newcomers, played) = played?;
        let (events, slowest) = played?;
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

/// Reloads by the clock, with an event now and then; how many events there were, and the slowest reload.
fn change(live: &Live<'_>, streams: &Streams, reloads: u32) -> Result<(u64, Duration), String> {
    let (begun, mut events, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    // One connection through it all: it takes each generation as it comes.
    let mut client = live.client()?;
    let event = live.call_of("test_trigger_prompt_change", json!({}));
    for reload in 1..=reloads {
        let asked = Instant::now();
        live.applies(&tables(reload))?;
        slowest = slowest.max(asked.elapsed());
        if reload % RELOADS_PER_EVENT == 0 {
            let (status, said) = ask(&mut client, &event)?;
            if status != 200 || said.get("result").is_none() {
                return Err(format!("no event: status {status}, {said}"));
            }
            events += 1;
            // Told one by one, so that none stands for two.
            if !streams.all_hear(List::Prompts, events) {
                break;
            }
        }
        wait::pass((EVERY * reload).saturating_sub(begun.elapsed()));
    }
    Ok((events, slowest))
}
