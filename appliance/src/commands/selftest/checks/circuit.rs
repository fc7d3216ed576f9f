//! `layer.circuit_breaker`: a tool that fails or is slow is left alone, tried again, and taken back.

use std::time::{Duration, Instant};

use middleware::{Mode, circuit_breaker::Config};
use serde_json::json;

use super::super::judge::{Expected, Refusal, Seen};
use super::super::lane::Lane;
use super::super::run::{Attack, Checked, Run, Stopped, pause};
use super::super::wire::{Connection, Way};

/// What times are shortened to: long enough for every call of a group.
const OPEN_MS: &str = "500";
/// What a plugin's deadline is shortened to.
const DEADLINE: Duration = Duration::from_millis(800);
/// Calls that a group may need.
const CALLS_MAX: u32 = 200;
/// The tool whose circuit it is.
const TOOL: &str = "probe_fail";

const OPEN: Refusal = Refusal {
    layer: "circuit_breaker",
    kind: "circuit_open",
    status: 503,
    code: -32016,
    says_when: true,
};

/// A call that takes so long, and fails or not.
fn call(way: &Way, fails: bool, ms: u64) -> Vec<u8> {
    way.call(TOOL, &json!({ "fails": fails, "ms": ms }))
}

/// Every key.
pub(in super::super) fn check(run: &mut Run) -> Checked {
    let config = run.open(&[])?.plan.layers.circuit_breaker;
    if config.mode == Mode::Off {
        return Ok(());
    }
    if config.calls_min > CALLS_MAX {
        for name in [
            "calls_min",
            "failure_percent",
            "open_ms",
            "probes_max",
            "probes_needed",
            "half_open_ms",
            "slow_percent",
            "slow_deadline_percent",
            "window_calls",
            "open_max_ms",
        ] {
            let why = format!("{} calls are too many for a test", config.calls_min);
            run.skip(format!("layer.circuit_breaker.{name}"), why);
        }
        return Ok(());
    }
    failures(run, &config)?;
    fewest(run, &config)?;
    probes(run, &config)?;
    slow(run, &config)?;
    older(run, &config)?;
    longest(run, &config)
}

/// Calls in a row, each by a client of its own: the first that was refused, or the last.
fn calls(run: &mut Run, way: &Way, fails: bool, count: u32) -> Seen {
    let request = call(way, fails, 0);
    let mut last = Seen::Other("nothing sent".to_owned());
    for _ in 0..count {
        last = run.ask(way, &request);
        if last.refused().is_some() {
            break;
        }
    }
    last
}

fn attack<'a>(lane: &'a Lane, key: &'a str, sent: String) -> Attack<'a> {
    let mode = lane.plan.layers.circuit_breaker.mode;
    Attack { lane, key, mode, expected: Expected::Refusal(OPEN), sent }
}

/// The share of failures at which it opens.
fn failures(run: &mut Run, config: &Config) -> Checked {
    let (calls_min, percent) = (config.calls_min, config.failure_percent);
    let failing = (calls_min * percent).div_ceil(100).max(1);
    let well = calls_min - failing;
    let judged = |run: &mut Run, well: u32, failing: u32| -> Result<(Lane, Seen), Stopped> {
        let lane = run.open(&[])?;
        let way = lane.way().cloned().ok_or_else(|| Stopped("no listener".to_owned()))?;
        let mut last = Seen::Closed;
        for (fails, count) in [(false, well), (true, failing), (false, 1)] {
            if count > 0 && last.refused().is_none() {
                last = calls(run, &way, fails, count);
            }
        }
        Ok((lane, last))
    };
    let (_, below) = judged(run, well + 1, failing - 1)?;
    let (lane, beyond) = judged(run, well, failing)?;
    let shadowed = beyond.passes();
    let sent = format!(
        "one more call after {} and after {failing} failures of {calls_min} calls",
        failing - 1
    );
    let attack = attack(&lane, "layer.circuit_breaker.failure_percent", sent);
    // Counted by the call that is sent here, which an open circuit refuses like the one before.
    run.attack(attack, Some(below), |run| match lane.way() {
        Some(way) if shadowed => run.ask(way, &call(way, false, 0)),
        _ => beyond,
    })
}

/// Twice as many good calls as are judged together: what has left the window weighs nothing.
fn older(run: &mut Run, config: &Config) -> Checked {
    let key = "layer.circuit_breaker.window_calls";
    let (judged, percent) = (config.window_calls, config.failure_percent);
    if judged > CALLS_MAX {
        run.skip(key, format!("{judged} calls are too many for a test"));
        return Ok(());
    }
    let lane = run.open(&[])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let failing = (judged * percent).div_ceil(100).max(1);
    calls(run, way, false, 2 * judged);
    calls(run, way, true, failing - 1);
    // A good call between them would itself leave no place for a failure.
    let below = (failing < judged).then(|| run.ask(way, &call(way, false, 0)));
    calls(run, way, true, 1);
    let sent = format!("{} good calls, then {} and {failing} failures", 2 * judged, failing - 1);
    run.attack(attack(&lane, key, sent), below, |run| run.ask(way, &call(way, false, 0)))
}

/// How long it stays open when its probe has failed: twice as long, and not longer than the longest.
fn longest(run: &mut Run, config: &Config) -> Checked {
    let key = "layer.circuit_breaker.open_max_ms";
    if config.mode != Mode::Enforce {
        run.skip(key, "mode `shadow`: nothing is refused meanwhile");
        return Ok(());
    }
    let lane = run.open(&[("layer.circuit_breaker.open_ms", OPEN_MS), (key, OPEN_MS)])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let most = lane.plan.layers.circuit_breaker.open_max_ms;
    calls(run, way, true, config.calls_min);
    pause(Duration::from_millis(most + most / 5 + 50));
    calls(run, way, true, 1);
    let seen = run.ask(way, &call(way, false, 0));
    // A tenth more by the tool's name, and up to as much again by the client's.
    let longest = most + most / 2;
    let said = seen.refused().and_then(|refused| refused.retry_after_ms);
    let is_longer = said.is_none_or(|ms| ms > longest);
    let seen =
        if is_longer { Seen::Other(format!("{seen}: more than {longest} ms")) } else { seen };
    let sent = "a call after a probe has failed".to_owned();
    run.attack(attack(&lane, key, sent), None, |_| seen)
}

/// Fewer calls than are judged, then the one that makes them enough; and how long it stays open.
fn fewest(run: &mut Run, config: &Config) -> Checked {
    let lane = run.open(&[("layer.circuit_breaker.open_ms", OPEN_MS)])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let calls_min = config.calls_min;
    calls(run, way, true, calls_min - 1);
    let below = run.ask(way, &call(way, true, 0));
    let sent = format!("call {calls_min} and call {} of a tool that always fails", calls_min + 1);
    let opened = attack(&lane, "layer.circuit_breaker.calls_min", sent);
    let mut refused = None;
    run.attack(opened, Some(below), |run| {
        let seen = run.ask(way, &call(way, false, 0));
        refused.insert(seen).clone()
    })?;
    let Some(refused) = refused.filter(|_| config.mode == Mode::Enforce) else {
        for name in ["open_ms", "probes_needed"] {
            run.skip(
                format!("layer.circuit_breaker.{name}"),
                "mode `shadow`: nothing is refused meanwhile",
            );
        }
        return Ok(());
    };
    // A tenth more by the tool's name, and some time for a busy machine.
    let open_ms = lane.plan.layers.circuit_breaker.open_ms;
    pause(Duration::from_millis(open_ms + open_ms / 5 + 50));
    let phase = format!("toolrack_circuit_phase{{plugin=\"probe\",tool=\"{TOOL}\"}}");
    let closed = |run: &Run| -> Result<Seen, Stopped> {
        let words = if run.test.count(&phase)? == 0 { "closed" } else { "not closed" };
        Ok(Seen::Other(words.to_owned()))
    };
    let mut after = calls(run, way, false, 1);
    let sent = "a call while it is open, and one after".to_owned();
    let key = attack(&lane, "layer.circuit_breaker.open_ms", sent);
    run.attack(key, Some(after.clone()), |_| refused)?;
    let needed = config.probes_needed;
    if needed > 1 {
        after = calls(run, way, false, needed - 2);
    }
    let before = if needed > 1 { Some(closed(run)?) } else { None };
    if needed > 1 {
        after = calls(run, way, false, 1);
    }
    let now = if after.passes() { closed(run)? } else { after };
    let attack = Attack {
        lane: &lane,
        key: "layer.circuit_breaker.probes_needed",
        mode: config.mode,
        expected: Expected::Words("closed".to_owned()),
        sent: format!("{needed} probes that succeed"),
    };
    run.attack(attack, before, |_| now)
}

/// How many probes pass at once, and what happens when they do not come back.
fn probes(run: &mut Run, config: &Config) -> Checked {
    let keys = ["layer.circuit_breaker.probes_max", "layer.circuit_breaker.half_open_ms"];
    if config.mode != Mode::Enforce {
        for key in keys {
            run.skip(key, "mode `shadow`: no call is a probe");
        }
        return Ok(());
    }
    let wishes =
        [("layer.circuit_breaker.open_ms", OPEN_MS), ("layer.circuit_breaker.half_open_ms", "500")];
    let lane = run.open(&wishes)?;
    let Some(way) = lane.way() else { return Ok(()) };
    calls(run, way, true, config.calls_min);
    let open_ms = lane.plan.layers.circuit_breaker.open_ms;
    pause(Duration::from_millis(open_ms + open_ms / 5 + 50));
    let hanging = call(way, false, 60_000);
    let mut held = Vec::new();
    for _ in 0..config.probes_max {
        match run.connect(way) {
            Ok(mut probe) => {
                probe.send(&hanging);
                held.push(probe);
            }
            Err(failed) => {
                return run.attack(attack(&lane, keys[0], "probes".to_owned()), None, |_| failed);
            }
        }
    }
    let series = "toolrack_plugin_calls_in_flight{plugin=\"probe\"}";
    let begun = run.reaches(series, config.probes_max.into(), Duration::from_secs(2))?;
    let below =
        Seen::Other(format!("{} probes at work", if begun { config.probes_max } else { 0 }));
    let sent = format!("one call beside {} probes", config.probes_max);
    run.attack(attack(&lane, keys[0], sent), Some(below), |run| {
        run.ask(way, &call(way, false, 0))
    })?;
    let opened = format!(
        "toolrack_circuit_transitions_total{{plugin=\"probe\",tool=\"{TOOL}\",to=\"open\"}}"
    );
    let before = run.test.count(&opened)?;
    pause(Duration::from_millis(lane.plan.layers.circuit_breaker.half_open_ms + 100));
    // What is due is found out by the next call.
    run.ask(way, &call(way, false, 0));
    let after = run.test.count(&opened)?;
    drop(held);
    let key = Attack {
        lane: &lane,
        key: keys[1],
        mode: config.mode,
        expected: Expected::Words("opened 2 times".to_owned()),
        sent: "probes that do not come back".to_owned(),
    };
    let times = |count| Seen::Other(format!("opened {count} times"));
    run.attack(key, Some(times(before)), |_| times(after))
}

/// The share of slow calls at which it opens, and when a call is slow.
fn slow(run: &mut Run, config: &Config) -> Checked {
    let keys =
        ["layer.circuit_breaker.slow_percent", "layer.circuit_breaker.slow_deadline_percent"];
    let deadline_ms = DEADLINE.as_millis() as u64;
    let slow_ms = deadline_ms * u64::from(config.slow_deadline_percent) / 100;
    let (calls_min, percent) = (config.calls_min, config.slow_percent);
    if slow_ms + 100 > deadline_ms
        || slow_ms < 200
        || calls_min as usize + 2 > run.test.begun.connections_max
    {
        for key in keys {
            run.skip(
                key,
                "what is slow by it is too near to no time, or to a timeout, to tell them apart",
            );
        }
        return Ok(());
    }
    let slow = (calls_min * percent).div_ceil(100).max(1);
    // `None`: a call that was to be quick may have been slow, since the machine is busy.
    let judged = |run: &mut Run, slow: u32, ms: u64| -> Result<(Lane, Option<Seen>), Stopped> {
        let deadline = deadline_ms.to_string();
        let lane = run.open(&[("plugin.deadline_ms", &deadline)])?;
        let begun = Instant::now();
        let way = lane.way().cloned().ok_or_else(|| Stopped("no listener".to_owned()))?;
        let mut held: Vec<Connection> = Vec::new();
        for number in 0..calls_min {
            let ms = if number < slow { ms } else { 0 };
            if let Ok(mut connection) = run.connect(&way) {
                connection.send(&call(&way, false, ms));
                held.push(connection);
            }
        }
        let mut quick_took = Duration::ZERO;
        // Those that are to be quick were sent last.
        for (number, connection) in held.iter_mut().enumerate().rev() {
            connection.answer();
            if ms < slow_ms || number >= slow as usize {
                quick_took = begun.elapsed();
            }
        }
        let seen = run.ask(&way, &call(&way, false, 0));
        Ok((lane, (quick_took < Duration::from_millis(slow_ms)).then_some(seen)))
    };
    let (_, fewer) = judged(run, slow - 1, slow_ms + 50)?;
    let (_, faster) = judged(run, slow, slow_ms / 4)?;
    let (lane, beyond) = judged(run, slow, slow_ms + 50)?;
    let is_shadow = config.mode == Mode::Shadow;
    for (key, below) in keys.into_iter().zip([fewer, faster]) {
        let (Some(below), Some(beyond)) = (below, beyond.clone()) else {
            run.skip(key, "the machine is too busy: calls that were to be quick took too long");
            continue;
        };
        let sent = format!(
            "one more call after {slow} of {calls_min} that take {} of {deadline_ms} ms",
            slow_ms + 50
        );
        run.attack(attack(&lane, key, sent), Some(below), |run| match lane.way() {
            Some(way) if is_shadow => run.ask(way, &call(way, false, 0)),
            _ => beyond,
        })?;
    }
    Ok(())
}
