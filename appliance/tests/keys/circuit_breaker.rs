//! `layer.circuit_breaker`: when a tool that fails is left alone, for how long, and what brings it back.

use serde_json::json;

use crate::layers::in_each_mode;
use crate::program::{Answer, Program, modern_call, modern_headers, plugins};
use crate::wire::{Connection, metric, posted, refusal, serve, until, until_metrics};

/// Beside others, a plugin whose tools fail on demand, with these settings of it and of the layer.
fn settings(more: &[(&str, &str)]) -> Vec<String> {
    let library = plugins().join("libmisbehave.so");
    let mut settings = vec![
        format!("plugin.misbehave.library={}", library.display()),
        "plugin.misbehave.config.fails_above_bytes=1024".to_owned(),
    ];
    settings.extend(more.iter().map(|(key, value)| match key.strip_prefix("plugin.") {
        Some(key) => format!("plugin.misbehave.{key}={value}"),
        None => format!("layer.circuit_breaker.{key}={value}"),
    }));
    settings
}

fn start(more: &[(&str, &str)]) -> Program {
    let settings = settings(more);
    serve(&settings.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A call of `large` that is answered, or one that fails.
fn large(program: &Program, is_well: bool) -> Answer {
    program.call("large", &json!({ "bytes": if is_well { 3 } else { 3_000 } }))
}

/// Whether the circuit of `large` lets a call pass after these.
fn passes_after(program: &Program, calls: &[bool]) -> bool {
    calls.iter().for_each(|is_well| drop(large(program, *is_well)));
    refusal(&large(program, true)) != (503, "circuit_open".to_owned())
}

fn phase(tool: &str) -> String {
    format!("toolrack_circuit_phase{{plugin=\"misbehave\",tool=\"{tool}\"}}")
}

/// Does the same with each of these at once: what takes its time is the deadline of a tool.
fn at_once<T: Copy + Send>(cases: [T; 2], case: impl Fn(T) + Copy + Send) {
    std::thread::scope(|scope| {
        for each in cases {
            scope.spawn(move || case(each));
        }
    });
}

/// Milliseconds for which a refusal asks its client to stay away; `None` when it is none.
fn stays_away_ms(answer: &Answer) -> Option<u64> {
    answer.json()["error"]["data"]["retry_after_ms"].as_u64()
}

pub(crate) fn circuit_breaker_refuses_counts_or_is_off() {
    let settings = settings(&[("calls_min", "2")]);
    let settings: Vec<_> = settings.iter().map(String::as_str).collect();
    in_each_mode("circuit_breaker", &settings, |program| {
        (0..2).for_each(|_| drop(large(program, false)));
        large(program, true)
    });
}

pub(crate) fn so_many_of_the_last_calls_are_judged() {
    for (window_calls, passes) in [("4", false), ("100", true)] {
        let program = start(&[("calls_min", "4"), ("window_calls", window_calls)]);
        let calls = [true, true, true, true, false, false];
        assert_eq!(passes_after(&program, &calls), passes, "{window_calls}");
    }
}

pub(crate) fn fewer_calls_are_not_judged() {
    for (calls_min, passes) in [("2", false), ("3", true)] {
        assert_eq!(passes_after(&start(&[("calls_min", calls_min)]), &[false, false]), passes);
    }
}

pub(crate) fn a_share_of_failures_opens() {
    for (percent, passes) in [("50", false), ("51", true)] {
        let program = start(&[("calls_min", "2"), ("failure_percent", percent)]);
        assert_eq!(passes_after(&program, &[true, false]), passes, "{percent}");
    }
}

/// Whether the circuit of a tool that takes some time lets a call pass after calls of so many milliseconds.
fn passes_after_ms(program: &Program, calls_ms: &[u64]) -> bool {
    let call = |ms: u64| program.call("block_loop", &json!({ "ms": ms }));
    calls_ms.iter().for_each(|ms| drop(call(*ms)));
    refusal(&call(0)) != (503, "circuit_open".to_owned())
}

pub(crate) fn a_share_of_slow_calls_opens() {
    at_once([("1", false), ("100", true)], |(percent, passes)| {
        let settings = [
            ("calls_min", "2"),
            ("slow_percent", percent),
            // Three seconds: longer than a machine stalls, and less than the first call takes.
            ("slow_deadline_percent", "15"),
            ("plugin.limits.deadline_ms", "20000"),
        ];
        assert_eq!(passes_after_ms(&start(&settings), &[3_100, 0]), passes, "{percent}");
    });
}

pub(crate) fn a_part_of_its_deadline_makes_a_call_slow() {
    for (percent, passes) in [("1", false), ("100", true)] {
        let settings = [
            ("calls_min", "1"),
            ("slow_deadline_percent", percent),
            ("plugin.limits.deadline_ms", "20000"),
        ];
        assert_eq!(passes_after_ms(&start(&settings), &[300]), passes, "{percent}");
    }
}

pub(crate) fn a_circuit_stays_open_for_so_long() {
    for open_ms in [20_000_u64, 40_000] {
        let program = start(&[("calls_min", "1"), ("open_ms", &open_ms.to_string())]);
        assert!(!passes_after(&program, &[false]));
        let left_ms = stays_away_ms(&large(&program, true)).expect("open");
        // A tenth more or less, what has passed, and a fifth more to keep clients apart.
        assert!((open_ms / 2..=open_ms * 14 / 10).contains(&left_ms), "{left_ms}");
    }
}

pub(crate) fn no_circuit_stays_open_for_longer() {
    /// The longest that clients are asked to stay away while the tool fails on.
    fn longest_ms(program: &Program, enough_ms: u64, calls: &mut u32, calls_max: u32) -> u64 {
        let mut longest_ms = 0;
        while longest_ms < enough_ms && *calls < calls_max {
            *calls += 1;
            longest_ms = longest_ms.max(stays_away_ms(&large(program, false)).unwrap_or(0));
        }
        longest_ms
    }
    let start = |most| start(&[("calls_min", "1"), ("open_ms", "2"), ("open_max_ms", most)]);
    let mut calls = 0;
    assert!(longest_ms(&start("600000"), 30, &mut calls, u32::MAX) >= 30);
    let mut again = 0;
    assert!(longest_ms(&start("2"), 30, &mut again, calls) <= 3);
}

/// How many calls the plugin has.
fn in_flight(calls: u32) -> String {
    format!("toolrack_plugin_calls_in_flight{{plugin=\"misbehave\"}} {calls}")
}

/// A probe of a tool that never answers; the plugin has it.
fn hanging(program: &Program) -> Connection {
    // A call that was answered for its deadline stays with the plugin for a moment more: it is no sign of the probe.
    until_metrics(program, &[&format!("{} 2", phase("never")), &in_flight(0)]);
    let call = modern_call("never", &json!({}));
    let call = posted(program, &modern_headers("tools/call", Some("never")), &call);
    let hanging = Connection::with(program, &call);
    until_metrics(program, &[&in_flight(1)]);
    hanging
}

pub(crate) fn so_many_probes_pass_at_once() {
    at_once([("1", "circuit_open"), ("2", "timed_out")], |(probes_max, kind)| {
        let program = start(&[
            ("calls_min", "1"),
            ("open_ms", "1"),
            ("probes_max", probes_max),
            // The first probe must still be there when the second comes, and metrics are up to a second old.
            ("plugin.limits.deadline_ms", "8000"),
        ]);
        assert_eq!(refusal(&program.call("never", &json!({}))).1, "timed_out");
        let _probe = hanging(&program);
        assert_eq!(refusal(&program.call("never", &json!({}))).1, kind, "{probes_max}");
    });
}

pub(crate) fn so_many_probes_close() {
    for (probes_needed, expected) in [("1", 0.0), ("2", 2.0)] {
        let program =
            start(&[("calls_min", "1"), ("open_ms", "1"), ("probes_needed", probes_needed)]);
        large(&program, false);
        until("a probe that passes", || large(&program, true).status == 200);
        assert_eq!(metric(&program, &phase("large")), Some(expected), "{probes_needed}");
    }
}

pub(crate) fn probes_that_do_not_come_back_open_it_again() {
    let opened = |times: u32| {
        let series = "toolrack_circuit_transitions_total";
        format!("{series}{{plugin=\"misbehave\",tool=\"never\",to=\"open\"}} {times}")
    };
    at_once([("1", 2), ("600000", 1)], |(half_open_ms, times)| {
        let program = start(&[
            ("calls_min", "1"),
            ("open_ms", "1"),
            ("half_open_ms", half_open_ms),
            // The probe must still be there when that is looked at.
            ("plugin.limits.deadline_ms", "8000"),
        ]);
        assert_eq!(refusal(&program.call("never", &json!({}))).1, "timed_out");
        let mut probe = hanging(&program);
        let half_open = format!("{} 2", phase("never"));
        until_metrics(&program, &[&in_flight(1), &opened(times), &half_open]);
        probe.until("timed_out");
    });
}
