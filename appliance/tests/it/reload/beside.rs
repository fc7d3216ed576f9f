//! The log and the key of `requestState` follow a profile, too.

use serde_json::json;

use super::*;
use crate::wire::{ask_with, text as said};

#[test]
fn another_filter_of_the_log_holds_at_once_and_a_bad_one_is_refused() {
    let mut live = Live::start(&[ON_REQUEST, ECHO]);
    let filter = |filter: &str| format!("[log]\nfilter = \"{filter}\"\n");
    let bad = live.reload_with(&[ON_REQUEST, ECHO, &filter("control=loud")]);
    assert_eq!(bad["result"], "refused", "{bad}");
    assert!(bad["problems"][0].as_str().expect("a problem").starts_with("log.filter: "), "{bad}");
    live.applies(&[ON_REQUEST, ECHO, &filter("warn")]);
    live.applies(&[ON_REQUEST, ECHO, &filter("info")]);
    // What became of an attempt is written by the filter that it has brought.
    let line = live.program.wait_for(|_, line| line["message"] == "Profile read again.");
    assert_eq!(line["attempt"], json!(3), "{line}");
}

const TOOL: &str = "test_input_required_result_request_state";

/// A round of a call, with what is carried into it.
fn round(live: &Live, more: &[(&str, Value)]) -> Value {
    let mut params = json!({ "name": TOOL, "arguments": {} });
    for (key, value) in more {
        params[key] = value.clone();
    }
    ask_with(&live.program, "tools/call", params, &json!({ "elicitation": {} })).json()
}

fn first(live: &Live) -> Value {
    round(live, &[])["result"]["requestState"].clone()
}

fn is_taken(live: &Live, state: &Value) -> bool {
    let answers = json!({ "confirm": { "action": "accept", "content": { "ok": true } } });
    let answer = round(live, &[("inputResponses", answers), ("requestState", state.clone())]);
    said(&answer) == "state-ok, confirmed: true"
}

#[test]
fn what_clients_carry_outlives_the_key_that_sealed_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    let tables = [ON_REQUEST, CONFORMANCE];
    fs::write(folder.path().join("live.toml"), text(&tables)).expect("written");
    let live = Live::start_in(folder);
    let of_process = first(&live);
    fs::write(&secret, "1".repeat(32)).expect("written");
    let key = "[request_state]\nkey = { file = \"secret\" }\n";
    live.applies(&[ON_REQUEST, CONFORMANCE, key]);
    let of_first = first(&live);
    assert!(is_taken(&live, &of_process) && is_taken(&live, &of_first));
    assert_eq!(live.reload()["result"], "unchanged");
    // The same profile, and another secret.
    fs::write(&secret, "2".repeat(32)).expect("written");
    let attempt = live.reload();
    let is_so = (&attempt["result"], &attempt["changed"]);
    assert_eq!(is_so, (&json!("applied"), &json!(["request_state.key"])), "{attempt}");
    for state in [&of_process, &of_first, &first(&live)] {
        assert!(is_taken(&live, state));
    }
    // A secret that is none leaves the one that there is.
    fs::write(&secret, "short").expect("written");
    let refused = live.reload();
    assert_eq!(refused["result"], "refused", "{refused}");
    assert!(is_taken(&live, &of_first) && is_taken(&live, &first(&live)));
    fs::write(&secret, "2".repeat(32)).expect("written");
    assert_eq!(live.reload()["result"], "unchanged");
}

#[test]
fn a_shorter_life_of_states_holds_for_those_that_are_sealed_from_then_on() {
    let life = |ms: u32| format!("[request_state]\nttl_ms = {ms}\n");
    let live = Live::start(&[ON_REQUEST, CONFORMANCE, &life(600_000)]);
    let long = first(&live);
    live.applies(&[ON_REQUEST, CONFORMANCE, &life(1_000)]);
    let short = first(&live);
    crate::wire::until("the state is too old", || !is_taken(&live, &short));
    assert!(is_taken(&live, &long));
}
