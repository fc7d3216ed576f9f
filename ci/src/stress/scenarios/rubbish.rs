//! S10: captures with flipped bits, and JSON that means harm.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use load::Target;
use load::wire::{self, Era, Tool};

use crate::stage::appliance::Setup;
use crate::stage::clients::together;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::stress::peer::{Peer, Reply};

/// Longest that any answer may take: the deadlines of head and body, and a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
const THREADS: usize = 4;

/// Input that no client means.
pub(super) const S10: Scenario = Scenario {
    name: "s10",
    title: "captures with flipped bits and JSON that means harm",
    left: "",
    play,
};

/// What one thread heard.
#[derive(Default)]
struct Heard {
    statuses: BTreeMap<u16, u64>,
    closed: u64,
    silent: u64,
    not_http: Vec<String>,
    /// Bodies that say they are JSON and are none of the protocol's.
    not_rpc: Vec<String>,
    slowest: Duration,
}

fn play(stage: &mut Stage<'_>) -> Result<(), String> {
    let (count, seed) = (stage.pick(2_000_usize, 100_000), stage.seed);
    let setup = Setup::of(&[
        "listen.public.http.head_ms=2000",
        "listen.public.http.body_ms=2000",
        "listen.public.http.first_byte_ms=2000",
    ]);
    let rules = Rules { mebibytes: 96, ..Rules::USUAL }.with_threads(8).keeping(&[
        "\"sessions\"",
        "\"tasks\"",
        "\"task_bytes\"",
    ]);
    stage.with(&setup, rules, |appliance, findings| {
        let target = appliance.target();
        let captures = captures(target);
        let hostile = hostile();
        let all = together(THREADS, |thread| {
            let mut chance = fastrand::Rng::with_seed(seed.wrapping_add(thread as u64));
            let mut heard = Heard::default();
            for number in 0..count / THREADS {
                let request = match hostile.get(number * THREADS + thread) {
                    Some(body) => wire::post_text(target, &MODERN, body),
                    None => mutated(&captures, &mut chance),
                };
                listen(target, &request, &mut heard)?;
            }
            Ok(heard)
        })?;
        let mut statuses = BTreeMap::<u16, u64>::new();
        for (status, count) in all.iter().flat_map(|heard| &heard.statuses) {
            *statuses.entry(*status).or_default() += count;
            findings.see_status(*status, *count);
        }
        findings.note(format!("statuses of {count} requests, seed {seed}: {statuses:?}"));
        let sum = |of: fn(&Heard) -> u64| all.iter().map(of).sum::<u64>();
        findings.show("closed without an answer", sum(|heard| heard.closed) as f64, "");
        findings.exactly("without an answer and without an end", sum(|heard| heard.silent), 0);
        findings.exactly("answers that are no HTTP", sum(|heard| heard.not_http.len() as u64), 0);
        findings.exactly(
            "bodies outside of the protocol",
            sum(|heard| heard.not_rpc.len() as u64),
            0,
        );
        let odd = all.iter().flat_map(|heard| heard.not_http.iter().chain(&heard.not_rpc));
        odd.take(3).for_each(|odd| findings.note(odd.clone()));
        let slowest = all.iter().map(|heard| heard.slowest).max().unwrap_or_default();
        findings.time_ms("slowest answer", slowest.as_secs_f64() * 1e3, 2_500.0, 20_000.0);
        let is_well = appliance.echo("after all that").is_ok();
        findings.exactly("a good call afterwards", is_well.into(), 1);
        Ok(())
    })
}

const MODERN: [(&str, &str); 3] =
    [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/call"), ("Mcp-Name", "echo")];

/// Sends it all, says that nothing follows, and listens.
fn listen(target: &Target, request: &[u8], heard: &mut Heard) -> Result<(), String> {
    let mut peer = Peer::connect(target, None)?;
    let begun = Instant::now();
    peer.send(request);
    peer.finish();
    let reply = peer.answer(PATIENCE);
    heard.slowest = heard.slowest.max(begun.elapsed());
    match &reply {
        Reply::Answer { status, bytes } => {
            *heard.statuses.entry(*status).or_default() += 1;
            let is_json = load::answer::header(bytes, "content-type")
                .is_some_and(|kind| kind.starts_with("application/json"));
            let is_rpc = reply.message().is_some_and(|message| {
                message["jsonrpc"] == "2.0" || message.as_array().is_some_and(|all| !all.is_empty())
            });
            if is_json && !is_rpc {
                heard.not_rpc.push(String::from_utf8_lossy(bytes).into_owned());
            }
        }
        Reply::Closed => heard.closed += 1,
        Reply::Silent => heard.silent += 1,
        // The answer to a capture whose first bytes became HTTP/2's or 0.9's is no answer of HTTP/1.1.
        Reply::NotHttp(error) => heard.not_http.push(error.clone()),
    }
    Ok(())
}

/// Requests as clients of both eras send them.
fn captures(target: &Target) -> Vec<Vec<u8>> {
    let call = |name: &str| {
        wire::call(
            target,
            Era::Modern,
            None,
            &Tool {
                name: name.to_owned(),
                arguments: serde_json::json!({ "text": "h\u{e9}llo \"you\"", "ms": 1, "bytes": 9 }),
            },
            false,
        )
    };
    let list =
        "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"tools/list\",\"params\":{\"cursor\":null}}";
    vec![
        call("echo"),
        call("large"),
        call("test_simple_text"),
        wire::initialize(target),
        wire::initialized(target, &"s".repeat(43)),
        wire::delete(target, &"s".repeat(43)),
        wire::post_text(target, &[], list),
        wire::get(target, "/mcp"),
    ]
}

/// A capture with one to eight bits flipped, or a piece cut out, or a piece twice.
fn mutated(captures: &[Vec<u8>], chance: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = chance.choice(captures).cloned().unwrap_or_default();
    let (from, to) = {
        let (a, b) = (chance.usize(..bytes.len()), chance.usize(..bytes.len()));
        (a.min(b), a.max(b))
    };
    match chance.u8(..4) {
        0 => drop(bytes.drain(from..to)),
        1 => {
            let piece = bytes.get(from..to).unwrap_or_default().to_vec();
            bytes.splice(to..to, piece);
        }
        _ => {
            for _ in 0..chance.u8(1..=8) {
                let at = chance.usize(..bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << chance.u8(..8);
                }
            }
        }
    }
    bytes
}

/// Bodies that parsers have stumbled over.
fn hostile() -> Vec<String> {
    let call = |arguments: &str| {
        let tool = Tool { name: "echo".to_owned(), arguments: serde_json::Value::Null };
        let message = wire::call_message(Era::Modern, 1, &tool).to_string();
        message.replacen("\"arguments\":null", &format!("\"arguments\":{arguments}"), 1)
    };
    let mut bodies: Vec<String> = [
        "{\"text\":1,\"text\":\"two\"}",
        "{\"text\":\"\\ud800\"}",
        "{\"text\":\"\\u0000\"}",
        "{\"te\\u0078t\":\"x\",\"text\":\"y\"}",
        "{\"text\":1e999999}",
        "{\"text\":-0}",
        "{\"TEXT\":\"x\"}",
        "{\"__proto__\":{\"a\":1}}",
        "{\"text\":\"\\ufeff\"}",
        "NaN",
        "{,}",
        "[",
    ]
    .map(call)
    .into();
    bodies.push(call(&"[".repeat(100_000)));
    bodies.push(call(&format!("{}{}", "{\"a\":".repeat(10_000), "}".repeat(10_000))));
    bodies.push(call(&format!("{{\"text\":{}}}", "9".repeat(100_000))));
    bodies.push(call(&format!("{{\"{}\":1}}", "k".repeat(100_000))));
    let many: Vec<_> = (0..50_000).map(|number| format!("\"k{number}\":0")).collect();
    bodies.push(call(&format!("{{{}}}", many.join(","))));
    bodies.push(format!("[{}]", vec!["{}"; 10_000].join(",")));
    bodies.extend(
        ["", " ", "\u{feff}{}", "null", "[]", "[[]]", "\"x\"", "{}{}", "{}\0"].map(str::to_owned),
    );
    bodies
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_makes_the_same_rubbish() {
        let target = Target::resolve("http://127.0.0.1:1/mcp").unwrap();
        let captures = captures(&target);
        let some = |seed| {
            let mut chance = fastrand::Rng::with_seed(seed);
            (0..50).map(|_| mutated(&captures, &mut chance)).collect::<Vec<_>>()
        };
        assert_eq!(some(7), some(7));
        assert_ne!(some(7), some(8));
    }
}
