//! Floods of HTTP/2: each is cut, and nobody else feels it.

use std::time::Duration;

use crate::stage::appliance::Setup;
use crate::stage::clients::{Clients, accepted_ms, success};
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::stress::frames::{self, Flood};

/// Calls a second of those who mean well.
const HONEST_PER_SEC: f64 = 100.0;
/// How long a flood may go on before the scenario gives up on it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Every flood, one after the other.
pub(super) const FLOODS: Scenario = Scenario {
    name: "floods",
    title: "HTTP/2: resets, pings, settings, heads without end and the like",
    left: "",
    play,
};

fn play(stage: &mut Stage<'_>) -> Result<(), String> {
    let rounds = stage.pick(1, 10);
    stage.with(&Setup::default(), Rules::USUAL, |appliance, findings| {
        let honest = Clients::echo(4);
        let alone = honest.offer(appliance, HONEST_PER_SEC, Duration::from_secs(1))?;
        let (calm, floods) = honest.beside(appliance, HONEST_PER_SEC, || {
            let mut cuts = Vec::new();
            for flood in Flood::ALL {
                for _ in 0..rounds {
                    cuts.push((flood, flood.send(appliance.target(), PATIENCE)?));
                }
            }
            Ok::<_, String>(cuts)
        })?;
        for (flood, cut) in floods? {
            let took_ms = cut.unwrap_or(PATIENCE).as_secs_f64() * 1e3;
            findings.time_ms(&format!("{flood:?} cut after"), took_ms, 2_000.0, 15_000.0);
            findings.exactly(&format!("{flood:?} cut"), cut.is_some().into(), 1);
        }
        findings.see(&calm);
        findings.at_least("success of those who mean well", success(&calm), 1.0);
        let (before, during) = (accepted_ms(&alone, 0.99), accepted_ms(&calm, 0.99));
        findings.time_ms("their p99", during, before * 1.5, 5_000.0);
        let is_served = frames::is_served(appliance.target(), PATIENCE)?;
        findings.exactly("a good client of HTTP/2 is served", is_served.into(), 1);
        Ok(())
    })
}
