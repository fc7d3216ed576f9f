//! Both eras over standard input and output.

use std::io::{Read, Seek, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use rustix::fs::{OFlags, fcntl_getfl};
use serde_json::json;

use crate::program::{Piped, modern_call, modern_params};

fn initialize(revision: &str) -> serde_json::Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": revision, "capabilities": {"elicitation": {}}, "clientInfo": {"name": "t", "version": "1"}}})
}

#[test]
fn serves_both_eras_in_one_conversation() {
    let mut piped = Piped::start();
    let discover = json!({"jsonrpc": "2.0", "id": "d", "method": "server/discover", "params": modern_params(json!({}), &json!({}))});
    assert_eq!(piped.ask(&discover)["result"]["resultType"], "complete");
    let answer = piped.ask(&initialize("2025-11-25"));
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
    piped.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {"text": "l"}}});
    assert_eq!(piped.ask(&call)["result"]["content"][0]["text"], "l");
    assert_eq!(
        piped.ask(&modern_call("echo", &json!({"text": "m"})))["result"]["resultType"],
        "complete"
    );
    assert_eq!(piped.close(), (String::new(), Some(0)));
}

#[test]
fn asks_a_legacy_client_on_its_output() {
    let mut piped = Piped::start();
    piped.ask(&initialize("2025-06-18"));
    let call = json!({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "test_elicitation", "arguments": {"message": "who?"}}});
    let question = piped.ask(&call);
    assert_eq!(
        (&question["method"], &question["params"]["message"]),
        (&json!("elicitation/create"), &json!("who?"))
    );
    let content = json!({"username": "u", "email": "e"});
    let answer = piped.ask(&json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": content}}));
    assert_eq!(answer["id"], 5);
    assert!(
        answer["result"]["content"][0]["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("User response: action=accept"))
    );
}

#[test]
fn malformed_and_long_lines_are_answered_and_passed_over() {
    let mut piped = Piped::start();
    piped.send("{oops");
    assert_eq!(piped.receive()["error"]["code"], -32700);
    piped.send(&"x".repeat(100_000));
    assert_eq!(piped.receive()["error"]["code"], -32600);
    assert_eq!(
        piped.ask(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}))["error"]["code"],
        -32600
    );
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": modern_params(json!({}), &json!({}))});
    assert!(piped.ask(&list)["result"]["tools"].is_array());
}

#[test]
fn a_cancelled_call_says_nothing_more() {
    let mut piped = Piped::start();
    let mut slow = modern_call("test_tool_with_progress", &json!({}));
    slow["params"]["_meta"]["progressToken"] = json!("p");
    assert_eq!(piped.ask(&slow)["method"], "notifications/progress");
    piped.send(
        &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}})
            .to_string(),
    );
    let (rest, code) = piped.close();
    assert!(!rest.contains("\"result\""), "{rest}");
    assert_eq!(code, Some(0));
}

#[test]
fn pipelined_calls_are_all_answered_before_the_end() {
    let mut piped = Piped::start();
    // Few enough for the answers to fit in a pipe that nobody reads yet.
    let count = 200;
    for id in 0..count {
        let mut call = modern_call("echo", &json!({"text": "x"}));
        call["id"] = json!(id);
        piped.send(&call.to_string());
    }
    let (rest, _) = piped.close();
    assert_eq!(rest.lines().count(), count);
}

#[test]
fn tells_of_a_change_right_after_its_subscription_was_confirmed() {
    let root = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(root.path().join(name), text).expect("written");
    };
    write("first.txt", "old");
    write("second.txt", "old");
    let plugin = "[plugin.filesystem]\nlibrary = \"libfilesystem.so\"\nconfig = { root = ";
    let mut piped = Piped::start_with(&format!("{plugin}{:?} }}\n", root.path()));
    piped.ask(&initialize("2025-11-25"));
    piped.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    let subscribe = |id: u32, name: &str| {
        json!({"jsonrpc": "2.0", "id": id, "method": "resources/subscribe",
            "params": {"uri": format!("file:///{name}")}})
    };
    assert_eq!(piped.ask(&subscribe(1, "first.txt"))["result"], json!({}));
    write("first.txt", "new");
    piped.send(&subscribe(2, "second.txt").to_string());
    // Changes are told in order: if the first was missed, one of these is told instead.
    let first = loop {
        let message = piped.receive();
        if message["method"] == "notifications/resources/updated" {
            break message;
        }
        write("second.txt", "new");
        piped.send(&json!({"jsonrpc": "2.0", "id": 3, "method": "ping"}).to_string());
    };
    assert_eq!(first["params"]["uri"], "file:///first.txt");
}

#[test]
fn ends_subscriptions_with_their_result_when_the_server_ends() {
    let mut piped = Piped::start();
    let filter = modern_params(json!({"notifications": {"toolsListChanged": true}}), &json!({}));
    let listen =
        json!({"jsonrpc": "2.0", "id": "l", "method": "subscriptions/listen", "params": filter});
    let acknowledged = piped.ask(&listen);
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    piped.signal("TERM");
    let ended = piped.receive();
    assert_eq!((&ended["id"], &ended["result"]["resultType"]), (&json!("l"), &json!("complete")));
    assert_eq!(piped.close(), (String::new(), Some(0)));
}

#[test]
fn running_calls_are_answered_when_the_server_ends() {
    let mut piped = Piped::start();
    let mut slow = modern_call("test_tool_with_progress", &json!({}));
    slow["params"]["_meta"]["progressToken"] = json!("p");
    assert_eq!(piped.ask(&slow)["method"], "notifications/progress");
    piped.signal("TERM");
    let (rest, code) = piped.wait();
    assert!(rest.lines().any(|line| line.contains("\"resultType\":\"complete\"")), "{rest}");
    assert_eq!(code, Some(0));
}

/// Requests of so many bytes each, with ids from 0.
fn echoes(count: usize, bytes: usize) -> String {
    let call = |id: usize| {
        let mut call = modern_call("echo", &json!({"text": "x".repeat(bytes)}));
        call["id"] = json!(id);
        format!("{call}\n")
    };
    (0..count).map(call).collect()
}

fn is_blocking(end: impl AsFd) -> bool {
    !fcntl_getfl(end).expect("its flags").contains(OFlags::NONBLOCK)
}

#[test]
fn serves_a_socket_and_leaves_it_as_it_was() {
    let (mut client, servers) = UnixStream::pair().expect("a pair");
    let kept = servers.try_clone().expect("the same end");
    let (mut command, _profile) = Piped::command("", &[]);
    let output = OwnedFd::from(servers.try_clone().expect("the same end"));
    command.stdin(OwnedFd::from(servers)).stdout(output);
    let mut child = command.spawn().expect("it starts");
    drop(command);
    client.write_all(echoes(3, 10).as_bytes()).expect("it reads");
    client.shutdown(Shutdown::Write).expect("shut");
    let status = child.wait().expect("it ends");
    assert!(is_blocking(&kept));
    drop(kept);
    let mut said = String::new();
    client.read_to_string(&mut said).expect("it writes");
    assert_eq!((said.lines().count(), status.code()), (3, Some(0)), "{said}");
}

#[test]
fn a_pipe_blocks_again_for_whoever_has_it_next() {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let kept = reader.try_clone().expect("the same end");
    let (mut command, _profile) = Piped::command("", &[]);
    let mut child = command.stdin(reader).stdout(Stdio::piped()).spawn().expect("it starts");
    drop(command);
    writer.write_all(echoes(1, 10).as_bytes()).expect("it reads");
    drop(writer);
    let mut said = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut said).expect("it writes");
    assert!(child.wait().expect("it ends").success());
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(is_blocking(&kept));
}

#[test]
fn serves_files() {
    let mut requests = tempfile::tempfile().expect("a file");
    requests.write_all(echoes(5, 10).as_bytes()).expect("written");
    requests.rewind().expect("at its begin");
    let mut answers = tempfile::tempfile().expect("a file");
    let (mut command, _profile) = Piped::command("", &[]);
    command.stdin(requests).stdout(answers.try_clone().expect("the same"));
    assert!(command.status().expect("it runs").success());
    let mut said = String::new();
    answers.rewind().expect("at its begin");
    answers.read_to_string(&mut said).expect("text");
    assert_eq!(said.lines().count(), 5, "{said}");
}

#[test]
fn answers_wait_for_a_client_that_does_not_read() {
    let mut piped = Piped::start();
    // More than both pipes hold, so that its answers find no room before they are read.
    let requests = echoes(64, 16 * 1024);
    let mut input = piped.take_input();
    let writer = std::thread::spawn(move || input.write_all(requests.as_bytes()));
    for id in 0..64 {
        let answer = piped.receive();
        assert_eq!(answer["id"], id, "{answer}");
    }
    writer.join().expect("it ends").expect("it reads");
}
