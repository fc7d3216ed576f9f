//! `listen.NAME.http`: where clients come in, and how long they may take.
//!
//! Of two programs, one has a deadline that passes at once and one has a deadline that never does. The patient one is
//! kept waiting first, and is still there when the other has given up.

use serde_json::json;

use crate::program::{Piped, Program, modern_call, modern_headers, modern_params};
use crate::wire::{
    Connection, echo, echo_posted, posted, request, serve, speaking_call, until_metric,
};

/// A program with a key of the listener at 50, and one with the same key at an hour.
fn hasty_and_patient(key: &str) -> (Program, Program) {
    let start = |ms: u32| serve(&[&format!("listen.public.http.{key}={ms}")]);
    (start(50), start(3_600_000))
}

/// Waits until a connection was closed for this reason.
fn until_closed(program: &Program, reason: &str) {
    let series = "toolrack_connections_closed_total";
    until_metric(program, &format!("{series}{{listener=\"public\",reason=\"{reason}\"}} 1"));
}

pub(crate) fn bind_says_where_clients_come_in() {
    for address in ["127.0.0.1", "127.0.0.2"] {
        let hosts = format!("layer.origin.allowed_hosts=[\"{address}\"]");
        let program = serve(&[&format!("listen.public.http.bind={address}:0"), &hosts]);
        assert_eq!(program.address.split(':').next(), Some(address));
        assert_eq!(echo(&program, "x").status, 200);
    }
}

pub(crate) fn path_moves_the_endpoint() {
    for (path, status) in [("/mcp", 200), ("/other", 404)] {
        let program = serve(&[&format!("listen.public.http.path={path}")]);
        assert_eq!(echo(&program, "x").status, status);
        let moved = echo_posted(&program, "x").replacen("/mcp", "/other", 1);
        let status = if status == 200 { 404 } else { 200 };
        let answer = Connection::with(&program, &moved).until("\r\n\r\n");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

pub(crate) fn connections_above_their_bound_are_turned_away() {
    for (connections_max, status) in [(1, 503), (2, 200)] {
        let program = serve(&[&format!("listen.public.http.connections_max={connections_max}")]);
        let mut first = Connection::with(&program, &echo_posted(&program, "x"));
        first.until("\"complete\"");
        assert_eq!(echo(&program, "x").status, status);
    }
}

pub(crate) fn a_silent_connection_is_closed() {
    let (hasty, patient) = hasty_and_patient("first_byte_ms");
    let mut kept = Connection::open(&patient);
    assert_eq!(Connection::open(&hasty).rest(), "");
    until_closed(&hasty, "first_byte");
    kept.send(&echo_posted(&patient, "x"));
    kept.until("\"complete\"");
}

pub(crate) fn a_head_that_does_not_end_is_given_up() {
    let (hasty, patient) = hasty_and_patient("head_ms");
    let request = echo_posted(&patient, "x");
    let (begin, ending) = request.split_at(30);
    let mut kept = Connection::with(&patient, begin);
    assert_eq!(Connection::with(&hasty, begin).rest(), "");
    until_closed(&hasty, "head");
    kept.send(ending);
    kept.until("\"complete\"");
}

/// A request whose body stops before its end: the hasty program refuses it, the patient one answers when the rest
/// comes.
fn a_slow_body(hasty: &Program, patient: &Program) {
    let parts = |program: &Program| {
        let mut begin = echo_posted(program, "x");
        let ending = begin.split_off(begin.len() - 10);
        (begin, ending)
    };
    let (begin, ending) = parts(patient);
    let mut kept = Connection::with(patient, &begin);
    let refused = Connection::with(hasty, &parts(hasty).0).until("\r\n");
    assert!(refused.starts_with("HTTP/1.1 408 "), "{refused}");
    kept.send(&ending);
    kept.until("\"complete\"");
}

pub(crate) fn a_body_that_does_not_end_is_refused() {
    let (hasty, patient) = hasty_and_patient("body_ms");
    a_slow_body(&hasty, &patient);
}

pub(crate) fn a_body_that_comes_too_slowly_is_refused() {
    let window = "listen.public.http.body_window_ms=50";
    let start = |bytes: u32| {
        serve(&[window, &format!("listen.public.http.body_bytes_per_sec_min={bytes}")])
    };
    a_slow_body(&start(1_000), &start(0));
}

pub(crate) fn the_rate_of_a_body_is_measured_over_so_long() {
    let (hasty, patient) = hasty_and_patient("body_window_ms");
    a_slow_body(&hasty, &patient);
}

pub(crate) fn a_connection_between_requests_is_closed() {
    let (hasty, patient) = hasty_and_patient("idle_ms");
    let answered = |program: &Program| {
        let mut connection = Connection::with(program, &echo_posted(program, "x"));
        connection.until("\"complete\"");
        connection
    };
    let mut kept = answered(&patient);
    answered(&hasty).rest();
    until_closed(&hasty, "idle");
    kept.send(&echo_posted(&patient, "again"));
    kept.until("again");
}

pub(crate) fn a_client_that_takes_no_answer_is_cut() {
    let (hasty, patient) = hasty_and_patient("write_ms");
    // Together more than the buffers of both sockets hold.
    let answers = 1_200;
    let unread = |program: &Program| {
        let headers = modern_headers("tools/list", None);
        let list = request("tools/list", &modern_params(json!({}), &json!({})));
        let last = posted(program, &format!("{headers}Connection: close\r\n"), &list);
        let connection = Connection::open(program);
        connection.send_apart(posted(program, &headers, &list).repeat(answers - 1) + &last);
        connection
    };
    let taken = |connection: &mut Connection| connection.rest().matches("\"complete\"").count();
    let mut kept = unread(&patient);
    let mut cut = unread(&hasty);
    until_closed(&hasty, "write_stall");
    assert!(taken(&mut cut) < answers);
    assert_eq!(taken(&mut kept), answers);
}

pub(crate) fn a_silent_stream_beats() {
    let start =
        |ms: u32| serve(&[&format!("listen.public.http.heartbeat_ms={ms}"), "shutdown.drain_ms=1"]);
    let (lively, quiet) = (start(100), start(3_600_000));
    let mut silent = Connection::waiting(&quiet);
    Connection::waiting(&lively).until("\n: \n\n");
    // The end of the process is the end of the stream.
    quiet.signal("TERM");
    assert!(!silent.rest().contains("\n: \n"));
}

pub(crate) fn standard_input_takes_so_many_calls() {
    for (calls_max, is_refused) in [(1, true), (2, false)] {
        let setting = format!("listen.desktop.stdio.calls_max={calls_max}");
        let mut piped = Piped::start_set("", &[&setting]);
        let (_, mut waiting) = speaking_call("test_cancellation");
        waiting["id"] = json!("waiting");
        assert_eq!(piped.ask(&waiting)["method"], "notifications/progress");
        let answer = piped.ask(&modern_call("test_simple_text", &json!({})));
        assert_eq!(answer["id"], 7);
        assert_eq!(answer["error"]["data"]["limit"] == json!(1), is_refused, "{answer}");
    }
}
