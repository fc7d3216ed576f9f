//! S13: mixed traffic for a long time.

use std::time::{Duration, Instant};

use load::wire::{self, Era, Tool};
use serde_json::json;

use crate::stage::appliance::{Appliance, Setup};
use crate::stage::clients::{Clients, success};
use crate::stage::figure::Side;
use crate::stage::profile;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::stage::wait;
use crate::stress::peer::Peer;

/// From one look at the memory to the next.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The first share of the time is left out of the slope: caches and allocators settle.
const SETTLING: f64 = 0.25;

/// A soak.
pub(super) const S13: Scenario = Scenario {
    name: "s13",
    title: "mixed traffic with aborts and reloads, for long",
    left: "",
    play,
};

fn play(stage: &mut Stage<'_>) -> Result<(), String> {
    let minutes = Duration::from_secs(60 * stage.soak_minutes);
    let (time, rate) = stage.pick((Duration::from_secs(8), 100.0), (minutes, 250.0));
    let pace = stage.pick(Duration::from_secs(2), Duration::from_secs(60));
    let is_long = time > Duration::from_secs(60);
    let rules = Rules { mebibytes: 64, ..Rules::USUAL }.with_threads(8);
    stage.with(&Setup::default(), rules, |appliance, findings| {
        let modern = Clients::echo(8);
        let session = Clients::echo(8).in_sessions();
        let (first, second) = modern.beside(appliance, rate, || {
            session.beside(appliance, rate, || {
                std::thread::scope(|scope| {
                    let tables = |number| profile::mark(60_000 + number);
                    let reloads =
                        scope.spawn(move || profile::post_for(appliance, time, pace, tables));
                    let looks = abort_and_look(appliance, time);
                    let reloads = reloads.join().map_err(|_| "the reloads have panicked")?;
                    Ok::<_, String>((looks?, reloads?))
                })
            })
        })?;
        let (second, played) = second?;
        let (looks, reloads) = played?;
        for tally in [&first, &second] {
            findings.see(tally);
            findings.at_least("success", success(tally), 1.0);
        }
        findings.at_least("reloads", reloads as f64, 1.0);
        findings.show("calls", (first.offered + second.offered) as f64, "");
        let settled: Vec<_> =
            looks.iter().filter(|(at, _)| *at > time.as_secs_f64() * SETTLING).copied().collect();
        let per_hour = slope(&settled) * 3_600.0 / 1_048_576.0;
        if is_long {
            findings.measure("growth of memory, MiB each hour", per_hour, Side::AtMost, 1.0, "");
        } else {
            findings.note(format!("too short to tell a slope: {per_hour:.1} MiB each hour"));
        }
        Ok(())
    })
}

/// One call in a hundred is left by its client; meanwhile memory is looked at: seconds and bytes.
fn abort_and_look(appliance: &Appliance, time: Duration) -> Result<Vec<(f64, f64)>, String> {
    let target = appliance.target();
    let tool = Tool { name: "wait".to_owned(), arguments: json!({ "ms": 50 }) };
    let request = wire::call(target, Era::Modern, None, &tool, false);
    let begun = Instant::now();
    let mut looks = Vec::new();
    while begun.elapsed() < time {
        let mut peer = Peer::connect(target, None)?;
        peer.send(&request);
        peer.reset();
        let resident = appliance.footprint()?.resident_bytes;
        looks.push((begun.elapsed().as_secs_f64(), resident as f64));
        wait::pass(LOOK_EVERY);
    }
    Ok(looks)
}

/// The slope of the line that is nearest to all points.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let both: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let square: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if square == 0.0 { 0.0 } else { both / square }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slope_is_that_of_the_line_through_the_points() {
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]), 2.0);
        assert_eq!(slope(&[(1.0, 3.0)]), 0.0);
    }
}
