//! S1 and S6: more bytes than there is memory for, and bytes that somebody might keep.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use load::wire;
use load::{Client, Target};
use serde_json::json;

use crate::stage::appliance::{Appliance, Setup};
use crate::stage::clients::together;
use crate::stage::findings::Findings;
use crate::stage::group::Group;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::stress::peer::{Peer, Reply, head_of_call, sized_call};

const MIB: usize = 1 << 20;
const LIMIT_BYTES: u64 = 512 << 20;
const BODY_BYTES_MAX: usize = 16 * MIB;
const PATIENCE: Duration = Duration::from_secs(30);

/// Uploads against a small control group.
pub(super) const S01: Scenario = Scenario {
    name: "s01",
    title: "uploads of up to 64 MiB into 512 MiB of memory",
    left: "",
    play: uploads,
};

/// Bodies of 4 MiB of which a session needs some bytes.
pub(super) const S06: Scenario = Scenario {
    name: "s06",
    title: "large bodies of which somebody keeps a little",
    left: "audit digests and values of sessions, once there are any",
    play: retention,
};

/// One kind of upload, and the statuses that it may get.
struct Upload {
    request: Vec<u8>,
    /// Whether the connection says that nothing follows.
    finishes: bool,
    allowed: &'static [u16],
}

fn kinds(target: &Target) -> Vec<Upload> {
    let honest =
        |bytes, allowed| Upload { request: sized_call(target, bytes), finishes: false, allowed };
    let lie = |declared: usize, sent: usize| {
        let mut request = head_of_call(target, &format!("Content-Length: {declared}"));
        request.extend(std::iter::repeat_n(b'x', sent));
        request
    };
    vec![
        honest(MIB, &[200, 429, 503]),
        honest(BODY_BYTES_MAX - MIB / 10, &[200, 429, 503]),
        honest(BODY_BYTES_MAX, &[200, 429, 503]),
        honest(BODY_BYTES_MAX + 1, &[413]),
        honest(64 * MIB, &[413]),
        Upload { request: lie(1_024, MIB), finishes: false, allowed: &[400, 429, 503] },
        Upload {
            request: lie(BODY_BYTES_MAX, MIB),
            finishes: true,
            allowed: &[400, 408, 429, 503],
        },
    ]
}

fn uploads(stage: &mut Stage<'_>) -> Result<(), String> {
    let group = Group::new(LIMIT_BYTES);
    let mut setup = Setup::of(&["layer.payload.request_bytes_max=16MiB"]);
    if let Err(reason) = &group {
        setup.settings.push("layer.memory.limit_bytes=512MiB".to_owned());
        stage.findings.note(format!("no control group ({reason}): held by the layer's own limit"));
    }
    setup.group = group.as_ref().ok();
    let (threads, time) = stage.pick((8, Duration::from_secs(4)), (64, Duration::from_secs(60)));
    let rules = Rules { may_be_unready: true, ..Rules::USUAL };
    stage.with(&setup, rules, |appliance, findings| {
        edges(appliance, findings)?;
        storm(appliance, findings, threads, time)
    })?;
    if let Ok(group) = &group {
        stage.findings.exactly("processes killed for want of memory", group.kills()?, 0);
        if let Some(peak) = group.peak_bytes() {
            let percent = peak as f64 * 100.0 / LIMIT_BYTES as f64;
            stage.findings.at_most("peak of the group, % of its limit", percent, 92.0);
        }
    }
    Ok(())
}

/// The cap to the byte, with nobody else there.
fn edges(appliance: &Appliance, findings: &mut Findings) -> Result<(), String> {
    for (bytes, status) in [(BODY_BYTES_MAX, 200), (BODY_BYTES_MAX + 1, 413)] {
        let (reply, _) = upload(appliance, &sized_call(appliance.target(), bytes), false)?;
        let got = reply.status().unwrap_or_default();
        findings.exactly(&format!("status of a body of {bytes} bytes"), got.into(), status);
    }
    Ok(())
}

fn upload(
    appliance: &Appliance,
    request: &[u8],
    finishes: bool,
) -> Result<(Reply, Duration), String> {
    let mut peer = Peer::connect(appliance.target(), None)?;
    let begun = Instant::now();
    peer.send(request);
    if finishes {
        peer.finish();
    }
    Ok((peer.answer(PATIENCE), begun.elapsed()))
}

/// What one thread of the storm saw.
#[derive(Default)]
struct Seen {
    statuses: BTreeMap<u16, u64>,
    /// Ends without an answer, which a body that is cut off may meet.
    closed: u64,
    wrong: u64,
    slowest_refusal: Duration,
}

fn storm(
    appliance: &Appliance,
    findings: &mut Findings,
    threads: usize,
    time: Duration,
) -> Result<(), String> {
    let kinds = kinds(appliance.target());
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    let all = together(threads, |_| {
        let mut seen = Seen::default();
        while begun.elapsed() < time {
            let number = next.fetch_add(1, Relaxed);
            let Some(kind) = kinds.get(number % kinds.len()) else { break };
            let (reply, took) = upload(appliance, &kind.request, kind.finishes)?;
            match reply.status() {
                Some(status) => {
                    *seen.statuses.entry(status).or_default() += 1;
                    seen.wrong += u64::from(!kind.allowed.contains(&status));
                    if status != 200 {
                        seen.slowest_refusal = seen.slowest_refusal.max(took);
                    }
                }
                None => seen.closed += 1,
            }
        }
        Ok(seen)
    })?;
    let mut statuses = BTreeMap::<u16, u64>::new();
    for (status, count) in all.iter().flat_map(|seen| &seen.statuses) {
        *statuses.entry(*status).or_default() += count;
    }
    for (status, count) in &statuses {
        findings.see_status(*status, *count);
    }
    let accepted = statuses.get(&200).copied().unwrap_or_default();
    let per_100_ms = accepted as f64 / (time.as_secs_f64() * 10.0);
    findings.note(format!("statuses of {} uploads: {statuses:?}", next.load(Relaxed)));
    findings.exactly("answers of another kind", all.iter().map(|seen| seen.wrong).sum(), 0);
    findings.show("ends without an answer", all.iter().map(|s| s.closed).sum::<u64>() as f64, "");
    findings.measure(
        "accepted in each 100 ms",
        per_100_ms,
        crate::stage::figure::Side::AtLeast,
        1.0,
        "",
    );
    let slowest = all.iter().map(|seen| seen.slowest_refusal).max().unwrap_or_default();
    findings.show("slowest refusal, sending included", slowest.as_secs_f64() * 1e3, "ms");
    Ok(())
}

fn retention(stage: &mut Stage<'_>) -> Result<(), String> {
    let count = stage.pick(24, 10_000);
    let setup = Setup::of(&["layer.payload.request_bytes_max=5MiB", "session.sessions_max=20000"]);
    // Four bodies, their copies and their answers, with what the allocator rounds up; bodies that were kept were 96.
    let rules = Rules { mebibytes: 80, ..Rules::USUAL }.keeping(&["\"sessions\""]);
    stage.with(&setup, rules, |appliance, findings| {
        let target = appliance.target();
        let begin = initialize(target, 4 * MIB);
        let call = sized_call(target, 4 * MIB);
        let next = AtomicUsize::new(0);
        let opened = together(4, |_| {
            let mut client = Client::connect(target)?;
            let mut opened = 0;
            while next.fetch_add(1, Relaxed) < count {
                opened += u64::from(client.exchange(&begin)?.status == 200);
                let answer = client.exchange(&call)?;
                if answer.status != 200 {
                    return Err(format!("a call of 4 MiB got status {}", answer.status));
                }
            }
            Ok(opened)
        })?;
        findings.exactly("sessions of 4 MiB bodies", opened.iter().sum(), count as u64);
        Ok(())
    })
}

/// The first message of a session with so many bytes that nobody asked for.
fn initialize(target: &Target, ballast: usize) -> Vec<u8> {
    let client = json!({ "name": "stress", "version": "1" });
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": client, "_meta": { "example.com/ballast": "x".repeat(ballast) } });
    let message = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
    wire::post_text(target, &[], &message.to_string())
}
