//! `layer`: what gets in, and what is refused.

use serde_json::json;

use crate::program::{Answer, Program, modern_call, modern_headers};
use crate::wire::{Connection, echo, refusal, serve};

/// Does what a layer refuses in each of its modes: `enforce` refuses it, `shadow` counts it, `off` does neither.
pub(crate) fn in_each_mode(layer: &str, more: &[&str], act: impl Fn(&Program) -> Answer) {
    for (mode, is_refused, counted) in [("enforce", 1, 0), ("shadow", 0, 1), ("off", 0, 0)] {
        let program = serve(&[more, &[&format!("layer.{layer}.mode={mode}")]].concat());
        let answer = act(&program).json();
        assert_eq!(answer.get("error").map_or(0, |_| 1), is_refused, "{mode}: {answer}");
        let metrics = program.control("/metrics").body;
        let series = format!("toolrack_refusals_total{{layer=\"{layer}\"");
        let of_layer = metrics.lines().filter(|line| line.starts_with(&series));
        let shadowed = of_layer.filter(|line| line.ends_with("mode=\"shadow\"} 1"));
        assert_eq!(shadowed.count(), counted, "{mode}: {metrics}");
    }
}

/// A call with one more header.
fn with_header(program: &Program, header: &str) -> Answer {
    let headers = format!("{header}\r\n{}", modern_headers("tools/call", Some("echo")));
    program.post(&headers, &modern_call("echo", &json!({ "text": "x" })))
}

/// A call for a host.
fn for_host(program: &Program, host: &str) -> u16 {
    let body = modern_call("echo", &json!({ "text": "x" })).to_string();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}",
        body.len(),
        modern_headers("tools/call", Some("echo"))
    );
    program.request(&head, &body).status
}

/// A call that takes a while.
fn slow(program: &Program) -> Answer {
    program.call("test_tool_with_progress", &json!({}))
}

pub(crate) fn origin_refuses_counts_or_is_off() {
    in_each_mode("origin", &[], |program| with_header(program, "Origin: https://chat.example.com"));
}

pub(crate) fn a_host_is_admitted_by_its_name() {
    for (hosts, status) in [("[]", 403), ("[\"mcp.example.com\"]", 200)] {
        let program = serve(&[&format!("layer.origin.allowed_hosts={hosts}")]);
        assert_eq!(for_host(&program, "mcp.example.com"), status);
        assert_eq!(for_host(&program, "mcp.example.org"), 403);
    }
}

pub(crate) fn an_origin_is_admitted_by_its_name() {
    for (origins, status) in [("[]", 403), ("[\"https://chat.example.com\"]", 200)] {
        let program = serve(&[&format!("layer.origin.allowed_origins={origins}")]);
        assert_eq!(with_header(&program, "Origin: https://chat.example.com").status, status);
        assert_eq!(with_header(&program, "Origin: https://chat.example.org").status, 403);
    }
}

pub(crate) fn payload_refuses_counts_or_is_off() {
    let settings = ["layer.payload.request_bytes_max=2KiB"];
    in_each_mode("payload", &settings, |program| echo(program, &"x".repeat(3_000)));
}

pub(crate) fn a_request_above_its_cap_is_refused() {
    for (cap, status) in [("2KiB", 413), ("8KiB", 200)] {
        let program = serve(&[&format!("layer.payload.request_bytes_max={cap}")]);
        assert_eq!(echo(&program, &"x".repeat(3_000)).status, status);
    }
}

pub(crate) fn a_result_above_its_cap_is_replaced() {
    for (cap, kind) in [("2KiB", "payload_too_large"), ("8KiB", "")] {
        let program = serve(&[&format!("layer.payload.response_bytes_max={cap}")]);
        assert_eq!(refusal(&echo(&program, &"x".repeat(3_000))).1, kind);
    }
}

pub(crate) fn concurrency_refuses_counts_or_is_off() {
    in_each_mode("concurrency", &["layer.concurrency.calls_max=1"], |program| {
        let _waiting = Connection::waiting(program);
        echo(program, "x")
    });
}

pub(crate) fn calls_above_their_bound_are_refused() {
    for (calls_max, expected) in [(1, (429, "overloaded")), (2, (200, ""))] {
        let program = serve(&[&format!("layer.concurrency.calls_max={calls_max}")]);
        let _waiting = Connection::waiting(&program);
        let (status, kind) = refusal(&echo(&program, "x"));
        assert_eq!((status, kind.as_str()), expected);
    }
}

pub(crate) fn timeout_refuses_counts_or_is_off() {
    in_each_mode("timeout", &["layer.timeout.deadline_ms=20"], slow);
}

pub(crate) fn a_call_ends_at_its_deadline() {
    for (deadline_ms, kind) in [(20, "timed_out"), (600_000, "")] {
        let program = serve(&[&format!("layer.timeout.deadline_ms={deadline_ms}")]);
        let answer = slow(&program);
        assert_eq!(refusal(&answer).1, kind);
        assert_eq!(answer.json()["error"]["data"]["limit"] == json!(20), kind == "timed_out");
    }
}
