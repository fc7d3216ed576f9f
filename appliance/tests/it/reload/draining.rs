//! What was replaced ends: few generations drain at once, none for ever, and streams that only listen need none.

use serde_json::{Value, json};

use super::*;
use crate::wire::{
    Connection, ask_with, echo, metric, posted, refusal, request, until, until_metric,
};

/// A profile that is read again when somebody asks, with these bounds on what drains.
fn draining(bounds: &str) -> String {
    ON_REQUEST.replace("[reload.probation]", &format!("{bounds}[reload.probation]"))
}

fn generations(live: &Live) -> Value {
    live.program.control("/admin/generations").json()
}

/// The last words of a call that its generation ended.
#[track_caller]
fn is_ended(waiting: &mut Connection) {
    let end = waiting.until("\"error\"");
    assert!(end.contains("timed_out") && end.contains("\"scope\":\"generation\""), "{end}");
}

#[test]
fn calls_of_a_generation_that_drains_for_too_long_are_ended() {
    let bounds = draining("drain_ms = 50\n");
    let mut live = Live::start(&[&bounds, ECHO, CONFORMANCE]);
    let mut waiting = Connection::waiting(&live.program);
    live.applies(&[&bounds, ECHO]);
    is_ended(&mut waiting);
    let stopped = live.program.wait_for(|_, line| line["message"] == "Replaced plugin stops.");
    assert_eq!(stopped["is_drained"], json!(true), "{stopped}");
    until_metric(&live.program, "toolrack_generations_draining 0");
    assert_eq!(echo(&live.program, "untouched").status, 200);
}

#[test]
fn no_more_than_so_many_generations_drain_and_the_oldest_makes_way() {
    let bounds = draining("draining_generations_max = 2\nstage_deadline_ms = 1500\n");
    let with = |ms: u32| [bounds.clone(), ECHO.to_owned(), CONFORMANCE.to_owned(), deadline(ms)];
    let apply = |live: &Live, ms: u32| {
        let tables = with(ms);
        live.applies(&tables.each_ref().map(String::as_str));
    };
    let tables = with(20_000);
    let live = Live::start(&tables.each_ref().map(String::as_str));
    let mut waiting = Vec::new();
    for reload in 1..=4 {
        waiting.push(Connection::waiting(&live.program));
        apply(&live, 20_000 + reload);
        let shown = generations(&live);
        let draining = shown["draining"].as_array().expect("a list");
        assert!(draining.len() <= 2, "{shown}");
        assert_eq!(shown["current"]["generation"], json!(reload + 1), "{shown}");
    }
    is_ended(&mut waiting[0]);
    is_ended(&mut waiting[1]);
    let shown = generations(&live);
    assert_eq!(
        (&shown["draining"][0]["generation"], &shown["draining_max"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(shown["draining"][0]["calls"], json!(1), "{shown}");
    assert_eq!(shown["draining"][0]["plugins"][0]["name"], "conformance");
    assert!(shown["draining"][0]["ends_by"].is_string() && shown["probation"].is_null(), "{shown}");
    // One that ends by itself is waited for, and nobody is cut.
    let third = waiting.swap_remove(2);
    drop(third);
    until("it has ended", || generations(&live)["draining"].as_array().map(Vec::len) == Some(1));
    apply(&live, 30_000);
    assert_eq!(metric(&live.program, "toolrack_generation_oldest_calls"), Some(1.0));
}

#[test]
fn a_task_that_waits_for_its_client_ends_with_its_generation() {
    let bounds = draining("drain_ms = 50\n");
    let live = Live::start(&[&bounds, ECHO, CONFORMANCE]);
    let knows = json!({ "elicitation": {}, "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let send = |method: &str, params: Value| {
        ask_with(&live.program, method, params, &knows).json()["result"].take()
    };
    let call = json!({ "name": "confirm_delete", "arguments": { "filename": "x" } });
    let task = send("tools/call", call)["taskId"].as_str().expect("an id").to_owned();
    let get = || send("tasks/get", json!({ "taskId": task }));
    until("it asks", || get()["status"] == "input_required");
    live.applies(&[&bounds, ECHO]);
    until("it ends", || get()["status"] == "failed");
    let failed = get().to_string();
    assert!(failed.contains("\"scope\":\"generation\""), "{failed}");
}

#[test]
fn a_call_that_asks_its_client_ends_with_its_generation() {
    let bounds = draining("drain_ms = 50\n");
    let live = Live::start(&[&bounds, ECHO, CONFORMANCE]);
    let session = live.program.session("2025-11-25", json!({ "elicitation": {} }));
    let arguments = json!({ "message": "who?" });
    let call =
        request("tools/call", &json!({ "name": "test_elicitation", "arguments": arguments }));
    let mut asking = Connection::with(&live.program, &posted(&live.program, &session, &call));
    asking.until("elicitation/create");
    live.applies(&[&bounds, ECHO]);
    is_ended(&mut asking);
}

/// A stream of a session, one of a subscription, and so many of each.
fn listeners(live: &Live, count: usize) -> Vec<Connection> {
    let host = live.program.address.clone();
    let session = live.program.session("2025-11-25", json!({}));
    let get =
        format!("GET /mcp HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n{session}\r\n");
    let headers = crate::program::modern_headers("subscriptions/listen", None);
    let params = json!({ "notifications": { "toolsListChanged": true } });
    let params = crate::program::modern_params(params, &json!({}));
    let listen =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": params });
    let listen = posted(&live.program, &headers, &listen);
    let mut streams = Vec::new();
    for _ in 0..count {
        for text in [&get, &listen] {
            let mut stream = Connection::with(&live.program, text);
            stream.until("text/event-stream");
            streams.push(stream);
        }
    }
    streams
}

/// Changes the profile so many times below streams that listen: so many of each kind.
fn change_below_listeners(reloads: u32, streams: usize) {
    let live = Live::start(&[ON_REQUEST, ECHO, &deadline(1_000)]);
    let mut listening = listeners(&live, streams);
    let take = || {
        let of = |name: &str| metric(&live.program, name).expect("it is shown");
        ["process_open_fds", "process_threads", "process_resident_memory_bytes"].map(of)
    };
    // What is made once is made by then.
    (1..=20).for_each(|reload| drop(live.applies(&[ON_REQUEST, ECHO, &deadline(1_000 + reload)])));
    until_metric(&live.program, &format!("toolrack_generation {}", 21));
    let before = take();
    for reload in 1..=reloads {
        live.applies(&[ON_REQUEST, ECHO, &deadline(1_020 + reload)]);
        assert_eq!(generations(&live)["draining"], json!([]), "{reload}");
    }
    assert_eq!(generations(&live)["streams"], json!(2 * streams));
    until_metric(&live.program, &format!("toolrack_generation {}", 21 + reloads));
    let after = take();
    assert_eq!(before[..2], after[..2], "descriptors and threads");
    assert!(after[2] - before[2] <= 10.0 * 1_048_576.0, "{before:?} {after:?}");
    let time = "[plugin.time]\nlibrary = \"libtime.so\"\n";
    live.applies(&[ON_REQUEST, ECHO, time, &deadline(1_020 + reloads)]);
    // One stream of a session hears of it, and every subscription.
    listening.iter_mut().skip(1).step_by(2).for_each(|stream| {
        stream.until("notifications/tools/list_changed");
    });
    let refused = refusal(&echo(&live.program, "still here"));
    assert_eq!(refused, (200, String::new()));
}

#[test]
fn streams_that_only_listen_keep_no_generation() {
    // The whole promise takes minutes.
    let (reloads, streams) = if is_long() { (1_000, 50) } else { (60, 4) };
    change_below_listeners(reloads, streams);
}
