//! S20: faults by chance beside steady traffic.

use std::time::{Duration, Instant};

use load::wire::{self, Era, Tool};
use load::{Client, Target};
use rustix::process::Signal;
use serde_json::json;

use crate::stage::appliance::{Appliance, Setup};
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::stage::wait;
use crate::stress::frames::Flood;
use crate::stress::peer::{Peer, head_of_call, sized_call};

/// How long one fault lasts, where it lasts.
const FAULT: Duration = Duration::from_millis(700);
/// Calm between two faults.
const CALM: Duration = Duration::from_millis(700);
/// How long calls may be disturbed after a fault.
const RECOVERY: Duration = Duration::from_secs(30);
/// From one call of the steady traffic to the next.
const CALL_EVERY: Duration = Duration::from_millis(5);

/// Chaos.
pub(super) const S20: Scenario = Scenario {
    name: "s20",
    title: "faults by chance beside steady traffic",
    left: "faults of clocks; those of disks and reloads are played with the reloads",
    play,
};

/// What can go wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Connections are cut in the middle of calls.
    Kills,
    /// A tool hangs.
    Hangs,
    /// A tool panics.
    Panics,
    /// Many connections come at once.
    Connections,
    /// Large bodies come, and stop half way.
    Bodies,
    /// The process stands still.
    Stop,
    /// HTTP/2 floods.
    Frames,
}

const FAULTS: [Fault; 7] = [
    Fault::Kills,
    Fault::Hangs,
    Fault::Panics,
    Fault::Connections,
    Fault::Bodies,
    Fault::Stop,
    Fault::Frames,
];

impl Fault {
    /// Makes it, and ends it.
    fn strike(self, appliance: &Appliance, chance: &mut fastrand::Rng) -> Result<(), String> {
        let target = appliance.target();
        match self {
            Self::Kills => calls_cut(target, "wait", 60),
            Self::Hangs => calls_cut(target, "never", 60),
            Self::Panics => {
                for tool in ["panic_here", "panic_async", "panic"] {
                    Client::connect(target)?.exchange(&call(target, tool))?;
                }
                Ok(())
            }
            Self::Connections => {
                let peers =
                    (0..300).map(|_| Peer::connect(target, None)).collect::<Result<Vec<_>, _>>()?;
                wait::pass(FAULT);
                drop(peers);
                Ok(())
            }
            Self::Bodies => {
                let whole = sized_call(target, 3 << 20);
                for _ in 0..10 {
                    let mut peer = Peer::connect(target, None)?;
                    peer.send(whole.get(..chance.usize(1_000..whole.len())).unwrap_or_default());
                    peer.reset();
                }
                let mut peer = Peer::connect(target, None)?;
                peer.send(&head_of_call(target, "Content-Length: 99999999999"));
                peer.answer(FAULT);
                Ok(())
            }
            Self::Stop => {
                appliance.signal(Signal::STOP)?;
                wait::pass(FAULT);
                appliance.signal(Signal::CONT)
            }
            Self::Frames => {
                let flood = chance.choice(Flood::ALL).unwrap_or(Flood::Pings);
                flood.send(target, RECOVERY).map(drop)
            }
        }
    }
}

fn call(target: &Target, tool: &str) -> Vec<u8> {
    let tool = Tool { name: tool.to_owned(), arguments: json!({ "ms": 100 }) };
    wire::call(target, Era::Modern, None, &tool, false)
}

/// Calls on connections of their own that are cut after a while.
fn calls_cut(target: &Target, tool: &str, count: usize) -> Result<(), String> {
    let request = call(target, tool);
    let mut peers = Vec::new();
    for _ in 0..count {
        let mut peer = Peer::connect(target, None)?;
        peer.send(&request);
        peers.push(peer);
    }
    wait::pass(Duration::from_millis(50));
    peers.into_iter().for_each(Peer::reset);
    Ok(())
}

/// One call of the steady traffic: when it began, when it ended and whether it was good.
#[derive(Clone, Copy)]
struct Call {
    begun: Instant,
    ended: Instant,
    is_good: bool,
}

/// A fault from its begin to the end of its effect.
struct Window {
    fault: Fault,
    begun: Instant,
    ended: Instant,
    recovered: Option<Instant>,
}

fn play(stage: &mut Stage<'_>) -> Result<(), String> {
    let (faults, seed) = (stage.pick(8, 1_000), stage.seed);
    let most = stage.pick(Duration::from_secs(60), Duration::from_secs(30 * 60));
    let setup = Setup::of(&["plugin.misbehave.limits.deadline_ms=500"]);
    let rules = Rules { mebibytes: 128, may_be_unready: true, is_stopped: true, ..Rules::USUAL }
        .with_threads(8);
    stage.with(&setup, rules, |appliance, findings| {
        findings.note(format!("seed {seed}"));
        let over = std::sync::atomic::AtomicBool::new(false);
        let (calls, windows) = std::thread::scope(|scope| {
            let steady = scope.spawn(|| steady(appliance.target(), &over));
            let windows = strike_all(appliance, faults, most, seed);
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            steady
                .join()
                .map(|calls| (calls, windows))
                .map_err(|_| "the traffic has panicked".to_owned())
        })?;
        let windows = windows?;
        let is_disturbed = |call: &Call| {
            windows.iter().any(|window| {
                let until = window.recovered.unwrap_or(window.ended + RECOVERY);
                call.ended >= window.begun && call.begun <= until
            })
        };
        let calm: Vec<_> = calls.iter().filter(|call| !is_disturbed(call)).collect();
        let good = calm.iter().filter(|call| call.is_good).count();
        let failed = calls.iter().filter(|call| !call.is_good).count();
        findings.show("calls", calls.len() as f64, "");
        findings.show("calls that failed, faults included", failed as f64, "");
        findings.show("calls outside of faults", calm.len() as f64, "");
        findings.at_least(
            "success outside of faults",
            good as f64 / calm.len().max(1) as f64,
            0.99,
        );
        let lost = windows.iter().filter(|window| window.recovered.is_none()).count();
        findings.exactly("faults without a recovery", lost as u64, 0);
        let slowest = windows.iter().filter_map(|window| {
            Some((window.recovered?.saturating_duration_since(window.ended), window.fault))
        });
        if let Some((took, fault)) = slowest.max_by_key(|(took, _)| *took) {
            findings.time_ms("slowest recovery", took.as_secs_f64() * 1e3, 30_000.0, 30_000.0);
            findings.note(format!("the slowest was that from {fault:?}"));
        }
        findings.show("faults", windows.len() as f64, "");
        Ok(())
    })
}

/// Every fault once in an order by chance, then any.
fn strike_all(
    appliance: &Appliance,
    faults: usize,
    most: Duration,
    seed: u64,
) -> Result<Vec<Window>, String> {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut order = FAULTS;
    chance.shuffle(&mut order);
    let begun_all = Instant::now();
    let mut windows = Vec::new();
    for number in 0..faults {
        if begun_all.elapsed() > most {
            break;
        }
        let fault = order.get(number).copied().or_else(|| chance.choice(FAULTS));
        let Some(fault) = fault else { break };
        let begun = Instant::now();
        let struck = fault.strike(appliance, &mut chance);
        let ended = Instant::now();
        struck.map_err(|error| format!("{fault:?}: {error}"))?;
        let recovered = appliance.recovers_within(RECOVERY).then(Instant::now);
        windows.push(Window { fault, begun, ended, recovered });
        wait::pass(CALM);
    }
    Ok(windows)
}

/// Calls one after the other, about two hundred a second, on connections that are opened anew when they were lost.
fn steady(target: &Target, over: &std::sync::atomic::AtomicBool) -> Vec<Call> {
    let request = wire::call(target, Era::Modern, None, &Tool::echo("steady"), false);
    let mut calls = Vec::new();
    let mut client = None;
    while !over.load(std::sync::atomic::Ordering::Relaxed) {
        let begun = Instant::now();
        let mut used = client.take().map_or_else(|| Client::connect(target), Ok);
        let answer = used
            .as_mut()
            .map_err(|error| error.clone())
            .and_then(|client| client.exchange(&request));
        let is_good = answer.is_ok_and(|answer| answer.status == 200);
        calls.push(Call { begun, ended: Instant::now(), is_good });
        client = if is_good { used.ok() } else { None };
        wait::pass(CALL_EVERY);
    }
    calls
}
