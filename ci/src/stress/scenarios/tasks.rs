//! S5: work that is begun and not waited for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use load::wire::{self, Era, Tool};
use load::{Client, Target, answer};
use serde_json::json;

use crate::stage::appliance::{Appliance, Setup};
use crate::stage::clients::together;
use crate::stage::figure::Side;
use crate::stage::findings::Findings;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::stress::peer::Peer;

const TASKS_MAX: u64 = 500;

/// More tasks than there may be, calls that are left, sessions that come and go.
pub(super) const S05: Scenario = Scenario {
    name: "s05",
    title: "tasks beyond their bound, calls that are left at once, sessions that come and go",
    left: "the number of tasks of the runtime as a figure: threads, permits and calls in flight stand for it",
    play,
};

fn play(stage: &mut Stage<'_>) -> Result<(), String> {
    let (tasks, left, churn) = stage
        .pick((1_200, 800, Duration::from_secs(2)), (100_000, 20_000, Duration::from_secs(60)));
    let limit = format!("tasks.count_max={TASKS_MAX}");
    let setup = Setup::of(&[
        &limit,
        "tasks.ttl_ms=6000",
        "tasks.deadline_ms=5000",
        "plugin.conformance.limits.concurrent_calls=2000",
        "plugin.conformance.tool.slow_compute.concurrent_calls=2000",
        "plugin.misbehave.limits.concurrent_calls=2000",
        "plugin.misbehave.tool.wait.concurrent_calls=2000",
    ]);
    let rules = Rules { mebibytes: 96, ..Rules::USUAL };
    stage.with(&setup, rules, |appliance, findings| {
        let before = appliance.footprint()?.threads;
        make_tasks(appliance.target(), findings, tasks)?;
        leave_calls(appliance.target(), left)?;
        come_and_go(appliance, findings, churn)?;
        findings.at_most(
            "threads meanwhile",
            appliance.footprint()?.threads as f64,
            (before + 5) as f64,
        );
        Ok(())
    })
}

/// Asks for more tasks than there may be.
fn make_tasks(target: &Target, findings: &mut Findings, count: usize) -> Result<(), String> {
    let tool = Tool { name: "slow_compute".to_owned(), arguments: json!({ "seconds": 2 }) };
    let mut message = wire::call_message(Era::Modern, 1, &tool);
    message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
        json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let lines = [
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "slow_compute"),
    ];
    let request = wire::post_text(target, &lines, &message.to_string());
    let all = together(4, |_| {
        let mut client = Client::connect(target)?;
        let mut kinds = BTreeMap::<String, u64>::new();
        for _ in 0..count / 4 {
            let answer = client.exchange(&request)?;
            let message = answer::message(&answer::body(&answer.bytes)?).unwrap_or_default();
            let kind = message["error"]["data"]["refusal"].as_str();
            let made = message["result"]["taskId"].as_str().map(|_| "made");
            let kind = kind.or(made).unwrap_or("something else");
            *kinds.entry(kind.to_owned()).or_default() += 1;
        }
        Ok(kinds)
    })?;
    let sum = |kind: &str| all.iter().filter_map(|kinds| kinds.get(kind)).sum::<u64>();
    let (made, refused) = (sum("made"), sum("tasks_exhausted"));
    findings.exactly(
        "tasks made or refused by their bound",
        made + refused,
        (count / 4 * 4) as u64,
    );
    findings.at_least("tasks made", made as f64, TASKS_MAX as f64);
    findings.at_least("tasks refused", refused as f64, 1.0);
    Ok(())
}

/// Calls that take ten seconds, whose client goes at once: each is cancelled.
fn leave_calls(target: &Target, count: usize) -> Result<(), String> {
    let tool = Tool { name: "wait".to_owned(), arguments: json!({ "ms": 10_000 }) };
    let request = wire::call(target, Era::Modern, None, &tool, false);
    let left = together(4, |_| {
        for _ in 0..count / 4 {
            let mut peer = Peer::connect(target, None)?;
            peer.send(&request);
            peer.reset();
        }
        Ok(())
    });
    left.map(drop)
}

/// Sessions that begin and end.
fn come_and_go(
    appliance: &Appliance,
    findings: &mut Findings,
    time: Duration,
) -> Result<(), String> {
    let target = appliance.target();
    let begun = Instant::now();
    let counts = together(4, |_| {
        let mut client = Client::connect(target)?;
        let mut count = 0_u64;
        while begun.elapsed() < time {
            let session = client.open_session()?;
            let answer = client.exchange(&wire::delete(target, &session))?;
            if answer.status != 204 && answer.status != 200 {
                return Err(format!("the end of a session got status {}", answer.status));
            }
            count += 1;
        }
        Ok(count)
    })?;
    let per_sec = counts.iter().sum::<u64>() as f64 / begun.elapsed().as_secs_f64();
    findings.measure(
        "sessions that came and went in a second",
        per_sec,
        Side::AtLeast,
        5_000.0,
        "",
    );
    Ok(())
}
