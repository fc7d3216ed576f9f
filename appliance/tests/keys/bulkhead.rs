//! `layer.bulkhead` and `plugin.NAME.tool`: how many calls of a plugin, or of one tool, are at work or wait.

use serde_json::json;

use crate::layers::in_each_mode;
use crate::program::{Program, modern_call, modern_headers};
use crate::wire::{Connection, check, posted, refusal, serve, until_metric};

const QUEUED: &str = "toolrack_bound_used{bound=\"bulkhead_queue\",scope=\"conformance\"}";
const AT_WORK: &str = "toolrack_bound_used{bound=\"bulkhead_calls\",scope=\"conformance\"}";

/// Serves with the layer, these bounds of a plugin, and waits that outlast the test.
fn bounded(limits: &[(&str, &str)]) -> Program {
    let mut settings = vec!["layer.bulkhead.queue_wait_ms=600000".to_owned()];
    let limits = limits.iter().map(|(key, value)| format!("plugin.conformance.{key}={value}"));
    settings.extend(limits);
    serve(&settings.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Sends a call of a tool, whose answer is read later.
fn sent(program: &Program, tool: &str) -> Connection {
    let call = modern_call(tool, &json!({ "mark": "another" }));
    Connection::with(program, &posted(program, &modern_headers("tools/call", Some(tool)), &call))
}

pub(crate) fn bulkhead_refuses_counts_or_is_off() {
    let settings = [
        "plugin.conformance.limits.concurrent_calls=1",
        "plugin.conformance.limits.queue_calls=2",
        "layer.bulkhead.queue_wait_ms=1",
    ];
    // Without an answer in the queue's time, the wait is refused; what nobody enforces runs beside.
    in_each_mode("bulkhead", &settings, |program| {
        let _waiting = Connection::waiting(program);
        program.call("test_simple_text", &json!({}))
    });
}

pub(crate) fn a_call_waits_for_its_turn_for_so_long() {
    let limits = ["concurrent_calls=1", "queue_calls=2"];
    let limits = limits.map(|limit| format!("plugin.conformance.limits.{limit}"));
    let start = |wait: &str| serve(&[&limits[0], &limits[1], wait]);
    let program = start("layer.bulkhead.queue_wait_ms=1");
    let _waiting = Connection::waiting(&program);
    let refused = program.call("test_simple_text", &json!({}));
    assert_eq!(refusal(&refused), (429, "plugin_busy".to_owned()));
    let program = start("layer.bulkhead.queue_wait_ms=600000");
    let waiting = Connection::waiting(&program);
    let mut queued = sent(&program, "test_simple_text");
    until_metric(&program, &format!("{QUEUED} 1"));
    drop(waiting);
    queued.until("HTTP/1.1 200");
}

/// Serves as [`bounded`], with two bounds that stand elsewhere.
fn of_table(table: &str, concurrent_calls: u32, queue_calls: u32) -> Program {
    serve(&[
        "layer.bulkhead.queue_wait_ms=600000",
        &format!("{table}.concurrent_calls={concurrent_calls}"),
        &format!("{table}.queue_calls={queue_calls}"),
    ])
}

fn are_at_work_at_once(table: &str) {
    for calls in 1..=2 {
        let program = of_table(table, calls, 0);
        let _waiting = Connection::waiting(&program);
        let (status, kind) = refusal(&program.call("test_simple_text", &json!({})));
        let expected = if calls == 1 { (429, "plugin_busy") } else { (200, "") };
        assert_eq!((status, kind.as_str()), expected);
    }
}

fn wait_besides(table: &str) {
    for waiting in 0..=1 {
        let program = of_table(table, 1, waiting);
        let _waiting = Connection::waiting(&program);
        let _queued: Vec<_> = (0..waiting).map(|_| sent(&program, "test_simple_text")).collect();
        until_metric(&program, &format!("{QUEUED} {waiting}"));
        let refused = program.call("test_simple_text", &json!({}));
        assert_eq!(refusal(&refused), (429, "plugin_busy".to_owned()));
    }
}

pub(crate) fn so_many_calls_are_at_work_at_once() {
    are_at_work_at_once("plugin.conformance.limits");
}

pub(crate) fn so_many_calls_are_at_work_at_once_where_a_plugin_says_nothing() {
    are_at_work_at_once("layer.bulkhead");
    let (is_good, said) = check(&["layer.bulkhead.concurrent_calls=0"]);
    let expected = "layer.bulkhead.concurrent_calls: 0 is outside of 1 to 100000";
    assert!(!is_good && said.contains(expected), "{said}");
}

pub(crate) fn so_many_calls_wait_besides() {
    wait_besides("plugin.conformance.limits");
}

pub(crate) fn so_many_calls_wait_besides_where_a_plugin_says_nothing() {
    wait_besides("layer.bulkhead");
}

pub(crate) fn so_many_calls_of_one_tool_are_at_work_at_once() {
    let (is_good, said) = check(&["plugin.conformance.tool.any.concurrent_calls=17"]);
    let expected = "plugin.conformance.tool.any.concurrent_calls: 17 is outside of 1 to 16";
    assert!(!is_good && said.contains(expected), "{said}");
    for calls in 1..=2 {
        let at_once = calls.to_string();
        let program = bounded(&[
            ("limits.queue_calls", "0"),
            ("tool.test_cancellation.concurrent_calls", &at_once),
        ]);
        let _waiting: Vec<_> = (0..calls).map(|_| Connection::waiting(&program)).collect();
        until_metric(&program, &format!("{AT_WORK} {calls}"));
        let refused = program.call("test_cancellation", &json!({ "mark": "another" }));
        assert_eq!(refusal(&refused), (429, "plugin_busy".to_owned()));
        assert_eq!(refused.json()["error"]["data"]["limit"], json!(calls));
        assert_eq!(program.call("test_simple_text", &json!({})).status, 200);
    }
}

pub(crate) fn so_many_calls_of_one_tool_wait_besides() {
    for waiting in 0..=1 {
        let queue_calls = waiting.to_string();
        let program = bounded(&[
            ("tool.test_cancellation.concurrent_calls", "1"),
            ("tool.test_cancellation.queue_calls", &queue_calls),
        ]);
        let _waiting = Connection::waiting(&program);
        let _queued: Vec<_> = (0..waiting).map(|_| sent(&program, "test_cancellation")).collect();
        until_metric(&program, &format!("{QUEUED} {waiting}"));
        let refused = program.call("test_cancellation", &json!({ "mark": "third" }));
        assert_eq!(refusal(&refused), (429, "plugin_busy".to_owned()));
    }
}

pub(crate) fn a_call_ends_at_the_deadline_of_its_tool() {
    for (deadline_ms, kind) in [("20", "timed_out"), ("600000", "")] {
        let program = bounded(&[("tool.test_tool_with_progress.deadline_ms", deadline_ms)]);
        let answer = program.call("test_tool_with_progress", &json!({}));
        assert_eq!(refusal(&answer).1, kind);
        assert_eq!(answer.json()["error"]["data"]["limit"] == json!(20), kind == "timed_out");
    }
}
