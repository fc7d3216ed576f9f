//! `layer.memory`: what is refused for want of memory.
//!
//! A process of ours takes more than a tenth of 128 MiB and less than nine tenths of it.

use serde_json::json;

use crate::layers::in_each_mode;
use crate::program::{Program, modern_headers, modern_params};
use crate::wire::{Connection, ask, echo, metric, posted, refusal, request, serve};

/// Serves within 128 MiB, with these percents as steps.
fn serve_with_steps(steps: [u8; 4]) -> Program {
    let keys = ["soft", "high", "hard", "critical"].iter().zip(steps);
    let settings: Vec<_> =
        keys.map(|(key, percent)| format!("layer.memory.{key}_percent={percent}")).collect();
    let mut settings: Vec<_> = settings.iter().map(String::as_str).collect();
    settings.push("layer.memory.limit_bytes=128MiB");
    serve(&settings)
}

fn level(program: &Program) -> Option<f64> {
    metric(program, "toolrack_memory_level")
}

pub(crate) fn memory_refuses_counts_or_is_off() {
    let settings = ["layer.memory.ledger_bytes_max=1MiB"];
    in_each_mode("memory", &settings, |program| echo(program, &"x".repeat(1 << 20)));
}

pub(crate) fn bodies_take_no_more_than_the_ledger_has() {
    for (ledger, status) in [("1MiB", 413), ("2MiB", 200)] {
        let program = serve(&[&format!("layer.memory.ledger_bytes_max={ledger}")]);
        assert_eq!(echo(&program, &"x".repeat(1 << 20)).status, status);
    }
}

pub(crate) fn a_process_is_measured_by_its_own_limit() {
    for (limit, limit_bytes) in [("512MiB", f64::from(512 << 20)), ("1GiB", f64::from(1 << 30))] {
        let program = serve(&[&format!("layer.memory.limit_bytes={limit}")]);
        let ledger = metric(&program, "toolrack_bound_limit{bound=\"memory_ledger_bytes\"}");
        assert!(ledger.is_some_and(|bytes| bytes <= limit_bytes / 4.0), "{ledger:?}");
        assert_eq!(metric(&program, "toolrack_memory_limit_bytes"), Some(limit_bytes));
    }
}

pub(crate) fn from_one_percent_on_streams_are_refused() {
    for (soft, status) in [(10, 503), (96, 200)] {
        let program = serve_with_steps([soft, 97, 98, 99]);
        assert_eq!(listening(&program), status);
    }
}

/// The status of a stream that nobody reads to its end.
fn listening(program: &Program) -> u16 {
    let params = modern_params(json!({ "notifications": {} }), &json!({}));
    let request = request("subscriptions/listen", &params);
    let headers = modern_headers("subscriptions/listen", None);
    let mut stream = Connection::with(program, &posted(program, &headers, &request));
    let head = stream.until("\r\n");
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

pub(crate) fn from_one_percent_on_the_level_is_high() {
    for (high, expected) in [(11, 2.0), (97, 1.0)] {
        let program = serve_with_steps([10, high, 98, 99]);
        assert_eq!(level(&program), Some(expected));
    }
}

pub(crate) fn from_one_percent_on_work_is_refused() {
    for (hard, expected) in [(12, (503, "memory_exhausted")), (98, (200, ""))] {
        let program = serve_with_steps([10, 11, hard, 99]);
        let (status, kind) = refusal(&echo(&program, "x"));
        assert_eq!((status, kind.as_str()), expected);
        assert_eq!(ask(&program, "tools/list", json!({})).status, 200);
    }
}

pub(crate) fn from_one_percent_on_nobody_new_comes_in() {
    for (critical, status) in [(13, 503), (99, 200)] {
        let program = serve_with_steps([10, 11, 12, critical]);
        assert_eq!(ask(&program, "tools/list", json!({})).status, status);
    }
}
