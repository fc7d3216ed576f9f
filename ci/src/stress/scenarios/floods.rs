//! Floods of HTTP/2: each is cut, and nobody else feels it.

use std::time::{Duration, Instant};

use load::Target;
use rustix::process::setpriority_process;

use crate::stage::appliance::Setup;
use crate::stage::clients::{Clients, accepted_ms, success};
use crate::stage::findings::Findings;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::stage::wait;
use crate::statistics::of_turns;
use crate::stress::frames::{self, Flood};

/// Calls a second of those who mean well.
const HONEST_PER_SEC: f64 = 400.0;
/// How long a flood may go on before the scenario gives up on it.
const PATIENCE: Duration = Duration::from_secs(20);

/// The lowest priority.
const NICE: i32 = 19;

/// Every flood, one after the other.
pub(super) const FLOODS: Scenario = Scenario {
    name: "floods",
    title: "HTTP/2: resets, pings, settings, heads without end and the like",
    left: "",
    play,
};

fn play(stage: &mut Stage<'_>) -> Result<(), String> {
    // What a busy machine does to a few seconds must not be taken for what floods do: by turns, and medians.
    let turns = stage.pick(3, 9);
    let time = stage.pick(Duration::from_millis(800), Duration::from_secs(4));
    // Not more than one flood may leave behind.
    let rules = Rules { mebibytes: 16, ..Rules::USUAL };
    stage.with(&Setup::default(), rules, |appliance, findings| {
        let honest = Clients::echo(4);
        let mut p99_ms = [const { Vec::new() }; 3];
        let (mut least, mut cuts) = (1.0_f64, Vec::new());
        for _ in 0..turns {
            let alone = honest.offer(appliance, HONEST_PER_SEC, time)?;
            findings.see(&alone);
            p99_ms[0].push(accepted_ms(&alone, 0.99));
            for (p99_ms, attack) in p99_ms[1..].iter_mut().zip([come_once, come_back]) {
                let (beside, more) = honest.beside(appliance, HONEST_PER_SEC, || {
                    as_the_last(|| attack(appliance.target(), time))
                })?;
                cuts.extend(more?);
                findings.see(&beside);
                p99_ms.push(accepted_ms(&beside, 0.99));
                least = least.min(success(&beside));
            }
        }
        judge_cuts(&cuts, findings);
        findings.at_least("success of those who mean well", least, 1.0);
        let [alone_ms, once_ms, stubborn_ms] = p99_ms.map(|turns| of_turns(&turns));
        let (alone_ms, once_ms, stubborn_ms) = (alone_ms?, once_ms?, stubborn_ms?);
        findings.show("their p99 alone", alone_ms, "ms");
        findings.time_ms("their p99", once_ms, alone_ms * 1.5, 5_000.0);
        // Thousands of connections a second, on the same processors: no wonder, and no harm.
        findings.show("their p99 while floods come back at once", stubborn_ms, "ms");
        let is_served = frames::is_served(appliance.target(), PATIENCE)?;
        findings.exactly("a good client of HTTP/2 is served", is_served.into(), 1);
        Ok(())
    })
}

/// A flood, and how long it lasted, unless it never ended.
type Cut = (Flood, Option<Duration>);

fn judge_cuts(cuts: &[Cut], findings: &mut Findings) {
    for flood in Flood::ALL {
        let of_this = cuts.iter().filter(|(which, _)| *which == flood).map(|(_, cut)| *cut);
        let (of_this, uncut): (Vec<_>, Vec<_>) = of_this.partition(Option::is_some);
        findings.show(&format!("{flood:?}"), of_this.len() as f64, "");
        findings.exactly(&format!("{flood:?} not cut"), uncut.len() as u64, 0);
        let last = of_this.into_iter().flatten().max().unwrap_or(PATIENCE);
        let last_ms = last.as_secs_f64() * 1e3;
        findings.time_ms(&format!("{flood:?} cut after"), last_ms, 2_000.0, 15_000.0);
    }
}

/// All floods one after the other, each from one connection, with a pause behind it.
fn lap(target: &Target, pause: Duration) -> Result<Vec<Cut>, String> {
    let flood = |flood: Flood| {
        let cut = flood.send(target, PATIENCE)?;
        wait::pass(pause);
        Ok((flood, cut))
    };
    Flood::ALL.into_iter().map(flood).collect()
}

/// Each flood once, spread over `time`.
fn come_once(target: &Target, time: Duration) -> Result<Vec<Cut>, String> {
    lap(target, time / Flood::ALL.len() as u32)
}

/// All floods again and again for as long as `time`, without a pause.
fn come_back(target: &Target, time: Duration) -> Result<Vec<Cut>, String> {
    let begun = Instant::now();
    let mut cuts = Vec::new();
    while begun.elapsed() < time {
        cuts.extend(lap(target, Duration::ZERO)?);
    }
    Ok(cuts)
}

/// Does `work` with what is left of the processors, as if it were done somewhere else.
fn as_the_last<R: Send>(work: impl FnOnce() -> Result<R, String> + Send) -> Result<R, String> {
    let last = || {
        // On Linux this is the thread's own priority.
        setpriority_process(None, NICE).map_err(|error| format!("cannot come last: {error}"))?;
        work()
    };
    let worked = std::thread::scope(|scope| scope.spawn(last).join());
    worked.map_err(|_| "the attacker has panicked".to_owned())?
}
