//! Many clients behind one proxy, both eras and standard input: who waits, who is refused, who is served at once.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use serde_json::{Value, json};

use crate::program::{
    Answer, PATIENCE, Piped, Program, modern_call, modern_headers, modern_params, profile,
};

const GREEDY: &str = "X-Forwarded-For: 192.0.2.1\r\n";
const MODEST: &str = "X-Forwarded-For: 192.0.2.2\r\n";

/// Serves behind a proxy of this machine, with waits that outlast the test.
fn start(settings: &[&str]) -> Program {
    let waits = [
        "listen.public.http.trusted_proxies=[\"127.0.0.1\"]",
        "layer.fairness.wait_ms=600000",
        "layer.fairness.standing_wait_ms=600000",
    ];
    let settings: Vec<_> =
        waits.iter().chain(settings).flat_map(|setting| ["--set", setting]).collect();
    Program::start(&profile("[layer.fairness]\n"), &settings)
}

/// Sends a call of a client, whose answer is read later or never.
fn sent(program: &Program, client: &str, message: &Value) -> TcpStream {
    let body = message.to_string();
    let name = message["params"]["name"].as_str();
    let mut stream = TcpStream::connect(&program.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{client}{}\r\n",
        program.address,
        body.len(),
        modern_headers("tools/call", name)
    );
    stream.write_all(format!("{head}{body}").as_bytes()).expect("written");
    stream
}

/// A call of a client that works until it is cancelled; it has begun.
fn held(program: &Program, client: &str) -> TcpStream {
    let mut call = modern_call("test_cancellation", &json!({ "mark": "it" }));
    call["params"]["_meta"]["progressToken"] = json!("p");
    let mut stream = sent(program, client, &call);
    until("it has begun", &mut stream, "Waiting to be cancelled.");
    stream
}

fn echo_call() -> Value {
    modern_call("echo", &json!({ "text": "x" }))
}

/// Reads until `part` was read.
fn until(what: &str, stream: &mut TcpStream, part: &str) {
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    while !String::from_utf8_lossy(&read).contains(part) {
        let count = stream.read(&mut chunk).expect("in time");
        assert!(count > 0, "{what}: {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&chunk[..count]);
    }
}

fn until_waiting(program: &Program, count: usize) {
    until_metric(program, &format!("toolrack_bound_used{{bound=\"fairness_queue\"}} {count}"));
}

fn until_metric(program: &Program, line: &str) {
    let begun = Instant::now();
    while !program.control("/metrics").body.lines().any(|found| found == line) {
        assert!(begun.elapsed() < PATIENCE, "{line}");
    }
}

fn echo(program: &Program, client: &str) -> Answer {
    let headers = format!("{client}{}", modern_headers("tools/call", Some("echo")));
    program.post(&headers, &echo_call())
}

fn legacy(program: &Program, headers: &str) -> Answer {
    let params = json!({ "name": "echo", "arguments": { "text": "x" } });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    program.post(headers, &message)
}

/// Whether a refusal is that of a client with as much as it may have.
fn is_busy(answer: &Value, limit: u64) -> bool {
    let (code, data) = (&answer["error"]["code"], &answer["error"]["data"]);
    *code == -32011
        && data["refusal"] == "client_busy"
        && data["layer"] == "fairness"
        && data["scope"] == "client"
        && data["limit"] == limit
        && data["retry_after_ms"].as_u64().is_some_and(|wait| (1_000..=36_000).contains(&wait))
}

#[test]
fn a_greedy_client_waits_for_itself_and_nobody_else_does() {
    let program =
        start(&["layer.fairness.client_calls_max=2", "layer.fairness.client_queue_calls_max=3"]);
    let _held = [held(&program, GREEDY), held(&program, GREEDY)];
    let _waiting: Vec<_> = (0..3).map(|_| sent(&program, GREEDY, &echo_call())).collect();
    until_waiting(&program, 3);
    let session = program.session("2025-11-25", json!({}));
    for answer in [echo(&program, GREEDY), legacy(&program, &format!("{GREEDY}{session}"))] {
        assert!(is_busy(&answer.json(), 3), "{answer:?}");
        assert_eq!(answer.status, 429);
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
    for _ in 0..10 {
        assert_eq!(echo(&program, MODEST).status, 200);
        assert_eq!(legacy(&program, &format!("{MODEST}{session}")).status, 200);
    }
    until_waiting(&program, 3);
}

#[test]
fn permits_go_round_and_a_call_that_is_given_up_leaves_its_queue() {
    let program = start(&["layer.concurrency.calls_max=1"]);
    let first = held(&program, GREEDY);
    let mut greedy: Vec<_> = (0..8).map(|_| sent(&program, GREEDY, &echo_call())).collect();
    until_waiting(&program, 8);
    let mut modest = sent(&program, MODEST, &echo_call());
    until_waiting(&program, 9);
    drop(greedy.pop());
    until_waiting(&program, 8);
    drop(first);
    until("its turn", &mut modest, "HTTP/1.1 200");
    for waiting in &mut greedy {
        until("their turns", waiting, "HTTP/1.1 200");
    }
    // The one that was given up has waited as well.
    until_metric(&program, "toolrack_queue_wait_seconds_count{class=\"work\"} 9");
}

#[test]
fn a_call_of_the_earlier_era_waits_as_well() {
    let program = start(&["layer.concurrency.calls_max=1"]);
    let session = program.session("2025-11-25", json!({}));
    let first = held(&program, GREEDY);
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| legacy(&program, &format!("{MODEST}{session}")));
        until_waiting(&program, 1);
        drop(first);
        assert_eq!(answer.join().expect("no panic").status, 200);
    });
}

#[test]
fn standard_input_is_one_client_with_one_share() {
    let layers =
        "[layer.concurrency]\n[layer.fairness]\nclient_calls_max = 1\nclient_queue_calls_max = 0\n";
    let mut piped = Piped::start_with(layers);
    let mut call = modern_call("test_cancellation", &json!({ "mark": "it" }));
    call["id"] = json!(1);
    call["params"]["_meta"]["progressToken"] = json!("p");
    let begun = piped.ask(&call);
    assert_eq!(begun["method"], "notifications/progress", "{begun}");
    let refused = piped.ask(&echo_call());
    assert_eq!(refused["id"], 7);
    assert!(is_busy(&refused, 0), "{refused}");
    let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list",
        "params": modern_params(json!({}), &json!({})) });
    assert!(is_busy(&piped.ask(&list), 0), "reads and works are one share");
}
