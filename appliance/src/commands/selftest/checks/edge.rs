//! What is judged by the head alone, and the sizes of bodies.

use std::fmt::Write;

use middleware::Mode;
use serde_json::json;

use super::super::judge::{Expected, Refusal};
use super::super::run::{Attack, Checked, Run};
use super::super::wire::{Way, message, modern_headers};

/// Largest body or answer that a test sends: it is held in memory on both sides.
const BODY_BYTES_MAX: usize = 32 << 20;
/// Bytes of a head beside what is tried.
const HEAD_BYTES_BESIDE: usize = 512;

const FORBIDDEN: Refusal = Refusal {
    layer: "origin",
    kind: "origin_forbidden",
    status: 403,
    code: -32600,
    says_when: false,
};

const TOO_LARGE: Refusal = Refusal {
    layer: "payload",
    kind: "payload_too_large",
    status: 413,
    code: -32600,
    says_when: false,
};

fn head_too_large(kind: &'static str, status: u16) -> Refusal {
    Refusal { layer: "http", kind, status, code: -32600, says_when: false }
}

/// `layer.origin`: whose names are let in.
pub(in super::super) fn origin(run: &mut Run) -> Checked {
    let lane = run.open(&[])?;
    let config = lane.plan.layers.origin.clone();
    let Some(way) = lane.way() else { return Ok(()) };
    if config.mode == Mode::Off {
        return Ok(());
    }
    let usual = way.get("/selftest", "");
    let named = |host: &str| {
        let head = format!("GET /selftest HTTP/1.1\r\nHost: {host}\r\n\r\n");
        head.into_bytes()
    };
    let listed = config.allowed_hosts.first().map_or_else(|| usual.clone(), |host| named(host));
    let below = run.ask(way, &listed);
    let attack = |key, sent: &str| Attack {
        lane: &lane,
        key,
        mode: config.mode,
        expected: Expected::Refusal(FORBIDDEN),
        sent: sent.to_owned(),
    };
    let host = attack("layer.origin.allowed_hosts", "a request for Host selftest.invalid");
    run.attack(host, Some(below), |run| run.ask(way, &named("selftest.invalid")))?;
    let from = |origin: &str| way.get("/selftest", &format!("Origin: {origin}\r\n"));
    let listed = config.allowed_origins.first().map_or("http://localhost", |origin| origin);
    let below = run.ask(way, &from(listed));
    let other =
        attack("layer.origin.allowed_origins", "a request from Origin http://selftest.invalid");
    run.attack(other, Some(below), |run| run.ask(way, &from("http://selftest.invalid")))
}

/// `layer.http`: what a head may be.
pub(in super::super) fn heads(run: &mut Run) -> Checked {
    let lane = run.open(&[])?;
    let config = lane.plan.layers.http.clone();
    let Some(way) = lane.way() else { return Ok(()) };
    if config.mode == Mode::Off {
        return Ok(());
    }
    let head_bytes_max = config.head_bytes_max.bytes();
    let uri = |bytes: usize| way.get(&format!("/{}", "u".repeat(bytes - 1)), "");
    let named = |bytes: usize| way.get("/selftest", &format!("{}: 1\r\n", "n".repeat(bytes)));
    let valued =
        |bytes: usize| way.get("/selftest", &format!("x-selftest: {}\r\n", "v".repeat(bytes)));
    // `Host` is one of them.
    let fields = |count: usize| {
        let more: String = (1..count).map(|at| format!("x-{at}: 1\r\n")).collect();
        way.get("/selftest", &more)
    };
    type Head<'a> = &'a dyn Fn(usize) -> Vec<u8>;
    let tried: [(&str, usize, &str, Refusal, Head<'_>); 4] = [
        (
            "uri_bytes_max",
            config.uri_bytes_max.bytes(),
            "bytes of an address",
            head_too_large("uri_too_long", 414),
            &uri,
        ),
        (
            "header_name_bytes_max",
            config.header_name_bytes_max.bytes(),
            "bytes of a name",
            head_too_large("head_too_large", 431),
            &named,
        ),
        (
            "header_value_bytes_max",
            config.header_value_bytes_max.bytes(),
            "bytes of a value",
            head_too_large("head_too_large", 431),
            &valued,
        ),
        (
            "headers_max",
            config.headers_max,
            "header fields",
            head_too_large("head_too_large", 431),
            &fields,
        ),
    ];
    for (name, most, what, refusal, head) in tried {
        let key = format!("layer.http.{name}");
        let beyond = head(most + 1);
        if beyond.len() + HEAD_BYTES_BESIDE > head_bytes_max {
            run.skip(key, "`layer.http.head_bytes_max` is reached first");
            continue;
        }
        // The parser itself reads no more.
        let is_parsers = name == "headers_max" && most >= 100;
        let expected = if is_parsers { Expected::Status(431) } else { Expected::Refusal(refusal) };
        let below = run.ask(way, &head(most));
        let sent = format!("{most} and {} {what}", most + 1);
        let attack = Attack { lane: &lane, key: &key, mode: config.mode, expected, sent };
        run.attack(attack, Some(below), |run| run.ask(way, &beyond))?;
    }
    whole_head(run)
}

/// A head that is larger as a whole, and no part of which is. It is read in parts, of which the last may go beyond the
/// bound: only a head of twice as many bytes is refused in any case.
fn whole_head(run: &mut Run) -> Checked {
    let lane = run.open(&[])?;
    let Some(way) = lane.way() else { return Ok(()) };
    let config = &lane.plan.layers.http;
    let most = config.head_bytes_max.bytes();
    let value_bytes = config.header_value_bytes_max.bytes();
    let head = |bytes: usize| {
        let mut more = String::new();
        let mut fields = 1;
        while more.len() + HEAD_BYTES_BESIDE < bytes {
            let left = (bytes - more.len() - HEAD_BYTES_BESIDE).min(value_bytes);
            writeln!(more, "x-{fields}: {}\r", "v".repeat(left)).ok();
            fields += 1;
        }
        (way.get("/selftest", &more), fields)
    };
    let key = "layer.http.head_bytes_max";
    let (beyond, fields) = head(2 * most + HEAD_BYTES_BESIDE);
    if config.mode != Mode::Enforce || fields > config.headers_max {
        run.skip(
            key,
            "no head is as large without a part of it that is refused first, or nobody is refused",
        );
        return Ok(());
    }
    let below = run.ask(way, &head(most - HEAD_BYTES_BESIDE).0);
    let sent = format!("heads of a little less than {most} and of {} bytes", 2 * most);
    let expected = Expected::Status(431);
    let attack = Attack { lane: &lane, key, mode: config.mode, expected, sent };
    run.attack(attack, Some(below), |run| run.ask(way, &beyond))
}

/// `layer.payload`: how large bodies may be.
pub(in super::super) fn payload(run: &mut Run) -> Checked {
    let lane = run.open(&[])?;
    let config = lane.plan.layers.payload.clone();
    let Some(way) = lane.way() else { return Ok(()) };
    if config.mode == Mode::Off {
        return Ok(());
    }
    let most = config.request_bytes_max.bytes();
    let below = (most <= BODY_BYTES_MAX).then(|| run.ask(way, &padded(way, most)));
    let attack = Attack {
        lane: &lane,
        key: "layer.payload.request_bytes_max",
        mode: config.mode,
        expected: Expected::Refusal(TOO_LARGE),
        sent: format!(
            "a body of {most} bytes, and {} bytes that are declared and never sent",
            most + 1
        ),
    };
    let head = modern_headers("tools/call", &json!({ "name": "probe_answer" }));
    let declared = format!("{}{head}\r\n", way.head(most + 1)).into_bytes();
    if config.mode == Mode::Enforce {
        run.attack(attack, below, |run| run.ask(way, &declared))?;
    } else if most < BODY_BYTES_MAX {
        run.attack(attack, below, |run| run.ask(way, &padded(way, most + 1)))?;
    } else {
        run.skip(attack.key, "mode `shadow`, and too large to be sent");
    }
    let most = config.response_bytes_max.bytes();
    let key = "layer.payload.response_bytes_max";
    if most > BODY_BYTES_MAX {
        run.skip(key, format!("{most} bytes are too many for a test"));
        return Ok(());
    }
    let large = |bytes: usize| way.call("probe_large", &json!({ "bytes": bytes }));
    let within = most.saturating_sub(HEAD_BYTES_BESIDE);
    let below = run.ask(way, &large(within));
    let attack = Attack {
        lane: &lane,
        key,
        mode: config.mode,
        expected: Expected::Refusal(TOO_LARGE),
        sent: format!("calls that answer with {within} and {} bytes", most + 1),
    };
    run.attack(attack, Some(below), |run| run.ask(way, &large(most + 1)))
}

/// A call with blanks behind it, of so many bytes in all.
fn padded(way: &Way, bytes: usize) -> Vec<u8> {
    let params = json!({ "name": "probe_answer", "arguments": {} });
    let headers = modern_headers("tools/call", &params);
    let mut body = message("tools/call", params);
    let blanks = bytes.saturating_sub(body.len());
    body.push_str(&" ".repeat(blanks));
    way.posted(&headers, &body)
}
