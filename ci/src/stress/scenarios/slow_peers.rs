//! Slow peers: those that say nothing, a head or a body a byte at a time, and those that never read.
//!
//! The attacks of slowhttptest (`-H`, `-B`, `-X`) and the silent one, each from many connections at once; and
//! slowhttptest itself where it is installed.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use load::Target;
use load::wire::{self, Era, Tool};
use serde_json::json;

use crate::stage::appliance::{Appliance, Setup};
use crate::stage::clients::{Clients, success};
use crate::stage::figure::Side;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::stage::wait;
use crate::stress::peer::{Peer, head_of_call};

/// Calls a second of those who mean well.
const HONEST_PER_SEC: f64 = 200.0;
/// The deadline of every step that a peer can be slow at.
const DEADLINE_MS: u64 = 2_000;
/// How long attackers may stay before the scenario gives up on them.
const PATIENCE: Duration = Duration::from_secs(60);
/// Connections that were closed because nobody read.
const STALLED: &str =
    "toolrack_connections_closed_total{listener=\"public\",reason=\"write_stall\"}";
/// Bytes of an answer that nobody reads.
const ANSWER_BYTES: usize = 4_000_000;
/// How long calls go on once all attackers are gone.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// From one byte of an attacker to the next.
const BYTE_EVERY: Duration = Duration::from_millis(250);

/// All slow peers at once.
pub(super) const SLOW: Scenario = Scenario {
    name: "slow-peers",
    title: "thousands of peers that are silent, or slow in head, body or reading",
    left: "slow TLS handshakes, once there is TLS",
    play: slow,
};

/// The tool that others use for it.
pub(super) const HTTPTEST: Scenario = Scenario {
    name: "slowhttptest",
    title: "slowhttptest -H, -B and -X, where it is installed",
    left: "",
    play: httptest,
};

/// How a peer is slow that sends too little.
#[derive(Clone, Copy)]
enum Slowness {
    Silent,
    Head,
    Body,
}

impl Slowness {
    const ALL: [Self; 3] = [Self::Silent, Self::Head, Self::Body];

    /// Begins.
    fn open(self, target: &Target) -> Result<Peer, String> {
        let mut peer = Peer::connect(target, None)?;
        // A server that takes no more bytes must not hold up the other attackers.
        peer.set_write_patience(Duration::from_millis(1));
        match self {
            Self::Silent => {}
            Self::Head => drop(peer.send(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n")),
            Self::Body => drop(peer.send(&head_of_call(target, "Content-Length: 100000"))),
        }
        Ok(peer)
    }

    /// Whether it was thrown out; otherwise it goes on in its own way.
    fn is_out(self, peer: &mut Peer) -> bool {
        match self {
            Self::Silent => peer.is_gone(),
            Self::Head => !peer.send(b"X") || peer.is_gone(),
            Self::Body => !peer.send(b" ") || peer.is_gone(),
        }
    }
}

/// Asks for a large answer, and never reads it.
fn ask_and_not_read(target: &Target) -> Result<Peer, String> {
    let mut peer = Peer::connect(target, None)?;
    peer.narrow();
    let tool = Tool { name: "large".to_owned(), arguments: json!({ "bytes": ANSWER_BYTES }) };
    peer.send(&wire::call(target, Era::Modern, None, &tool, false));
    Ok(peer)
}

fn setup() -> Setup<'static> {
    let settings = [
        format!("listen.public.http.first_byte_ms={DEADLINE_MS}"),
        format!("listen.public.http.head_ms={DEADLINE_MS}"),
        format!("listen.public.http.body_ms={DEADLINE_MS}"),
        format!("listen.public.http.write_ms={DEADLINE_MS}"),
        "plugin.misbehave.limits.concurrent_calls=64".to_owned(),
        "plugin.misbehave.limits.queue_calls=4000".to_owned(),
        "plugin.misbehave.tool.large.concurrent_calls=4".to_owned(),
        "plugin.misbehave.tool.large.queue_calls=4000".to_owned(),
        "layer.bulkhead.queue_wait_ms=60000".to_owned(),
        "layer.circuit_breaker.mode=off".to_owned(),
    ];
    Setup { settings: settings.into(), ..Setup::default() }
}

fn slow(stage: &mut Stage<'_>) -> Result<(), String> {
    let (each, readers) = stage.pick((100, 60), (1_667, 250));
    // What may stay is far less than the answers that nobody read.
    let rules = Rules::USUAL.with_threads(8);
    stage.with(&setup(), rules, |appliance, findings| {
        let before = appliance.footprint()?.resident_bytes;
        let honest = Clients::echo(8);
        let (calm, attacked) =
            honest.beside(appliance, HONEST_PER_SEC, || attack(appliance, each, readers))?;
        let Attack { resident, sending, reading } = attacked?;
        findings.see(&calm);
        findings.at_least("success of those who mean well", success(&calm), 0.999);
        let count = Slowness::ALL.len() * each;
        findings.show("attackers that send too little", count as f64, "");
        let of_each = resident.saturating_sub(before) as f64 / 1024.0 / count as f64;
        findings.measure("memory of each", of_each, Side::AtMost, 24.0, "KiB");
        findings.exactly("of these not thrown out", sending.left, 0);
        // Until the deadline of the last, which sends for the last time just before it.
        let wanted = DEADLINE_MS as f64 + 1_000.0;
        findings.time_ms("until all were", sending.ms(), wanted, 60_000.0);
        findings.show("attackers that do not read", readers as f64, "");
        findings.exactly("of these not thrown out", reading.left, 0);
        if reading.left > 0 {
            findings.note(format!("what became of connections and calls: {}", ends(appliance)?));
        }
        // Their answers are made four at a time, 50 ms each without optimization; of their ends only the server's figures
        // tell, a second later.
        let wanted = DEADLINE_MS as f64 + 1_000.0 + 50.0 * readers as f64;
        findings.time_ms("until all were", reading.ms(), wanted, 60_000.0);
        // A thread gives back what others let go of when it allocates again: life goes on, then memory is judged.
        let afterwards = Clients::echo(64).press(appliance, AFTERWARDS)?;
        findings.see(&afterwards);
        findings.at_least("success afterwards", success(&afterwards), 1.0);
        Ok(())
    })
}

/// How connections were closed, and what was refused.
fn ends(appliance: &Appliance) -> Result<String, String> {
    let told =
        ["toolrack_connections_closed_total", "toolrack_refusals_total", "toolrack_calls_total"];
    let metrics = appliance.metrics()?.into_iter();
    let ends = metrics
        .filter(|(series, value)| *value > 0.0 && told.iter().any(|told| series.starts_with(told)))
        .map(|(series, value)| format!("{series} {value}"));
    Ok(ends.collect::<Vec<_>>().join(", "))
}

/// What came of an attack.
struct Attack {
    /// The appliance's memory while all of those are there that send too little.
    resident: u64,
    sending: Gone,
    reading: Gone,
}

/// How attackers were thrown out.
struct Gone {
    /// How many were not.
    left: u64,
    /// How long it took from the last to come.
    took: Duration,
}

impl Gone {
    fn ms(&self) -> f64 {
        self.took.as_secs_f64() * 1e3
    }
}

/// Opens all of both sorts, one after the other, and keeps them slow until they are gone.
fn attack(appliance: &Appliance, each: usize, readers: usize) -> Result<Attack, String> {
    let mut peers = Vec::new();
    for kind in Slowness::ALL {
        for _ in 0..each {
            peers.push((kind, kind.open(appliance.target())?));
        }
    }
    let begun = Instant::now();
    let resident = appliance.footprint()?.resident_bytes;
    while !peers.is_empty() && begun.elapsed() < PATIENCE {
        wait::pass(BYTE_EVERY);
        peers.retain_mut(|(kind, peer)| !kind.is_out(peer));
    }
    let sending = Gone { left: peers.len() as u64, took: begun.elapsed() };
    drop(peers);

    let _unread = (0..readers)
        .map(|_| ask_and_not_read(appliance.target()))
        .collect::<Result<Vec<_>, _>>()?;
    let (begun, mut left) = (Instant::now(), readers as u64);
    while left > 0 && begun.elapsed() < PATIENCE {
        wait::pass(BYTE_EVERY);
        left = (readers as u64).saturating_sub(appliance.metric(STALLED)? as u64);
    }
    Ok(Attack { resident, sending, reading: Gone { left, took: begun.elapsed() } })
}

fn httptest(stage: &mut Stage<'_>) -> Result<(), String> {
    let secs = stage.pick("4", "60");
    let connections = stage.pick("200", "2000");
    let mut known = Command::new("slowhttptest");
    known.arg("-h").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if known.status().is_err() {
        stage.findings.note("slowhttptest is not installed: `slow-peers` has its attacks");
        return Ok(());
    }
    let rules = Rules { mebibytes: 96, ..Rules::USUAL }.with_threads(8);
    stage.with(&setup(), rules, |appliance, findings| {
        let url = format!("http://{}/mcp", appliance.target().authority);
        let honest = Clients::echo(8);
        for attack in ["-H", "-B", "-X"] {
            let (calm, ran) = honest.beside(appliance, HONEST_PER_SEC, || {
                let mut command = Command::new("slowhttptest");
                command.args([
                    attack,
                    "-c",
                    connections,
                    "-r",
                    "200",
                    "-i",
                    "1",
                    "-l",
                    secs,
                    "-u",
                    &url,
                ]);
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()
            })?;
            let ran = ran.map_err(|error| format!("slowhttptest: {error}"))?;
            findings.note(format!("slowhttptest {attack}: {ran}"));
            findings.see(&calm);
            findings.at_least(&format!("success beside {attack}"), success(&calm), 0.999);
        }
        Ok(())
    })
}
