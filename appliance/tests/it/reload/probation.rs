//! What came in is on probation: what does worse is taken back by itself.

use serde_json::json;

use super::*;
use crate::callers::Callers;
use crate::wire::{metric, until, until_metric};

/// A profile whose changes are on probation, for two seconds.
const ON_PROBATION: &str = "[reload]\nwatch = false\ninterval_ms = 0\n\
    [reload.probation]\nwatch_ms = 2000\ncalls_min = 50\n";
/// All answers are good.
const WELL: u32 = 1_000_000;
/// Those that these tests ask for fail.
const ILL: u32 = 1_000;

/// The plugin whose tools do wrong, and from how many bytes on its answers fail.
fn misbehave(fails_above_bytes: u32) -> String {
    format!(
        "[plugin.misbehave]\nlibrary = \"libmisbehave.so\"\n\
         [plugin.misbehave.config]\nfails_above_bytes = {fails_above_bytes}\n"
    )
}

/// What was there before has been called for as long as a probation lasts.
fn call_before(callers: &Callers) {
    let begun = Instant::now();
    while begun.elapsed().as_millis() < 2_200 {
        callers.go_on(1);
    }
}

/// Waits for a change to be taken back; why.
#[track_caller]
fn taken_back(live: &Live) -> String {
    let begun = Instant::now();
    let attempt = live.until("it is taken back", |attempt| attempt["result"] == "rolled_back");
    assert!(begun.elapsed().as_secs() < 15, "{attempt}");
    assert_eq!(attempt["trigger"], "probation");
    attempt["problems"][0].as_str().expect("a reason").to_owned()
}

#[test]
fn a_change_that_makes_calls_fail_is_taken_back_with_the_plugins_of_before() {
    let mut live = Live::start(&[ON_PROBATION, ECHO, &misbehave(WELL)]);
    let callers = Callers::start(&live.program, 2, "large", &json!({ "bytes": 3_000 }));
    call_before(&callers);
    let attempt = live.applies(&[ON_PROBATION, ECHO, &misbehave(ILL)]);
    assert_eq!(
        (&attempt["generation"], &attempt["plugins_loaded"]),
        (&json!(2), &json!(["misbehave"]))
    );
    until_metric(&live.program, "toolrack_probation 1");
    let why = taken_back(&live);
    assert!(why.starts_with("generation 2 ("), "{why}");
    assert!(why.contains("calls failed") && why.contains("errors_increase_percent"), "{why}");
    assert_eq!(live.serves("plugin.misbehave.config.fails_above_bytes"), WELL.to_string());
    let answer = live.program.call("large", &json!({ "bytes": 3_000 })).json();
    assert!(answer["result"].is_object(), "{answer}");
    until_metric(&live.program, "toolrack_probation_rollbacks_total{reason=\"errors\"} 1");
    until_metric(&live.program, "toolrack_reload_is_good 0");
    let stopped = live.program.wait_for(|_, line| line["message"] == "Replaced plugin stops.");
    assert_eq!(stopped["plugin"], "misbehave");
    // What was taken back is tried again by whoever asks for it.
    assert_eq!(live.reload()["result"], "applied");
    drop(callers);
}

#[test]
fn a_limit_that_refuses_most_calls_is_taken_back() {
    let live = Live::start(&[ON_PROBATION, ECHO]);
    let callers = Callers::start(&live.program, 2, "echo", &json!({ "text": "x" }));
    call_before(&callers);
    live.applies(&[ON_PROBATION, ECHO, "[layer.rate_limit]\ncalls_per_sec = 1\nburst_calls = 1\n"]);
    let why = taken_back(&live);
    assert!(why.contains("intended_increase_percent"), "{why}");
    drop(callers);
}

#[test]
fn a_change_that_makes_calls_slow_is_taken_back() {
    // Everybody waits for as long as it takes, and nobody is refused.
    let wait = misbehave(ILL)
        + "[layer.fairness]\nclient_calls_max = 64\nclient_queue_calls_max = 64\nqueue_calls_max = 64\n\
           wait_ms = 20000\nstanding_wait_ms = 20000\n";
    let calls = |most| format!("[layer.concurrency]\ncalls_max = {most}\n");
    let live = Live::start(&[ON_PROBATION, ECHO, &wait, &calls(64)]);
    let callers = Callers::start(&live.program, 8, "wait", &json!({ "ms": 30 }));
    call_before(&callers);
    live.applies(&[ON_PROBATION, ECHO, &wait, &calls(1)]);
    let why = taken_back(&live);
    assert!(why.contains("calls took longer than"), "{why}");
    drop(callers);
}

#[test]
fn a_good_change_under_load_stays_and_a_second_one_is_compared_with_the_first() {
    let mut live = Live::start(&[ON_PROBATION, ECHO, &misbehave(WELL), &deadline(20_000)]);
    let callers = Callers::start(&live.program, 2, "large", &json!({ "bytes": 3_000 }));
    call_before(&callers);
    live.applies(&[ON_PROBATION, ECHO, &misbehave(WELL), &deadline(20_001)]);
    live.program.wait_for(|_, line| line["message"] == "Probation ended well.");
    assert_eq!(live.generation(), 2);
    live.applies(&[ON_PROBATION, ECHO, &misbehave(WELL), &deadline(20_002)]);
    // While that is on probation: what is well is still the one before it.
    live.applies(&[ON_PROBATION, ECHO, &misbehave(ILL), &deadline(20_003)]);
    taken_back(&live);
    assert_eq!(live.serves("layer.timeout.deadline_ms"), "20001");
    assert_eq!(metric(&live.program, "toolrack_probation"), Some(0.0));
    drop(callers);
}

#[test]
fn whoever_takes_a_change_back_by_hand_finds_the_plugins_of_before() {
    let live = Live::start(&[ON_PROBATION, ECHO, &misbehave(WELL)]);
    let plugins = |live: &Live| {
        let shown = live.program.control("/admin/generations").json();
        shown["current"]["plugins"].clone()
    };
    let before = plugins(&live);
    let attempt = live.applies(&[ON_PROBATION, ECHO, &misbehave(ILL)]);
    assert_eq!(attempt["plugins_loaded"], json!(["misbehave"]));
    assert_ne!(plugins(&live), before);
    let attempt = live.applies(&[ON_PROBATION, ECHO, &misbehave(WELL)]);
    assert_eq!(attempt["plugins_loaded"], json!([]));
    assert_eq!(plugins(&live), before);
}

#[test]
fn files_that_were_taken_back_do_not_come_in_again_by_themselves() {
    let watched = ON_PROBATION.replace("watch = false\n", "");
    let live = Live::start(&[&watched, ECHO, &misbehave(WELL)]);
    let callers = Callers::start(&live.program, 2, "large", &json!({ "bytes": 3_000 }));
    call_before(&callers);
    live.write(&[&watched, ECHO, &misbehave(ILL)]);
    taken_back(&live);
    let generation = live.generation();
    drop(callers);
    // Two looks at the files, at least.
    let begun = Instant::now();
    until("files are looked at", || begun.elapsed().as_secs() >= 5);
    assert_eq!(live.generation(), generation);
    live.write(&[&watched, ECHO, &misbehave(2 * WELL)]);
    live.until("it is mended", |attempt| {
        attempt["trigger"] == "file" && attempt["generation"].as_u64() > Some(generation)
    });
}

/// Makes so many good changes of every kind under load, each with a whole probation; none is taken back.
fn good_changes(count: u32) {
    let probation = ON_PROBATION.replace("watch_ms = 2000", "watch_ms = 1000");
    let tables = |change: u32| {
        let limits = format!("[plugin.echo.limits]\nqueue_calls = {}\n", 16 + change / 3);
        let calls = format!("[layer.concurrency]\ncalls_max = {}\n", 64 + change % 5);
        [probation.clone(), ECHO.to_owned(), deadline(20_000 + change), limits, calls]
    };
    let first = tables(0);
    let live = Live::start(&first.each_ref().map(String::as_str));
    let callers = Callers::start(&live.program, 4, "echo", &json!({ "text": "x" }));
    for change in 1..=count {
        callers.go_on(200);
        live.applies(&tables(change).each_ref().map(String::as_str));
        until("the probation ends", || {
            live.program.control("/admin/generations").json()["probation"].is_null()
        });
    }
    let rolled_back = live.attempts().into_iter().find(|attempt| attempt["result"] != "applied");
    assert_eq!(rolled_back, None);
    assert_eq!(live.generation(), u64::from(count) + 1);
    drop(callers);
}

#[test]
fn good_changes_under_load_all_stay() {
    // The whole promise takes ten minutes.
    good_changes(if is_long() { 500 } else { 8 });
}
