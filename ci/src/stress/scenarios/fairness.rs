//! Fairness: one client that wants everything beside nine that want little, and ten that want the same.
//!
//! Quotas of clients do this today; shared queues will do it where nobody knows the right quota.

use std::time::{Duration, Instant};

use crate::stage::appliance::Setup;
use crate::stage::clients::{Clients, accepted_ms, success, together};
use crate::stage::figure::Side;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};

/// Calls of one client each second.
const SHARE_PER_SEC: u32 = 40;

/// An elephant and nine mice.
pub(super) const ELEPHANT: Scenario = Scenario {
    name: "elephant",
    title: "one client at ten times its share, nine at half of theirs",
    left: "the same without quotas, by fair queues",
    play: elephant,
};

/// Ten equal clients.
pub(super) const EQUALS: Scenario = Scenario {
    name: "equals",
    title: "ten clients that each want five times their share",
    left: "the same without quotas, by fair queues",
    play: equals,
};

fn quotas() -> Setup<'static> {
    let rate = format!("layer.rate_limit.calls_per_sec={SHARE_PER_SEC}");
    let burst = format!("layer.rate_limit.burst_calls={SHARE_PER_SEC}");
    Setup::of(&[&rate, &burst])
}

fn elephant(stage: &mut Stage<'_>) -> Result<(), String> {
    let time = stage.pick(Duration::from_secs(4), Duration::from_secs(60));
    stage.with(&quotas(), Rules::USUAL, |appliance, findings| {
        let share = f64::from(SHARE_PER_SEC);
        // Nine connections, each from an address of its own, take turns.
        let mice = Clients::echo(9).from([127, 0, 30, 2], 9);
        let alone = mice.offer(appliance, 9.0 * share / 2.0, Duration::from_secs(2))?;
        let begun = Instant::now();
        let elephant = Clients::echo(32).from([127, 0, 31, 1], 1);
        let (eaten, calm) = elephant
            .beside(appliance, 10.0 * share, || mice.offer(appliance, 9.0 * share / 2.0, time))?;
        let calm = calm?;
        findings.see(&eaten);
        findings.see(&calm);
        findings.at_least("refusals of the elephant", eaten.refused() as f64, 1.0);
        findings.at_least("success of the mice, of calls that were sent", success(&calm), 0.999);
        let quota = share * (1.0 + begun.elapsed().as_secs_f64());
        findings.at_most("calls of the elephant that got in", eaten.accepted as f64, quota * 1.01);
        let (before, during) = (accepted_ms(&alone, 0.99), accepted_ms(&calm, 0.99));
        findings.time_ms("p99 of the mice", during, before * 2.0, 5_000.0);
        Ok(())
    })
}

fn equals(stage: &mut Stage<'_>) -> Result<(), String> {
    let time = stage.pick(Duration::from_secs(4), Duration::from_secs(60));
    stage.with(&quotas(), Rules::USUAL, |appliance, findings| {
        let wanted = f64::from(SHARE_PER_SEC) * 5.0;
        let tallies = together(10, |number| {
            let last = u8::try_from(number + 1).unwrap_or(u8::MAX);
            Clients::echo(8).from([127, 0, 32, last], 1).offer(appliance, wanted, time)
        })?;
        tallies.iter().for_each(|tally| findings.see(tally));
        let shares: Vec<_> = tallies.iter().map(|tally| tally.accepted as f64).collect();
        findings.measure(
            "fewest",
            shares.iter().copied().fold(f64::MAX, f64::min),
            Side::AtLeast,
            1.0,
            "calls",
        );
        findings.at_least("Jain's index of what they got", jain(&shares), 0.95);
        Ok(())
    })
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
