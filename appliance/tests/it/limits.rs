//! Who is counted, and for what: both eras, both transports, calls that run on their own.

use serde_json::{Value, json};

use crate::program::{Answer, Piped, Program, modern_call, modern_headers, modern_params, profile};

const LIMIT: &str = "[layer.rate_limit]\ncalls_per_sec = 1\nburst_calls = 2\n";

/// Asks until it is refused: the bucket is empty then, for a while. It must not take more tries than calls are allowed.
fn until_refused(mut ask: impl FnMut() -> Value) -> Value {
    let mut answers = (0..20).map(|_| ask());
    answers.find(|answer| answer["error"]["data"]["refusal"] == "rate_limited").expect("a refusal")
}

fn limited() -> Program {
    Program::start(&profile(LIMIT), &[])
}

fn echo(program: &Program) -> Answer {
    program.call("echo", &json!({ "text": "x" }))
}

fn legacy(program: &Program, session: &str, method: &str, params: &Value) -> Answer {
    program.post(session, &json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }))
}

#[test]
fn a_refusal_says_all_that_a_client_needs() {
    let program = limited();
    let mut last = echo(&program);
    let refusal = until_refused(|| {
        last = echo(&program);
        last.json()
    });
    assert_eq!((last.status, &refusal["error"]["code"]), (429, &json!(-32010)));
    let data = &refusal["error"]["data"];
    assert_eq!((&data["layer"], &data["scope"]), (&json!("rate_limit"), &json!("client")));
    assert_eq!((&data["limit"], &data["generation"]), (&json!(1), &json!(1)));
    let wait_ms = data["retry_after_ms"].as_u64().expect("a wait");
    let secs = wait_ms.div_ceil(1_000).max(1).to_string();
    assert_eq!(last.header("retry-after"), Some(secs.as_str()));
    assert_eq!(last.header("ratelimit-policy"), Some("\"client\";q=2;w=2"));
    assert_eq!(last.header("ratelimit"), Some(format!("\"client\";r=0;t={secs}").as_str()));
}

#[test]
fn eras_and_sessions_of_one_client_are_counted_together() {
    let program = limited();
    let sessions = [(); 2].map(|()| program.session("2025-11-25", json!({})));
    let call = json!({ "name": "echo", "arguments": { "text": "x" } });
    // Calls that run on a task of their own, and those that are answered at once.
    for tool in ["test_simple_text", "echo"] {
        let mut turn = 0;
        until_refused(|| {
            turn += 1;
            let call = json!({ "name": tool, "arguments": { "text": "x" } });
            match turn % 3 {
                0 => echo(&program).json(),
                number => legacy(&program, &sessions[number - 1], "tools/call", &call).json(),
            }
        });
    }
    until_refused(|| legacy(&program, &sessions[0], "tools/call", &call).json());
    until_refused(|| legacy(&program, &sessions[1], "resources/list", &json!({})).json());
}

#[test]
fn every_call_of_a_batch_is_counted() {
    let program = limited();
    let session = program.session("2025-03-26", json!({}));
    let call = |id: u32| {
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": { "name": "echo", "arguments": { "text": "x" } } })
    };
    let batch: Value = (0..20).map(call).collect();
    let answers = program.post(&session, &batch).json();
    let answers = answers.as_array().expect("a batch").iter();
    let refused = answers.filter(|answer| answer["error"]["code"] == -32010).count();
    assert!((15..=18).contains(&refused), "{refused}");
}

#[test]
fn a_task_is_counted_when_it_is_made_and_not_when_it_is_asked_for() {
    let program = limited();
    let ask = |method: &str, name: &str, params: Value| {
        let knows_tasks = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
        let params = modern_params(params, &knows_tasks);
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        program.post(&modern_headers(method, Some(name)), &message).json()
    };
    let make = || {
        let params = json!({ "name": "slow_compute", "arguments": { "seconds": 60 } });
        ask("tools/call", "slow_compute", params)
    };
    let made = make();
    let id = made["result"]["taskId"].as_str().expect("an id");
    until_refused(make);
    for _ in 0..10 {
        let task = ask("tasks/get", id, json!({ "taskId": id }));
        assert_eq!(task["result"]["status"], "working", "{task}");
    }
}

#[test]
fn what_frees_or_only_asks_for_life_is_never_refused() {
    let program = limited();
    let session = program.session("2025-11-25", json!({}));
    until_refused(|| echo(&program).json());
    for _ in 0..10 {
        assert_eq!(legacy(&program, &session, "ping", &json!({})).json()["result"], json!({}));
        let cancelled = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
            "params": { "requestId": 1 } });
        assert_eq!(program.post(&session, &cancelled).status, 202);
    }
    let head = format!("DELETE /mcp HTTP/1.1\r\nHost: {}\r\n{session}", program.address);
    assert_eq!(program.request(&head, "").status, 204);
}

#[test]
fn standard_input_is_one_client_and_hears_the_same() {
    let mut piped = Piped::start_with(LIMIT);
    let refusal = until_refused(|| piped.ask(&modern_call("echo", &json!({ "text": "x" }))));
    assert_eq!(refusal["error"]["code"], -32010);
    let data = &refusal["error"]["data"];
    assert_eq!((&data["scope"], &data["limit"]), (&json!("client"), &json!(1)));
    assert!(data["retry_after_ms"].as_u64().is_some_and(|wait_ms| wait_ms <= 1_200), "{data}");
    let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list",
        "params": modern_params(json!({}), &json!({})) });
    until_refused(|| piped.ask(&list));
}
