//! The order of the layers is a contract: a request that several layers would refuse is answered by the outermost.
//!
//! Layers are broken one after another, from the innermost out, and stay broken. After each, one and the same call is
//! sent every way that meets the layer, and must be answered by the layer that was broken last: all later ones fail
//! too. A new layer is one more row of [`ROWS`].

use std::io::Write;
use std::net::TcpStream;
use std::time::Instant;

use serde_json::{Value, json};

use crate::program::{
    Answer, PATIENCE, Program, modern_call, modern_headers, modern_params, profile,
};

/// Who sends what is to be refused. What breaks layers is sent by nobody in particular, so that its quotas are its own.
const CLIENT: &str = "X-Forwarded-For: 192.0.2.1\r\n";

/// Every layer, with bounds that this test can reach.
const LAYERS: &str = r#"
[listen.desktop]
stdio = {}
[layer.rate_limit]
calls_per_sec = 1
burst_calls = 60
[layer.pre_auth_limit]
requests_per_sec = 1
burst_requests = 400
[layer.fairness]
queue_calls_max = 0
[layer.circuit_breaker]
calls_min = 10
open_ms = 60000
[layer.bulkhead]
[plugin.misbehave]
library = "libmisbehave.so"
limits = { concurrent_calls = 2, queue_calls = 0 }
config = { fails_above_bytes = 1000000 }
tool = { never = { concurrent_calls = 2 } }
"#;

/// The same for tables that the usual profile has.
const SETTINGS: [&str; 14] = [
    "listen.public.http.trusted_proxies=[\"127.0.0.1/32\"]",
    "listen.public.http.first_byte_ms=600000",
    "listen.public.http.body_ms=600000",
    "listen.public.http.body_bytes_per_sec_min=0",
    "layer.connections.per_address_max=40",
    "layer.concurrency.calls_max=8",
    "layer.payload.request_bytes_max=48MiB",
    "layer.payload.response_bytes_max=64KiB",
    "layer.memory.limit_bytes=256MiB",
    "layer.memory.ledger_bytes_max=112MiB",
    "layer.memory.soft_percent=40",
    "layer.memory.high_percent=41",
    "layer.memory.hard_percent=42",
    "layer.memory.critical_percent=100",
];

/// One layer at one stage.
struct Row {
    layer: &'static str,
    stage: &'static str,
    /// `data.refusal`.
    kind: &'static str,
    /// `data.scope`: tells the halves of a layer apart.
    scopes: &'static [&'static str],
    ways: &'static [Way],
    breaks: fn(&mut House),
}

/// Places that calls of the plugin have.
const PLACES: &str = "toolrack_bound_used{bound=\"bulkhead_calls\",scope=\"misbehave\"}";

/// How a call comes in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Modern,
    Legacy,
    /// Standard input, which has no head: its calls meet the call stage alone.
    Stdio,
}

const HTTP: &[Way] = &[Way::Modern, Way::Legacy];
const EVERY: &[Way] = &[Way::Modern, Way::Legacy, Way::Stdio];

/// The contract, outermost first, with what breaks each layer.
const ROWS: &[Row] = &[
    Row {
        layer: "connections",
        stage: "accept",
        kind: "address_exhausted",
        scopes: &["address"],
        ways: HTTP,
        breaks: House::take_every_connection,
    },
    Row {
        layer: "http",
        stage: "edge",
        kind: "uri_too_long",
        scopes: &["request"],
        ways: HTTP,
        breaks: |house| house.query = format!("?{}", "q".repeat(16 << 10)),
    },
    Row {
        layer: "origin",
        stage: "edge",
        kind: "origin_forbidden",
        scopes: &["request"],
        ways: HTTP,
        breaks: |house| house.origin = "Origin: http://evil.example.com\r\n",
    },
    Row {
        layer: "pre_auth_limit",
        stage: "edge",
        kind: "rate_limited",
        scopes: &["address"],
        ways: HTTP,
        breaks: House::ask_too_often,
    },
    Row {
        layer: "payload",
        stage: "edge",
        kind: "payload_too_large",
        scopes: &["request"],
        ways: HTTP,
        breaks: |house| house.declared_bytes = Some(49 << 20),
    },
    Row {
        layer: "memory",
        stage: "edge",
        kind: "memory_exhausted",
        // A modern head says that it is work, which is not served; a legacy one says what its body takes.
        scopes: &["process", "request"],
        ways: HTTP,
        breaks: |house| house.declared_bytes = Some(16 << 20),
    },
    Row {
        layer: "memory",
        stage: "call",
        kind: "memory_exhausted",
        scopes: &["process"],
        ways: EVERY,
        breaks: House::take_the_memory,
    },
    Row {
        layer: "rate_limit",
        stage: "call",
        kind: "rate_limited",
        scopes: &["client"],
        ways: EVERY,
        breaks: House::call_too_often,
    },
    Row {
        layer: "fairness",
        stage: "call",
        kind: "overloaded",
        scopes: &["work"],
        ways: EVERY,
        breaks: House::take_every_permit,
    },
    Row {
        layer: "concurrency",
        stage: "call",
        kind: "overloaded",
        // Full, or what is left is kept for reads.
        scopes: &["process", "work"],
        ways: EVERY,
        breaks: House::take_every_permit,
    },
    Row {
        layer: "circuit_breaker",
        stage: "call",
        kind: "circuit_open",
        scopes: &["tool:large", "tool:never"],
        ways: EVERY,
        breaks: House::open_the_circuit,
    },
    Row {
        layer: "timeout",
        stage: "call",
        kind: "timed_out",
        scopes: &["call"],
        ways: EVERY,
        // The call never ends.
        breaks: |_| (),
    },
    Row {
        layer: "bulkhead",
        stage: "call",
        kind: "plugin_busy",
        scopes: &["plugin:misbehave"],
        ways: EVERY,
        breaks: House::take_every_place,
    },
    Row {
        layer: "payload",
        stage: "answer",
        kind: "payload_too_large",
        scopes: &["response"],
        ways: EVERY,
        // The call asks for too many bytes from the beginning.
        breaks: |_| (),
    },
];

/// A running program with what is broken in it.
struct House {
    program: Program,
    /// The tool that is called, with what.
    tool: &'static str,
    arguments: Value,
    /// Header of a legacy session.
    session: String,
    query: String,
    origin: &'static str,
    declared_bytes: Option<usize>,
    is_quota_used: bool,
    /// Connections that hold what others want.
    held: Vec<TcpStream>,
}

impl House {
    fn start(own: &[&str], tool: &'static str, arguments: Value) -> Self {
        let settings = SETTINGS.iter().chain(own).copied();
        let settings: Vec<_> = settings.flat_map(|setting| ["--set", setting]).collect();
        let program = Program::start_with_stdio(&profile(LAYERS), &settings);
        let session = program.session("2025-11-25", json!({}));
        Self {
            program,
            tool,
            arguments,
            session,
            query: String::new(),
            origin: "",
            declared_bytes: None,
            is_quota_used: false,
            held: Vec::new(),
        }
    }

    /// Sends the call every way, and looks who answers. `inner` are the rows that were broken before: one of them may
    /// answer while a bucket has filled by a token, which it does once a second, and nobody else ever.
    fn check(&mut self, row: &Row, inner: &[&Row]) {
        const ATTEMPTS: usize = 3;
        for way in row.ways {
            let mut others = Vec::new();
            while others.len() < ATTEMPTS {
                self.keep_quotas_used();
                let error = self.ask(*way)["error"].take();
                if answers(row, &error["data"]) {
                    break;
                }
                others.push(error);
            }
            let are_inner =
                others.iter().all(|other| inner.iter().any(|row| answers(row, &other["data"])));
            assert!(
                others.len() < ATTEMPTS && are_inner,
                "{way:?}: {} ({}) should have answered, not {others:#?}",
                row.layer,
                row.stage
            );
        }
    }

    /// The call that every broken layer refuses.
    fn ask(&mut self, way: Way) -> Value {
        let modern = modern_call(self.tool, &self.arguments);
        match way {
            Way::Stdio => self.program.ask_stdio(&modern),
            Way::Modern => {
                self.post(&modern_headers("tools/call", Some(self.tool)), &modern).json()
            }
            Way::Legacy => {
                let params = json!({ "name": self.tool, "arguments": self.arguments });
                let call =
                    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
                self.post(&self.session, &call).json()
            }
        }
    }

    fn post(&self, headers: &str, message: &Value) -> Answer {
        let body = message.to_string();
        let declared_bytes = self.declared_bytes.unwrap_or(body.len());
        let head = format!(
            "POST /mcp{} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {declared_bytes}\r\n\
             {}{CLIENT}{headers}",
            self.query, self.program.address, self.origin
        );
        self.program.request(&head, &body)
    }

    /// Sends a request whose answer nobody waits for, and keeps its connection.
    fn hold(&mut self, request: &str) {
        let mut stream = TcpStream::connect(&self.program.address).expect("it listens");
        stream.write_all(request.as_bytes()).expect("it reads");
        self.held.push(stream);
    }

    fn metric(&self, series: &str) -> u64 {
        let metrics = self.program.control("/metrics").body;
        let mut values =
            metrics.lines().filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        values.next().and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    fn until_at_least(&self, series: &str, least: u64) {
        let begun = Instant::now();
        while self.metric(series) < least {
            assert!(begun.elapsed() < PATIENCE, "{series} below {least}");
        }
    }

    fn take_every_place(&mut self) {
        let headers = modern_headers("tools/call", Some("never"));
        for _ in 0..2 {
            self.held.push(self.program.begin(&headers, &modern_call("never", &json!({}))));
        }
        self.until_at_least(PLACES, 2);
    }

    /// Has the tool fail as often as it takes, for which it needs its places for a moment.
    fn open_the_circuit(&mut self) {
        let were_taken = !std::mem::take(&mut self.held).is_empty();
        let usual = self.arguments.take();
        self.arguments = json!({ "bytes": 2 << 20 });
        let begun = Instant::now();
        while self.ask(Way::Modern)["error"]["data"]["refusal"] != "circuit_open" {
            assert!(begun.elapsed() < PATIENCE, "no circuit opens");
        }
        self.arguments = usual;
        if were_taken {
            self.take_every_place();
        }
    }

    /// Tasks keep their permits without a client, and have their own time.
    fn take_every_permit(&mut self) {
        let capabilities = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
        let arguments = json!({ "seconds": 600 });
        let params = json!({ "name": "slow_compute", "arguments": arguments });
        let params = modern_params(params, &capabilities);
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let headers = modern_headers("tools/call", Some("slow_compute"));
        let begun = Instant::now();
        loop {
            let answer = self.program.post(&headers, &call).json();
            if answer["error"]["data"]["refusal"] == "overloaded" {
                return;
            }
            assert_eq!(answer["result"]["resultType"], "task", "{answer}");
            assert!(begun.elapsed() < PATIENCE, "there are always permits");
        }
    }

    fn call_too_often(&mut self) {
        self.is_quota_used = true;
    }

    /// Light calls until the client may not call any more. Its bucket fills again with time, while this test goes on.
    fn keep_quotas_used(&mut self) {
        if !self.is_quota_used {
            return;
        }
        let params = modern_params(json!({}), &json!({}));
        let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params });
        let headers = format!("{CLIENT}{}", modern_headers("tools/list", None));
        let is_used = |answer: &Value| {
            let refusal = answer["error"]["data"]["refusal"].as_str();
            refusal.is_some_and(|refusal| refusal != "overloaded")
        };
        while !is_used(&self.program.ask_stdio(&list)) {}
        while !is_used(&self.program.post(&headers, &list).json()) {}
    }

    /// Two bodies that never end: what they take leaves memory for no work, and the ledger no room for large bodies.
    fn take_the_memory(&mut self) {
        const BYTES: usize = 45 << 20;
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {BYTES}\r\n\r\n",
            self.program.address
        );
        let upload = head + &"x".repeat(BYTES - 1);
        (0..2).for_each(|_| self.hold(&upload));
        self.until_at_least("toolrack_memory_level", 3);
        self.until_at_least("toolrack_bound_used{bound=\"memory_ledger_bytes\"}", 90 << 20);
    }

    fn ask_too_often(&mut self) {
        let head = format!("GET /nothing HTTP/1.1\r\nHost: {}\r\n{CLIENT}", self.program.address);
        let begun = Instant::now();
        while self.program.request(&head, "").status != 429 {
            assert!(begun.elapsed() < PATIENCE, "nobody minds");
        }
    }

    /// Connections that stay silent. Those of earlier requests may still be on their way out, and make room once more.
    fn take_every_connection(&mut self) {
        const REFUSED_AT_LEAST: u32 = 50;
        let begun = Instant::now();
        let mut refused = 0;
        while refused < REFUSED_AT_LEAST {
            self.hold("");
            let is_refused = self.ask(Way::Modern)["error"]["data"]["layer"] == "connections";
            refused = if is_refused { refused + 1 } else { 0 };
            assert!(begun.elapsed() < PATIENCE, "everybody is let in");
        }
    }
}

/// Whether the `data` of a refusal is that of a row.
fn answers(row: &Row, data: &Value) -> bool {
    data["layer"] == row.layer
        && data["refusal"] == row.kind
        && data["scope"].as_str().is_some_and(|scope| row.scopes.contains(&scope))
}

/// Breaks one layer after another, from the innermost out, and looks who answers. `passed` are layers that this call
/// cannot fail, since it fails another.
fn break_from_inside(mut house: House, passed: &[(&str, &str)]) {
    let rows: Vec<_> =
        ROWS.iter().filter(|row| !passed.contains(&(row.layer, row.stage))).collect();
    for (number, row) in rows.iter().enumerate().rev() {
        (row.breaks)(&mut house);
        house.check(row, &rows[number + 1..]);
    }
}

#[test]
fn every_layer_has_its_row_in_the_stated_order() {
    let rows: Vec<_> = ROWS.iter().map(|row| (row.layer, row.stage)).collect();
    assert_eq!(rows, stack::ORDER);
}

#[test]
fn the_outermost_layer_answers_a_call_without_a_place_whose_answer_would_be_too_large() {
    // With queues before it, `concurrency` has a permit for every call that comes to it.
    let own = ["layer.timeout.deadline_ms=300000", "layer.fairness.mode=off"];
    let house = House::start(&own, "large", json!({ "bytes": 100 << 10 }));
    break_from_inside(house, &[("timeout", "call"), ("fairness", "call")]);
}

#[test]
fn the_outermost_layer_answers_a_call_that_would_never_end() {
    // Only a call that has its place can be late, and one that is late has no answer that could be too large.
    let own = ["layer.timeout.deadline_ms=300"];
    let house = House::start(&own, "never", json!({}));
    break_from_inside(
        house,
        &[("concurrency", "call"), ("bulkhead", "call"), ("payload", "answer")],
    );
}
