//! S16: messages of every size, in one piece, in chunks and in batches.

use std::time::{Duration, Instant};

use load::wire;
use load::{Client, Target, answer};
use serde_json::{Value, json};

use crate::stage::appliance::Setup;
use crate::stage::findings::Findings;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::stress::peer::{Peer, head_of_call, sized_call};

const PATIENCE: Duration = Duration::from_secs(30);
const KIB: usize = 1 << 10;
const GIB: usize = 1 << 30;
/// Most messages in a batch.
const BATCH_MAX: usize = 100;

/// Sizes around every cap.
pub(super) const S16: Scenario = Scenario {
    name: "s16",
    title: "sizes that double from 1 KiB to 1 GiB, chunks without end, batches of up to 1000",
    left: "compressed bodies, which nothing accepts; the bytes that are read beyond a cap, which only the kernel could count",
    play,
};

fn play(stage: &mut Stage<'_>) -> Result<(), String> {
    let (setting, cap) = stage.pick(("2MiB", 2 << 20), ("16MiB", 16 << 20));
    let setting = format!("layer.payload.request_bytes_max=\"{setting}\"");
    let rules = Rules { mebibytes: 128, ..Rules::USUAL }.keeping(&["\"sessions\""]);
    stage.with(&Setup::of(&[&setting]), rules, |appliance, findings| {
        let target = appliance.target();
        doubled(target, findings, cap)?;
        for (bytes, status) in [(cap - 1, 200), (cap, 200), (cap + 1, 413)] {
            let got = status_of(target, &sized_call(target, bytes))?;
            findings.exactly(&format!("status of {bytes} bytes"), got, status);
        }
        in_chunks(target, findings, cap)?;
        batches(target, findings)
    })
}

/// Bodies up to the cap are sent, larger ones only declared: they must be refused unread.
fn doubled(target: &Target, findings: &mut Findings, cap: usize) -> Result<(), String> {
    let (mut cut_wrong, mut slowest) = (0, Duration::ZERO);
    let sizes = std::iter::successors(Some(KIB), |size| Some(size * 2));
    for bytes in sizes.take_while(|bytes| *bytes <= GIB) {
        let fits = bytes <= cap;
        let request = if fits {
            sized_call(target, bytes)
        } else {
            head_of_call(target, &format!("Content-Length: {bytes}"))
        };
        let begun = Instant::now();
        let status = status_of(target, &request)?;
        findings.see_status(u16::try_from(status).unwrap_or_default(), 1);
        if !fits {
            slowest = slowest.max(begun.elapsed());
        }
        cut_wrong += u64::from(status != if fits { 200 } else { 413 });
    }
    findings.exactly("sizes on the wrong side of the cap", cut_wrong, 0);
    findings.time_ms(
        "slowest refusal of a declared size",
        slowest.as_secs_f64() * 1e3,
        5.0,
        5_000.0,
    );
    Ok(())
}

fn status_of(target: &Target, request: &[u8]) -> Result<u64, String> {
    let mut peer = Peer::connect(target, None)?;
    peer.send(request);
    Ok(peer.answer(PATIENCE).status().unwrap_or_default().into())
}

/// A body that does not say how long it is, and goes on beyond the cap.
fn in_chunks(target: &Target, findings: &mut Findings, cap: usize) -> Result<(), String> {
    let mut peer = Peer::connect(target, None)?;
    peer.send(&head_of_call(target, "Transfer-Encoding: chunked"));
    let piece = format!("{:x}\r\n{}\r\n", 64 * KIB, " ".repeat(64 * KIB));
    let (mut sent, most) = (0, cap + (64 << 20));
    while sent < most && peer.send(piece.as_bytes()) {
        sent += 64 * KIB;
    }
    let status = peer.answer(PATIENCE).status();
    // The end may overtake the answer: bytes that nobody reads make the kernel reset the connection.
    let is_cut = matches!(status, Some(413) | None);
    findings.exactly("chunks without end were cut", is_cut.into(), 1);
    findings.at_most(
        "MiB taken before that",
        sent as f64 / f64::from(1 << 20),
        most as f64 / f64::from(1 << 20) - 1.0,
    );
    Ok(())
}

/// Batches of the one revision that has them.
fn batches(target: &Target, findings: &mut Findings) -> Result<(), String> {
    let mut client = Client::connect(target)?;
    let client_info = json!({ "name": "stress", "version": "1" });
    let params =
        json!({ "protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": client_info });
    let begin = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
    let begun = client.exchange(&wire::post_text(target, &[], &begin.to_string()))?;
    let session = answer::header(&begun.bytes, "mcp-session-id").ok_or("no session")?.to_owned();
    let lines = [("Mcp-Session-Id", session.as_str())];
    let done = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    client.exchange(&wire::post_text(target, &lines, &done.to_string()))?;
    let mut wrong = 0;
    for count in [1, 2, 10, BATCH_MAX - 1, BATCH_MAX, BATCH_MAX + 1, 500, 1_000] {
        let call = |id: usize| {
            json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
                "params": { "name": "echo", "arguments": { "text": "x" } } })
        };
        let batch: Value = (0..count).map(call).collect();
        let mut client = Client::connect(target)?;
        let answer = client.exchange(&wire::post_text(target, &lines, &batch.to_string()))?;
        findings.see_status(answer.status, 1);
        let body = String::from_utf8_lossy(&answer::body(&answer.bytes)?).into_owned();
        let answered = body.matches("\"result\"").count();
        let is_right = if count <= BATCH_MAX {
            answered == count
        } else {
            answered == 0 && body.contains("-32600")
        };
        if !is_right {
            findings
                .note(format!("a batch of {count}: status {}, {answered} results", answer.status));
        }
        wrong += u64::from(!is_right);
    }
    findings.exactly("batches on the wrong side of their cap", wrong, 0);
    Ok(())
}
