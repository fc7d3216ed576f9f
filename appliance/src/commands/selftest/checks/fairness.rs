//! `layer.fairness`: one client with more calls than its share, beside others.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use middleware::Mode;
use protocol::Class;
use serde_json::json;

use super::super::judge::{Expected, Refusal};
use super::super::run::{Attack, Checked, Run};
use super::super::wire::{Connection, Way};
use super::calls::{PERMITS, in_time, not_full};

/// What the wait for a turn is shortened to.
const WAIT_MS: &str = "300";

const CLIENT_BUSY: Refusal =
    Refusal { layer: "fairness", kind: "client_busy", status: 429, code: -32011, says_when: true };

/// As many calls of one client as may be under way, and one more; and one of somebody else.
pub(in super::super) fn check(run: &mut Run) -> Checked {
    for (name, why) in [
        ("client_queue_calls_max", "calls cannot be made to wait as long as it takes to fill it"),
        ("queue_calls_max", "calls cannot be made to wait as long as it takes to fill it"),
        ("standing_wait_ms", "no queue of a lane stands for long enough"),
    ] {
        run.skip(format!("layer.fairness.{name}"), why);
    }
    let lane = run.open(&[("layer.fairness.wait_ms", WAIT_MS)])?;
    let layers = &lane.plan.layers;
    let (config, concurrency) = (layers.fairness.clone(), layers.concurrency.clone());
    let Some(way) = lane.way() else { return Ok(()) };
    let keys = ["layer.fairness.client_calls_max", "layer.fairness.wait_ms"];
    let most = config.client_calls_max as usize;
    let permits = concurrency.shares().most_of(Class::Work);
    if config.mode != Mode::Enforce || concurrency.mode != Mode::Enforce || permits <= most {
        let why = "no client comes to its share before all permits are taken, or nobody waits";
        keys.iter().for_each(|key| run.skip(*key, why));
        return Ok(());
    }
    let client = run.client();
    let mut held = hold(way, client, most - 1);
    if let Some(why) = not_full(run, &mut held, PERMITS, most - 1)? {
        keys.iter().for_each(|key| run.skip(*key, &*why));
        return Ok(());
    }
    let below = Run::ask_from(way, client, &way.ordinary());
    held.extend(hold(way, client, 1));
    if let Some(why) = not_full(run, &mut held, PERMITS, most)? {
        keys.iter().for_each(|key| run.skip(*key, &*why));
        return Ok(());
    }
    let attack = |key, sent| Attack {
        lane: &lane,
        key,
        mode: config.mode,
        expected: Expected::Refusal(CLIENT_BUSY),
        sent,
    };
    let sent = format!("one call beside {} and beside {most} of one client", most - 1);
    let begun = Instant::now();
    let beyond = Run::ask_from(way, client, &way.ordinary());
    let took = begun.elapsed();
    run.attack(attack(keys[0], sent), Some(below), |_| beyond.clone())?;
    let other = run.ask(way, &way.ordinary());
    let wait = Duration::from_millis(config.wait_ms);
    let sent = format!(
        "a call that waits {} ms for others of its client, and one of another client",
        wait.as_millis()
    );
    run.attack(attack(keys[1], sent), Some(other), |_| in_time(beyond, took, wait))?;
    drop(held);
    Ok(())
}

/// Calls of one client that do not end. Those that cannot connect are missing.
fn hold(way: &Way, client: IpAddr, count: usize) -> Vec<Connection> {
    let request = way.call("probe_hang", &json!({}));
    let begin = |_| {
        let mut connection = Connection::open(way, client).ok()?;
        connection.send(&request);
        Some(connection)
    };
    (0..count).filter_map(begin).collect()
}
