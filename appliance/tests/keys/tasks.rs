//! `tasks`: how many, how large, and for how long.

use serde_json::{Value, json};

use crate::program::{Answer, Program};
use crate::wire::{ask_with, refusal, serve, until};

/// A request of a client that knows tasks.
fn ask(program: &Program, method: &str, params: Value) -> Answer {
    let tasks = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    ask_with(program, method, params, &tasks)
}

/// A task that works for a minute.
fn create(program: &Program) -> Answer {
    let arguments = json!({ "seconds": 60 });
    ask(program, "tools/call", json!({ "name": "slow_compute", "arguments": arguments }))
}

fn created(program: &Program) -> Value {
    let created = create(program).json()["result"].take();
    assert_eq!(created["resultType"], "task", "{created}");
    created
}

fn get(program: &Program, created: &Value) -> Answer {
    ask(program, "tasks/get", json!({ "taskId": created["taskId"] }))
}

/// Whether a second task is refused, and by which limit.
fn second(setting: &str) -> (String, Value) {
    let program = serve(&[setting]);
    created(&program);
    let second = create(&program);
    (refusal(&second).1, second.json()["error"]["data"]["limit"].take())
}

pub(crate) fn tasks_above_their_bound_are_refused() {
    let exhausted = "tasks_exhausted".to_owned();
    assert_eq!(second("tasks.count_max=1"), (exhausted, json!(1)));
    assert_eq!(second("tasks.count_max=2"), (String::new(), Value::Null));
}

pub(crate) fn tasks_that_keep_too_much_are_refused() {
    let exhausted = "tasks_exhausted".to_owned();
    assert_eq!(second("tasks.bytes_max=6KiB"), (exhausted, json!(6_144)));
    assert_eq!(second("tasks.bytes_max=64KiB"), (String::new(), Value::Null));
}

pub(crate) fn a_task_fails_at_its_deadline() {
    let start = |ms: u32| serve(&[&format!("tasks.deadline_ms={ms}")]);
    let (hasty, patient) = (start(50), start(3_600_000));
    let (kept, ended) = (created(&patient), created(&hasty));
    until("it works on", || get(&hasty, &ended).json()["result"]["status"] == "failed");
    let error = get(&hasty, &ended).json()["result"]["error"].take();
    assert_eq!(
        (&error["data"]["refusal"], &error["data"]["limit"]),
        (&json!("timed_out"), &json!(50))
    );
    assert_eq!(get(&patient, &kept).json()["result"]["status"], "working");
}

pub(crate) fn a_task_says_how_long_to_wait_between_two_looks() {
    for poll_ms in [250, 4_000] {
        let program = serve(&[&format!("tasks.poll_ms={poll_ms}")]);
        assert_eq!(created(&program)["pollIntervalMs"], poll_ms);
    }
}

pub(crate) fn a_task_is_forgotten_when_its_time_is_over() {
    let start = |ms: u32| serve(&[&format!("tasks.ttl_ms={ms}"), "tasks.deadline_ms=1000"]);
    let (hasty, patient) = (start(1_000), start(604_800_000));
    let (kept, forgotten) = (created(&patient), created(&hasty));
    assert_eq!((&kept["ttlMs"], &forgotten["ttlMs"]), (&json!(604_800_000), &json!(1_000)));
    until("it can still be asked for", || get(&hasty, &forgotten).status == 400);
    assert_eq!(get(&patient, &kept).status, 200);
}
