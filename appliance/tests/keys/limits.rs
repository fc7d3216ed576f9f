//! `layer.pre_auth_limit`, `layer.rate_limit` and who is counted: how often somebody may ask.
//!
//! Requests are sent in one piece, so that they come at once however busy the machine is. Should it stand still for a
//! second, one more gets in; so tests allow for a few and ask for many.

use serde_json::{Value, json};

use crate::program::{Program, modern_call, modern_headers};
use crate::wire::{Connection, metric, posted, request, serve};

/// How many requests are sent at once.
const ASKED: usize = 20;

/// Calls of a tool in one piece; the connection ends after the last.
fn calls(program: &Program, tool: &str, count: usize, header: impl Fn(usize) -> String) -> String {
    let call = modern_call(tool, &json!({ "text": "x" }));
    let headers = modern_headers("tools/call", Some(tool));
    let one = |number| posted(program, &format!("{headers}{}", header(number)), &call);
    let last = posted(program, &format!("{headers}{}Connection: close\r\n", header(count)), &call);
    (1..count).map(one).collect::<String>() + &last
}

/// Sends requests; the answers.
fn answers(program: &Program, requests: String) -> String {
    let mut connection = Connection::open(program);
    connection.send_apart(requests);
    connection.rest()
}

fn count(answers: &str, status: u16) -> usize {
    answers.matches(&format!("HTTP/1.1 {status} ")).count()
}

/// How many of [`ASKED`] calls of a tool get in.
fn admitted(program: &Program, tool: &str) -> usize {
    let answers = answers(program, calls(program, tool, ASKED, |_| String::new()));
    let admitted = count(&answers, 200);
    assert_eq!(admitted + count(&answers, 429), ASKED, "{answers}");
    admitted
}

/// The same, where `client` is whom a proxy speaks for.
fn admitted_for(program: &Program, client: &str) -> usize {
    let header = |_| format!("X-Forwarded-For: {client}\r\n");
    count(&answers(program, calls(program, "echo", ASKED, header)), 200)
}

/// How many of [`ASKED`] sessions one client may begin.
fn sessions(program: &Program) -> usize {
    let initialize = |headers| {
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" } });
        posted(program, headers, &request("initialize", &params))
    };
    let requests = initialize("").repeat(ASKED - 1) + &initialize("Connection: close\r\n");
    count(&answers(program, requests), 200)
}

/// What one refused call is told.
fn refused(program: &Program) -> Value {
    let answers = answers(program, calls(program, "echo", ASKED, |_| String::new()));
    let bodies = answers.split("\r\n\r\n").filter_map(|part| {
        let (body, _) = part.split_once("HTTP/1.1").unwrap_or((part, ""));
        serde_json::from_str::<Value>(body).ok()
    });
    let mut data = bodies.map(|body| body["error"]["data"].clone());
    data.find(|data| !data.is_null()).expect("a refusal")
}

/// Whether so many got in of those that settings allow.
fn is_about(admitted: usize, allowed: usize) -> bool {
    (allowed..allowed + 5).contains(&admitted)
}

/// A layer refuses, counts or does nothing.
fn in_each_mode(layer: &str, settings: &[&str]) {
    for (mode, is_refused, is_counted) in
        [("enforce", true, false), ("shadow", false, true), ("off", false, false)]
    {
        let program = serve(&[settings, &[&format!("layer.{layer}.mode={mode}")]].concat());
        assert_eq!(admitted(&program, "echo") < ASKED, is_refused, "{mode}");
        let series = format!(
            "toolrack_refusals_total{{layer=\"{layer}\",kind=\"rate_limited\",mode=\"shadow\"}}"
        );
        assert_eq!(
            metric(&program, &series).is_some_and(|value| value > 0.0),
            is_counted,
            "{mode}"
        );
    }
}

/// With a limit of the layer `rate_limit`, and every other one off.
fn only(settings: &[&str]) -> Program {
    let off = ["layer.rate_limit.calls_per_sec=0", "layer.rate_limit.sessions_per_min=0"];
    serve(&[&off, settings].concat())
}

pub(crate) fn pre_auth_limit_refuses_counts_or_is_off() {
    let settings =
        ["layer.pre_auth_limit.requests_per_sec=1", "layer.pre_auth_limit.burst_requests=1"];
    in_each_mode("pre_auth_limit", &settings);
}

pub(crate) fn an_address_may_send_so_many_requests() {
    for requests_per_sec in [1, 2] {
        let rate = format!("layer.pre_auth_limit.requests_per_sec={requests_per_sec}");
        let program = serve(&[&rate, "layer.pre_auth_limit.burst_requests=1"]);
        let data = refused(&program);
        assert_eq!(data["limit"], requests_per_sec);
        let told = data["retry_after_ms"].as_u64().expect("a wait");
        assert!(told <= 1_200 / requests_per_sec, "{data}");
    }
}

pub(crate) fn an_address_may_send_so_many_requests_at_once() {
    for burst in [1, 10] {
        let setting = format!("layer.pre_auth_limit.burst_requests={burst}");
        let program = serve(&["layer.pre_auth_limit.requests_per_sec=1", &setting]);
        let admitted = admitted(&program, "echo");
        assert!(is_about(admitted, burst), "{admitted} of {burst}");
    }
}

/// Calls for three hundred clients; which bound on keys is full then.
fn three_hundred_clients(layer: &str, bound: &str, more: &[&str]) {
    for (keys_max, is_full) in [(256, true), (1_000, false)] {
        let setting = format!("layer.{layer}.keys_max={keys_max}");
        let trust = "listen.public.http.trusted_proxies=[\"127.0.0.1\"]";
        let program = serve(&[more, &[trust, &setting]].concat());
        let client =
            |number| format!("X-Forwarded-For: 192.0.{}.{}\r\n", number / 100, number % 100);
        let answers = answers(&program, calls(&program, "echo", 300, client));
        assert_eq!(count(&answers, 200), 300, "who finds no place shares one: {answers}");
        let value = |metric_name: &str| {
            metric(&program, &format!("toolrack_bound_{metric_name}{{bound=\"{bound}\"}}"))
        };
        assert_eq!(value("limit"), Some(keys_max.into()));
        assert_eq!(value("refused_total").is_some_and(|value| value > 0.0), is_full);
        assert_eq!(value("peak").is_some_and(|value| value > 256.0), !is_full);
    }
}

pub(crate) fn so_many_addresses_are_counted_apart() {
    three_hundred_clients(
        "pre_auth_limit",
        "pre_auth_limit_keys",
        &["layer.pre_auth_limit.requests_per_sec=1", "layer.pre_auth_limit.burst_requests=100"],
    );
}

pub(crate) fn so_many_clients_are_counted_apart() {
    three_hundred_clients(
        "rate_limit",
        "rate_limit_client_keys",
        &["layer.rate_limit.calls_per_sec=1", "layer.rate_limit.burst_calls=100"],
    );
}

pub(crate) fn rate_limit_refuses_counts_or_is_off() {
    let settings = ["layer.rate_limit.calls_per_sec=1", "layer.rate_limit.burst_calls=1"];
    in_each_mode("rate_limit", &settings);
}

pub(crate) fn a_client_may_call_so_often() {
    let limited = only(&["layer.rate_limit.calls_per_sec=1", "layer.rate_limit.burst_calls=1"]);
    let data = refused(&limited);
    assert_eq!((&data["scope"], &data["limit"]), (&json!("client"), &json!(1)));
    let unlimited = only(&["layer.rate_limit.calls_per_sec=0", "layer.rate_limit.burst_calls=1"]);
    assert_eq!(admitted(&unlimited, "echo"), ASKED);
}

pub(crate) fn a_client_may_call_so_often_at_once() {
    for burst in [1, 10] {
        let setting = format!("layer.rate_limit.burst_calls={burst}");
        let program = only(&["layer.rate_limit.calls_per_sec=1", &setting]);
        let answers = answers(&program, calls(&program, "echo", ASKED, |_| String::new()));
        let admitted = count(&answers, 200);
        assert!(is_about(admitted, burst), "{admitted} of {burst}");
        let answers = answers.to_ascii_lowercase();
        assert!(answers.contains(&format!("ratelimit-policy: \"client\";q={burst};w={burst}\r\n")));
        assert!(answers.contains("ratelimit: \"client\";r=0;t="), "{answers}");
        assert!(answers.contains("retry-after: "), "{answers}");
    }
}

pub(crate) fn a_tool_may_be_called_so_often() {
    for (rate, is_limited) in [(1, true), (0, false)] {
        let setting = format!("layer.rate_limit.tool_calls_per_sec={rate}");
        let program = only(&[&setting, "layer.rate_limit.tool_burst_calls=1"]);
        assert_eq!(admitted(&program, "echo") < ASKED, is_limited);
        let unknown = calls(&program, "nothing_of_that_name", ASKED, |_| String::new());
        assert_eq!(count(&answers(&program, unknown), 429), 0, "of what is no tool");
    }
}

pub(crate) fn a_tool_may_be_called_so_often_at_once() {
    for burst in [1, 10] {
        let setting = format!("layer.rate_limit.tool_burst_calls={burst}");
        let program = only(&["layer.rate_limit.tool_calls_per_sec=1", &setting]);
        let admitted_echo = admitted(&program, "echo");
        assert!(is_about(admitted_echo, burst), "{admitted_echo} of {burst}");
        assert!(is_about(admitted(&program, "test_simple_text"), burst), "another tool");
    }
}

pub(crate) fn a_client_may_call_a_tool_so_often() {
    for (rate, is_limited) in [(1, true), (0, false)] {
        let setting = format!("layer.rate_limit.client_tool_calls_per_sec={rate}");
        let program = only(&[&setting, "layer.rate_limit.client_tool_burst_calls=1"]);
        assert_eq!(admitted(&program, "echo") < ASKED, is_limited);
    }
}

pub(crate) fn a_client_may_call_a_tool_so_often_at_once() {
    for burst in [1, 10] {
        let setting = format!("layer.rate_limit.client_tool_burst_calls={burst}");
        let trust = "listen.public.http.trusted_proxies=[\"127.0.0.1\"]";
        let program = only(&["layer.rate_limit.client_tool_calls_per_sec=1", &setting, trust]);
        for client in ["192.0.2.1", "192.0.2.2"] {
            let admitted = admitted_for(&program, client);
            assert!(is_about(admitted, burst), "{admitted} of {burst} for {client}");
        }
    }
}

pub(crate) fn a_client_may_begin_so_many_sessions() {
    for (sessions_per_min, expected) in [(1, 1), (0, ASKED)] {
        let setting = format!("layer.rate_limit.sessions_per_min={sessions_per_min}");
        let program = only(&[&setting, "layer.rate_limit.burst_sessions=1"]);
        assert_eq!(sessions(&program), expected);
    }
}

pub(crate) fn a_client_may_begin_so_many_sessions_at_once() {
    for burst in [1, 10] {
        let setting = format!("layer.rate_limit.burst_sessions={burst}");
        let program = only(&["layer.rate_limit.sessions_per_min=1", &setting]);
        assert_eq!(sessions(&program), burst);
    }
}

pub(crate) fn a_trusted_proxy_says_for_whom_it_speaks() {
    for (trusted, others) in [("[\"127.0.0.0/8\"]", 10), ("[]", 0)] {
        let program = only(&[
            "layer.rate_limit.calls_per_sec=1",
            "layer.rate_limit.burst_calls=10",
            &format!("listen.public.http.trusted_proxies={trusted}"),
        ]);
        assert!(is_about(admitted_for(&program, "192.0.2.1"), 10));
        assert!(is_about(admitted_for(&program, "203.0.113.9, 192.0.2.2"), others));
        assert!(is_about(admitted_for(&program, "203.0.113.9, 192.0.2.1"), 0), "the same client");
    }
}

#[test]
fn the_cheaper_refusal_comes_first() {
    let large = |program: &Program| {
        let call = modern_call("echo", &json!({ "text": "x".repeat(2_000) }));
        let headers = modern_headers("tools/call", Some("echo"));
        let one = posted(program, &headers, &call);
        one.repeat(ASKED - 1) + &posted(program, &format!("{headers}Connection: close\r\n"), &call)
    };
    let cap = "layer.payload.request_bytes_max=1KiB";
    let pre_auth =
        ["layer.pre_auth_limit.requests_per_sec=1", "layer.pre_auth_limit.burst_requests=1"];
    let program = serve(&[&pre_auth[..], &[cap]].concat());
    let refusals = answers(&program, large(&program));
    assert!(count(&refusals, 429) > 0 && count(&refusals, 200) == 0, "{refusals}");
    assert!(refusals.contains("\"layer\":\"pre_auth_limit\""), "{refusals}");

    let rate = ["layer.rate_limit.calls_per_sec=1", "layer.rate_limit.burst_calls=1"];
    let program = serve(&[&rate[..], &["layer.concurrency.calls_max=1"]].concat());
    let _waiting = Connection::waiting(&program);
    let refusals = answers(&program, calls(&program, "echo", ASKED, |_| String::new()));
    let of = |layer: &str| refusals.matches(&format!("\"layer\":\"{layer}\"")).count();
    assert_eq!(of("rate_limit") + of("concurrency"), ASKED, "{refusals}");
    assert!(is_about(of("concurrency"), 0), "{refusals}");
}
