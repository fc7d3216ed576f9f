//! What goes along.

use serde_json::json;

use super::*;
use crate::wire::{Connection, echo, metric, posted, request, text};

#[test]
fn sockets_sessions_and_limits_go_along_and_the_one_before_ends() {
    let limits = "[layer.rate_limit]\ncalls_per_sec = 1\nburst_calls = 40\nsessions_per_min = 0\n";
    let mut upgraded = Upgraded::start(limits);
    let session = upgraded.program.session("2025-11-25", json!({}));
    for call in 0..25 {
        assert_eq!(echo(&upgraded.program, "before").status, 200, "{call}");
    }
    let before = upgraded.program.id();
    let process = upgraded.upgrade();
    assert_ne!(process, before);
    upgraded.initial_ends();
    let program = &upgraded.program;
    assert_eq!(program.control("/readyz").status, 200);
    let call = request("tools/call", &json!({ "name": "echo", "arguments": { "text": "after" } }));
    let answer = program.post(&session, &call);
    assert_eq!((answer.status, text(&answer.json())), (200, "after"));
    let admitted = (0..60).take_while(|_| echo(program, "after").status == 200).count();
    // A call a second comes back, and the upgrade takes seconds on a machine that is busy.
    assert!(admitted < 38, "{admitted} of 40 although 25 were used");
    assert_eq!(metric(program, "toolrack_upgrades_failed_total"), Some(0.0));
}

#[test]
fn a_state_sealed_before_is_opened_after() {
    let mut upgraded = Upgraded::start("");
    let capabilities = json!({ "elicitation": {} });
    let arguments = json!({ "name": "test_input_required_result_request_state", "arguments": {} });
    let asked =
        crate::wire::ask_with(&upgraded.program, "tools/call", arguments.clone(), &capabilities);
    let asked = asked.json();
    let state = asked["result"]["requestState"].as_str().unwrap_or_else(|| panic!("{asked}"));
    upgraded.upgrade();
    upgraded.initial_ends();
    let mut again = arguments;
    again["requestState"] = json!(state);
    again["inputResponses"] =
        json!({ "confirm": { "action": "accept", "content": { "ok": true } } });
    let answer =
        crate::wire::ask_with(&upgraded.program, "tools/call", again, &capabilities).json();
    assert_eq!(text(&answer), "state-ok, confirmed: true");
}

#[test]
fn a_stream_ends_with_the_one_before_and_is_taken_up_with_the_one_after() {
    let mut upgraded = Upgraded::start("");
    let session = upgraded.program.session("2025-11-25", json!({}));
    let address = upgraded.program.address.clone();
    let get = |last: &str| {
        format!(
            "GET /mcp HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n{session}{last}\r\n"
        )
    };
    let mut stream = Connection::with(&upgraded.program, &get(""));
    let opened = stream.until("\nid: ");
    let mut idle = Connection::open(&upgraded.program);
    upgraded.upgrade();
    // On its way when the sockets changed hands: it is answered by whoever has the connection.
    let call = request("ping", &json!({}));
    loop {
        idle.send(&posted(&upgraded.program, &session, &call));
        let answer = idle.until("\"result\"");
        if answer.to_lowercase().contains("connection: close") {
            break;
        }
    }
    let rest = opened + &stream.rest();
    upgraded.initial_ends();
    let id = rest.lines().find_map(|line| line.strip_prefix("id: ")).expect("an event").to_owned();
    let mut stream = Connection::with(&upgraded.program, &get(&format!("Last-Event-ID: {id}\r\n")));
    let resumed = stream.until("\nid: ");
    assert!(resumed.starts_with("HTTP/1.1 200"), "{resumed}");
    let strange = "Last-Event-ID: 77_1\r\nConnection: close\r\n";
    let refused = Connection::with(&upgraded.program, &get(strange)).rest();
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
}

#[test]
fn an_open_circuit_is_open_after() {
    let layers = "[layer.circuit_breaker]\ncalls_min = 5\nopen_ms = 60000\nfailure_percent = 100\n[layer.bulkhead]\n\
                  [plugin.misbehave]\nlibrary = \"libmisbehave.so\"\n[plugin.misbehave.config]\n\
                  fails_above_bytes = 1000\n";
    let mut upgraded = Upgraded::start(layers);
    let fails = |program: &Program| {
        let answer = program.call("large", &json!({ "bytes": 3_000 }));
        answer.json()["error"]["data"]["refusal"].clone()
    };
    for _ in 0..5 {
        assert_ne!(fails(&upgraded.program), "circuit_open");
    }
    assert_eq!(fails(&upgraded.program), "circuit_open");
    upgraded.upgrade();
    upgraded.initial_ends();
    assert_eq!(fails(&upgraded.program), "circuit_open");
}

#[test]
fn the_command_says_which_process_serves_and_a_unix_socket_keeps_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("control");
    let profile = profile(QUICK);
    let bind = format!("control.bind=unix:{}", socket.display());
    let mut program = Program::start(&profile, &["--set", &bind]);
    let control = format!("unix:{}", socket.display());
    let upgrade = || {
        let output = toolrack().args(["upgrade", "--control", &control]).output().expect("it runs");
        let said = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{said} {:?}", output.stderr);
        let process = said.split_whitespace().nth(2).and_then(|process| process.parse().ok());
        process.expect("a number")
    };
    let first: u32 = upgrade();
    assert_eq!(program.wait(), Some(0));
    let second = upgrade();
    until_gone(first);
    assert!(socket.exists(), "it belongs to the one that serves");
    kill("TERM", second);
    until_gone(second);
    assert!(!socket.exists(), "the last one takes it away");
}
