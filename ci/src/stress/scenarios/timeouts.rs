//! S3, and ten thousand timeouts: calls that are never answered.

use std::time::{Duration, Instant};

use load::Tally;
use serde_json::json;

use crate::stage::appliance::{Appliance, Setup};
use crate::stage::clients::{Clients, accepted_ms, refusals, refused_ms, success};
use crate::stage::figure::Side;
use crate::stage::findings::Findings;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};

/// Calls a second beside the storm.
const BESIDE_PER_SEC: f64 = 100.0;

/// Many calls time out at one moment.
pub(super) const S03: Scenario = Scenario {
    name: "s03",
    title: "thousands of calls that time out at one moment",
    left: "",
    play: storm,
};

/// Many calls time out, a few at a time.
pub(super) const LEAKS: Scenario = Scenario {
    name: "timeouts",
    title: "ten thousand timeouts leave nothing behind",
    left: "",
    play: leaks,
};

fn storm(stage: &mut Stage<'_>) -> Result<(), String> {
    let (calls, waves, deadline_ms) = stage.pick((620, 2, 1_000), (6_200, 5, 2_000));
    // Each calls once: whoever has its answer comes too late to call again.
    let deadline = Duration::from_millis(deadline_ms);
    let setting = format!("plugin.misbehave.limits.deadline_ms={deadline_ms}");
    let setup = Setup::of(&[
        &setting,
        "plugin.misbehave.limits.concurrent_calls=8000",
        "plugin.misbehave.tool.never.concurrent_calls=8000",
        "layer.circuit_breaker.mode=off",
    ]);
    let rules = Rules { mebibytes: 160, ..Rules::USUAL };
    stage.with(&setup, rules, |appliance, findings| {
        let neighbours = Clients::echo(4);
        let alone = neighbours.offer(appliance, BESIDE_PER_SEC, Duration::from_secs(2))?;
        let never = Clients::calling("never", json!({}), calls);
        let (beside, storms) = neighbours.beside(appliance, BESIDE_PER_SEC, || {
            (0..waves).map(|_| never.press(appliance, deadline / 2)).collect::<Result<Vec<_>, _>>()
        })?;
        let storms = storms?;
        let timed_out = storms.iter().map(|tally| refusals(tally, "timed_out")).sum();
        findings.exactly(
            "calls that were told so at their deadline",
            timed_out,
            (calls * waves) as u64,
        );
        judge(findings, &storms, deadline_ms as f64);
        beside_the_storm(findings, &alone, &beside);
        Ok(())
    })
}

fn judge(findings: &mut Findings, storms: &[Tally], deadline_ms: f64) {
    for tally in storms {
        findings.see(tally);
    }
    let early = storms.iter().map(|tally| refused_ms(tally, 0.0)).fold(f64::MAX, f64::min);
    let late = storms.iter().map(|tally| refused_ms(tally, 1.0)).fold(0.0, f64::max);
    // The clock of a timer counts milliseconds, and a histogram keeps three digits.
    findings.at_least("the first of them, ms", early, deadline_ms * 0.99);
    findings.time_ms("the last of them", late, deadline_ms + 100.0, deadline_ms + 5_000.0);
}

fn beside_the_storm(findings: &mut Findings, alone: &Tally, beside: &Tally) {
    findings.see(beside);
    findings.exactly(
        "calls of another tool that failed meanwhile",
        beside.failed() + beside.refused(),
        0,
    );
    findings.at_least("their success", success(beside), 1.0);
    let (before, during) = (accepted_ms(alone, 0.99), accepted_ms(beside, 0.99));
    findings.time_ms("their p99", during, before * 1.2, 5_000.0);
}

fn leaks(stage: &mut Stage<'_>) -> Result<(), String> {
    let calls_min = stage.pick(2_000, 10_000);
    let setup = Setup::of(&[
        "plugin.misbehave.limits.deadline_ms=5",
        "plugin.misbehave.limits.concurrent_calls=64",
        "layer.bulkhead.queue_wait_ms=60000",
        "layer.circuit_breaker.mode=off",
    ]);
    stage.with(&setup, Rules::USUAL, |appliance, findings| {
        let begun = Instant::now();
        let never = Clients::calling("never", json!({}), 16);
        let mut timed_out = 0;
        while timed_out < calls_min {
            let tally = never.press(appliance, Duration::from_secs(1))?;
            findings.see(&tally);
            let count = refusals(&tally, "timed_out");
            if count == 0 {
                return Err(format!("nothing times out: {tally:?}"));
            }
            timed_out += count;
        }
        findings.at_least("calls that timed out", timed_out as f64, calls_min as f64);
        let per_sec = timed_out as f64 / begun.elapsed().as_secs_f64();
        findings.measure("of them in a second", per_sec, Side::AtLeast, 500.0, "");
        still_serves(appliance)
    })
}

/// The plugin whose calls timed out answers others.
fn still_serves(appliance: &Appliance) -> Result<(), String> {
    let tally = Clients::calling("large", json!({ "bytes": 3 }), 1)
        .press(appliance, Duration::from_millis(200))?;
    if tally.accepted == 0 && refusals(&tally, "timed_out") == 0 {
        return Err(format!("the plugin does not answer any more: {tally:?}"));
    }
    Ok(())
}
