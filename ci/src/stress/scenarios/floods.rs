//! Floods of HTTP/2: each is cut, and nobody else feels it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use load::Target;
use rustix::process::setpriority_process;

use crate::stage::appliance::Setup;
use crate::stage::clients::{Clients, accepted_ms, success};
use crate::stage::findings::Findings;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::stage::wait;
use crate::statistics::median;
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
            for (p99_ms, is_stubborn) in p99_ms[1..].iter_mut().zip([false, true]) {
                let is_over = AtomicBool::new(false);
                let (beside, more) = std::thread::scope(|scope| {
                    let floods = scope.spawn(|| match is_stubborn {
                        true => come_back(appliance.target(), &is_over),
                        false => come_once(appliance.target(), time),
                    });
                    let beside = honest.offer(appliance, HONEST_PER_SEC, time);
                    is_over.store(true, Relaxed);
                    (beside, floods.join())
                });
                let beside = beside?;
                cuts.extend(more.map_err(|_| "the attacker has panicked".to_owned())??);
                findings.see(&beside);
                p99_ms.push(accepted_ms(&beside, 0.99));
                least = least.min(success(&beside));
            }
        }
        judge_cuts(&cuts, findings);
        findings.at_least("success of those who mean well", least, 1.0);
        let [alone_ms, once_ms, stubborn_ms] =
            p99_ms.map(|turns| median(&turns).unwrap_or(f64::INFINITY));
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

/// One flood after the other within `time`, each from one connection.
fn come_once(target: &Target, time: Duration) -> Result<Vec<Cut>, String> {
    come_last()?;
    let mut cuts = Vec::new();
    for flood in Flood::ALL {
        wait::pass(time / (Flood::ALL.len() as u32 + 1));
        cuts.push((flood, flood.send(target, PATIENCE)?));
    }
    Ok(cuts)
}

/// One flood after the other, without a pause, until it `is_over`.
fn come_back(target: &Target, is_over: &AtomicBool) -> Result<Vec<Cut>, String> {
    come_last()?;
    let mut cuts = Vec::new();
    while !is_over.load(Relaxed) {
        for flood in Flood::ALL {
            cuts.push((flood, flood.send(target, PATIENCE)?));
        }
    }
    Ok(cuts)
}

/// Leaves this thread what is left of the processors, as if it were somewhere else.
fn come_last() -> Result<(), String> {
    // On Linux this is the thread's own priority.
    setpriority_process(None, NICE).map_err(|error| format!("cannot come last: {error}"))
}
