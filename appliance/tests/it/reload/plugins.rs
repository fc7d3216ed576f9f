//! Plugins come, go and are replaced; what they have under way ends where it began.

use serde_json::{Value, json};

use super::*;
use crate::program::modern_params;
use crate::wire::{Connection, ask, echo, posted, request, speaking_call};

fn tools(live: &Live) -> Vec<String> {
    let listed = ask(&live.program, "tools/list", json!({})).json();
    let tools = listed["result"]["tools"].as_array().expect("a list");
    tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn a_plugin_comes_and_goes() {
    let mut live = Live::start(&[ON_REQUEST, ECHO]);
    let time = "[plugin.time]\nlibrary = \"libtime.so\"\n";
    let attempt = live.applies(&[ON_REQUEST, ECHO, time]);
    assert_eq!(attempt["changed"], json!(["plugin.time"]));
    assert_eq!(attempt["plugins_loaded"], json!(["time"]), "the other one runs on");
    assert!(tools(&live).contains(&"now".to_owned()));
    assert_eq!(live.program.call("now", &json!({})).status, 200);
    live.applies(&[ON_REQUEST, ECHO]);
    assert_eq!(tools(&live), ["echo"]);
    let gone = live.program.call("now", &json!({})).json();
    assert_eq!(gone["error"]["code"], -32602, "{gone}");
    let stopped = live.program.wait_for(|_, line| line["message"] == "Replaced plugin stops.");
    assert_eq!((&stopped["plugin"], &stopped["is_drained"]), (&json!("time"), &json!(true)));
    let ready = live.program.control("/readyz").json();
    assert_eq!(ready["plugins"], json!([{ "name": "echo", "state": "ready" }]));
}

#[test]
fn a_tool_that_wants_other_arguments_is_named() {
    let (live, library) = Live::with_library(&[ON_REQUEST]);
    replace(&library);
    assert_eq!(live.reload()["tools_changed"], json!([]), "another build of the same");
    let mut bytes = fs::read(&library).expect("it is there");
    let (from, to) = (b"The text to say back.", b"The text to SAY back.");
    let at = bytes.windows(from.len()).position(|part| part == from).expect("its schema");
    bytes[at..at + to.len()].copy_from_slice(to);
    install(&library, &bytes);
    let attempt = live.reload();
    assert_eq!(
        (&attempt["result"], &attempt["tools_changed"]),
        (&json!("applied"), &json!(["echo"]))
    );
}

#[test]
fn a_plugin_with_other_settings_is_started_anew_and_one_without_stays() {
    let live = Live::start(&[ON_REQUEST, ECHO, CONFORMANCE]);
    let calls = |live: &Live| {
        let metrics = live.program.control("/metrics").body;
        let line = metrics
            .lines()
            .find(|line| line.starts_with("toolrack_plugin_calls_total{plugin=\"echo\"}"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
    };
    assert_eq!(echo(&live.program, "x").status, 200);
    let limits = "[plugin.conformance.limits]\ndeadline_ms = 20000\n";
    let attempt = live.applies(&[ON_REQUEST, ECHO, CONFORMANCE, limits]);
    assert_eq!(attempt["plugins_loaded"], json!(["conformance"]));
    assert_eq!(echo(&live.program, "x").status, 200);
    // A new start would have begun to count anew.
    crate::wire::until("both are counted", || calls(&live) == Some(2));
}

#[test]
fn another_library_of_the_same_name_takes_over() {
    let (live, library) = Live::with_library(&[ON_REQUEST]);
    assert_eq!(live.reload()["result"], "unchanged");
    replace(&library);
    let attempt = live.reload();
    assert_eq!((&attempt["result"], &attempt["changed"]), (&json!("applied"), &json!([])));
    assert_eq!(attempt["plugins_loaded"], json!(["mine"]));
    assert_eq!(echo(&live.program, "from the new one").status, 200);
    fs::write(&library, "no library").expect("written");
    let refused = live.reload();
    assert_eq!(refused["result"], "refused", "{refused}");
    assert_eq!(echo(&live.program, "still the same").status, 200);
}

/// The question of a call that asks its client, and its id.
fn question(stream: &str) -> Value {
    let mut lines = stream.lines().filter_map(|line| line.strip_prefix("data: {"));
    let question = lines.next_back().map(|rest| format!("{{{rest}")).expect("a question");
    serde_json::from_str::<Value>(&question).expect("a message")["id"].clone()
}

#[test]
fn a_call_that_asks_is_answered_by_the_plugin_that_asked() {
    let mut live = Live::start(&[ON_REQUEST, ECHO, CONFORMANCE]);
    let session = live.program.session("2025-11-25", json!({ "elicitation": {} }));
    let call = request(
        "tools/call",
        &json!({ "name": "test_elicitation", "arguments": { "message": "who?" } }),
    );
    let mut connection = Connection::with(&live.program, &posted(&live.program, &session, &call));
    let id = question(&connection.until("elicitation/create"));
    live.applies(&[ON_REQUEST, ECHO]);
    assert_eq!(tools(&live), ["echo"], "nobody can call it any more");
    let content = json!({ "action": "accept", "content": { "username": "u", "email": "e" } });
    let answer = json!({ "jsonrpc": "2.0", "id": id, "result": content });
    assert_eq!(live.program.post(&session, &answer).status, 202);
    connection.until("action=accept");
    let stopped = live.program.wait_for(|_, line| line["message"] == "Replaced plugin stops.");
    assert_eq!(stopped["is_drained"], json!(true), "{stopped}");
}

#[test]
fn a_generation_drains_until_its_last_call_has_ended() {
    let mut live = Live::start(&[ON_REQUEST, ECHO, CONFORMANCE]);
    let (headers, call) = speaking_call("test_cancellation");
    let mut waiting = Connection::with(&live.program, &posted(&live.program, &headers, &call));
    waiting.until("Waiting to be cancelled.");
    live.applies(&[ON_REQUEST, ECHO]);
    crate::wire::until_metric(&live.program, "toolrack_generations_draining 1");
    assert_eq!(echo(&live.program, "the next generation").status, 200);
    drop(waiting);
    let stopped = live.program.wait_for(|_, line| line["message"] == "Replaced plugin stops.");
    assert_eq!((&stopped["plugin"], &stopped["is_drained"]), (&json!("conformance"), &json!(true)));
    crate::wire::until_metric(&live.program, "toolrack_generations_draining 0");
}

#[test]
fn one_more_image_than_there_may_be_takes_a_restart_and_the_same_bytes_take_none() {
    let bounds = ON_REQUEST.replace("[reload.probation]", "images_max = 2\n[reload.probation]");
    let (mut live, library) = Live::with_library(&[&bounds]);
    let first = fs::read(&library).expect("it is there");
    let mut swap = |bytes: &[u8]| {
        install(&library, bytes);
        let attempt = live.reload();
        if attempt["result"] == "applied" {
            live.program.wait_for(|_, line| line["message"] == "Replaced plugin stops.");
            crate::wire::until_metric(&live.program, "toolrack_generations_draining 0");
        }
        attempt
    };
    let second = [&first[..], b"another build"].concat();
    for bytes in [&second, &first, &second, &first] {
        let attempt = swap(bytes);
        assert_eq!(attempt["result"], "applied", "{attempt}");
    }
    let third = swap(&[&first[..], b"a third one"].concat());
    assert_eq!(third["result"], "restart_required", "{third}");
    assert!(third["problems"][0].as_str().expect("why").contains("reload.images_max"), "{third}");
    assert_eq!(swap(&second)["result"], "applied");
    crate::wire::until_metric(&live.program, "toolrack_plugin_images 2");
    assert_eq!(echo(&live.program, "served throughout").status, 200);
}

#[test]
fn a_task_ends_where_it_began() {
    let live = Live::start(&[ON_REQUEST, ECHO, CONFORMANCE]);
    let knows = json!({ "elicitation": {}, "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let send = |method: &str, params: Value| {
        let name = ["taskId", "name"].iter().find_map(|key| params.get(key)?.as_str());
        let headers = crate::program::modern_headers(method, name);
        let params = modern_params(params, &knows);
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        live.program.post(&headers, &message).json()["result"].take()
    };
    let call = json!({ "name": "confirm_delete", "arguments": { "filename": "x" } });
    let task = send("tools/call", call)["taskId"].as_str().expect("an id").to_owned();
    let get = || send("tasks/get", json!({ "taskId": task }));
    crate::wire::until("it asks", || get()["status"] == "input_required");
    live.applies(&[ON_REQUEST, ECHO]);
    let questions = get()["inputRequests"].clone();
    let key = questions.as_object().and_then(|all| all.keys().next()).expect("a question").clone();
    let mut answers = json!({});
    answers[key] = json!({ "action": "decline" });
    send("tasks/update", json!({ "taskId": task, "inputResponses": answers }));
    crate::wire::until("it ends", || get()["status"] == "completed");
}
