//! `tasks`: how many there may be, how much they keep, and for how long.

use std::net::IpAddr;
use std::time::Instant;

use middleware::Mode;
use serde_json::{Value, json};

use super::super::client::able;
use super::super::judge::{Expected, Refusal, Seen};
use super::super::lane::Lane;
use super::super::run::{Attack, Checked, Run};
use super::super::wire::{Connection, Way};
use super::calls::{before, turned};

/// What the number of tasks is lowered to.
const COUNT: &str = "4";
/// What the bytes of all tasks are lowered to: room for a few.
const BYTES: &str = "16384";
/// What one task keeps, at least and at most.
const TASK_BYTES: [usize; 2] = [4_096, 8_192];
/// What their times are shortened to.
const DEADLINE_MS: &str = "400";
const TTL_MS: &str = "1500";

const COUNT_MAX: &str = "tasks.count_max";
const BYTES_MAX: &str = "tasks.bytes_max";
const DEADLINE: &str = "tasks.deadline_ms";
const TTL: &str = "tasks.ttl_ms";
const POLL: &str = "tasks.poll_ms";

const EXHAUSTED: Refusal =
    Refusal { layer: "tasks", kind: "tasks_exhausted", status: 429, code: -32014, says_when: true };

/// Every key.
pub(in super::super) fn check(run: &mut Run) -> Checked {
    count(run)?;
    bytes(run)?;
    times(run)
}

/// A call that becomes a task which does not end.
fn create(way: &Way) -> Vec<u8> {
    able(way, "tools/call", json!({ "name": "probe_task", "arguments": {} }))
}

fn attack<'a>(lane: &'a Lane, key: &'a str, expected: Expected, sent: String) -> Attack<'a> {
    Attack { lane, key, mode: Mode::Enforce, expected, sent }
}

/// As many tasks as there may be, and one more.
fn count(run: &mut Run) -> Checked {
    let lane = run.open(&[(COUNT_MAX, COUNT)])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let most = lane.plan.tasks.count_max;
    if lane.plan.tasks.bytes_max < most * TASK_BYTES[1] {
        run.skip(COUNT_MAX, "`tasks.bytes_max` is reached first");
        return Ok(());
    }
    let request = create(way);
    let below = (0..most).map(|_| run.ask(way, &request)).last();
    let sent = format!("task {most} and task {}", most + 1);
    let attack = attack(&lane, COUNT_MAX, Expected::Refusal(EXHAUSTED), sent);
    run.attack(attack, below, |run| run.ask(way, &request))
}

/// A task, and more until there is no room for what they keep.
fn bytes(run: &mut Run) -> Checked {
    let lane = run.open(&[(BYTES_MAX, BYTES)])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let bytes_max = lane.plan.tasks.bytes_max;
    let more = bytes_max / TASK_BYTES[0];
    if bytes_max < TASK_BYTES[1] || lane.plan.tasks.count_max <= more {
        run.skip(BYTES_MAX, "no task fits, or `tasks.count_max` is reached first");
        return Ok(());
    }
    let request = create(way);
    let below = run.ask(way, &request);
    let sent = format!("a task, and {more} more, which would keep more than {bytes_max} bytes");
    let attack = attack(&lane, BYTES_MAX, Expected::Refusal(EXHAUSTED), sent);
    run.attack(attack, Some(below), |run| {
        let mut seen = (0..more).map(|_| run.ask(way, &request));
        seen.find(|seen| !seen.passes()).unwrap_or_else(|| Seen::Other("all fit".to_owned()))
    })
}

/// One task: what its client is told of it, when it must be done, and how long it can be asked for.
fn times(run: &mut Run) -> Checked {
    let lane = run.open(&[(TTL, TTL_MS), (DEADLINE, DEADLINE_MS)])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let plan = &lane.plan.tasks;
    let (begun, client) = (Instant::now(), run.client());
    let task = match made(way, client) {
        Ok(task) => task,
        Err(seen) => {
            let why = format!("no task could be made: {seen}");
            [TTL, DEADLINE, POLL].into_iter().for_each(|key| run.skip(key, &*why));
            return Ok(());
        }
    };
    let asked = |ms: &Value| format!("asked to leave {ms} ms between two looks");
    let expected = Expected::Words(asked(&json!(plan.poll.as_millis() as u64)));
    let poll = Seen::Other(asked(&task["pollIntervalMs"]));
    run.attack(attack(&lane, POLL, expected, "a task".to_owned()), None, |_| poll)?;
    let look = able(way, "tasks/get", json!({ "taskId": task["taskId"] }));
    let below = before(status(run, way, &look), begun, plan.deadline);
    if plan.deadline < plan.ttl {
        let sent = format!("a task that has to be done within {} ms", plan.deadline.as_millis());
        let expected = Expected::Words(TIMED_OUT.to_owned());
        run.attack(attack(&lane, DEADLINE, expected, sent), below, |run| {
            let look = |run: &mut Run| status(run, way, &look);
            turned(run, begun, plan.deadline, look, |seen| *seen != working())
        })?;
    } else {
        run.skip(DEADLINE, "a task is forgotten when its time is over");
    }
    let below = before(run.ask(way, &look), begun, plan.ttl);
    let sent = format!("looks at a task that is kept for {} ms", plan.ttl.as_millis());
    run.attack(attack(&lane, TTL, Expected::Status(400), sent), below, |run| {
        let look = |run: &mut Run| run.ask(way, &look);
        turned(run, begun, plan.ttl, look, |seen| {
            *seen != Seen::Answer { status: 200, refused: None }
        })
    })
}

/// What is told of a task that was made.
fn made(way: &Way, client: IpAddr) -> Result<Value, Seen> {
    let answer = Connection::open(way, client)?.exchange(&create(way))?;
    let task = answer.message()["result"].take();
    if task["taskId"].is_string() { Ok(task) } else { Err(answer.seen()) }
}

const TIMED_OUT: &str = "failed as timed_out";

fn working() -> Seen {
    Seen::Other("working".to_owned())
}

/// What a look says of a task.
fn status(run: &mut Run, way: &Way, look: &[u8]) -> Seen {
    let answer = match run.connect(way).and_then(|mut connection| connection.exchange(look)) {
        Ok(answer) => answer,
        Err(failed) => return failed,
    };
    let task = answer.message()["result"].take();
    let Some(status) = task["status"].as_str() else { return answer.seen() };
    let why = task["error"]["data"]["refusal"].as_str();
    Seen::Other(why.map_or_else(|| status.to_owned(), |why| format!("{status} as {why}")))
}
