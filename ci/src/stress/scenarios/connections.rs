//! S2, S7 and S8: more connections than there may be, connections that end anyhow, and descriptors that run out.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use load::wire::{self, Era, Tool};
use load::{Client, Target};
use serde_json::json;

use crate::stage::appliance::{Appliance, Setup};
use crate::stage::clients::together;
use crate::stage::figure::Side;
use crate::stage::findings::Findings;
use crate::stage::profile;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::stage::wait;
use crate::stress::peer::{Peer, head_of_call};

const PATIENCE: Duration = Duration::from_secs(20);
const OPEN: &str = "toolrack_bound_used{bound=\"connections\"}";

/// More connections than the process may have.
pub(super) const S02: Scenario = Scenario {
    name: "s02",
    title: "half as many connections again as there may be, and all of them kept",
    left: "",
    play: flood,
};

/// Connections that end at every point of a request.
pub(super) const S07: Scenario = Scenario {
    name: "s07",
    title: "connections that end at any moment of a request, in every way",
    left: "ends in a TLS handshake, once there is TLS",
    play: aborts,
};

/// Descriptors run out.
pub(super) const S08: Scenario = Scenario {
    name: "s08",
    title: "more connections than descriptors",
    left: "",
    play: exhaustion,
};

/// An address for each client: 127.0.10.1 onwards.
fn source(number: usize) -> Option<IpAddr> {
    let [high, low] = u16::try_from(number % 200).unwrap_or_default().to_be_bytes();
    Some(Ipv4Addr::new(127, 0, 10 + high, low.max(1)).into())
}

fn echo(target: &Target) -> Vec<u8> {
    wire::call(target, Era::Modern, None, &Tool::echo("x"), false)
}

fn flood(stage: &mut Stage<'_>) -> Result<(), String> {
    let (limit, offered, hold) =
        stage.pick((600, 900, Duration::from_secs(2)), (10_000, 15_000, Duration::from_secs(60)));
    let setting = format!("layer.connections.connections_max={limit}");
    let setup = Setup::of(&[&setting, "listen.public.http.idle_ms=600000"]);
    // What the allocator keeps of ten thousand connections.
    let rules = Rules { mebibytes: 192, ..Rules::USUAL };
    stage.with(&setup, rules, |appliance, findings| {
        wait::until(PATIENCE, || appliance.metric(OPEN).is_ok_and(|open| open == 0.0));
        let before = appliance.footprint()?;
        let (mut held, refused) = open(appliance, offered, findings)?;
        findings.exactly("connections let in", held.len() as u64, limit as u64);
        findings.exactly("connections refused with 503", refused, (offered - limit) as u64);
        let each = appliance.footprint()?.resident_bytes.saturating_sub(before.resident_bytes)
            as f64
            / held.len().max(1) as f64;
        findings.measure("memory of a kept connection", each / 1024.0, Side::AtMost, 24.0, "KiB");
        let (asked, failed) = use_all(appliance.target(), &mut held, hold);
        findings.show("calls on kept connections", asked as f64, "");
        findings.at_most(
            "of those without an answer, %",
            failed as f64 * 100.0 / asked as f64,
            0.01,
        );
        Ok(())
    })
}

/// Opens connections and calls once on each; those that were let in, and how many were not.
fn open(
    appliance: &Appliance,
    offered: usize,
    findings: &mut Findings,
) -> Result<(Vec<Client>, u64), String> {
    let request = echo(appliance.target());
    let (mut held, mut refused, mut lost) = (Vec::new(), 0, 0);
    let mut slowest = Duration::ZERO;
    for number in 0..offered {
        let begun = Instant::now();
        let mut client = Client::connect_from(appliance.target(), source(number))?;
        match client.exchange(&request) {
            Ok(answer) if answer.status == 200 => held.push(client),
            Ok(answer) => {
                findings.see_status(answer.status, 1);
                refused += u64::from(answer.status == 503);
                slowest = slowest.max(begun.elapsed());
            }
            Err(_) => lost += 1,
        }
    }
    findings.exactly("connections without a word", lost, 0);
    findings.time_ms(
        "slowest refusal of a connection",
        slowest.as_secs_f64() * 1e3,
        50.0,
        10_000.0,
    );
    Ok((held, refused))
}

/// Calls on one connection after the other, about 200 a second, and at the end on all.
fn use_all(target: &Target, held: &mut [Client], hold: Duration) -> (u64, u64) {
    let request = echo(target);
    let (mut asked, mut failed) = (0, 0);
    let begun = Instant::now();
    let mut turn = 0;
    let count = held.len().max(1);
    while begun.elapsed() < hold {
        if let Some(client) = held.get_mut(turn % count) {
            asked += 1;
            failed +=
                u64::from(!client.exchange(&request).is_ok_and(|answer| answer.status == 200));
        }
        turn += 1;
        wait::pass(Duration::from_millis(5));
    }
    for client in held {
        asked += 1;
        failed += u64::from(!client.exchange(&request).is_ok_and(|answer| answer.status == 200));
    }
    (asked, failed)
}

fn aborts(stage: &mut Stage<'_>) -> Result<(), String> {
    let (count, seed) = (stage.pick(2_000, 200_000), stage.seed);
    let setup = Setup::of(&[
        "listen.public.http.head_ms=5000",
        "layer.circuit_breaker.mode=off",
        "session.replay_ms=1000",
        "session.streams_max=100",
    ]);
    let rules = Rules { mebibytes: 96, ..Rules::USUAL }.with_threads(8).keeping(&["\"sessions\""]);
    stage.with(&setup, rules, |appliance, findings| {
        let session = Client::connect(appliance.target())?.open_session()?;
        let threads = 4;
        together(threads, |thread| {
            let mut chance = fastrand::Rng::with_seed(seed.wrapping_add(thread as u64));
            for number in 0..count / threads {
                abort(appliance.target(), &session, number, &mut chance)?;
            }
            Ok(())
        })?;
        findings.show("connections that ended anyhow", count as f64, "");
        let newcomer = Client::connect(appliance.target())?.open_session()?;
        let mut peer = Peer::connect(appliance.target(), None)?;
        peer.send(&listen(appliance.target(), &newcomer));
        let mut head = [0; 12];
        peer.read_exact(&mut head, PATIENCE);
        let is_served = &head == b"HTTP/1.1 200";
        findings.exactly("a stream beside those that were left", is_served.into(), 1);
        drop(peer);
        let port = appliance.target().address.port();
        let mut waiting = 0;
        wait::until(Duration::from_secs(5), || {
            waiting = close_waits(port);
            waiting == 0
        });
        findings.exactly("connections in CLOSE_WAIT for 5 s", waiting, 0);
        Ok(())
    })
}

/// One connection that ends at some point of a request.
fn abort(
    target: &Target,
    session: &str,
    number: usize,
    chance: &mut fastrand::Rng,
) -> Result<(), String> {
    let mut peer = Peer::connect(target, source(number))?;
    let tool = |name: &str, arguments| {
        let tool = Tool { name: name.to_owned(), arguments };
        wire::call(target, Era::Modern, None, &tool, false)
    };
    let (request, share) = match chance.u8(..9) {
        0 => (Vec::new(), 1.0),
        1 => (echo(target), chance.f64()),
        2 => (head_of_call(target, "Content-Length: 100000"), 1.0),
        3 => (head_of_call(target, "Transfer-Encoding: chunked"), 1.0),
        4 => (echo(target), 1.0),
        5 => (tool("wait", json!({ "ms": 200 })), 1.0),
        6 => (tool("large", json!({ "bytes": 300_000 })), 1.0),
        7 => (listen(target, session), 1.0),
        _ => (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), chance.f64()),
    };
    let sent = (request.len() as f64 * share) as usize;
    peer.send(request.get(..sent).unwrap_or_default());
    match chance.u8(..4) {
        0 => drop(peer),
        1 => {
            peer.finish();
            peer.answer(Duration::from_millis(50));
            peer.reset();
        }
        2 => {
            peer.answer(Duration::from_millis(1));
            peer.reset();
        }
        _ => peer.reset(),
    }
    Ok(())
}

/// Asks for the stream of a session.
fn listen(target: &Target, session: &str) -> Vec<u8> {
    let head = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n\
         Mcp-Session-Id: {session}\r\nMCP-Protocol-Version: 2025-11-25\r\n\r\n",
        target.path, target.authority
    );
    head.into_bytes()
}

/// How many connections of a port wait for the program to close them.
fn close_waits(port: u16) -> u64 {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let place = format!(":{port:04X}");
    let waits = table.lines().filter(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let is_ours = fields.next().is_some_and(|local| local.ends_with(&place));
        is_ours && fields.nth(1) == Some("08")
    });
    waits.count() as u64
}

fn exhaustion(stage: &mut Stage<'_>) -> Result<(), String> {
    let hold = stage.pick(Duration::from_secs(2), Duration::from_secs(60));
    let mut setup = Setup::of(&[
        "layer.connections.connections_max=512",
        "layer.connections.descriptors_reserve=0",
        "listen.public.http.connections_max=512",
        "listen.public.http.head_ms=600000",
        "listen.public.http.first_byte_ms=600000",
    ]);
    setup.descriptors = Some(512);
    stage.with(&setup, Rules::USUAL, |appliance, findings| {
        let target = appliance.target();
        let mut busy = Vec::new();
        for _ in 0..600 {
            let mut peer = Peer::connect(target, None)?;
            peer.send(b"POST /mcp HTTP/1.1\r\n");
            busy.push(peer);
        }
        wait::until(PATIENCE, || appliance.footprint().is_ok_and(|now| now.descriptors >= 505));
        reload_without_descriptors(appliance, findings)?;
        let (begun, spent) = (Instant::now(), appliance.processor_time()?);
        let mut newcomers = BTreeMap::<u16, u64>::new();
        while begun.elapsed() < hold {
            let (status, _) = appliance.ask_control("/livez")?;
            findings.see_status(status, 1);
            let mut peer = Peer::connect(target, None)?;
            peer.send(&echo(target));
            let status = peer.answer(PATIENCE).status().unwrap_or_default();
            *newcomers.entry(status).or_default() += 1;
            wait::pass(Duration::from_millis(100));
        }
        let share = (appliance.processor_time()? - spent).as_secs_f64() * 100.0
            / begun.elapsed().as_secs_f64();
        findings.measure("processor time under it", share, Side::AtMost, 5.0, "%");
        findings.note(format!("what newcomers heard: {newcomers:?}"));
        let unheard = newcomers.iter().filter(|(status, _)| ![200, 503].contains(*status));
        findings.exactly(
            "newcomers that heard neither 200 nor 503",
            unheard.map(|(_, n)| n).sum(),
            0,
        );
        let released = Instant::now();
        drop(busy);
        let is_well = appliance.recovers_within(PATIENCE);
        findings.exactly("recovered", is_well.into(), 1);
        findings.time_ms(
            "until calls are served again",
            released.elapsed().as_secs_f64() * 1e3,
            1_000.0,
            20_000.0,
        );
        let is_taken = profile::post_good(appliance, &profile::mark(60_002))?;
        findings.exactly("changes taken afterwards", is_taken.into(), 1);
        Ok(())
    })
}

/// A change comes in, or is refused with a reason; neither is half done.
fn reload_without_descriptors(
    appliance: &Appliance,
    findings: &mut Findings,
) -> Result<(), String> {
    let attempt = profile::post(appliance, &profile::mark(60_001))?;
    let is_whole = match attempt["result"].as_str() {
        Some("applied") => attempt["problems"].as_array().is_none_or(Vec::is_empty),
        Some("refused") => attempt["problems"].as_array().is_some_and(|all| !all.is_empty()),
        _ => false,
    };
    findings.exactly("changes neither taken nor refused with a reason", (!is_whole).into(), 0);
    let (result, problems) = (&attempt["result"], &attempt["problems"]);
    findings.note(format!("a change without descriptors: {result} {problems}"));
    Ok(())
}
