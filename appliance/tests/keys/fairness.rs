//! `layer.fairness` and the shares of `layer.concurrency`: who waits for a permit, and who has one at once.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::layers::in_each_mode;
use crate::program::{Program, modern_call, modern_headers};
use crate::wire::{
    Connection, ask, echo, echo_posted, metric, posted, refusal, serve, until, until_metric,
};

const QUEUED: &str = "toolrack_bound_used{bound=\"fairness_queue\"}";
const LONG: &str = "layer.fairness.wait_ms=600000";
const LONG_STANDING: &str = "layer.fairness.standing_wait_ms=600000";

/// Serves one call at a time, with waits that outlast the test.
fn one_at_a_time(setting: &str) -> Program {
    serve(&["layer.concurrency.calls_max=1", LONG, LONG_STANDING, setting])
}

/// Sends a call that will wait.
fn sent(program: &Program) -> Connection {
    Connection::with(program, &echo_posted(program, "x"))
}

/// What one more call is told: its kind and the bound.
fn refused(program: &Program) -> (String, u64) {
    let answer = echo(program, "x");
    assert_eq!(answer.status, 429, "{answer:?}");
    (refusal(&answer).1, answer.json()["error"]["data"]["limit"].as_u64().expect("a limit"))
}

pub(crate) fn fairness_refuses_counts_or_is_off() {
    let settings = ["layer.fairness.client_calls_max=1", "layer.fairness.client_queue_calls_max=0"];
    in_each_mode("fairness", &settings, |program| {
        let _waiting = Connection::waiting(program);
        echo(program, "x")
    });
}

pub(crate) fn a_client_has_so_many_calls_under_way() {
    for calls_max in 1..=2 {
        let setting = format!("layer.fairness.client_calls_max={calls_max}");
        let short = ["layer.fairness.wait_ms=1", "layer.fairness.standing_wait_ms=1"];
        let program = serve(&[&setting, short[0], short[1]]);
        let _waiting: Vec<_> = (0..calls_max).map(|_| Connection::waiting(&program)).collect();
        assert_eq!(refused(&program), ("client_busy".to_owned(), calls_max));
    }
}

pub(crate) fn a_client_has_so_many_calls_waiting() {
    for waiting in 1..=2 {
        let program = one_at_a_time(&format!("layer.fairness.client_queue_calls_max={waiting}"));
        let _held = Connection::waiting(&program);
        let _queued: Vec<_> = (0..waiting).map(|_| sent(&program)).collect();
        until_metric(&program, &format!("{QUEUED} {waiting}"));
        assert_eq!(refused(&program), ("client_busy".to_owned(), waiting));
    }
}

pub(crate) fn so_many_calls_of_all_clients_wait() {
    for waiting in 1..=2 {
        let program = one_at_a_time(&format!("layer.fairness.queue_calls_max={waiting}"));
        let _held = Connection::waiting(&program);
        let _queued: Vec<_> = (0..waiting).map(|_| sent(&program)).collect();
        until_metric(&program, &format!("{QUEUED} {waiting}"));
        assert_eq!(refused(&program), ("overloaded".to_owned(), waiting));
    }
}

pub(crate) fn a_call_waits_for_a_permit_for_so_long() {
    let calls_max = "layer.concurrency.calls_max=1";
    let program =
        serve(&[calls_max, "layer.fairness.wait_ms=1", "layer.fairness.standing_wait_ms=1"]);
    let _held = Connection::waiting(&program);
    assert_eq!(refused(&program), ("overloaded".to_owned(), 1));
    let program = serve(&[calls_max, LONG]);
    let held = Connection::waiting(&program);
    let mut queued = sent(&program);
    until_metric(&program, &format!("{QUEUED} 1"));
    drop(held);
    queued.until("HTTP/1.1 200");
}

pub(crate) fn a_call_waits_in_a_queue_that_stands_for_so_long() {
    let refusals =
        "toolrack_refusals_total{layer=\"fairness\",kind=\"overloaded\",mode=\"enforce\"}";
    let mut probes = 0;
    for is_short in [true, false] {
        let wait_ms = if is_short { 1 } else { 600_000 };
        let program = one_at_a_time(&format!("layer.fairness.standing_wait_ms={wait_ms}"));
        let _held = Connection::waiting(&program);
        let _queued = sent(&program);
        until_metric(&program, &format!("{QUEUED} 1"));
        // Those that come before the queue stands would wait on; they leave it again.
        let is_refused = || {
            let _probe = sent(&program);
            metric(&program, refusals).is_some_and(|value| value > 0.0)
        };
        if is_short {
            until("the queue stands", || {
                probes += 1;
                is_refused()
            });
        } else {
            assert!(!(0..probes).any(|_| is_refused()), "of {probes}");
        }
    }
}

/// Whether, with one call of a tool under way of two, a read gets in, and then whether a call of a tool does.
fn get_in(shares: &[&str]) -> (bool, bool) {
    let program = serve(&[&["layer.concurrency.calls_max=2"], shares].concat());
    let _waiting = Connection::waiting(&program);
    let read = ask(&program, "tools/list", json!({}));
    (read.status == 200, echo(&program, "x").status == 200)
}

pub(crate) fn reads_have_a_share_of_their_own() {
    assert_eq!(get_in(&["layer.concurrency.read_share_percent=0"]), (true, true));
    assert_eq!(get_in(&["layer.concurrency.read_share_percent=50"]), (true, false));
}

pub(crate) fn work_has_a_share_of_its_own() {
    let none = "layer.concurrency.read_share_percent=0";
    assert_eq!(get_in(&[none, "layer.concurrency.work_share_percent=0"]), (true, true));
    assert_eq!(get_in(&[none, "layer.concurrency.work_share_percent=100"]), (false, true));
}

pub(crate) fn an_adaptive_limit_falls_while_calls_take_longer() {
    let refusals =
        "toolrack_refusals_total{layer=\"concurrency\",kind=\"overloaded\",mode=\"enforce\"}";
    let results = "toolrack_calls_total{era=\"modern\",method=\"tools/call\",result=\"result\"}";
    for is_adaptive in [true, false] {
        let program = serve(&[
            "layer.concurrency.calls_max=40",
            "layer.concurrency.read_share_percent=0",
            &format!("layer.concurrency.adaptive={is_adaptive}"),
        ]);
        // What is usual, over several of the windows in which the limit learns; then as many that take longer as there
        // are permits.
        let last = format!("{}Connection: close\r\n", modern_headers("tools/call", Some("echo")));
        let last = posted(&program, &last, &modern_call("echo", &json!({ "text": "x" })));
        let quick = echo_posted(&program, "x").repeat(400) + &last;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(500) {
            let mut connection = Connection::open(&program);
            connection.send_apart(quick.clone());
            connection.rest();
        }
        let quick_results = metric(&program, results).expect("calls were answered");
        let slow = "test_tool_with_progress";
        let headers = modern_headers("tools/call", Some(slow));
        let slow = posted(&program, &headers, &modern_call(slow, &json!({}))).repeat(100);
        let connections: Vec<_> = (0..40).map(|_| Connection::open(&program)).collect();
        connections.iter().for_each(|connection| connection.send_apart(slow.clone()));
        let is_refused = || metric(&program, refusals).is_some_and(|count| count > 0.0);
        until("the slow calls are refused or answered", || {
            is_refused()
                || metric(&program, results).is_some_and(|count| count > quick_results + 400.0)
        });
        assert_eq!(is_refused(), is_adaptive);
    }
}

#[test]
fn the_earlier_of_two_refusals_answers() {
    let both = [
        "layer.concurrency.calls_max=1",
        "layer.fairness.client_calls_max=1",
        "layer.fairness.client_queue_calls_max=0",
    ];
    let rate = ["layer.rate_limit.calls_per_sec=1", "layer.rate_limit.burst_calls=1"];
    let layers = |more: &[&str]| {
        let program = serve(&[&both, more].concat());
        let _held = Connection::waiting(&program);
        [(); 3].map(|()| echo(&program, "x").json()["error"]["data"]["layer"].clone())
    };
    assert_eq!(layers(&[]), ["fairness"; 3]);
    // A bucket may fill up again before the first of these.
    assert!(layers(&rate).contains(&json!("rate_limit")));
}
