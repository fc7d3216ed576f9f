//! `reload.probation`: what makes a change come back by itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::callers::Callers;
use crate::reload::{Changing, reload};
use crate::wire::until;

/// A plugin whose tools do wrong on request, and a layer that holds them back.
const MISBEHAVE: &str = "[plugin.misbehave]\nlibrary = \"libmisbehave.so\"\n\
    [plugin.misbehave.config]\nfails_above_bytes = 1000000\n\
    [plugin.misbehave.limits]\ndeadline_ms = 20000\n\
    [layer.circuit_breaker]\nmode = \"off\"\ncalls_min = 5\n\
    [layer.fairness]\nclient_calls_max = 64\nclient_queue_calls_max = 64\nqueue_calls_max = 64\n\
    wait_ms = 20000\nstanding_wait_ms = 20000\n";

/// With a short probation, and these settings of it, or of a layer.
fn start(settings: &[&str]) -> Changing {
    let full = |setting: &&str| match setting.starts_with("layer.") {
        true => (*setting).to_owned(),
        false => format!("reload.probation.{setting}"),
    };
    let own: Vec<_> = settings.iter().map(full).collect();
    let usual = [
        "reload.probation.mode=on",
        "reload.probation.watch_ms=1500",
        "reload.probation.calls_min=30",
    ];
    let settings: Vec<_> = usual.into_iter().chain(own.iter().map(String::as_str)).collect();
    Changing::start(MISBEHAVE, &settings)
}

/// What is called, and the change below it.
struct Trial {
    callers: usize,
    think_ms: u64,
    tool: &'static str,
    arguments: Value,
    from: &'static str,
    to: &'static str,
}

/// Calls that fail.
fn failing() -> Trial {
    Trial {
        callers: 2,
        think_ms: 0,
        tool: "large",
        arguments: json!({ "bytes": 3_000 }),
        from: "fails_above_bytes = 1000000",
        to: "fails_above_bytes = 1000",
    }
}

/// Calls that do not end in time.
fn timing_out() -> Trial {
    Trial {
        // Whoever is refused at once must not make twice the load, which excuses refusals, and a busy machine not half
        // of it: they think for longer than either takes.
        callers: 40,
        think_ms: 400,
        tool: "wait",
        arguments: json!({ "ms": 10 }),
        from: "deadline_ms = 20000",
        to: "deadline_ms = 1",
    }
}

/// Calls that wait for one another, for thirty times as long as each takes; one after the other they are still many more
/// than are compared at least.
fn slow() -> Trial {
    Trial {
        callers: 40,
        think_ms: 60,
        tool: "wait",
        arguments: json!({ "ms": 10 }),
        from: "[layer.concurrency]\n",
        to: "[layer.concurrency]\ncalls_max = 1\n",
    }
}

/// Why the change is taken back under these settings; `None` when it stays.
fn taken_back(trial: &Trial, settings: &[&str]) -> Option<String> {
    let changing = start(settings);
    let Trial { callers, think_ms, tool, ref arguments, from, to } = *trial;
    let think = Duration::from_millis(think_ms);
    let callers = Callers::thinking(&changing.program, callers, tool, arguments, think);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1_700) {
        callers.go_on(1);
    }
    let attempt = changing.change(from, to);
    assert_eq!(attempt["result"], "applied", "{attempt}");
    ends(&changing);
    drop(callers);
    let shown = changing.program.control("/admin/reloads").json();
    let attempts = shown["attempts"].as_array().expect("a list").clone();
    let back = attempts.into_iter().find(|attempt| attempt["result"] == "rolled_back")?;
    Some(back["problems"][0].as_str().expect("why").to_owned())
}

fn probation(changing: &Changing) -> Value {
    changing.program.control("/admin/generations").json()["probation"].take()
}

/// Waits for the end of a probation, and until what became of it is written down: what is asked next is made next.
fn ends(changing: &Changing) {
    until("the probation ends", || probation(changing).is_null());
    reload(&changing.program);
}

#[track_caller]
fn names(why: Option<&str>, key: &str) {
    assert!(why.is_some_and(|why| why.contains(key)), "{key}: {why:?}");
}

pub(crate) fn what_does_worse_is_taken_back_or_stays() {
    names(taken_back(&failing(), &["mode=on"]).as_deref(), "errors_increase_percent");
    assert_eq!(taken_back(&failing(), &["mode=off"]), None);
}

pub(crate) fn a_probation_lasts_so_long() {
    for watch_ms in [1_000, 600_000] {
        let changing = start(&[&format!("watch_ms={watch_ms}")]);
        changing.change("deadline_ms = 20000", "deadline_ms = 20001");
        if watch_ms == 1_000 {
            until("it ends", || probation(&changing).is_null());
        } else {
            assert!(probation(&changing)["left_ms"].as_u64() > Some(500_000));
        }
    }
}

pub(crate) fn with_fewer_calls_shares_are_not_compared() {
    assert!(taken_back(&failing(), &["calls_min=30"]).is_some());
    assert_eq!(taken_back(&failing(), &["calls_min=1000000"]), None);
}

pub(crate) fn the_share_of_failures_may_grow_by_so_much() {
    assert!(taken_back(&failing(), &["errors_increase_percent=50"]).is_some());
    assert_eq!(taken_back(&failing(), &["errors_increase_percent=100"]), None);
}

pub(crate) fn refusals_that_the_change_did_not_touch_may_grow_by_so_much() {
    // A deadline was touched, and not the circuit that opens when calls do not keep it.
    let with = |setting| {
        let circuits = "layer.circuit_breaker.mode=enforce";
        taken_back(&timing_out(), &[circuits, "intended_increase_percent=100", setting])
    };
    let why = with("refusals_increase_percent=5");
    names(why.as_deref(), "probation.refusals_increase_percent");
    assert_eq!(with("refusals_increase_percent=100"), None);
}

pub(crate) fn refusals_that_may_be_meant_may_grow_by_so_much() {
    let why = taken_back(&timing_out(), &["intended_increase_percent=50"]);
    names(why.as_deref(), "intended_increase_percent");
    assert_eq!(taken_back(&timing_out(), &["intended_increase_percent=100"]), None);
}

pub(crate) fn a_call_is_slow_that_takes_so_much_longer() {
    let why = taken_back(&slow(), &["latency_increase_percent=100"]);
    names(why.as_deref(), "slow_increase_percent");
    assert_eq!(taken_back(&slow(), &["latency_increase_percent=10000"]), None);
}

pub(crate) fn the_share_of_slow_calls_may_grow_by_so_much() {
    assert!(taken_back(&slow(), &["slow_increase_percent=10"]).is_some());
    assert_eq!(taken_back(&slow(), &["slow_increase_percent=100"]), None);
}

pub(crate) fn plugins_may_have_so_many_faults() {
    for (faults_max, is_taken_back) in [("3", true), ("100", false)] {
        let changing = start(&[&format!("plugin_faults_max={faults_max}")]);
        changing.change("deadline_ms = 20000", "deadline_ms = 20001");
        for _ in 0..5 {
            changing.program.call("rubbish", &json!({ "kind": "duplicate_keys" }));
        }
        ends(&changing);
        let attempts = changing.program.control("/admin/reloads").body;
        assert_eq!(attempts.contains("plugin_faults_max"), is_taken_back, "{attempts}");
    }
}
