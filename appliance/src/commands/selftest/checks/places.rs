//! `layer.bulkhead` with the places of each live plugin, for which the probe stands in.

use std::time::{Duration, Instant};

use middleware::Mode;
use serde_json::json;

use super::super::judge::{Expected, Refusal, Seen};
use super::super::lane::Lane;
use super::super::run::{Attack, Checked, Run};
use super::super::wire::{Connection, Way};
use super::calls::{hang, in_time, not_full};

/// Plugins that are stood in for; the layer is the same for all.
const PLUGINS_MAX: usize = 8;
/// Instead of a name: a plugin that has no limits of its own.
const WITHOUT_LIMITS: &str = "";
/// What a wait in the queue is shortened to.
const QUEUE_WAIT_MS: &str = "300";
/// A refusal later than this after it was asked for has waited.
const AT_ONCE: Duration = Duration::from_millis(250);

/// Calls that have a place of the plugin.
const PLACES: &str = "bound=\"bulkhead_calls\"";

const BUSY: Refusal =
    Refusal { layer: "bulkhead", kind: "plugin_busy", status: 429, code: -32012, says_when: true };

/// Every plugin.
pub(in super::super) fn check(run: &mut Run) -> Checked {
    let config = run.open(&[])?.plan.layers.bulkhead;
    if config.mode == Mode::Off {
        return Ok(());
    }
    let keys = ["concurrent_calls", "queue_calls"].map(|name| format!("layer.bulkhead.{name}"));
    of_plugin(run, WITHOUT_LIMITS, &keys, true)?;
    let plugins = run.test.begun.plugins.clone();
    for (number, plugin) in plugins.iter().enumerate() {
        let keys = ["concurrent_calls", "queue_calls"]
            .map(|name| format!("plugin.{plugin}.limits.{name}"));
        if number >= PLUGINS_MAX {
            keys.into_iter().for_each(|key| run.skip(key, "too many plugins for one test"));
            continue;
        }
        of_plugin(run, plugin, &keys, false)?;
    }
    Ok(())
}

fn of_plugin(run: &mut Run, plugin: &str, keys: &[String; 2], is_first: bool) -> Checked {
    let wishes = [("like", plugin), ("layer.bulkhead.queue_wait_ms", QUEUE_WAIT_MS)];
    let lane = run.open(&wishes)?;
    let (Some(way), Some(places)) = (lane.way(), lane.places()) else { return Ok(()) };
    let (calls_max, queue_max) = (places.concurrent_calls, places.queue_calls);
    if calls_max + queue_max + 2 > run.test.begun.connections_max {
        for key in keys {
            let why =
                format!("{calls_max} and {queue_max} calls need more connections than a lane has");
            run.skip(key, why);
        }
        return Ok(());
    }
    let of_tool = places.each_tool.concurrent_calls;
    let mut held = fill(run, way, calls_max - 1, of_tool);
    if let Some(why) = not_full(run, &mut held, PLACES, calls_max - 1)? {
        keys.iter().for_each(|key| run.skip(key, &*why));
        return Ok(());
    }
    let below = run.ask(way, &brief(way));
    // The tool that has fewer of them.
    let tool = if calls_max > of_tool { "probe_hang_beside" } else { "probe_hang" };
    held.extend(hang(run, way, tool, 1));
    if let Some(why) = not_full(run, &mut held, PLACES, calls_max)? {
        keys.iter().for_each(|key| run.skip(key, &*why));
        return Ok(());
    }
    let sent = format!("one call beside {} and beside {calls_max} that do not end", calls_max - 1);
    let begun = Instant::now();
    let mut beyond = Seen::Closed;
    run.attack(attack(&lane, &keys[0], sent), Some(below.clone()), |run| {
        beyond = run.ask(way, &brief(way));
        beyond.clone()
    })?;
    let took = begun.elapsed();
    if is_first {
        let wait = Duration::from_millis(lane.plan.layers.bulkhead.queue_wait_ms);
        let key = "layer.bulkhead.queue_wait_ms";
        if queue_max == 0 || lane.plan.layers.bulkhead.mode != Mode::Enforce {
            run.skip(key, "there is no queue, or nothing is refused");
        } else {
            let sent =
                format!("a call that waits {} ms for a place that never comes", wait.as_millis());
            run.attack(attack(&lane, key, sent), Some(below), |_| in_time(beyond, took, wait))?;
        }
    }
    drop(held);
    queue(run, plugin, &keys[1])
}

/// As many calls as have a place and as may wait, and one more, which must not wait.
fn queue(run: &mut Run, plugin: &str, key: &str) -> Checked {
    let lane = run.open(&[("like", plugin)])?;
    let (Some(way), Some(places)) = (lane.way(), lane.places()) else { return Ok(()) };
    let bulkhead = &lane.plan.layers.bulkhead;
    let wait = Duration::from_millis(bulkhead.queue_wait_ms);
    if bulkhead.mode != Mode::Enforce || wait < 2 * AT_ONCE || places.queue_calls == 0 {
        run.skip(key, "there is no queue, nobody is refused, or the wait is too short to fill it");
        return Ok(());
    }
    let (calls_max, queue_max) = (places.concurrent_calls, places.queue_calls);
    let (of_tool, waits_of_tool) =
        (places.each_tool.concurrent_calls, places.each_tool.queue_calls);
    let mut held = fill(run, way, calls_max, of_tool);
    if let Some(why) = not_full(run, &mut held, PLACES, calls_max)? {
        run.skip(key, why);
        return Ok(());
    }
    held.extend(fill(run, way, queue_max, waits_of_tool));
    let series = "toolrack_bound_used{bound=\"bulkhead_queue\"";
    let is_full = run.reaches(series, queue_max as u64, wait / 2)?;
    let below = is_full.then(|| Seen::Other(format!("{queue_max} calls wait")));
    let Some(below) = below else {
        run.skip(key, format!("the queue of {queue_max} was not full within half of its wait"));
        return Ok(());
    };
    let sent = format!("one call beside {calls_max} at work and {queue_max} that wait");
    let begun = Instant::now();
    run.attack(attack(&lane, key, sent), Some(below), |run| {
        let seen = run.ask(way, &brief(way));
        if begun.elapsed() > wait { Seen::Other(format!("{seen}, after a wait")) } else { seen }
    })
}

fn attack<'a>(lane: &'a Lane, key: &'a str, sent: String) -> Attack<'a> {
    let mode = lane.plan.layers.bulkhead.mode;
    Attack { lane, key, mode, expected: Expected::Refusal(BUSY), sent }
}

/// A call that needs a place for a moment. One that does not block needs none.
fn brief(way: &Way) -> Vec<u8> {
    way.call("probe_wait", &json!({ "ms": 1 }))
}

/// So many calls that do not end: of one tool as far as it may, and of another.
fn fill(run: &mut Run, way: &Way, count: usize, of_tool: usize) -> Vec<Connection> {
    let first = count.min(of_tool);
    let mut held = hang(run, way, "probe_hang", first);
    held.extend(hang(run, way, "probe_hang_beside", count - first));
    held
}
