//! The ladder of levels: what is still served when memory is short.

use std::time::Instant;

use serde_json::json;

use super::{is_after, start};
use crate::program::{Answer, PATIENCE, Program, modern_call, modern_headers, modern_params};

/// Steps that a process of this size has passed up to the last one, which it does not reach.
fn at_level(level: &str) -> Program {
    let percents = match level {
        "soft" => [10, 97, 98, 99],
        "hard" => [10, 11, 12, 99],
        _ => [10, 11, 12, 13],
    };
    let keys = ["soft", "high", "hard", "critical"];
    let steps = keys.iter().zip(percents).map(|(key, percent)| format!("{key}_percent={percent}"));
    // A tenth of it is less than any process of ours takes, and all of it more.
    let mut settings: Vec<_> =
        std::iter::once("limit_bytes=128MiB".to_owned()).chain(steps).collect();
    if level == "shadow" {
        settings.push("mode=shadow".to_owned());
    }
    start(&settings.iter().map(String::as_str).collect::<Vec<_>>())
}

fn ask(program: &Program, method: &str) -> Answer {
    let params = modern_params(json!({}), &json!({}));
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    program.post(&modern_headers(method, None), &message)
}

/// The kind of a refusal.
fn kind(answer: &Answer) -> String {
    answer.json()["error"]["data"]["refusal"].as_str().unwrap_or_default().to_owned()
}

/// Refused for want of memory, until so many seconds have passed, from so many percent on.
fn is_short(answer: &Answer, retry_after_secs: u64, percent: u64) {
    assert_eq!((answer.status, kind(answer).as_str()), (503, "memory_exhausted"), "{answer:?}");
    assert!(is_after(answer.header("retry-after"), retry_after_secs), "{answer:?}");
    assert_eq!(answer.json()["error"]["data"]["limit"], percent);
}

fn metric_of_level(program: &Program) -> Option<u64> {
    super::metric(program, "toolrack_memory_level")
}

#[test]
fn soft_refuses_new_streams_and_serves_the_rest() {
    let program = at_level("soft");
    is_short(&ask(&program, "subscriptions/listen"), 2, 10);
    let session = program.session("2025-11-25", json!({}));
    let get = format!(
        "GET /mcp HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n{session}",
        program.address
    );
    is_short(&program.request(&get, ""), 2, 10);
    assert_eq!(program.call("echo", &json!({ "text": "x" })).status, 200);
    assert_eq!(metric_of_level(&program), Some(1));
    assert_eq!(program.control("/readyz").status, 200);
}

#[test]
fn hard_refuses_work_and_serves_light_reads_in_both_eras() {
    let program = at_level("hard");
    is_short(&program.call("echo", &json!({ "text": "x" })), 5, 12);
    assert_eq!(ask(&program, "tools/list").status, 200);
    let session = program.session("2025-11-25", json!({}));
    let post = |method: &str, params| {
        program.post(
            &session,
            &json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }),
        )
    };
    let call = post("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } }));
    // Its head does not say what it is.
    is_short(&call, 5, 12);
    assert_eq!(post("tools/list", json!({})).status, 200);
    assert_eq!(post("ping", json!({})).json()["result"], json!({}));
    assert_eq!(metric_of_level(&program), Some(3));
}

#[test]
fn whoever_may_not_come_in_learns_nothing_of_the_memory() {
    let program = at_level("hard");
    let call = modern_call("echo", &json!({ "text": "x" }));
    let headers = modern_headers("tools/call", Some("echo"));
    let answer = program.post(&format!("Origin: http://evil.example.com\r\n{headers}"), &call);
    assert_eq!(kind(&answer), "origin_forbidden", "origin decides before memory");
    assert_eq!(program.post(&headers, &call).status, 503);
}

#[test]
fn critical_turns_new_connections_away_while_operators_are_answered() {
    let program = at_level("critical");
    let answer = ask(&program, "tools/list");
    assert_eq!(answer.status, 503);
    assert!(is_after(answer.header("retry-after"), 10), "{answer:?}");
    assert_eq!(answer.json()["error"]["data"]["refusal"], "memory_exhausted");
    assert_eq!(program.control("/livez").status, 200);
    let ready = program.control("/readyz");
    assert_eq!((ready.status, &ready.json()["memory"]), (503, &json!("critical")));
}

#[test]
fn shadow_knows_the_level_and_refuses_nothing() {
    let program = at_level("shadow");
    assert_eq!(program.call("echo", &json!({ "text": "x" })).status, 200);
    assert_eq!(metric_of_level(&program), Some(4));
    assert_eq!(program.control("/readyz").json()["memory"], "calm");
    let series =
        "toolrack_refusals_total{layer=\"memory\",kind=\"memory_exhausted\",mode=\"shadow\"}";
    let begun = Instant::now();
    while super::metric(&program, series) != Some(1) {
        assert!(begun.elapsed() < PATIENCE, "it counts what it would have refused");
    }
}
