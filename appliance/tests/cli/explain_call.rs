//! What is said of a request without an appliance that runs.

use std::io::Write;

use serde_json::{Value, json};

use super::*;

/// A file with a request.
fn request(text: &str) -> tempfile::TempPath {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file.into_temp_path()
}

fn modern_call() -> String {
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {} });
    let params = json!({ "name": "echo", "arguments": { "text": "x" }, "_meta": meta });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string()
}

/// What is said of a request as JSON.
fn explained(text: &str, more: &[&str]) -> Value {
    let file = request(text);
    let path = file.to_str().expect("UTF-8");
    let ended = run(&[&["explain", "--json", "--call", path], more].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).expect("JSON")
}

/// The decision of a layer at a stage.
fn decision<'e>(explained: &'e Value, layer: &str, stage: &str) -> &'e str {
    row(explained, layer, stage)["decision"].as_str().expect("text")
}

fn row<'e>(explained: &'e Value, layer: &str, stage: &str) -> &'e Value {
    let mut rows = explained["layers"].as_array().expect("rows").iter();
    rows.find(|row| row["layer"] == layer && row["stage"] == stage).expect("a row")
}

/// What is said of one key of a layer.
fn key<'e>(row: &'e Value, key: &str) -> &'e Value {
    let mut bounds = row["bounds"].as_array().expect("bounds").iter();
    let found = bounds.find_map(|bound| {
        bound["keys"].as_array().expect("keys").iter().find(|found| found["key"] == key)
    });
    found.unwrap_or_else(|| panic!("no {key} in {row}"))
}

#[test]
fn a_message_alone_passes_or_depends_layer_by_layer() {
    let said = explained(&modern_call(), &[]);
    let layers = said["layers"].as_array().expect("rows").iter();
    let order: Vec<_> = layers
        .map(|row| (row["layer"].as_str().expect("text"), row["stage"].as_str().expect("text")))
        .collect();
    assert_eq!(order, stack::ORDER);
    for layer in ["http", "origin", "payload"] {
        assert_eq!(decision(&said, layer, "edge"), "passes", "{layer}");
    }
    assert_eq!(decision(&said, "pre_auth_limit", "edge"), "not met", "it is off");
    let concurrency = row(&said, "concurrency", "call");
    assert_eq!(concurrency["decision"], "depends");
    assert_eq!(concurrency["bounds"][0]["depends_on"], "how many calls are under way");
    assert_eq!(concurrency["bounds"][0]["http_status"], 429);
    assert_eq!(said["then"]["end"], "elsewhere", "{}", said["then"]);
    let places = key(row(&said, "bulkhead", "call"), "layer.bulkhead.concurrent_calls");
    assert_eq!(places["value"], "16");
    let ledger = key(row(&said, "memory", "edge"), "layer.memory.ledger_bytes_max");
    assert_eq!(ledger["value"], "not set");
}

#[test]
fn every_layer_that_would_refuse_says_so_with_what_a_client_would_hear() {
    let long = format!("X-Long: {}", "x".repeat(20_000));
    let said =
        explained(&modern_call(), &["--header", &long, "--header", "Origin: http://evil.example"]);
    let http = row(&said, "http", "edge");
    assert_eq!((&http["decision"], &http["error"]["code"]), (&json!("refuses"), &json!(-32600)));
    assert_eq!(http["error"]["data"]["refusal"], "head_too_large");
    assert_eq!(key(http, "layer.http.header_value_bytes_max")["measured"], 20_000);
    let origin = row(&said, "origin", "edge");
    assert_eq!(origin["error"]["data"]["refusal"], "origin_forbidden");
    assert_eq!(said["then"]["end"], "refused");
}

#[test]
fn a_bound_stands_where_the_profile_says_it() {
    let profile = profile(
        "format = 1\nextends = \"dev\"\n[layer.payload]\nrequest_bytes_max = \"1KiB\"\n\
         mode = \"shadow\"\n",
    );
    let path = profile.to_str().expect("UTF-8");
    let large = modern_call().replace("\"x\"", &format!("\"{}\"", "x".repeat(2_000)));
    let said = explained(&large, &["--profile", path]);
    let payload = row(&said, "payload", "edge");
    assert_eq!((&payload["decision"], &payload["mode"]), (&json!("counts"), &json!("shadow")));
    assert_eq!(payload["error"]["data"]["limit"], 1_024);
    let cap = key(payload, "layer.payload.request_bytes_max");
    assert_eq!(cap["origin"], format!("{path}:4:1"));
    assert!(cap["measured"].as_u64().is_some_and(|bytes| bytes > 2_000), "{cap}");
    let enforced = explained(&large, &["--profile", path, "--set", "layer.payload.mode=enforce"]);
    assert_eq!(decision(&enforced, "payload", "edge"), "refuses");
}

#[test]
fn a_request_is_read_as_it_was_sent() {
    let call = modern_call();
    let head = "POST /mcp?a=b HTTP/1.1\nHost: evil.example\nContent-Type: application/json\n";
    let said = explained(&format!("{head}\n{call}"), &[]);
    assert_eq!(decision(&said, "origin", "edge"), "refuses");
    let mended = explained(&format!("{head}\n{call}"), &["--header", "Host: localhost"]);
    assert_eq!(decision(&mended, "origin", "edge"), "passes");
    // Without the headers that a modern client owes.
    assert_eq!(mended["then"]["message"]["error"]["code"], -32020, "{}", mended["then"]);
    let declared = explained(
        &format!("{}Content-Length: 99000000\r\n\r\n{{", head.replace('\n', "\r\n")),
        &["--header", "Host: localhost"],
    );
    assert_eq!(decision(&declared, "payload", "edge"), "refuses");
    let get = explained("GET /elsewhere HTTP/1.1\nHost: localhost\n\n", &[]);
    assert_eq!(get["then"], json!({ "end": "answered", "http_status": 404, "message": null }));
}

#[test]
fn a_session_and_standard_input_are_what_they_are() {
    let legacy = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;
    let then = &explained(legacy, &[])["then"];
    assert!(then["where"].as_str().is_some_and(|place| place.contains("session")), "{then}");
    let stdio = explained(&modern_call(), &["--profile", "desktop"]);
    assert_eq!(decision(&stdio, "payload", "edge"), "not met");
    assert_eq!(decision(&stdio, "timeout", "call"), "depends");
    assert_eq!((&stdio["listener"], &stdio["from"]), (&json!("desktop"), &json!("127.0.0.1")));
    let broken = explained("{\"jsonrpc\":", &["--profile", "desktop"]);
    assert_eq!(broken["then"]["message"]["error"]["code"], -32700, "{}", broken["then"]);
}

#[test]
fn people_read_a_line_for_each_layer_and_why() {
    let file = request(&modern_call());
    let path = file.to_str().expect("UTF-8");
    let said = run(&[
        "explain",
        "--call",
        path,
        "--from",
        "203.0.113.9",
        "--header",
        "Origin: http://evil.example",
    ]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let begin = "A request to listen.public, from 203.0.113.9. Layers, the first meets it first:\n";
    assert!(said.stdout.starts_with(begin), "{}", said.stdout);
    for part in [
        "  edge    http             passes\n",
        "  edge    origin           refuses\n",
        "layer.origin.allowed_origins = []  (default)\n",
        "overloaded (429, -32013): As many calls are under way as there may be.\n",
        "depends on how many calls are under way\n",
        "The first layer that refuses answers; those after it are not asked.\n",
    ] {
        assert!(said.stdout.contains(part), "no {part:?} in {}", said.stdout);
    }
}

#[test]
fn what_cannot_be_explained_is_a_mistake_of_the_command_line() {
    let (nonsense, call) = (request("nonsense\n"), request(&modern_call()));
    let empty = request("");
    let path = |file: &tempfile::TempPath| file.to_str().expect("UTF-8").to_owned();
    let (nonsense, call, empty) = (path(&nonsense), path(&call), path(&empty));
    for (arguments, part) in [
        (vec!["--call", &nonsense], "neither one JSON-RPC message nor an HTTP request"),
        (vec!["--call", &empty], "begins with no request"),
        (vec!["--call", &empty, "--header", "A: b"], "begins with no request"),
        (vec!["--call", "/nowhere/at/all"], "cannot read"),
        (vec!["--call", &call, "--header", "nothing"], "Name: value"),
        (vec!["--call", &call, "--profile", "desktop", "--header", "A: b"], "no HTTP listener"),
        (vec!["--json"], "--call"),
        (vec!["--call", &call, "layer.timeout"], "cannot be used"),
    ] {
        let ended = run(&[vec!["explain"], arguments].concat());
        assert_eq!(ended.code, Some(64), "{ended:?}");
        assert!(ended.stderr.contains(part), "no {part:?} in {ended:?}");
    }
}
