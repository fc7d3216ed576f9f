//! A sick tool harms nobody: what hangs or fails is bounded and left alone, and what is well goes on.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Instant;

use serde_json::json;

use crate::program::{Answer, PATIENCE, Program, profile};

/// Instead of limits: some calls of `large` fail.
const FAILS: &str = "[plugin.misbehave.config]\nfails_above_bytes = 1000";

/// A plugin that does wrong behind both layers, with `limits` of it and `more` settings of `circuit_breaker`.
fn start(limits: &str, more: &str) -> Program {
    start_set(limits, more, &[])
}

/// The same with `--set` settings.
fn start_set(limits: &str, more: &str, settings: &[&str]) -> Program {
    let profile = profile(&format!(
        "[layer.bulkhead]\n[layer.circuit_breaker]\n{more}\n[plugin.misbehave]\n\
         library = \"libmisbehave.so\"\n[plugin.misbehave.limits]\n{limits}\n"
    ));
    Program::start(&profile, settings)
}

fn kind(answer: &Answer) -> String {
    answer.json()["error"]["data"]["refusal"].as_str().unwrap_or_default().to_owned()
}

/// The value of a series of the plugin that does wrong.
fn metric(program: &Program, series: &str) -> u64 {
    let metrics = program.control("/metrics").body;
    let mut values =
        metrics.lines().filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    values.next().unwrap_or_else(|| panic!("no {series} in {metrics}")).parse().expect("a number")
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
    }
}

const AT_WORK: &str = "toolrack_bound_used{bound=\"bulkhead_calls\",scope=\"misbehave\"}";
const QUEUED: &str = "toolrack_bound_used{bound=\"bulkhead_queue\",scope=\"misbehave\"}";
const STUCK: &str = "toolrack_plugin_calls_stuck{plugin=\"misbehave\"}";
const CALLS: &str = "toolrack_plugin_calls_total{plugin=\"misbehave\"}";

#[test]
fn a_tool_that_hangs_leaves_every_other_call_alone_and_is_quarantined() {
    let program = start("deadline_ms = 300\nthreads_max = 4\nconcurrent_calls = 8", "");
    let hang = "toolrack_circuit_phase{plugin=\"misbehave\",tool=\"hang\"}";
    std::thread::scope(|scope| {
        let hanging: Vec<_> =
            (0..6).map(|_| scope.spawn(|| kind(&program.call("hang", &json!({}))))).collect();
        while hanging.iter().any(|call| !call.is_finished()) {
            let echoed = program.call("echo", &json!({ "text": "still here" }));
            assert_eq!(echoed.status, 200, "{echoed:?}");
            // On the threads that are left of the very pool in which the others hang.
            let large = program.call("large", &json!({ "bytes": 3 }));
            assert_eq!(large.status, 200, "{large:?}");
        }
        for call in hanging {
            let kind = call.join().expect("it ends");
            assert!(["timed_out", "plugin_busy"].contains(&kind.as_str()), "{kind}");
        }
    });
    assert_eq!(metric(&program, STUCK), 2, "half of the threads, for good");
    until("a quarantine", || metric(&program, hang) == 3);
    let refused = program.call("hang", &json!({}));
    assert_eq!((refused.status, kind(&refused).as_str()), (503, "circuit_open"));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(program.call("large", &json!({ "bytes": 3 })).status, 200);
}

#[test]
fn ten_thousand_timeouts_leave_nothing_behind() {
    const CALLS_MAX: u32 = 10_000;
    // Calls may have to wait for the end of those before them, however slow the machine is.
    let patient =
        ["--set", "layer.bulkhead.queue_wait_ms=60000", "--set", "layer.timeout.mode=off"];
    let limits = "deadline_ms = 1\nconcurrent_calls = 16";
    let program = start_set(limits, "mode = \"off\"", &patient);
    let descriptors =
        || std::fs::read_dir(format!("/proc/{}/fd", program.id())).expect("it runs").count();
    until("a first timeout", || kind(&program.call("never", &json!({}))) == "timed_out");
    let before = descriptors();
    let called = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while called.fetch_add(1, Relaxed) < CALLS_MAX {
                    assert_eq!(kind(&program.call("never", &json!({}))), "timed_out");
                }
            });
        }
    });
    for series in [AT_WORK, QUEUED, STUCK, "toolrack_plugin_calls_in_flight{plugin=\"misbehave\"}"]
    {
        until(series, || metric(&program, series) == 0);
    }
    until("descriptors", || descriptors() <= before);
    assert_eq!(program.call("large", &json!({ "bytes": 3 })).status, 200);
}

#[test]
fn a_circuit_opens_keeps_calls_from_the_plugin_and_closes_again() {
    let program = start(FAILS, "calls_min = 5\nopen_ms = 60000\nfailure_percent = 100");
    let large = |bytes: u32| program.call("large", &json!({ "bytes": bytes }));
    for _ in 0..5 {
        assert_eq!(large(3_000).json()["error"]["code"], -32603);
    }
    let before = metric(&program, CALLS);
    for _ in 0..20 {
        let refused = large(3);
        assert_eq!((refused.status, kind(&refused).as_str()), (503, "circuit_open"));
        let error = &refused.json()["error"];
        assert_eq!(
            (&error["code"], &error["data"]["scope"]),
            (&json!(-32016), &json!("tool:large"))
        );
    }
    assert_eq!(metric(&program, CALLS), before, "no call reached the plugin");
    drop(program);

    let program = start(FAILS, "calls_min = 5\nopen_ms = 1");
    let large = |bytes: u32| program.call("large", &json!({ "bytes": bytes }));
    (0..5).for_each(|_| drop(large(3_000)));
    let series =
        "toolrack_circuit_transitions_total{plugin=\"misbehave\",tool=\"large\",to=\"open\"}";
    assert_eq!(metric(&program, series), 1);
    until("five probes that succeed", || {
        large(3);
        metric(&program, "toolrack_circuit_phase{plugin=\"misbehave\",tool=\"large\"}") == 0
    });
    assert_eq!(large(3).status, 200);
}
