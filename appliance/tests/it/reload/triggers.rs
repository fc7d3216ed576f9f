use std::thread;

use serde_json::json;

use super::*;
use crate::program::toolrack;

#[test]
fn a_signal_has_the_profile_read_again() {
    let live = Live::start(&[ON_REQUEST, ECHO, &deadline(5_001)]);
    live.write(&[ON_REQUEST, ECHO, &deadline(5_002)]);
    live.program.signal("HUP");
    let attempt = live.until("a signal", |attempt| attempt["trigger"] == "signal");
    assert_eq!((&attempt["result"], &attempt["generation"]), (&json!("applied"), &json!(2)));
    assert_eq!(attempt["changed"], json!(["layer.timeout.deadline_ms"]));
    assert_eq!(
        (live.generation(), live.serves("layer.timeout.deadline_ms")),
        (2, "5002".to_owned())
    );
}

#[test]
fn one_content_is_applied_once_however_many_ask_for_it() {
    let live = Live::start(&[ON_REQUEST, ECHO, &deadline(5_001)]);
    live.write(&[ON_REQUEST, ECHO, &deadline(5_002)]);
    live.program.signal("HUP");
    let results: Vec<_> = thread::scope(|scope| {
        let askers: Vec<_> = (0..8).map(|_| scope.spawn(|| live.reload())).collect();
        askers.into_iter().map(|asker| asker.join().expect("an answer")).collect()
    });
    for attempt in &results {
        assert!(attempt["result"] == "applied" || attempt["result"] == "unchanged", "{attempt}");
    }
    assert_eq!(live.generation(), 2);
    let attempts = live.attempts();
    let applied = attempts.iter().filter(|attempt| attempt["result"] == "applied");
    assert_eq!(applied.count(), 1, "{attempts:#?}");
    let numbers: Vec<_> = attempts.iter().map(|attempt| attempt["attempt"].as_u64()).collect();
    assert_eq!(numbers, (1..=attempts.len() as u64).map(Some).collect::<Vec<_>>());
}

#[test]
fn whoever_does_not_wait_is_told_that_it_will_be_read() {
    let live = Live::start(&[ON_REQUEST, ECHO]);
    let asked = live.ask("");
    assert_eq!((asked.status, asked.json()), (202, json!({ "asked": true })));
    let attempt = live.until("it was asked for", |attempt| attempt["trigger"] == "admin");
    assert_eq!((&attempt["result"], &attempt["generation"]), (&json!("unchanged"), &json!(1)));
}

#[test]
fn the_command_says_what_became_of_it_and_ends_accordingly() {
    let live = Live::start(&[ON_REQUEST, ECHO, &deadline(5_001)]);
    let control = format!("http://{}", live.program.control);
    let command = || {
        let output = toolrack().args(["reload", "--wait", "--control", &control]).output();
        let output = output.expect("it runs");
        (output.status.code(), String::from_utf8(output.stdout).expect("text"))
    };
    live.write(&[ON_REQUEST, ECHO, &deadline(5_002)]);
    let (code, said) = command();
    let expected =
        "Attempt 1: applied. Generation 2 serves.\n  changed: layer.timeout.deadline_ms\n";
    assert_eq!((code, &*said), (Some(0), expected));
    live.write(&[ON_REQUEST, ECHO, &deadline(0)]);
    let (code, said) = command();
    assert!(code == Some(78) && said.contains("problem: "), "{code:?} {said}");
    let nobody = toolrack().args(["reload", "--control", "unix:/nonexistent/control"]).output();
    assert_eq!(nobody.expect("it runs").status.code(), Some(75));
}

#[test]
fn attempts_are_counted_and_the_last_good_one_is_dated() {
    let live = Live::start(&[ON_REQUEST, ECHO, &deadline(5_001)]);
    assert!(!live.program.control("/metrics").body.contains("toolrack_reload_is_good "));
    live.applies(&[ON_REQUEST, ECHO, &deadline(5_002)]);
    live.reload_with(&["[nonsense]\n"]);
    crate::wire::until("metrics are rendered anew", || {
        let metrics = live.program.control("/metrics").body;
        [
            "toolrack_reloads_total{result=\"applied\"} 1",
            "toolrack_reloads_total{result=\"refused\"} 1",
            "toolrack_reload_is_good 0",
            "toolrack_generation 2",
        ]
        .iter()
        .all(|line| metrics.lines().any(|found| found == *line))
            && metrics.contains("\ntoolrack_reload_good_timestamp_seconds 1")
    });
}
