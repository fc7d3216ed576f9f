//! Both eras over HTTP, and what is refused.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::program::{Program, modern_call, modern_headers, modern_params, profile};

fn start() -> Program {
    Program::start(&profile(""), &[])
}

fn events(body: &str) -> Vec<Value> {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|data| serde_json::from_str(data).ok()).collect()
}

#[test]
fn answers_both_eras_on_one_endpoint() {
    let program = start();
    let modern = program.call("echo", &json!({"text": "hé \"llo\""}));
    assert_eq!((modern.status, &modern.json()["id"]), (200, &json!(7)));
    assert_eq!(modern.json()["result"]["content"][0]["text"], "hé \"llo\"");
    assert_eq!(modern.json()["result"]["resultType"], "complete");
    for revision in ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"] {
        let session = program.session(revision, json!({}));
        let call = json!({"jsonrpc": "2.0", "id": "a\u{e9}", "method": "tools/call",
            "params": {"name": "echo", "arguments": {"text": "x"}}});
        let answer = program.post(&session, &call).json();
        assert_eq!(
            answer,
            json!({"jsonrpc": "2.0", "id": "a\u{e9}", "result": {"content": [{"type": "text", "text": "x"}]}})
        );
    }
}

#[test]
fn an_answer_tells_nothing_of_what_its_request_carried() {
    let program = start();
    let call = modern_call("echo", &json!({"text": "x"}));
    // Fewer fields than a connection keeps room for, and more.
    for carried in [1, 40] {
        let fields: String =
            (0..carried).map(|number| format!("X-Carried-{number}: secret\r\n")).collect();
        let headers = fields + &modern_headers("tools/call", Some("echo"));
        let answer = program.post(&headers, &call);
        assert_eq!(answer.status, 200);
        let lines = answer.head.lines().filter_map(|line| line.split_once(": "));
        let mut names: Vec<_> = lines.map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort();
        assert_eq!(names, ["connection", "content-length", "content-type", "date"]);
    }
}

#[test]
fn refuses_foreign_hosts_and_origins_before_anything_else() {
    let program = start();
    let host = "POST /mcp HTTP/1.1\r\nHost: evil.example.com\r\nContent-Length: 0\r\n";
    assert_eq!(program.request(host, "").status, 403);
    let origin = program
        .post("Origin: http://evil.example.com\r\n", &modern_call("echo", &json!({"text": "x"})));
    assert_eq!(
        (origin.status, &origin.json()["error"]["data"]["refusal"]),
        (403, &json!("origin_forbidden"))
    );
    let local = format!(
        "Origin: http://{}\r\n{}",
        program.address,
        modern_headers("tools/call", Some("echo"))
    );
    assert_eq!(program.post(&local, &modern_call("echo", &json!({"text": "x"}))).status, 200);
}

#[test]
fn judges_a_head_before_where_it_comes_from_and_closes_what_could_be_read_twice() {
    let program = start();
    let call = modern_call("echo", &json!({ "text": "x" })).to_string();
    let head = |more: &str| {
        format!("POST /mcp HTTP/1.1\r\nHost: evil.example.com\r\nConnection: keep-alive\r\n{more}")
    };
    let length = format!("Content-Length: {}\r\n", call.len());
    for (more, kind) in [
        (format!("{length}mcp_name: echo\r\n"), "head_malformed"),
        (format!("{length}x: {}\r\n", "v".repeat(9_000)), "head_too_large"),
        (length, "origin_forbidden"),
    ] {
        let answer = program.request(&head(&more), &call);
        assert_eq!(answer.json()["error"]["data"]["refusal"], kind, "{answer:?}");
    }
    // Kept alive by nobody, although it was asked for.
    let mut stream = TcpStream::connect(&program.address).expect("it listens");
    let coded = head("Transfer-Encoding: gzip, chunked\r\n") + "\r\n0\r\n\r\n";
    stream.write_all(coded.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it closes");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("head_malformed"), "{answer}");
}

#[test]
fn refuses_large_bodies_by_their_declared_length() {
    let program = Program::start(&profile(""), &["--set", "layer.payload.request_bytes_max=2KiB"]);
    let large = program.call("echo", &json!({"text": "x".repeat(3_000)}));
    assert_eq!(large.status, 413);
    let data = &large.json()["error"]["data"];
    assert_eq!(
        (&data["refusal"], &data["layer"], &data["limit"]),
        (&json!("payload_too_large"), &json!("payload"), &json!(2048))
    );
    let chunked = format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
        program.address
    );
    let body = format!("bb8\r\n{}\r\n0\r\n\r\n", " ".repeat(3_000));
    assert_eq!(program.request(&chunked, &body).status, 413);
}

#[test]
fn refuses_above_the_concurrency_bound_and_says_when_to_come_back() {
    let mut program = Program::start(&profile(""), &["--set", "layer.concurrency.calls_max=1"]);
    // A call that waits: its stream begins with the first progress.
    let params = json!({"name": "test_tool_with_progress", "arguments": {}});
    let mut params = modern_params(params, &json!({}));
    params["_meta"]["progressToken"] = json!("p");
    let body =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    let mut waiting = TcpStream::connect(&program.address).expect("it listens");
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}\r\n",
        program.address,
        body.len(),
        modern_headers("tools/call", Some("test_tool_with_progress"))
    );
    waiting.write_all(format!("{head}{body}").as_bytes()).expect("written");
    let mut first = [0; 16];
    waiting.read_exact(&mut first).expect("the stream has begun");
    let refused = program.call("echo", &json!({"text": "x"}));
    assert_eq!(refused.status, 429);
    assert!(refused.waits_about(1_000), "{refused:?}");
    let error = &refused.json()["error"];
    assert_eq!(
        (&error["code"], &error["data"]["refusal"], &error["data"]["limit"]),
        (&json!(-32013), &json!("overloaded"), &json!(1))
    );
    let mut rest = Vec::new();
    let mut chunk = [0; 1024];
    while !String::from_utf8_lossy(&rest).contains("\"result\"") {
        let count = waiting.read(&mut chunk).expect("the stream goes on");
        assert!(count > 0, "the stream ended early");
        rest.extend_from_slice(&chunk[..count]);
    }
    drop(waiting);
    // The permit comes back when the connection has seen the end; until then a retry may be refused once more.
    while program.call("echo", &json!({"text": "x"})).status != 200 {}
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
}

#[test]
fn cancels_a_call_at_its_deadline_and_says_that_it_may_have_run() {
    let program = Program::start(&profile(""), &["--set", "layer.timeout.deadline_ms=20"]);
    let answer = program.call("test_tool_with_progress", &json!({}));
    let error = &answer.json()["error"];
    assert_eq!((answer.status, &error["code"]), (200, &json!(-32019)));
    assert_eq!(
        (&error["data"]["refusal"], &error["data"]["may_have_executed"]),
        (&json!("timed_out"), &json!(true))
    );
}

#[test]
fn streams_progress_only_to_those_who_asked() {
    let program = start();
    let name = "test_tool_with_progress";
    assert_eq!(program.call(name, &json!({})).header("content-type"), Some("application/json"));
    let mut message = modern_call(name, &json!({}));
    message["params"]["_meta"]["progressToken"] = json!(42);
    let streamed = program.post(&modern_headers("tools/call", Some(name)), &message);
    assert_eq!(streamed.header("content-type"), Some("text/event-stream"));
    let events = events(&streamed.body);
    assert_eq!(events.len(), 4, "{events:?}");
    assert_eq!(events[0]["params"]["progressToken"], 42);
    assert_eq!(events[3]["result"]["resultType"], "complete");
}

#[test]
fn judges_modern_requests_in_the_order_of_the_specification() {
    let program = start();
    let refused = |headers: &str, message: &Value| {
        let answer = program.post(headers, message);
        (answer.status, answer.json()["error"]["code"].as_i64().unwrap_or_default())
    };
    let call = modern_call("echo", &json!({"text": "x"}));
    let good = modern_headers("tools/call", Some("echo"));
    assert_eq!(refused("Mcp-Method: tools/call\r\nMcp-Name: echo\r\n", &call), (400, -32020));
    assert_eq!(refused(&modern_headers("tools/list", Some("echo")), &call), (400, -32020));
    assert_eq!(refused(&modern_headers("tools/call", Some("other")), &call), (400, -32020));
    assert_eq!(refused(&modern_headers("tools/call", None), &call), (400, -32020));
    let bare =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo"}});
    assert_eq!(refused(&good, &bare), (400, -32602));
    let mut future = call.clone();
    future["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2099-01-01");
    assert_eq!(refused(&good, &future), (400, -32020));
    assert_eq!(refused(&good.replace("2026-07-28", "2099-01-01"), &future), (400, -32022));
    let removed = json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": modern_params(json!({}), &json!({}))});
    assert_eq!(refused(&modern_headers("ping", None), &removed), (404, -32601));
}

#[test]
fn keeps_sessions_apart_and_ends_them() {
    let program = start();
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    assert_eq!(program.post("", &list).status, 400);
    assert_eq!(program.post("Mcp-Session-Id: made-up\r\n", &list).status, 404);
    let session = program.session("2025-06-18", json!({}));
    assert_eq!(program.post(&session, &list).status, 200);
    let delete = format!("DELETE /mcp HTTP/1.1\r\nHost: {}\r\n{session}", program.address);
    assert_eq!(program.request(&delete, "").status, 204);
    assert_eq!(program.post(&session, &list).status, 404);
    assert_eq!(program.request(&delete, "").status, 404);
}

#[test]
fn answers_batches_in_the_one_revision_that_has_them() {
    let program = start();
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 9}},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "echo", "arguments": {"text": "b"}}},
        {"jsonrpc": "2.0", "id": 3},
    ]);
    let session = program.session("2025-03-26", json!({}));
    let answers = program.post(&session, &batch).json();
    assert_eq!(answers.as_array().map(Vec::len), Some(3));
    assert_eq!((&answers[0]["result"], &answers[2]["error"]["code"]), (&json!({}), &json!(-32600)));
    let newer = program.session("2025-06-18", json!({}));
    let refused = program.post(&newer, &batch);
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!(-32600)));
}

#[test]
fn malformed_input_gets_its_refusal_and_harms_nobody() {
    let program = start();
    for (body, code) in [
        ("{not json", -32700),
        ("\"text\"", -32600),
        ("[]", -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"Method":"ping"}"#, -32600),
    ] {
        let answer = program.post_text("", body);
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &json!(code)), "{body}");
        assert!(answer.json().get("id").is_none_or(|id| id == 1), "{body}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(program.post_text("", &deep).json()["error"]["code"], -32700);
    let text = format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n",
        program.address
    );
    let refused = program.request(&text, "{}");
    assert_eq!(refused.status, 415);
    assert!(refused.body.contains("`Content-Type: application/json`"), "{}", refused.body);
    // Which of two is meant, nobody can tell.
    let twice = format!("{text}Content-Type: application/json\r\n");
    assert_eq!(program.request(&twice, "{}").status, 415);
    let twice = twice.replace("text/plain", "application/json");
    assert_eq!(program.request(&twice, "{}").status, 415);
    let astray = format!("GET / HTTP/1.1\r\nHost: {}\r\n", program.address);
    let refused = program.request(&astray, "");
    assert_eq!(refused.status, 404);
    assert!(refused.body.contains("/mcp"), "{}", refused.body);
    let one_sided = format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nAccept: application/json\r\nContent-Length: 2\r\n",
        program.address
    );
    let refused = program.request(&one_sided, "{}");
    assert_eq!(refused.status, 406);
    assert!(refused.body.contains("text/event-stream"), "{}", refused.body);
    let put = format!("PUT /mcp HTTP/1.1\r\nHost: {}\r\n", program.address);
    let refused = program.request(&put, "");
    assert_eq!((refused.status, refused.header("allow")), (405, Some("POST, GET, DELETE")));
    assert_eq!(program.call("echo", &json!({"text": "still here"})).status, 200);
}

#[test]
fn asks_a_modern_client_in_rounds_and_trusts_only_its_own_state() {
    let program = start();
    let name = "test_input_required_result_request_state";
    let headers = modern_headers("tools/call", Some(name));
    let ask = |more: Value, capabilities: Value| {
        let mut params = json!({"name": name, "arguments": {}});
        for (key, value) in more.as_object().expect("an object") {
            params[key] = value.clone();
        }
        let params = modern_params(params, &capabilities);
        program.post(
            &headers,
            &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}),
        )
    };
    let can = json!({"elicitation": {}});
    let lacking = ask(json!({}), json!({}));
    assert_eq!((lacking.status, &lacking.json()["error"]["code"]), (400, &json!(-32021)));
    assert_eq!(lacking.json()["error"]["data"]["requiredCapabilities"], json!({"elicitation": {}}));
    let first = ask(json!({}), can.clone()).json();
    assert_eq!(first["result"]["resultType"], "input_required");
    let state = first["result"]["requestState"].as_str().expect("a state").to_owned();
    let answers = json!({"confirm": {"action": "accept", "content": {"ok": true}}});
    let done = ask(json!({"inputResponses": answers, "requestState": state}), can.clone()).json();
    assert_eq!(done["result"]["content"][0]["text"], "state-ok, confirmed: true");
    let forged =
        ask(json!({"inputResponses": answers, "requestState": format!("{state}x")}), can.clone());
    assert_eq!(forged.json()["error"]["code"], -32602);
    let wrong = json!({"confirm": {"action": "accept", "content": {"ok": 12345}}});
    let again = ask(json!({"inputResponses": wrong, "requestState": state}), can).json();
    assert!(again["result"]["content"][0]["text"] != "state-ok, confirmed: true", "{again}");
}

#[test]
fn shows_its_health_its_metrics_and_its_plan() {
    let program = start();
    program.call("echo", &json!({"text": "x"}));
    assert_eq!(program.control("/livez").status, 200);
    let ready = program.control("/readyz");
    assert_eq!((ready.status, &ready.json()["generation"]), (200, &json!(1)));
    let metrics = program.control("/metrics").body;
    let line = "toolrack_calls_total{era=\"modern\",method=\"tools/call\",result=\"result\"} 1";
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
    let plan = program.control("/admin/plan").json();
    assert!(plan.to_string().contains("layer.timeout.deadline_ms"), "{plan}");
    assert_eq!(program.control("/nothing").status, 404);
}
