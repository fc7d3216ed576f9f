//! Tasks: made, asked for, answered, given up, over HTTP and over standard input and output.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program::{Answer, Piped, Program, modern_headers, modern_params, profile};

fn start(settings: &[&str]) -> Program {
    let more: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    Program::start(&profile(""), &more)
}

/// What a client that knows tasks declares.
fn knows_tasks() -> Value {
    json!({"elicitation": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}})
}

fn message(method: &str, params: Value, capabilities: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": modern_params(params, capabilities)})
}

fn send(program: &Program, method: &str, params: Value, capabilities: &Value) -> Answer {
    let name = params.get("taskId").or_else(|| params.get("name")).and_then(Value::as_str);
    let headers = modern_headers(method, name);
    program.post(&headers, &message(method, params, capabilities))
}

/// A request of a client that knows tasks.
fn ask(program: &Program, method: &str, params: Value) -> Value {
    send(program, method, params, &knows_tasks()).json()
}

/// Calls a tool and returns the id of the task.
fn create(program: &Program, tool: &str, arguments: &Value) -> String {
    let answer = ask(program, "tools/call", json!({"name": tool, "arguments": arguments}));
    assert_eq!(answer["result"]["resultType"], "task", "{answer}");
    answer["result"]["taskId"].as_str().expect("an id").to_owned()
}

fn get(program: &Program, id: &str) -> Value {
    ask(program, "tasks/get", json!({"taskId": id}))["result"].take()
}

/// Asks until the task is where it is expected.
fn until(program: &Program, id: &str, status: &str) -> Value {
    loop {
        let task = get(program, id);
        let now = task["status"].as_str().expect("a status");
        if now == status {
            return task;
        }
        assert!(matches!(now, "working" | "input_required"), "{now} instead of {status}: {task}");
    }
}

fn text(task: &Value) -> &str {
    task["result"]["content"][0]["text"].as_str().unwrap_or_default()
}

fn code(answer: &Answer) -> (u16, i64) {
    (answer.status, answer.json()["error"]["code"].as_i64().unwrap_or_default())
}

#[test]
fn a_task_is_there_at_once_and_ends_with_what_the_call_would_have_answered() {
    let program = start(&["tasks.ttl_ms=1800000", "tasks.poll_ms=250"]);
    let call = json!({"name": "slow_compute", "arguments": {"seconds": 0, "label": "it"}});
    let created = ask(&program, "tools/call", call)["result"].take();
    assert_eq!(created["status"], "working");
    assert_eq!((&created["ttlMs"], &created["pollIntervalMs"]), (&json!(1_800_000), &json!(250)));
    for absent in ["task", "result", "error", "inputRequests", "requestState"] {
        assert!(created.get(absent).is_none(), "{absent}: {created}");
    }
    let id = created["taskId"].as_str().expect("an id");
    assert!(id.len() >= 22, "128 bits at least: {id}");
    let done = until(&program, id, "completed");
    assert_eq!((&done["resultType"], text(&done)), (&json!("complete"), "Computed it for 0 s."));
    assert_eq!((&done["createdAt"], &done["taskId"]), (&created["createdAt"], &json!(id)));
}

#[test]
fn failures_of_tools_complete_and_errors_of_the_protocol_fail() {
    // The timeout of calls is shorter than both jobs, and none of theirs.
    let program =
        start(&["layer.timeout.deadline_ms=20", "plugin.conformance.limits.deadline_ms=20"]);
    let failing = create(&program, "failing_job", &json!({}));
    let breaking = create(&program, "protocol_error_job", &json!({}));
    let failed = until(&program, &failing, "completed");
    assert_eq!(
        (&failed["result"]["isError"], text(&failed)),
        (&json!(true), "This job always fails.")
    );
    let broken = until(&program, &breaking, "failed");
    assert_eq!((&broken["error"]["code"], broken.get("result")), (&json!(-32603), None));
    assert!(!broken.to_string().contains("always breaks"), "for the operator alone: {broken}");
    let metrics = program.control("/metrics").body;
    for status in ["completed", "failed"] {
        let line = format!("toolrack_tasks_ended_total{{status=\"{status}\"}} 1");
        assert!(metrics.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn takes_answers_one_by_one_and_works_on_after_the_last() {
    let program = start(&[]);
    let id = create(&program, "multi_input", &json!({}));
    let asked = until(&program, &id, "input_required");
    assert_eq!(asked["inputRequests"]["name"]["method"], "elicitation/create");
    let update = |answers: Value| {
        let params = json!({"taskId": id, "inputResponses": answers});
        send(&program, "tasks/update", params, &knows_tasks())
    };
    for malformed in [Value::Null, json!([]), json!({"name": "Alice"})] {
        assert_eq!(code(&update(malformed)), (400, -32602));
    }
    let name = json!({"action": "accept", "content": {"name": "Alice"}});
    let acked = update(json!({"name": name, "unknown": {}})).json()["result"].take();
    let members: Vec<_> = acked.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["_meta", "resultType"]);
    let waiting = get(&program, &id);
    assert_eq!(waiting["status"], "input_required");
    assert_eq!(waiting["inputRequests"].as_object().expect("questions").len(), 1);
    assert!(waiting["inputRequests"].get("confirm").is_some(), "{waiting}");
    update(json!({"confirm": {"action": "accept", "content": {"confirm": true}}}));
    assert_eq!(text(&until(&program, &id, "completed")), "Hello, Alice! Going on: true.");
}

#[test]
fn asks_again_under_a_new_key_for_what_does_not_fit() {
    let program = start(&[]);
    let id = create(&program, "confirm_delete", &json!({"filename": "x"}));
    until(&program, &id, "input_required");
    let update = |answers: Value| {
        ask(&program, "tasks/update", json!({"taskId": id, "inputResponses": answers}))
    };
    update(json!({"confirm": {"action": "accept", "content": {"other": 1}}}));
    let again = loop {
        let task = until(&program, &id, "input_required");
        if task["inputRequests"].get("confirm-2").is_some() {
            break task;
        }
    };
    assert_eq!(again["inputRequests"].as_object().map(serde_json::Map::len), Some(1));
    update(json!({"confirm-2": {"action": "accept", "content": {"confirm": true}}}));
    assert_eq!(text(&until(&program, &id, "completed")), "Deleted x.");
}

#[test]
fn asks_first_and_then_makes_the_task_where_the_tool_wants_it() {
    let program = start(&[]);
    let call = |more: Value| {
        let mut params = json!({"name": "test_tool_with_task", "arguments": {}});
        for (key, value) in more.as_object().expect("an object") {
            params[key] = value.clone();
        }
        send(&program, "tools/call", params, &knows_tasks())
    };
    let first = call(json!({})).json();
    assert_eq!(first["result"]["resultType"], "input_required");
    assert!(first["result"].get("taskId").is_none());
    let name = json!({"user_name": {"action": "accept", "content": {"name": "Alice"}}});
    let made = call(json!({"inputResponses": name})).json();
    assert_eq!(made["result"]["resultType"], "task", "{made}");
    let id = made["result"]["taskId"].as_str().expect("an id").to_owned();
    assert_eq!(text(&until(&program, &id, "completed")), "Hello, Alice!");
    let forged = call(json!({"inputResponses": name, "requestState": "forged"}));
    assert_eq!(code(&forged), (400, -32602), "what fails before it begins is no task");
}

#[test]
fn a_cancelled_task_stays_cancelled_and_its_call_ends_in_the_plugin() {
    let program = start(&[]);
    let id = create(&program, "slow_compute", &json!({"seconds": 60}));
    for _ in 0..2 {
        let acked = ask(&program, "tasks/cancel", json!({"taskId": id}));
        assert_eq!(
            (&acked["result"]["resultType"], acked["result"].get("status")),
            (&json!("complete"), None)
        );
    }
    assert_eq!(get(&program, &id)["status"], "cancelled");
    let idle = "toolrack_bound_used{bound=\"concurrency_calls\"} 0";
    while !program.control("/metrics").body.lines().any(|line| line == idle) {}
}

#[test]
fn a_task_that_takes_too_long_fails_at_its_own_deadline() {
    let program = start(&["tasks.deadline_ms=50"]);
    let working = create(&program, "slow_compute", &json!({"seconds": 60}));
    let unanswered = create(&program, "multi_input", &json!({}));
    for id in [working, unanswered] {
        let error = until(&program, &id, "failed")["error"].take();
        assert_eq!(
            (&error["code"], &error["data"]["refusal"], &error["data"]["limit"]),
            (&json!(-32019), &json!("timed_out"), &json!(50))
        );
    }
}

#[test]
fn a_task_can_be_asked_for_until_its_time_is_over_and_not_longer() {
    let program = start(&["tasks.ttl_ms=1000", "tasks.deadline_ms=1000"]);
    let begun = Instant::now();
    let id = create(&program, "slow_compute", &json!({"seconds": 0}));
    loop {
        let answer = send(&program, "tasks/get", json!({"taskId": id}), &knows_tasks());
        if answer.status != 200 {
            assert_eq!(code(&answer), (400, -32602));
            break;
        }
    }
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[test]
fn clients_that_do_not_know_tasks_get_none() {
    let program = start(&[]);
    for capabilities in [json!({}), json!({"extensions": {}})] {
        for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
            let params = json!({"taskId": "nobody's", "inputResponses": {}});
            let refused = send(&program, method, params, &capabilities);
            assert_eq!(code(&refused), (400, -32021), "{method}");
        }
        let call = json!({"name": "slow_compute", "arguments": {"seconds": 0}, "task": {"ttl": 1}});
        let plain = send(&program, "tools/call", call, &capabilities).json();
        assert_eq!(plain["result"]["resultType"], "complete", "{plain}");
        let job = json!({"name": "failing_job", "arguments": {}});
        let refused = send(&program, "tools/call", job, &capabilities);
        assert_eq!(code(&refused), (400, -32021));
        let required = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
        assert_eq!(refused.json()["error"]["data"]["requiredCapabilities"], required);
    }
}

#[test]
fn legacy_clients_never_see_a_task() {
    let program = start(&[]);
    let session = program.session("2025-11-25", knows_tasks());
    let post = |method: &str, params: Value| {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        program.post(&session, &message).json()
    };
    let call = json!({"name": "slow_compute", "arguments": {"seconds": 0}, "task": {"ttl": 1}});
    let plain = post("tools/call", call);
    assert_eq!(text(&plain), "Computed  for 0 s.", "{plain}");
    let job = post("tools/call", json!({"name": "failing_job", "arguments": {}}));
    assert_eq!(job["result"]["isError"], true);
    assert_eq!(post("tasks/get", json!({"taskId": "x"}))["error"]["code"], -32601);
}

#[test]
fn judges_the_methods_of_tasks_in_the_order_of_the_specification() {
    let program = start(&[]);
    let id = create(&program, "slow_compute", &json!({"seconds": 60}));
    let get = message("tasks/get", json!({"taskId": id}), &knows_tasks());
    let other = modern_headers("tasks/get", Some("another"));
    assert_eq!(code(&program.post(&other, &get)), (400, -32020));
    let undeclared = message("tasks/get", json!({"taskId": id}), &json!({}));
    assert_eq!(code(&program.post(&other, &undeclared)), (400, -32021));
    for (method, params, expected) in [
        ("tasks/get", json!({"taskId": "never-given-out"}), (400, -32602)),
        ("tasks/get", json!({}), (400, -32602)),
        ("tasks/cancel", json!({"taskId": "never-given-out"}), (400, -32602)),
        ("tasks/result", json!({"taskId": id}), (404, -32601)),
        ("tasks/list", json!({}), (404, -32601)),
    ] {
        assert_eq!(code(&send(&program, method, params, &knows_tasks())), expected, "{method}");
    }
    let arguments = json!({"name": "slow_compute", "arguments": []});
    assert_eq!(code(&send(&program, "tools/call", arguments, &knows_tasks())), (400, -32602));
}

#[test]
fn tasks_are_declared_when_a_tool_may_be_one() {
    let with = start(&[]);
    let discovered = ask(&with, "server/discover", json!({}));
    let extensions = json!({"io.modelcontextprotocol/tasks": {}});
    assert_eq!(discovered["result"]["capabilities"]["extensions"], extensions);
    let text = "format = 1\n[listen.public]\nhttp = { bind = \"127.0.0.1:0\" }\n[plugin.echo]\nlibrary = \"libecho.so\"\n";
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    let without = Program::start(file.path(), &[]);
    let discovered = ask(&without, "server/discover", json!({}));
    assert_eq!(discovered["result"]["capabilities"].get("extensions"), None);
    let get = send(&without, "tasks/get", json!({"taskId": "x"}), &knows_tasks());
    assert_eq!(code(&get), (404, -32601));
}

#[test]
fn refuses_tasks_above_their_bounds_and_says_which() {
    for (setting, limit) in [("tasks.count_max=1", 1), ("tasks.bytes_max=6KiB", 6144)] {
        let program = start(&[setting]);
        create(&program, "slow_compute", &json!({"seconds": 60}));
        let call = json!({"name": "slow_compute", "arguments": {"seconds": 60}});
        let refused = send(&program, "tools/call", call, &knows_tasks());
        assert_eq!(code(&refused), (429, -32014));
        assert!(refused.waits_about(5_000), "{refused:?}");
        let data = &refused.json()["error"]["data"];
        assert_eq!(
            (&data["refusal"], &data["layer"], &data["limit"]),
            (&json!("tasks_exhausted"), &json!("tasks"), &json!(limit))
        );
    }
}

#[test]
fn a_working_task_holds_a_call_permit_and_a_waiting_one_does_not() {
    let program = start(&["layer.concurrency.calls_max=1"]);
    let waiting = create(&program, "confirm_delete", &json!({"filename": "x"}));
    until(&program, &waiting, "input_required");
    let working = create(&program, "slow_compute", &json!({"seconds": 60}));
    assert_eq!(program.call("echo", &json!({"text": "x"})).status, 429);
    let call = json!({"name": "slow_compute", "arguments": {"seconds": 60}});
    assert_eq!(code(&send(&program, "tools/call", call, &knows_tasks())), (429, -32013));
    // The answered one waits for the permit of the other.
    let answer = json!({"confirm": {"action": "decline"}});
    ask(&program, "tasks/update", json!({"taskId": waiting, "inputResponses": answer}));
    assert_eq!(get(&program, &waiting)["status"], "working");
    ask(&program, "tasks/cancel", json!({"taskId": working}));
    assert_eq!(text(&until(&program, &waiting, "completed")), "Kept x.");
}

/// A listener on a connection of its own.
struct Listening(BufReader<TcpStream>);

impl Listening {
    fn open(program: &Program, ids: &[&str]) -> Self {
        let params = json!({"notifications": {"taskIds": ids}});
        let body = message("subscriptions/listen", params, &knows_tasks()).to_string();
        let headers = modern_headers("subscriptions/listen", None);
        let mut stream = TcpStream::connect(&program.address).expect("it listens");
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n",
            program.address,
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).expect("written");
        Self(BufReader::new(stream))
    }

    fn next(&mut self) -> Value {
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).expect("readable") > 0, "the stream ended");
            if let Some(data) = line.strip_prefix("data: ") {
                return serde_json::from_str(data).expect("a message");
            }
        }
    }
}

#[test]
fn tells_those_who_listen_of_every_change_and_nobody_of_what_is_not_theirs() {
    let program = start(&[]);
    let id = create(&program, "confirm_delete", &json!({"filename": "x"}));
    let other = create(&program, "slow_compute", &json!({"seconds": 60}));
    let mut listening = Listening::open(&program, &[&id, "never-given-out"]);
    let acknowledged = listening.next();
    assert_eq!(acknowledged["params"]["notifications"], json!({"taskIds": [id]}));
    let mut heard = listening.next();
    if heard["params"]["status"] == "working" {
        heard = listening.next();
    }
    assert_eq!(
        (&heard["method"], &heard["params"]["taskId"]),
        (&json!("notifications/tasks"), &json!(id))
    );
    assert_eq!(heard["params"]["inputRequests"]["confirm"]["method"], "elicitation/create");
    assert_eq!(heard["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 1);
    ask(&program, "tasks/cancel", json!({"taskId": other}));
    let answer = json!({"confirm": {"action": "accept", "content": {"confirm": true}}});
    ask(&program, "tasks/update", json!({"taskId": id, "inputResponses": answer}));
    let mut last = listening.next();
    if last["params"]["status"] == "working" {
        last = listening.next();
    }
    assert_eq!((&last["params"]["taskId"], text(&last["params"])), (&json!(id), "Deleted x."));
    let undeclared = json!({"notifications": {"taskIds": [id]}});
    assert_eq!(
        code(&send(&program, "subscriptions/listen", undeclared, &json!({}))),
        (400, -32021)
    );
}

#[test]
fn tells_a_listener_on_standard_output_too() {
    let mut piped = Piped::start();
    let call = json!({"name": "confirm_delete", "arguments": {"filename": "x"}});
    let id = piped.ask(&message("tools/call", call, &knows_tasks()))["result"]["taskId"].take();
    let filter = json!({"notifications": {"taskIds": [id]}});
    let mut listen = message("subscriptions/listen", filter, &knows_tasks());
    listen["id"] = json!("l");
    let acknowledged = piped.ask(&listen);
    assert_eq!(acknowledged["params"]["notifications"]["taskIds"], json!([id]));
    while piped.receive()["params"]["status"] != "input_required" {}
    piped.send(&message("tasks/cancel", json!({"taskId": id}), &knows_tasks()).to_string());
    let said = [piped.receive(), piped.receive()];
    let told = said.iter().find(|said| said["method"] == "notifications/tasks").expect("told");
    assert_eq!(told["params"]["status"], "cancelled");
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "l");
    assert!(said.iter().any(|said| said["result"]["resultType"] == "complete"), "{said:?}");
}

#[test]
fn the_end_of_the_process_does_not_wait_for_tasks() {
    let mut program = start(&[]);
    create(&program, "slow_compute", &json!({"seconds": 60}));
    let begun = Instant::now();
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[test]
fn serves_tasks_over_standard_input_and_output() {
    let mut piped = Piped::start();
    let refused = piped.ask(&message("tasks/get", json!({"taskId": "x"}), &json!({})));
    assert_eq!(refused["error"]["code"], -32021);
    let mut ask = |method: &str, params: Value| piped.ask(&message(method, params, &knows_tasks()));
    let made = ask("tools/call", json!({"name": "confirm_delete", "arguments": {"filename": "x"}}));
    assert_eq!(made["result"]["resultType"], "task", "{made}");
    let id = made["result"]["taskId"].clone();
    while ask("tasks/get", json!({"taskId": id}))["result"]["status"] != "input_required" {}
    let answer = json!({"confirm": {"action": "accept", "content": {"confirm": true}}});
    let acked = ask("tasks/update", json!({"taskId": id, "inputResponses": answer}));
    assert_eq!(acked["result"]["resultType"], "complete");
    let done = loop {
        let task = ask("tasks/get", json!({"taskId": id}))["result"].take();
        if task["status"] != "working" {
            break task;
        }
    };
    assert_eq!(text(&done), "Deleted x.");
    let long = ask("tools/call", json!({"name": "slow_compute", "arguments": {"seconds": 60}}));
    let long = long["result"]["taskId"].clone();
    ask("tasks/cancel", json!({"taskId": long}));
    let cancelled = ask("tasks/get", json!({"taskId": long}));
    assert_eq!(cancelled["result"]["status"], "cancelled");
    assert_eq!(piped.close(), (String::new(), Some(0)));
}
