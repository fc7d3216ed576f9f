//! `layer.fairness`: one client with more calls than its share, beside others, and the queues in which its calls wait.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use middleware::{Mode, fairness};
use protocol::Class;
use serde_json::json;

use super::super::judge::{Expected, Refusal, Seen};
use super::super::lane::Lane;
use super::super::run::{Attack, Checked, Run, Stopped, pause};
use super::super::wire::{Connection, Way};
use super::calls::{PERMITS, in_time, not_full};

/// What the wait for a turn is shortened to.
const WAIT_MS: &str = "300";
/// What the share of a client is lowered to, and what may wait: fewer than any other limit of one client lets pass.
const FEW: &str = "4";
/// A queue that was not empty for so long stands: a little more than the layer says.
const STANDING: Duration = Duration::from_millis(150);
/// With a shorter wait than this, a queue is empty before it is full.
const WAIT_LEAST: Duration = Duration::from_millis(500);

const SHARE: &str = "layer.fairness.client_calls_max";
const WAIT: &str = "layer.fairness.wait_ms";
const OF_CLIENT: &str = "layer.fairness.client_queue_calls_max";
const OF_ALL: &str = "layer.fairness.queue_calls_max";
const STANDING_WAIT: &str = "layer.fairness.standing_wait_ms";

/// Calls that wait.
const QUEUED: &str = "toolrack_bound_used{bound=\"fairness_queue\"} ";

const CLIENT_BUSY: Refusal =
    Refusal { layer: "fairness", kind: "client_busy", status: 429, code: -32011, says_when: true };
const OVERLOADED: Refusal = Refusal { kind: "overloaded", code: -32013, ..CLIENT_BUSY };

/// Every key.
pub(in super::super) fn check(run: &mut Run) -> Checked {
    let lane = run.open(&[(SHARE, FEW)])?;
    let layers = &lane.plan.layers;
    let permits = layers.concurrency.shares().most_of(Class::Work);
    let enforced = layers.fairness.mode == Mode::Enforce;
    if layers.fairness.mode == Mode::Off {
        return Ok(());
    }
    if !enforced || layers.concurrency.mode != Mode::Enforce || permits <= share(&layers.fairness) {
        let why = "no client comes to its share before all permits are taken, or nobody waits";
        let keys = [SHARE, WAIT, OF_CLIENT, OF_ALL, STANDING_WAIT];
        keys.into_iter().for_each(|key| run.skip(key, why));
        return Ok(());
    }
    beyond_share(run)?;
    queue(run, OF_CLIENT, CLIENT_BUSY, |config| config.client_queue_calls_max)?;
    queue(run, OF_ALL, OVERLOADED, |config| config.queue_calls_max)?;
    standing(run)
}

const fn share(config: &fairness::Config) -> usize {
    config.client_calls_max as usize
}

fn attack<'a>(lane: &'a Lane, key: &'a str, refusal: Refusal, sent: String) -> Attack<'a> {
    let mode = lane.plan.layers.fairness.mode;
    Attack { lane, key, mode, expected: Expected::Refusal(refusal), sent }
}

/// One client, and its calls that do not end.
struct Busy<'a> {
    way: &'a Way,
    address: IpAddr,
    held: Vec<Connection>,
}

impl<'a> Busy<'a> {
    /// A client that has not called yet.
    const fn new(run: &mut Run, way: &'a Way) -> Self {
        Self { way, address: run.client(), held: Vec::new() }
    }

    /// Calls until so many are at work. `false`: they cannot be, and every one of `keys` is told why.
    fn hold(&mut self, run: &mut Run, most: usize, keys: &[&str]) -> Result<bool, Stopped> {
        let more = hold(self.way, self.address, most.saturating_sub(self.held.len()));
        self.held.extend(more);
        let why = not_full(run, &mut self.held, PERMITS, most)?;
        if let Some(why) = &why {
            keys.iter().for_each(|key| run.skip(*key, why));
        }
        Ok(why.is_none())
    }

    /// One more call, which ends at once when it may.
    fn ask(&self) -> Seen {
        Run::ask_from(self.way, self.address, &self.way.ordinary())
    }
}

/// As many calls of one client as may be under way, and one more; and one of somebody else.
fn beyond_share(run: &mut Run) -> Checked {
    let lane = run.open(&[(WAIT, WAIT_MS), (SHARE, FEW)])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let (mut client, most) = (Busy::new(run, way), share(&lane.plan.layers.fairness));
    if !client.hold(run, most - 1, &[SHARE, WAIT])? {
        return Ok(());
    }
    let below = client.ask();
    if !client.hold(run, most, &[SHARE, WAIT])? {
        return Ok(());
    }
    let sent = format!("one call beside {} and beside {most} of one client", most - 1);
    let begun = Instant::now();
    let beyond = client.ask();
    let took = begun.elapsed();
    let of_share = attack(&lane, SHARE, CLIENT_BUSY, sent);
    run.attack(of_share, Some(below), |_| beyond.clone())?;
    let other = run.ask(way, &way.ordinary());
    let wait = Duration::from_millis(lane.plan.layers.fairness.wait_ms);
    let sent = format!(
        "a call that waits {} ms for others of its client, and one of another client",
        wait.as_millis()
    );
    let of_wait = attack(&lane, WAIT, CLIENT_BUSY, sent);
    run.attack(of_wait, Some(other), |_| in_time(beyond, took, wait))
}

/// A client that has its share, as many calls of it as may wait, and one more, which must not wait.
fn queue(
    run: &mut Run,
    key: &str,
    refusal: Refusal,
    most: fn(&fairness::Config) -> u32,
) -> Checked {
    let lane = run.open(&[(SHARE, FEW), (key, FEW)])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let config = &lane.plan.layers.fairness;
    let waiting = most(config);
    let bounds = [config.client_queue_calls_max, config.queue_calls_max];
    // With both alike, the client's own comes first.
    let is_first = bounds.iter().all(|bound| *bound >= waiting)
        && (key == OF_CLIENT || config.client_queue_calls_max > waiting);
    let wait = Duration::from_millis(config.wait_ms);
    if waiting == 0 || !is_first || wait < WAIT_LEAST {
        run.skip(
            key,
            "nobody waits, the other queue is full first, or it is empty before it is full",
        );
        return Ok(());
    }
    let mut client = Busy::new(run, way);
    if !client.hold(run, share(config), &[key])? {
        return Ok(());
    }
    let begun = Instant::now();
    let _queued = hold(way, client.address, waiting as usize);
    if !run.reaches(QUEUED, waiting.into(), wait / 2)? {
        run.skip(key, format!("the queue of {waiting} was not full within half of its wait"));
        return Ok(());
    }
    let sent = format!("one call beside {} at work and {waiting} that wait", share(config));
    let below = Seen::Other(format!("{waiting} calls wait"));
    run.attack(attack(&lane, key, refusal, sent), Some(below), |_| {
        let seen = client.ask();
        if begun.elapsed() > wait { Seen::Other(format!("{seen}, after a wait")) } else { seen }
    })
}

/// A call that comes to a queue in which another one has waited for some time.
fn standing(run: &mut Run) -> Checked {
    let lane = run.open(&[(SHARE, FEW)])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let config = &lane.plan.layers.fairness;
    let [wait, shorter] = [config.wait_ms, config.standing_wait_ms].map(Duration::from_millis);
    let may_wait = config.client_queue_calls_max.min(config.queue_calls_max) > 1;
    if !may_wait || wait < WAIT_LEAST || shorter > wait / 4 {
        run.skip(
            STANDING_WAIT,
            "no two calls wait for long, or in such a queue as long as in others",
        );
        return Ok(());
    }
    let mut client = Busy::new(run, way);
    if !client.hold(run, share(config), &[STANDING_WAIT])? {
        return Ok(());
    }
    let begun = Instant::now();
    let mut first = hold(way, client.address, 1);
    let waits = run.reaches(QUEUED, 1, wait / 4)?;
    pause(STANDING);
    let asked = Instant::now();
    let beyond = client.ask();
    let (took, until) = (asked.elapsed(), asked.duration_since(begun));
    if !waits || until + shorter > wait {
        run.skip(
            STANDING_WAIT,
            "the machine is too busy: the queue was empty before the second call",
        );
        return Ok(());
    }
    let below = first.iter_mut().map(Connection::answer).last();
    let waited = begun.elapsed();
    let below = below.filter(|_| waited + Duration::from_millis(2) >= wait);
    let below = below.map(|_| Seen::Other(format!("a wait of {} ms", waited.as_millis())));
    let sent = format!("two calls beside {} at work, one after the other", share(config));
    run.attack(attack(&lane, STANDING_WAIT, CLIENT_BUSY, sent), below, |_| {
        // It goes no later than the one before it would: the longer wait.
        let is_shorter = took < wait.saturating_sub(STANDING);
        let seen = in_time(beyond, took, shorter);
        if is_shorter { seen } else { Seen::Other(format!("{seen}, after the longer wait")) }
    })
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
