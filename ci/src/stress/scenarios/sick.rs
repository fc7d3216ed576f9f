//! S18 and the hung plugin: what is sick harms nobody else, and is back when it is well.

use std::time::{Duration, Instant};

use load::wire::{self, Era, Tool};
use load::{Client, answer};
use serde_json::{Value, json};

use crate::stage::appliance::{Appliance, Setup};
use crate::stage::clients::{Clients, accepted_ms, success};
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::statistics::of_turns;

/// Calls a second of the plugin that is well.
const BESIDE_PER_SEC: f64 = 100.0;

/// The same beside one that hangs: enough in a turn for a 99th percentile.
const OTHERS_PER_SEC: f64 = 400.0;

/// Everything that can panic does.
pub(super) const S18: Scenario = Scenario {
    name: "s18",
    title: "panics on every kind of thread, again and again",
    left: "panics inside of the program's own tasks, which need failpoints; restarts of plugins in processes of their own",
    play: panics,
};

/// A plugin that hangs on all its places.
pub(super) const HUNG: Scenario = Scenario {
    name: "hung",
    title: "a plugin that hangs on all its places, beside others",
    left: "",
    play: hung,
};

fn panics(stage: &mut Stage<'_>) -> Result<(), String> {
    let rounds = stage.pick(6, 60);
    let setup = Setup::of(&["layer.circuit_breaker.mode=off"]);
    let rules = Rules::USUAL.with_threads(8);
    stage.with(&setup, rules, |appliance, findings| {
        let neighbours = Clients::echo(4);
        let (beside, played) =
            neighbours.beside(appliance, BESIDE_PER_SEC, || panic_all(appliance, rounds))?;
        let (slowest, wrong) = played?;
        findings.see(&beside);
        findings.at_least(
            "panics that were asked for",
            appliance.plugin_panics() as f64,
            (rounds * 4) as f64,
        );
        findings.exactly("panics that were answered otherwise", wrong, 0);
        findings.exactly(
            "calls of others that failed meanwhile",
            beside.failed() + beside.refused(),
            0,
        );
        findings.time_ms(
            "until the plugin answers again",
            slowest.as_secs_f64() * 1e3,
            1_000.0,
            10_000.0,
        );
        Ok(())
    })
}

/// Each kind of panic, and a good call of the same plugin after it; the slowest of those, and answers that were wrong.
fn panic_all(appliance: &Appliance, rounds: usize) -> Result<(Duration, u64), String> {
    let (mut slowest, mut wrong) = (Duration::ZERO, 0);
    let kinds = [
        ("panic", json!({})),
        ("panic", json!({ "twice": true })),
        ("panic_here", json!({})),
        ("panic_async", json!({})),
    ];
    for _ in 0..rounds {
        for (tool, arguments) in &kinds {
            let answer = call(appliance, tool, arguments)?;
            wrong += u64::from(answer["error"]["code"] != -32603);
            let begun = Instant::now();
            while call(appliance, "large", &json!({ "bytes": 3 }))?["result"].is_null() {
                if begun.elapsed() > Duration::from_secs(20) {
                    return Err(format!("the plugin does not come back after `{tool}`"));
                }
            }
            slowest = slowest.max(begun.elapsed());
        }
    }
    Ok((slowest, wrong))
}

/// The message that answers one call.
fn call(appliance: &Appliance, tool: &str, arguments: &Value) -> Result<Value, String> {
    let tool = Tool { name: tool.to_owned(), arguments: arguments.clone() };
    let mut client = Client::connect(appliance.target())?;
    let answer =
        client.exchange(&wire::call(appliance.target(), Era::Modern, None, &tool, false))?;
    let body = answer::body(&answer.bytes)?;
    answer::message(&body).ok_or_else(|| String::from_utf8_lossy(&body).into_owned())
}

fn hung(stage: &mut Stage<'_>) -> Result<(), String> {
    // What a busy machine does to a few seconds must not be taken for what the plugin does: by turns, and medians.
    let turns = stage.pick(3, 9);
    let time = stage.pick(Duration::from_secs(1), Duration::from_secs(5));
    let setup = Setup::of(&[
        "plugin.misbehave.limits.deadline_ms=1000",
        "plugin.misbehave.limits.concurrent_calls=16",
        "plugin.misbehave.limits.threads_max=4",
    ]);
    // Threads of calls that never come back are lost to their plugin, and so are their places.
    let rules = Rules::USUAL.with_threads(8).keeping(&["misbehave"]);
    stage.with(&setup, rules, |appliance, findings| {
        let others = Clients::echo(8);
        let hanging = Clients::calling("hang", json!({}), 32);
        let never = Clients::calling("never", json!({}), 32);
        let (mut calm, mut during) = (Vec::new(), Vec::new());
        let (mut results, mut lost, mut least) = (0, 0, 1.0_f64);
        for _ in 0..turns {
            let alone = others.offer(appliance, OTHERS_PER_SEC, time)?;
            let (hung, beside) = hanging.beside(appliance, 50.0, || {
                never.beside(appliance, 50.0, || others.offer(appliance, OTHERS_PER_SEC, time))
            })?;
            let (never, beside) = beside?;
            let beside = beside?;
            [&alone, &hung, &never, &beside].into_iter().for_each(|tally| findings.see(tally));
            calm.push(accepted_ms(&alone, 0.99));
            during.push(accepted_ms(&beside, 0.99));
            results += hung.accepted + never.accepted;
            lost += beside.failed() + beside.refused();
            least = least.min(success(&beside));
        }
        findings.exactly("calls that hung and got a result", results, 0);
        findings.exactly("calls of others that failed or were refused", lost, 0);
        findings.at_least("success of the others", least, 1.0);
        let (calm, during) = (of_turns(&calm)?, of_turns(&during)?);
        findings.show("their p99 alone", calm, "ms");
        findings.time_ms("their p99", during, calm * 1.2, 5_000.0);
        let stuck = appliance.metric_by_now("toolrack_plugin_calls_stuck{plugin=\"misbehave\"}")?;
        findings.at_most("calls stuck for good", stuck, 2.0);
        Ok(())
    })
}
