//! The catalogue of refusals is the whole truth, and an operator finds out why a request was refused.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::time::Instant;

use protocol::RefusalKind;
use protocol::refusal::{CAUSES, reference};
use serde_json::{Value, json};

use crate::program::{PATIENCE, Program, modern_call, modern_headers, profile};

/// Every layer that the usual profile does not have.
const MORE: &str = "[listen.desktop]\nstdio = {}\n[layer.pre_auth_limit]\n[layer.rate_limit]\n\
    calls_per_sec = 1\nburst_calls = 2\n[layer.circuit_breaker]\n[layer.bulkhead]\n";

fn pairs_of(text: &str) -> BTreeSet<(String, String)> {
    let label = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    let series = text.lines().filter(|line| line.starts_with("toolrack_refusals_total{"));
    series.filter_map(|line| Some((label(line, "layer")?, label(line, "kind")?))).collect()
}

#[test]
fn the_page_the_metrics_and_the_catalogue_name_the_same_refusals() {
    let program = Program::start(&profile(MORE), &[]);
    let layers: BTreeSet<_> = stack::ORDER.iter().map(|(layer, _)| *layer).collect();
    // What has no layer is told to clients and remembered, but has metrics of its own room.
    let of_layers = CAUSES.iter().filter(|cause| layers.contains(cause.layer));
    let catalogued: BTreeSet<_> =
        of_layers.map(|cause| (cause.layer.to_owned(), cause.kind.as_str().to_owned())).collect();
    assert_eq!(pairs_of(&program.control("/metrics").body), catalogued);
    let page = include_str!("../../../profiles/REFUSALS.md");
    assert_eq!(page, reference(), "run `cargo ci schemas`");
    let headings: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(headings, RefusalKind::ALL.map(|kind| format!("`{}`", kind.as_str())));
}

#[test]
fn every_key_of_the_catalogue_is_one_of_a_profile() {
    let known = profile::keys();
    for cause in CAUSES {
        for key in cause.keys {
            assert!(known.iter().any(|known| known == key), "{key} of {cause:?}");
        }
    }
}

/// What the control listener says of a refusal.
fn explained(program: &Program, error: &Value) -> Value {
    let id = error["data"]["request_id"].as_str().expect("an id");
    let answer = program.control(&format!("/admin/explain?request={id}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    let explained = answer.json();
    for (key, told) in [("refusal", "refusal"), ("layer", "layer"), ("scope", "scope")] {
        assert_eq!(explained[key], error["data"][told]);
    }
    assert_eq!(explained["retry_after_ms"], error["data"]["retry_after_ms"]);
    assert_eq!((&explained["request_id"], &explained["code"]), (&json!(id), &error["code"]));
    explained
}

fn until_refused(mut ask: impl FnMut() -> Value) -> Value {
    let begun = Instant::now();
    loop {
        let error = ask()["error"].take();
        if error["data"]["refusal"] == "rate_limited" {
            return error;
        }
        assert!(begun.elapsed() < PATIENCE, "nobody minds");
    }
}

#[test]
fn a_refused_call_of_either_era_and_transport_can_be_explained() {
    let file = profile(MORE);
    let mut program =
        Program::start_with_stdio(&file, &["--set", "layer.rate_limit.burst_calls=3"]);
    let arguments = json!({ "text": "x" });
    let modern = until_refused(|| {
        let answer = program.call("echo", &arguments);
        let told = answer.json();
        let id = answer.header("x-request-id").map(str::to_owned);
        assert_eq!(id.as_deref(), told["error"]["data"]["request_id"].as_str());
        told
    });
    let session = program.session("2025-11-25", json!({}));
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "echo", "arguments": arguments } });
    let legacy = until_refused(|| program.post(&session, &call).json());
    let stdio = until_refused(|| program.ask_stdio(&modern_call("echo", &arguments)));
    let [modern, legacy, stdio] = [modern, legacy, stdio].map(|error| explained(&program, &error));
    let of_http = &modern["principal"];
    assert!(of_http.is_string() && *of_http == legacy["principal"]);
    assert!(stdio["principal"].is_string() && stdio["principal"] != *of_http);
    assert_ne!(modern["request_id"], legacy["request_id"]);
    assert_eq!((&modern["generation"], &modern["limit"]), (&json!(1), &json!(1)));
    assert_eq!(modern["may_have_executed"], false);
    // Where each bound stands: the line of the file, and what was changed on the command line.
    let origin = |key: &str| {
        let keys = modern["keys"].as_array().expect("keys");
        let found = keys.iter().find(|found| found["key"] == key).expect("a key");
        found["origin"].as_str().expect("text").to_owned()
    };
    let line = origin("layer.rate_limit.calls_per_sec");
    assert!(line.starts_with(file.to_str().expect("UTF-8")) && line.contains(':'), "{line}");
    assert_eq!(origin("layer.rate_limit.burst_calls"), "--set layer.rate_limit.burst_calls=3");
}

#[test]
fn heads_and_connections_that_are_refused_can_be_explained() {
    let program = Program::start(&profile(MORE), &["--set", "layer.connections.per_address_max=4"]);
    let head = format!("GET /mcp HTTP/1.1\r\nHost: {}\r\n", program.address);
    let evil = program.request(&format!("{head}Origin: http://evil.example.com\r\n"), "");
    let explained_origin = explained(&program, &evil.json()["error"]);
    assert_eq!(explained_origin["stage"], "edge");
    let held: Vec<_> =
        (0..4).map(|_| TcpStream::connect(&program.address).expect("it listens")).collect();
    let begun = Instant::now();
    let refused = loop {
        let answer = program.request(&head, "");
        if answer.status == 429 {
            break answer;
        }
        assert!(begun.elapsed() < PATIENCE, "everybody is let in");
    };
    let told = explained(&program, &refused.json()["error"]);
    assert_eq!((&told["stage"], &told["generation"]), (&json!("accept"), &json!(0)));
    assert_eq!(refused.header("x-request-id"), told["request_id"].as_str());
    drop(held);
    // The first is remembered however many of other kinds come.
    assert_eq!(explained(&program, &evil.json()["error"]), explained_origin);
}

#[test]
fn a_busy_tool_is_explained_by_the_limits_of_its_own_plugin() {
    let more = format!(
        "{MORE}[plugin.misbehave]\nlibrary = \"libmisbehave.so\"\n\
         limits = {{ concurrent_calls = 1, queue_calls = 0 }}\n"
    );
    let settings = ["layer.rate_limit.mode=off", "log.filter=info,telemetry=debug"];
    let settings: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let mut program = Program::start(&profile(&more), &settings);
    let call = modern_call("never", &json!({}));
    let held = program.begin(&modern_headers("tools/call", Some("never")), &call);
    let has_its_place = "toolrack_bound_used{bound=\"bulkhead_calls\",scope=\"misbehave\"} 1\n";
    let begun = Instant::now();
    while !program.control("/metrics").body.contains(has_its_place) {
        assert!(begun.elapsed() < PATIENCE, "the call does not come to its place");
    }
    let error = program.call("large", &json!({ "bytes": 1 })).json()["error"].take();
    let told = explained(&program, &error);
    assert_eq!(told["refusal"], "plugin_busy");
    let keys = told["keys"].as_array().expect("keys").iter();
    let keys: BTreeSet<_> = keys.map(|key| key["key"].as_str().expect("text")).collect();
    assert!(keys.contains("plugin.misbehave.limits.concurrent_calls"), "{keys:?}");
    assert!(!keys.iter().any(|key| key.starts_with("plugin.echo.")), "{keys:?}");
    // Whoever wants every refusal in the log finds it there by the same id.
    let id = error["data"]["request_id"].clone();
    let line = program.wait_for(|_, line| line["request"] == id);
    assert_eq!((&line["message"], &line["layer"]), (&json!("Refused."), &json!("bulkhead")));
    drop(held);
}
