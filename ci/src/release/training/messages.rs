//! Every kind of message that clients send beside their calls of one tool, in both eras.

use load::wire;
use load::{Client, Era, Target, answer};
use serde_json::{Value, json};

use super::Amount;
use crate::Outcome;

/// Methods with their params, and what the modern era repeats of them in a header.
fn requests() -> Vec<(&'static str, Value, Option<&'static str>)> {
    let call = |name: &'static str, arguments: Value| {
        ("tools/call", json!({"name": name, "arguments": arguments}), Some(name))
    };
    let read = |uri: &'static str| ("resources/read", json!({"uri": uri}), Some(uri));
    let prompt = |name: &'static str, arguments: Value| {
        ("prompts/get", json!({"name": name, "arguments": arguments}), Some(name))
    };
    vec![
        ("tools/list", json!({}), None),
        ("resources/list", json!({}), None),
        ("resources/templates/list", json!({}), None),
        ("prompts/list", json!({}), None),
        call("now", json!({})),
        call(
            "convert",
            json!({"time": "2026-07-28T12:00:00", "from": "Europe/Paris", "to": "Asia/Tokyo"}),
        ),
        call("list_folder", json!({"path": ""})),
        call("read_file", json!({"path": "README.md"})),
        call("test_simple_text", json!({})),
        call("test_image_content", json!({})),
        call("test_multiple_content_types", json!({})),
        call("test_error_handling", json!({})),
        call("now", json!({"zone": "Nowhere/Land"})),
        read("test://static-text"),
        read("test://template/7/data"),
        prompt("test_simple_prompt", json!({})),
        prompt("test_prompt_with_arguments", json!({"arg1": "a", "arg2": "b"})),
    ]
}

/// The same tools, slow because they wait: what they say comes as a stream of events.
const STREAMING: [&str; 2] = ["test_tool_with_progress", "test_tool_with_logging"];

/// Sends them all, and in the era of sessions opens and ends one for each round.
pub(super) fn send(target: &Target, amount: Amount) -> Outcome {
    for _ in 0..amount.times {
        let mut client = Client::connect(target)?;
        let session = client.open_session()?;
        for (method, params, _) in requests() {
            exchange(&mut client, &legacy(target, &session, method, &params), method)?;
        }
        exchange(&mut client, &legacy(target, &session, "ping", &json!({})), "ping")?;
        client.exchange(&wire::delete(target, &session))?;
        let mut client = Client::connect(target)?;
        for (method, params, name) in requests() {
            exchange(&mut client, &modern(target, method, params, name), method)?;
        }
        exchange(&mut client, &modern(target, "server/discover", json!({}), None), "discover")?;
    }
    for _ in 0..amount.times.div_ceil(50) {
        let mut client = Client::connect(target)?;
        let session = client.open_session()?;
        for name in STREAMING {
            let params = json!({"name": name, "arguments": {}, "_meta": {"progressToken": name}});
            exchange(&mut client, &legacy(target, &session, "tools/call", &params), name)?;
            exchange(&mut client, &modern(target, "tools/call", params, Some(name)), name)?;
        }
    }
    Ok(())
}

/// Sends a request whose answer must be a result, be it one that says that a tool failed.
fn exchange(client: &mut Client, request: &[u8], what: &str) -> Outcome {
    let got = client.exchange(request)?;
    let said = answer::body(&got.bytes)?;
    let has_result = memchr::memmem::find(&said, b"\"result\"").is_some();
    if got.status == 200 && has_result {
        return Ok(());
    }
    Err(format!("{what} got status {}: {}", got.status, String::from_utf8_lossy(&said)))
}

fn legacy(target: &Target, session: &str, method: &str, params: &Value) -> Vec<u8> {
    let lines = [("Mcp-Session-Id", session), ("MCP-Protocol-Version", "2025-11-25")];
    wire::post_text(target, &lines, &message(method, params))
}

fn modern(target: &Target, method: &str, mut params: Value, name: Option<&str>) -> Vec<u8> {
    let call = wire::call_message(Era::Modern, 1, &wire::Tool::echo(""));
    for (key, value) in call["params"]["_meta"].as_object().into_iter().flatten() {
        params["_meta"][key] = value.clone();
    }
    let mut lines = vec![("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method)];
    lines.extend(name.map(|name| ("Mcp-Name", name)));
    wire::post_text(target, &lines, &message(method, &params))
}

fn message(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}
