//! S9: far more calls than a tool can take.

use std::time::Duration;

use load::Tally;

use crate::stage::appliance::{Appliance, Setup};
use crate::stage::clients::{Clients, refused_ms};
use crate::stage::figure::Side;
use crate::stage::findings::Findings;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};

/// Calls of the tool at work at once.
const AT_WORK: u32 = 32;
/// Calls that wait.
const QUEUE: u32 = 256;
/// How long one takes.
const CALL_MS: u64 = 100;

/// A queue that is bombed, by one client and by a hundred.
///
/// Mice beside bombers are in the scenario `elephant`: clients take turns at permits, not at the places of one tool.
pub(super) const S09: Scenario = Scenario {
    name: "s09",
    title: "a queue under thousands of calls at once, from 1 and from 100 clients",
    left: "",
    play,
};

fn play(stage: &mut Stage<'_>) -> Result<(), String> {
    let (connections, time) =
        stage.pick((400, Duration::from_secs(3)), (2_000, Duration::from_secs(15)));
    let settings = [
        format!("plugin.misbehave.limits.concurrent_calls={AT_WORK}"),
        format!("plugin.misbehave.tool.wait.concurrent_calls={AT_WORK}"),
        format!("plugin.misbehave.limits.queue_calls={QUEUE}"),
        format!("plugin.misbehave.tool.wait.queue_calls={QUEUE}"),
    ];
    let setup = Setup { settings: settings.into(), ..Setup::default() };
    let rules = Rules { mebibytes: 96, ..Rules::USUAL };
    stage.with(&setup, rules, |appliance, findings| {
        for addresses in [1, 100] {
            let bombers = Clients::waiting(CALL_MS, connections).from([127, 0, 20, 1], addresses);
            let tally = bombers.press(appliance, time)?;
            judge(appliance, findings, &tally, addresses)?;
        }
        Ok(())
    })
}

fn judge(
    appliance: &Appliance,
    findings: &mut Findings,
    tally: &Tally,
    addresses: usize,
) -> Result<(), String> {
    findings.see(tally);
    let from = |what: &str| format!("from {addresses}: {what}");
    findings.exactly(&from("answers that were neither a result nor a refusal"), tally.failed(), 0);
    findings.show(&from("refused"), tally.refused() as f64, "");
    let peak = appliance
        .metric_by_now("toolrack_bound_peak{bound=\"bulkhead_queue\",scope=\"misbehave\"}")?;
    findings.at_most(&from("most that ever waited"), peak, f64::from(QUEUE));
    let capacity = f64::from(AT_WORK) * 1_000.0 / CALL_MS as f64;
    let share = tally.goodput() / capacity;
    findings.measure(
        &from("goodput as a share of what the tool can"),
        share,
        Side::AtLeast,
        0.9,
        "",
    );
    findings.time_ms(&from("refusal p50"), refused_ms(tally, 0.5), 5.0, 5_000.0);
    Ok(())
}
