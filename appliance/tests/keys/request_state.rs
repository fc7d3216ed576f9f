//! `request_state`: what a client carries between two rounds.

use std::io::Write;

use serde_json::{Value, json};

use crate::program::{Answer, Program, profile, toolrack};
use crate::wire::{ask_with, serve, text, until};

const TOOL: &str = "test_input_required_result_request_state";

fn send(program: &Program, more: &[(&str, Value)]) -> Answer {
    let mut params = json!({ "name": TOOL, "arguments": {} });
    for (key, value) in more {
        params[key] = value.clone();
    }
    ask_with(program, "tools/call", params, &json!({ "elicitation": {} }))
}

/// The state that comes with the first round.
fn first(program: &Program) -> Value {
    let first = send(program, &[]).json();
    assert_eq!(first["result"]["resultType"], "input_required", "{first}");
    first["result"]["requestState"].clone()
}

/// The second round, with this state.
fn second(program: &Program, state: &Value) -> Answer {
    let answers = json!({ "confirm": { "action": "accept", "content": { "ok": true } } });
    send(program, &[("inputResponses", answers), ("requestState", state.clone())])
}

fn is_taken(program: &Program, state: &Value) -> bool {
    let answer = second(program, state).json();
    assert!(text(&answer) == "state-ok, confirmed: true" || answer["error"]["code"] == -32602);
    answer.get("error").is_none()
}

/// Of three replicas, the first two have the same key.
fn replicas_understand_one_another(replicas: &[Program; 3]) {
    let [one, same, other] = replicas;
    let state = first(one);
    assert!(is_taken(one, &state));
    assert!(is_taken(same, &state), "the key is the same");
    assert!(!is_taken(other, &state), "the key is another");
}

pub(crate) fn the_key_may_be_an_environment_variable() {
    let start = |secret: &str| {
        let mut command = toolrack();
        command.env("STATE_KEY", secret);
        Program::start_by(command, &profile(""), &["--set", "request_state.key.env=STATE_KEY"])
    };
    let [one, other] = ["1".repeat(32), "2".repeat(32)];
    replicas_understand_one_another(&[start(&one), start(&one), start(&other)]);
}

pub(crate) fn the_key_may_be_a_file() {
    let start = |secret: &str| {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(secret.as_bytes()).expect("written");
        serve(&[&format!("request_state.key.file={}", file.path().display())])
    };
    let [one, other] = ["1".repeat(32), "2".repeat(32)];
    replicas_understand_one_another(&[start(&one), start(&one), start(&other)]);
}

pub(crate) fn a_state_is_good_for_so_long() {
    let start = |ms: u32| serve(&[&format!("request_state.ttl_ms={ms}")]);
    let (hasty, patient) = (start(1_000), start(86_400_000));
    let (kept, old) = (first(&patient), first(&hasty));
    until("the state is taken", || !is_taken(&hasty, &old));
    assert!(is_taken(&patient, &kept));
}
