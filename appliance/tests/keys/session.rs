//! `session`: how many, for how long, and what is kept for those who come back.

use serde_json::{Value, json};

use crate::program::{Answer, Program};
use crate::wire::{
    Connection, posted, refusal, request, serve, speaking_call, until, until_metric,
};

const REVISION: &str = "2025-11-25";

fn call(tool: &str) -> Value {
    request("tools/call", &json!({ "name": tool, "arguments": { "message": "who?" } }))
}

/// Asks for what follows an event of a stream.
fn resume(program: &Program, session: &str, last_event_id: &str) -> Answer {
    let head = format!(
        "GET /mcp HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n{session}Last-Event-ID: {last_event_id}\r\n",
        program.address
    );
    program.request(&head, "")
}

/// Calls a tool that speaks three times before it answers; the session and the place before the first message.
fn spoken(program: &Program) -> (String, String) {
    let session = program.session(REVISION, json!({}));
    let mut message = call("test_tool_with_progress");
    message["params"]["_meta"] = json!({ "progressToken": "p" });
    let answer = program.post(&session, &message);
    let id = answer.body.lines().find_map(|line| line.strip_prefix("id: ")).expect("an id");
    assert!(answer.body.contains("Done, with progress."), "{answer:?}");
    (session, id.to_owned())
}

/// How many messages of that call are still there.
fn kept(program: &Program) -> usize {
    let (session, id) = spoken(program);
    let resumed = resume(program, &session, &id);
    assert_eq!(resumed.status, 200);
    assert!(resumed.body.contains("Done, with progress."), "the newest stays: {resumed:?}");
    resumed.body.lines().filter(|line| line.starts_with("data: {")).count()
}

pub(crate) fn sessions_above_their_bound_are_refused() {
    for (sessions_max, expected) in [(1, (429, "sessions_exhausted")), (2, (200, ""))] {
        let program = serve(&[&format!("session.sessions_max={sessions_max}")]);
        program.session(REVISION, json!({}));
        let params = json!({ "protocolVersion": REVISION, "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" } });
        let (status, kind) = refusal(&program.post("", &request("initialize", &params)));
        assert_eq!((status, kind.as_str()), expected);
    }
}

pub(crate) fn a_session_ends_when_it_is_idle() {
    let start = |ms: u32| serve(&[&format!("session.idle_ms={ms}")]);
    let (hasty, patient) = (start(1_000), start(1_800_000));
    let session = |program: &Program| program.session(REVISION, json!({}));
    let (kept, forgotten) = (session(&patient), session(&hasty));
    until_metric(&hasty, "toolrack_sessions_ended_total{reason=\"idle\"} 1");
    let ping = request("ping", &json!({}));
    assert_eq!(hasty.post(&forgotten, &ping).status, 404);
    assert_eq!(patient.post(&kept, &ping).status, 200);
}

pub(crate) fn streams_above_their_bound_are_refused() {
    for (streams_max, expected) in [(1, (429, "sessions_exhausted")), (2, (200, ""))] {
        let program = serve(&[&format!("session.streams_max={streams_max}")]);
        let _waiting = Connection::waiting(&program);
        let (headers, message) = speaking_call("test_tool_with_progress");
        let answer = program.post(&headers, &message);
        assert_eq!(answer.status, expected.0);
        assert!(answer.body.contains(expected.1), "{answer:?}");
    }
}

pub(crate) fn a_stream_keeps_so_many_events() {
    for (events_max, expected) in [(2, 2), (256, 4)] {
        let program = serve(&[&format!("session.replay_events_max={events_max}")]);
        assert_eq!(kept(&program), expected);
    }
}

pub(crate) fn a_stream_keeps_so_many_bytes() {
    for (bytes_max, expected) in [("1", 1), ("1MiB", 4)] {
        let program = serve(&[&format!("session.replay_bytes_max={bytes_max}")]);
        assert_eq!(kept(&program), expected);
    }
}

pub(crate) fn a_finished_stream_is_forgotten() {
    let start = |ms: u32| serve(&[&format!("session.replay_ms={ms}")]);
    let (hasty, patient) = (start(0), start(86_400_000));
    let (session, id) = spoken(&patient);
    let (forgotten, forgotten_id) = spoken(&hasty);
    until("the stream is there", || resume(&hasty, &forgotten, &forgotten_id).status == 400);
    assert_eq!(resume(&patient, &session, &id).status, 200);
}

pub(crate) fn resources_above_their_bound_are_not_followed() {
    for (subscriptions_max, is_refused) in [(1, true), (2, false)] {
        let program = serve(&[&format!("session.subscriptions_max={subscriptions_max}")]);
        let session = program.session(REVISION, json!({}));
        let subscribe = |uri: &str| {
            program.post(&session, &request("resources/subscribe", &json!({ "uri": uri }))).json()
        };
        assert_eq!(subscribe("test://watched-resource")["result"], json!({}));
        let second = subscribe("test://static-text");
        assert_eq!(second["error"]["data"]["limit"] == json!(1), is_refused, "{second}");
        assert_eq!(second.get("result").is_none(), is_refused, "{second}");
    }
}

pub(crate) fn a_question_waits_so_long_for_its_answer() {
    let start = |ms: u32| serve(&[&format!("session.answer_ms={ms}")]);
    let (hasty, patient) = (start(50), start(86_400_000));
    let asked = |program: &Program| {
        let session = program.session(REVISION, json!({ "elicitation": {} }));
        let request = posted(program, &session, &call("test_elicitation"));
        let mut connection = Connection::with(program, &request);
        let stream = connection.until("elicitation/create");
        let mut lines = stream.lines().filter_map(|line| line.strip_prefix("data: {"));
        let question = lines.next_back().map(|rest| format!("{{{rest}")).expect("a question");
        let question: Value = serde_json::from_str(&question).expect("a message");
        (session, connection, question["id"].clone())
    };
    let (session, mut kept, id) = asked(&patient);
    let (_, mut given_up, _) = asked(&hasty);
    let answer = given_up.until("\"id\":1");
    assert!(!answer.contains("action=accept"), "{answer}");
    let content = json!({ "action": "accept", "content": { "username": "u", "email": "e" } });
    let answer = json!({ "jsonrpc": "2.0", "id": id, "result": content });
    assert_eq!(patient.post(&session, &answer).status, 202);
    kept.until("action=accept");
}
