//! Both eras over standard input and output.

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
