//! Overload: goodput, what a refusal costs, and health while the cores are full.

use std::time::{Duration, Instant};

use load::Tally;

use crate::stage::appliance::{Appliance, Setup};
use crate::stage::clients::{Clients, accepted_ms, refused_ms};
use crate::stage::figure::Side;
use crate::stage::findings::Findings;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};

/// Calls of the tool at work at once.
const AT_WORK: usize = 8;
/// How long one takes.
const CALL_MS: u64 = 20;
/// How many times of the peak is offered.
const TIMES: [f64; 3] = [2.0, 5.0, 10.0];

/// Goodput beyond the peak.
pub(super) const GOODPUT: Scenario = Scenario {
    name: "goodput",
    title: "2, 5 and 10 times of what a tool can",
    left: "",
    play: goodput,
};

/// What a refusal costs.
pub(super) const REFUSALS: Scenario = Scenario {
    name: "refusals",
    title: "what a refusal costs beside the cheapest success",
    left: "",
    play: refusals,
};

/// Health under a full house.
pub(super) const HEALTH: Scenario = Scenario {
    name: "health",
    title: "health probes while every core is full",
    left: "",
    play: health,
};

fn goodput(stage: &mut Stage<'_>) -> Result<(), String> {
    behind_a_short_queue(stage)?;
    behind_the_adaptive_limit(stage)
}

/// A tool with few places, and how many calls may wait for them.
fn narrow(queue: u32) -> Vec<String> {
    vec![
        format!("plugin.misbehave.limits.concurrent_calls={AT_WORK}"),
        format!("plugin.misbehave.tool.wait.concurrent_calls={AT_WORK}"),
        format!("plugin.misbehave.limits.queue_calls={queue}"),
        format!("plugin.misbehave.tool.wait.queue_calls={queue}"),
    ]
}

fn behind_a_short_queue(stage: &mut Stage<'_>) -> Result<(), String> {
    let time = stage.pick(Duration::from_secs(2), Duration::from_secs(30));
    let setup = Setup { settings: narrow(4), ..Setup::default() };
    stage.with(&setup, Rules::USUAL, |appliance, findings| {
        let (peak, calm) = unloaded(appliance, findings, "", time)?;
        for times in TIMES {
            let tally = Clients::waiting(CALL_MS, 256).offer(appliance, peak * times, time)?;
            judge(findings, &tally, &format!("at {times:.0}x"), peak, calm);
        }
        let begun = Instant::now();
        let is_well = appliance.recovers_within(Duration::from_secs(20));
        findings.exactly("recovered", is_well.into(), 1);
        findings.time_ms(
            "until it is calm again",
            begun.elapsed().as_secs_f64() * 1e3,
            5_000.0,
            20_000.0,
        );
        Ok(())
    })
}

/// The queue of the tool would take everybody, and make all of them late: only what `concurrency` learns keeps it short.
fn behind_the_adaptive_limit(stage: &mut Stage<'_>) -> Result<(), String> {
    /// Time for it to see that calls take longer, and to come down.
    const LEARNS: Duration = Duration::from_secs(5);
    let time = stage.pick(Duration::from_secs(2), Duration::from_secs(30));
    let mut settings = narrow(128);
    settings.extend(
        [
            "layer.concurrency.calls_max=256",
            "layer.concurrency.adaptive=true",
            "layer.fairness.mode=off",
        ]
        .map(str::to_owned),
    );
    let setup = Setup { settings, ..Setup::default() };
    let rules = Rules::USUAL.moving(&["\"concurrency_calls\",scope=\"work\""]);
    stage.with(&setup, rules, |appliance, findings| {
        let (peak, calm) = unloaded(appliance, findings, "adaptive: ", time)?;
        let many = Clients::waiting(CALL_MS, 256);
        findings.see(&many.offer(appliance, peak * 2.0, LEARNS)?);
        for times in TIMES {
            let tally = many.offer(appliance, peak * times, time)?;
            judge(findings, &tally, &format!("adaptive, at {times:.0}x"), peak, calm);
        }
        Ok(())
    })
}

/// The most that it can, in calls a second, and the 99th percentile of one call at a time in milliseconds.
fn unloaded(
    appliance: &Appliance,
    findings: &mut Findings,
    name: &str,
    time: Duration,
) -> Result<(f64, f64), String> {
    let one = Clients::waiting(CALL_MS, 1).press(appliance, time)?;
    let peak = Clients::waiting(CALL_MS, AT_WORK).press(appliance, time)?.goodput();
    findings.show(&format!("{name}peak"), peak, "calls/s");
    let calm = accepted_ms(&one, 0.99);
    findings.show(&format!("{name}unloaded p99"), calm, "ms");
    Ok((peak, calm))
}

fn judge(findings: &mut Findings, tally: &Tally, step: &str, peak: f64, calm_ms: f64) {
    findings.see(tally);
    let at = |what: &str| format!("{step}: {what}");
    findings.exactly(&at("neither a result nor a refusal"), tally.failed(), 0);
    findings.measure(
        &at("goodput beside the peak"),
        tally.goodput() / peak,
        Side::AtLeast,
        0.9,
        "",
    );
    let goal_ms = calm_ms * 2.0 + 20.0;
    findings.time_ms(
        &at("p99 of accepted calls"),
        accepted_ms(tally, 0.99),
        goal_ms,
        goal_ms + 5_000.0,
    );
    findings.time_ms(&at("p99 of refusals"), refused_ms(tally, 0.99), 5.0, 5_000.0);
}

fn refusals(stage: &mut Stage<'_>) -> Result<(), String> {
    let time = stage.pick(Duration::from_secs(2), Duration::from_secs(20));
    let clients = Clients::echo(16);
    let success_us = {
        let mut each = 0.0;
        stage.with(&Setup::default(), Rules::USUAL, |appliance, findings| {
            let (tally, us) = cost(&clients, appliance, time)?;
            findings.see(&tally);
            findings.exactly(
                "calls of the cheapest tool that failed",
                tally.failed() + tally.refused(),
                0,
            );
            findings.show("processor time of a success", us, "us");
            each = us;
            Ok(())
        })?;
        each
    };
    let narrow = ["layer.rate_limit.calls_per_sec=1", "layer.pre_auth_limit.requests_per_sec=1"];
    let named = ["by the quota of calls", "by the address, unread"];
    for (setting, name) in narrow.into_iter().zip(named) {
        let burst = setting
            .replace("calls_per_sec", "burst_calls")
            .replace("requests_per_sec", "burst_requests");
        let setup = Setup::of(&[setting, &burst]);
        stage.with(&setup, Rules::USUAL, |appliance, findings| {
            let (tally, us) = cost(&clients, appliance, time)?;
            findings.see(&tally);
            findings.exactly(&format!("{name}: neither a result nor a refusal"), tally.failed(), 0);
            findings.show(&format!("{name}: processor time"), us, "us");
            let share = us / success_us;
            findings.measure(&format!("{name}: beside a success"), share, Side::AtMost, 0.1, "");
            findings.time_ms(&format!("{name}: p99"), refused_ms(&tally, 0.99), 5.0, 5_000.0);
            Ok(())
        })?;
    }
    stage.findings.note(
        "processor time holds the kernel's work on sockets, which a refusal does as a success does: the goal counts it",
    );
    Ok(())
}

/// The clients press; what came back, and the processor time of one answer in microseconds.
fn cost(clients: &Clients, appliance: &Appliance, time: Duration) -> Result<(Tally, f64), String> {
    let before = appliance.processor_time()?;
    let tally = clients.press(appliance, time)?;
    let spent = appliance.processor_time()? - before;
    let answers = (tally.accepted + tally.refused()).max(1);
    Ok((tally, spent.as_secs_f64() * 1e6 / answers as f64))
}

fn health(stage: &mut Stage<'_>) -> Result<(), String> {
    let time = stage.pick(Duration::from_secs(4), Duration::from_secs(60));
    stage.with(&Setup::default(), Rules::USUAL, |appliance, findings| {
        let tally = Clients::echo(64).press(appliance, time)?;
        findings.see(&tally);
        findings.exactly("calls that failed or were refused", tally.failed() + tally.refused(), 0);
        findings.show("calls/s beside the probes", tally.goodput(), "");
        let (status, _) = appliance.ask_control("/readyz")?;
        findings.exactly("status of /readyz", status.into(), 200);
        Ok(())
    })
}
