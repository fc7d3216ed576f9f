//! S14: a tool that takes every core it gets.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::stage::appliance::Setup;
use crate::stage::clients::{Clients, accepted_ms, success};
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};

/// Calls a second, of each kind.
const PER_SEC: f64 = 50.0;

/// A tool that spins.
pub(super) const S14: Scenario = Scenario {
    name: "s14",
    title: "half of the calls spin on a core",
    left: "a quota of processor time, with plugins in processes of their own; here a plugin's threads bound it",
    play,
};

fn play(stage: &mut Stage<'_>) -> Result<(), String> {
    let time = stage.pick(Duration::from_secs(3), Duration::from_secs(60));
    let setup = Setup::of(&[
        "plugin.misbehave.limits.threads_max=1",
        "plugin.misbehave.tool.spin.concurrent_calls=1",
        "layer.circuit_breaker.mode=off",
    ]);
    let rules = Rules::USUAL.with_threads(2);
    stage.with(&setup, rules, |appliance, findings| {
        let others = Clients::echo(8);
        let alone = others.offer(appliance, PER_SEC, Duration::from_secs(2))?;
        let spinning = Clients::calling("spin", json!({ "ms": 100 }), 16);
        let before = (appliance.processor_time()?, Instant::now());
        let (spun, beside) =
            spinning.beside(appliance, PER_SEC, || others.offer(appliance, PER_SEC, time))?;
        let beside = beside?;
        let spent = (appliance.processor_time()? - before.0).as_secs_f64();
        let share = spent / before.1.elapsed().as_secs_f64();
        findings.see(&spun);
        findings.see(&beside);
        findings.at_least("calls that spun", spun.accepted as f64, 1.0);
        findings.exactly(
            "others that failed or were refused",
            beside.failed() + beside.refused(),
            0,
        );
        findings.at_least("success of the others", success(&beside), 1.0);
        findings.at_most("cores that the process took", share, 1.75);
        let (calm, during) = (accepted_ms(&alone, 0.99), accepted_ms(&beside, 0.99));
        findings.time_ms("p99 of the others", during, calm * 1.5, 5_000.0);
        Ok(())
    })
}
