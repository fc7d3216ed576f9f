//! Fairness: one client that wants everything beside nine that want little, and ten that want the same.
//!
//! Each plays twice: under quotas of clients, and under none, where the queues of `fairness` share what there is.

use std::time::{Duration, Instant};

use load::Tally;

use crate::stage::appliance::{Appliance, Setup};
use crate::stage::clients::{Clients, accepted_ms, success, together};
use crate::stage::figure::Side;
use crate::stage::findings::Findings;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};

/// Clients beside each other.
const CLIENTS: u32 = 10;
/// Calls of one client each second, where it has a quota.
const QUOTA_PER_SEC: u32 = 40;
/// Permits of all clients, where none has a quota.
const PERMITS: u32 = 32;
/// How long a call has one.
const CALL_MS: u64 = 50;

/// An elephant and nine mice.
pub(super) const ELEPHANT: Scenario = Scenario {
    name: "elephant",
    title: "one client at ten times its share, nine at half of theirs",
    left: "",
    play: elephant,
};

/// Ten equal clients.
pub(super) const EQUALS: Scenario = Scenario {
    name: "equals",
    title: "ten clients that each want five times their share",
    left: "",
    play: equals,
};

/// What keeps clients apart, and what one's share is under it.
struct Regime {
    name: &'static str,
    settings: Vec<String>,
    /// What the clients call, on so many connections.
    clients: fn(usize) -> Clients,
    share_per_sec: f64,
    /// Whether a share is what a client gets at most, whatever the others leave.
    is_quota: bool,
}

impl Regime {
    fn quotas() -> Self {
        Self {
            name: "quotas",
            settings: vec![
                format!("layer.rate_limit.calls_per_sec={QUOTA_PER_SEC}"),
                format!("layer.rate_limit.burst_calls={QUOTA_PER_SEC}"),
            ],
            clients: Clients::echo,
            share_per_sec: QUOTA_PER_SEC.into(),
            is_quota: true,
        }
    }

    /// One client may have every permit and every place in the queues: what it must not have is another's turn.
    fn queues() -> Self {
        let capacity_per_sec = f64::from(PERMITS) * 1_000.0 / CALL_MS as f64;
        Self {
            name: "queues",
            settings: vec![
                format!("layer.concurrency.calls_max={PERMITS}"),
                "layer.concurrency.read_share_percent=0".to_owned(),
                "layer.concurrency.work_share_percent=0".to_owned(),
                format!("layer.fairness.client_calls_max={PERMITS}"),
                format!("plugin.misbehave.limits.concurrent_calls={}", 2 * PERMITS),
                format!("plugin.misbehave.tool.wait.concurrent_calls={}", 2 * PERMITS),
            ],
            clients: |connections| Clients::waiting(CALL_MS, connections),
            share_per_sec: capacity_per_sec / f64::from(CLIENTS),
            is_quota: false,
        }
    }

    fn setup(&self) -> Setup<'static> {
        Setup { settings: self.settings.clone(), ..Setup::default() }
    }

    fn says(&self, what: &str) -> String {
        format!("{}: {what}", self.name)
    }
}

fn elephant(stage: &mut Stage<'_>) -> Result<(), String> {
    let time = stage.pick(Duration::from_secs(4), Duration::from_secs(60));
    for regime in [Regime::quotas(), Regime::queues()] {
        stage.with(&regime.setup(), Rules::USUAL, |appliance, findings| {
            graze(&regime, appliance, findings, time)
        })?;
    }
    Ok(())
}

fn graze(
    regime: &Regime,
    appliance: &Appliance,
    findings: &mut Findings,
    time: Duration,
) -> Result<(), String> {
    let share = regime.share_per_sec;
    let mice_per_sec = f64::from(CLIENTS - 1) * share / 2.0;
    // Each mouse has an address of its own; the connections take turns.
    let mice = (regime.clients)(36).from([127, 0, 30, 2], 9);
    let alone = mice.offer(appliance, mice_per_sec, Duration::from_secs(2))?;
    let begun = Instant::now();
    let elephant = (regime.clients)(128).from([127, 0, 31, 1], 1);
    let (eaten, calm) = elephant.beside(appliance, f64::from(CLIENTS) * share, || {
        mice.offer(appliance, mice_per_sec, time)
    })?;
    let calm = calm?;
    findings.see(&eaten);
    findings.see(&calm);
    findings.at_least(&regime.says("refusals of the elephant"), eaten.refused() as f64, 1.0);
    findings.at_least(
        &regime.says("success of the mice, of calls that were sent"),
        success(&calm),
        0.999,
    );
    if regime.is_quota {
        let quota = share * (1.0 + begun.elapsed().as_secs_f64());
        let admitted = regime.says("calls of the elephant that got in");
        findings.at_most(&admitted, eaten.accepted as f64, quota * 1.01);
    } else {
        let left_per_sec = f64::from(CLIENTS) * share - mice_per_sec;
        let left = regime.says("what the elephant had of what the mice left");
        findings.measure(&left, eaten.goodput() / left_per_sec, Side::AtLeast, 0.9, "");
    }
    let (before, during) = (accepted_ms(&alone, 0.99), accepted_ms(&calm, 0.99));
    findings.time_ms(&regime.says("p99 of the mice"), during, before * 2.0, 5_000.0);
    Ok(())
}

fn equals(stage: &mut Stage<'_>) -> Result<(), String> {
    let time = stage.pick(Duration::from_secs(4), Duration::from_secs(60));
    for regime in [Regime::quotas(), Regime::queues()] {
        stage.with(&regime.setup(), Rules::USUAL, |appliance, findings| {
            let wanted = regime.share_per_sec * 5.0;
            let tallies = together(CLIENTS as usize, |number| {
                let last = u8::try_from(number + 1).unwrap_or(u8::MAX);
                (regime.clients)(32).from([127, 0, 32, last], 1).offer(appliance, wanted, time)
            })?;
            tallies.iter().for_each(|tally| findings.see(tally));
            judge(&regime, findings, &tallies);
            Ok(())
        })?;
    }
    Ok(())
}

fn judge(regime: &Regime, findings: &mut Findings, tallies: &[Tally]) {
    let shares: Vec<_> = tallies.iter().map(|tally| tally.accepted as f64).collect();
    let fewest = shares.iter().copied().fold(f64::MAX, f64::min);
    findings.measure(&regime.says("fewest"), fewest, Side::AtLeast, 1.0, "calls");
    findings.at_least(&regime.says("Jain's index of what they got"), jain(&shares), 0.95);
}

/// Jain's index: 1 when all shares are the same, 1/n when one has everything (Jain, Chiu and Hawe, 1984).
fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    if squares == 0.0 { 0.0 } else { sum * sum / (shares.len() as f64 * squares) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_is_one_for_equals_and_the_least_for_one_who_has_all() {
        assert_eq!(jain(&[5.0; 10]), 1.0);
        assert_eq!(jain(&[5.0, 0.0, 0.0, 0.0]), 0.25);
        assert_eq!(jain(&[0.0; 4]), 0.0);
    }
}
