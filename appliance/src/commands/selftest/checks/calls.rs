//! `layer.timeout` and `layer.concurrency`: calls that take too long, and too many of them.

use std::time::{Duration, Instant};

use middleware::Mode;
use protocol::Class;
use serde_json::json;

use super::super::judge::{Expected, Refusal, Seen};
use super::super::run::{Attack, Checked, Run, Stopped, pause};
use super::super::wire::{Connection, Way};

/// What deadlines of calls are shortened to.
const DEADLINE_MS: &str = "400";
/// How much later than its deadline an answer may come: a machine may be busy.
const LATE_MAX: Duration = Duration::from_secs(2);
/// Between two looks at what changes at a deadline.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the number of permits is lowered to, of which each call that holds one needs a connection.
const PERMITS_FEW: usize = 256;
/// Longest that calls may take to arrive.
const FULL_MAX: Duration = Duration::from_secs(2);

/// Takes the queues away: with them before it, no call would find the permits taken.
const WITHOUT_QUEUES: (&str, &str) = ("layer.fairness.mode", "off");
const CALLS_MAX: &str = "layer.concurrency.calls_max";

/// A refusal of a call that took too long.
const TIMED_OUT: Refusal =
    Refusal { layer: "timeout", kind: "timed_out", status: 200, code: -32019, says_when: false };

/// A refusal of a call for which there is no permit.
const FULL: Refusal = Refusal {
    layer: "concurrency",
    kind: "overloaded",
    status: 429,
    code: -32013,
    says_when: true,
};

/// `layer.timeout`.
pub(in super::super) fn timeout(run: &mut Run) -> Checked {
    let lane = run.open(&[("layer.timeout.deadline_ms", DEADLINE_MS)])?;
    let config = lane.plan.layers.timeout.clone();
    let Some(way) = lane.way() else { return Ok(()) };
    if config.mode == Mode::Off {
        return Ok(());
    }
    let deadline = Duration::from_millis(config.deadline_ms.get());
    let wait = |time: Duration| way.call("probe_wait", &json!({ "ms": time.as_millis() as u64 }));
    let below = run.ask(way, &wait(deadline / 4));
    // Shadow: a call that only takes longer than it should.
    let (what, beyond) = match config.mode {
        Mode::Enforce => ("one that hangs", way.call("probe_hang", &json!({}))),
        Mode::Shadow | Mode::Off => ("one that takes longer", wait(deadline + deadline / 2)),
    };
    let attack = Attack {
        lane: &lane,
        key: "layer.timeout.deadline_ms",
        mode: config.mode,
        expected: Expected::Refusal(TIMED_OUT),
        sent: format!("a call that takes a quarter of its deadline, and {what}"),
    };
    run.attack(attack, Some(below), |run| {
        let begun = Instant::now();
        let seen = run.ask(way, &beyond);
        in_time(seen, begun.elapsed(), deadline)
    })
}

/// What was seen, or that it came at another time than at its deadline.
pub(super) fn in_time(seen: Seen, took: Duration, deadline: Duration) -> Seen {
    // A clock that counts whole milliseconds may end one early.
    let is_early = took + Duration::from_millis(2) < deadline;
    if is_early || took > deadline + LATE_MAX {
        return Seen::Other(format!("{seen} after {} ms", took.as_millis()));
    }
    seen
}

/// What was seen before a deadline; `None`: a busy machine came too late to see it.
pub(super) fn before(seen: Seen, begun: Instant, deadline: Duration) -> Option<Seen> {
    (begun.elapsed() < deadline).then_some(seen)
}

/// Looks again and again until what is seen `is_over`, which has to be at its deadline: so long after `begun`.
pub(super) fn turned(
    run: &mut Run,
    begun: Instant,
    deadline: Duration,
    mut look: impl FnMut(&mut Run) -> Seen,
    is_over: impl Fn(&Seen) -> bool,
) -> Seen {
    loop {
        let seen = look(run);
        let took = begun.elapsed();
        if is_over(&seen) || took > deadline + LATE_MAX {
            return in_time(seen, took, deadline);
        }
        pause(LOOK_EVERY);
    }
}

/// `layer.concurrency`: as many calls of tools as there are permits for, and one more; and lists beside them.
pub(in super::super) fn concurrency(run: &mut Run) -> Checked {
    let lane = run.open(&[WITHOUT_QUEUES, (CALLS_MAX, &run.few(PERMITS_FEW))])?;
    let config = lane.plan.layers.concurrency.clone();
    let Some(way) = lane.way() else { return Ok(()) };
    if config.mode == Mode::Off {
        return Ok(());
    }
    run.skip(
        "layer.concurrency.adaptive",
        if config.adaptive {
            "it follows the time that calls take over minutes"
        } else {
            "off: the number of permits stays as it is"
        },
    );
    let key = CALLS_MAX;
    let most = config.shares().most_of(Class::Work);
    let mut held = hang(run, way, "probe_hang", most - 1);
    if let Some(why) = not_full(run, &mut held, PERMITS, most - 1)? {
        run.skip(key, why);
        return Ok(());
    }
    let below = run.ask(way, &way.ordinary());
    held.extend(hang(run, way, "probe_hang", 1));
    if let Some(why) = not_full(run, &mut held, PERMITS, most)? {
        run.skip(key, why);
        return Ok(());
    }
    let attack = Attack {
        lane: &lane,
        key,
        mode: config.mode,
        expected: Expected::Refusal(FULL),
        sent: format!("one call beside {} and beside {most} that do not end", most - 1),
    };
    run.attack(attack, Some(below), |run| run.ask(way, &way.ordinary()))?;
    if config.shares().most_of(Class::Work) < config.calls_max.get() {
        let list = run.ask(way, &way.request("tools/list", json!({})));
        let attack = Attack {
            lane: &lane,
            key: "layer.concurrency.read_share_percent",
            mode: config.mode,
            expected: Expected::Refusal(FULL),
            sent: format!("a list and a call beside {most} calls that do not end"),
        };
        run.attack(attack, Some(list), |run| run.ask(way, &way.ordinary()))?;
    } else {
        run.skip("layer.concurrency.read_share_percent", "nothing is kept for reads");
    }
    drop(held);
    reads(run)
}

/// As many reads as there are permits for; a call of a tool beside them, and one more read.
fn reads(run: &mut Run) -> Checked {
    let key = "layer.concurrency.work_share_percent";
    let lane = run.open(&[WITHOUT_QUEUES, (CALLS_MAX, &run.few(PERMITS_FEW))])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let config = &lane.plan.layers.concurrency;
    let most = config.shares().most_of(Class::Read);
    if most == config.shares().calls_max {
        run.skip(key, "nothing is kept for calls");
        return Ok(());
    }
    let mut held =
        hold(run, way, &way.request("prompts/get", json!({ "name": "probe_hang" })), most);
    if let Some(why) = not_full(run, &mut held, PERMITS, most)? {
        run.skip(key, why);
        return Ok(());
    }
    let below = run.ask(way, &way.ordinary());
    let attack = Attack {
        lane: &lane,
        key,
        mode: config.mode,
        expected: Expected::Refusal(FULL),
        sent: format!("a call and a list beside {most} prompts that do not come"),
    };
    run.attack(attack, Some(below), |run| run.ask(way, &way.request("tools/list", json!({}))))
}

/// Calls that do not end, each from an address of its own. Those that cannot connect are missing.
pub(super) fn hang(run: &mut Run, way: &Way, tool: &str, count: usize) -> Vec<Connection> {
    hold(run, way, &way.call(tool, &json!({})), count)
}

/// The same with any request that is not answered.
fn hold(run: &mut Run, way: &Way, request: &[u8], count: usize) -> Vec<Connection> {
    let begin = |_| {
        let mut connection = run.connect(way).ok()?;
        connection.send(request);
        Some(connection)
    };
    (0..count).filter_map(begin).collect()
}

/// All calls that have a permit.
pub(super) const PERMITS: &str = "bound=\"concurrency_calls\"} ";

/// Waits until calls use so much of a bound, given by what the labels of its series begin with. Why they do not: a check
/// that went on would blame the wrong layer.
pub(super) fn not_full(
    run: &Run,
    held: &mut [Connection],
    labels: &str,
    count: usize,
) -> Result<Option<String>, Stopped> {
    let series = format!("toolrack_bound_used{{{labels}");
    if run.reaches(&series, count as u64, FULL_MAX)? {
        return Ok(None);
    }
    let refused = held.iter_mut().rev().find_map(|connection| connection.answer_there_is());
    let why = refused.map_or_else(|| "nobody says why".to_owned(), |seen| seen.to_string());
    Ok(Some(format!("{count} calls could not be held at once: {why}")))
}
