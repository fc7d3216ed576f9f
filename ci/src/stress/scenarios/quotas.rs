//! S11, S15 and the gates of quotas: maps with a cap, guesses, exactness over time, a million keys.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use load::wire::{self, Era, Tool};
use load::{Client, Target};

use crate::stage::appliance::{Appliance, Setup};
use crate::stage::clients::{Clients, accepted_ms, success, together};
use crate::stage::figure::Side;
use crate::stage::findings::Findings;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::stage::wait;

const TRUST: &str = "listen.public.http.trusted_proxies=[\"127.0.0.1/32\"]";
const MIB: f64 = 1_048_576.0;

/// Ten times of each cap.
pub(super) const S11: Scenario = Scenario {
    name: "s11",
    title: "ten times as many clients and sessions as are kept apart",
    left: "",
    play: maps,
};

/// Guessing of session ids.
pub(super) const S15: Scenario = Scenario {
    name: "s15",
    title: "a client that guesses ids of sessions as fast as it can, beside one that does not",
    left: "wrong credentials, once there are credentials",
    play: guesses,
};

/// Exactness over time.
pub(super) const QUOTA: Scenario = Scenario {
    name: "quota",
    title: "ten times a quota: what gets in is the quota and its burst",
    left: "",
    play: quota,
};

/// A million clients.
pub(super) const KEYS: Scenario = Scenario {
    name: "keys",
    title: "a million clients that are counted apart",
    left: "",
    play: keys,
};

/// A call that a proxy makes for the client with this number.
fn call_for(target: &Target, number: u32) -> Vec<u8> {
    let tool = Tool::echo("x");
    let client = Ipv4Addr::from(0x0a00_0000 | (number & 0x00ff_ffff)).to_string();
    let lines = [
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "echo"),
        ("X-Forwarded-For", client.as_str()),
    ];
    wire::post_text(target, &lines, &wire::call_message(Era::Modern, 1, &tool).to_string())
}

/// One call for each of so many clients, by a proxy with a few connections; the statuses.
fn call_for_all(target: &Target, clients: u32) -> Result<BTreeMap<u16, u64>, String> {
    let next = AtomicU32::new(0);
    let all = together(4, |_| {
        let mut client = Client::connect(target)?;
        let mut statuses = BTreeMap::<u16, u64>::new();
        loop {
            let number = next.fetch_add(1, Relaxed);
            if number >= clients {
                return Ok(statuses);
            }
            let answer = client.exchange(&call_for(target, number))?;
            *statuses.entry(answer.status).or_default() += 1;
        }
    })?;
    let mut statuses = BTreeMap::new();
    for (status, count) in all.into_iter().flatten() {
        *statuses.entry(status).or_default() += count;
    }
    Ok(statuses)
}

fn maps(stage: &mut Stage<'_>) -> Result<(), String> {
    let cap = stage.pick(300_u32, 10_000);
    let settings = [
        TRUST.to_owned(),
        "layer.rate_limit.calls_per_sec=1".to_owned(),
        "layer.rate_limit.burst_calls=1000000".to_owned(),
        format!("layer.rate_limit.keys_max={cap}"),
        format!("layer.pre_auth_limit.keys_max={cap}"),
        format!("session.sessions_max={cap}"),
    ];
    let setup = Setup { settings: settings.into(), ..Setup::default() };
    let rules = Rules::USUAL.keeping(&["\"sessions\""]);
    stage.with(&setup, rules, |appliance, findings| {
        let target = appliance.target();
        let statuses = call_for_all(target, cap * 10)?;
        statuses.iter().for_each(|(status, count)| findings.see_status(*status, *count));
        let served = statuses.get(&200).copied().unwrap_or_default();
        findings.exactly(
            "clients served, whether counted apart or not",
            served,
            u64::from(cap * 10),
        );
        let peak =
            appliance.metric_by_now("toolrack_bound_peak{bound=\"rate_limit_client_keys\"}")?;
        findings.at_most("most clients that were counted apart", peak, cap.into());
        // On a machine so slow that buckets are full again before the map is, it never is.
        findings.measure("how full their map was", peak / f64::from(cap), Side::AtLeast, 1.0, "");
        let mut client = Client::connect(target)?;
        let (mut opened, mut refused) = (0, 0);
        for _ in 0..cap * 10 {
            let answer = client.exchange(&wire::initialize(target))?;
            findings.see_status(answer.status, 1);
            opened += u64::from(answer.status == 200);
            refused += u64::from(answer.status == 429);
        }
        findings.exactly("sessions opened", opened, u64::from(cap));
        findings.exactly("sessions refused with 429", refused, u64::from(cap) * 9);
        let tally = Clients::echo(1).press(appliance, Duration::from_millis(500))?;
        findings.time_ms("p99 of a call with full maps", accepted_ms(&tally, 0.99), 1.0, 5_000.0);
        Ok(())
    })
}

fn guesses(stage: &mut Stage<'_>) -> Result<(), String> {
    const PER_SEC: u64 = 10;
    const BURST: u64 = 20;
    let time = stage.pick(Duration::from_secs(3), Duration::from_secs(60));
    let settings = [
        format!("layer.pre_auth_limit.requests_per_sec={PER_SEC}"),
        format!("layer.pre_auth_limit.burst_requests={BURST}"),
    ];
    let setup = Setup { settings: settings.into(), ..Setup::default() };
    stage.with(&setup, Rules::USUAL, |appliance, findings| {
        let honest = Clients::echo(1).from([127, 0, 41, 1], 1);
        let (calm, guessed) = honest.beside(appliance, 5.0, || guess(appliance.target(), time))?;
        let (statuses, took) = guessed?;
        statuses.iter().for_each(|(status, count)| findings.see_status(*status, *count));
        let looked_at =
            statuses.iter().filter(|(status, _)| **status != 429).map(|(_, n)| n).sum::<u64>();
        let allowed = BURST as f64 + PER_SEC as f64 * took.as_secs_f64();
        findings.at_most("guesses that were looked at", looked_at as f64, allowed * 1.01 + 1.0);
        findings.exactly("guesses that fitted", statuses.get(&200).copied().unwrap_or_default(), 0);
        findings.see(&calm);
        findings.at_least("success of the honest client", success(&calm), 1.0);
        findings.time_ms("its p99", accepted_ms(&calm, 0.99), 20.0, 5_000.0);
        Ok(())
    })
}

/// Pings of sessions that nobody has, as fast as the answers come.
fn guess(target: &Target, time: Duration) -> Result<(BTreeMap<u16, u64>, Duration), String> {
    let source: IpAddr = Ipv4Addr::new(127, 0, 40, 1).into();
    let mut client = Client::connect_from(target, Some(source))?;
    let mut statuses = BTreeMap::new();
    let (begun, mut number) = (Instant::now(), 0_u64);
    while begun.elapsed() < time {
        number += 1;
        let id = format!("{number:043}");
        let lines = [("MCP-Protocol-Version", "2025-11-25"), ("Mcp-Session-Id", id.as_str())];
        let ping = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}";
        match client.exchange(&wire::post_text(target, &lines, ping)) {
            Ok(answer) => *statuses.entry(answer.status).or_default() += 1,
            Err(_) => client = Client::connect_from(target, Some(source))?,
        }
    }
    Ok((statuses, begun.elapsed()))
}

fn quota(stage: &mut Stage<'_>) -> Result<(), String> {
    const PER_SEC: f64 = 100.0;
    const BURST: f64 = 300.0;
    let time = stage.pick(Duration::from_secs(5), Duration::from_secs(60));
    let setup =
        Setup::of(&["layer.rate_limit.calls_per_sec=100", "layer.rate_limit.burst_calls=300"]);
    stage.with(&setup, Rules::USUAL, |appliance, findings| {
        // A client that the warm-up was not.
        let clients = Clients::echo(32).from([127, 0, 42, 1], 1);
        let begun = Instant::now();
        let tally = clients.offer(appliance, PER_SEC * 10.0, time)?;
        let took = begun.elapsed().as_secs_f64();
        findings.see(&tally);
        findings.exactly("neither a result nor a refusal", tally.failed(), 0);
        let admitted = tally.accepted as f64;
        // What the quota gains while the box stalls at the end is not asked for any more.
        let slowest_ns = tally.accepted_ns.max().max(tally.refused_ns.max());
        let stalled = Duration::from_nanos(tally.lateness_ns.max() + slowest_ns);
        let least = BURST + PER_SEC * tally.elapsed.saturating_sub(stalled).as_secs_f64();
        findings.at_least("calls let in", admitted, least * 0.99);
        findings.at_most("calls let in", admitted, (BURST + PER_SEC * took) * 1.01);
        findings.show("calls refused", tally.refused() as f64, "");
        Ok(())
    })
}

fn keys(stage: &mut Stage<'_>) -> Result<(), String> {
    let clients = stage.pick(6_000_u32, 1_000_000);
    let setup = Setup::of(&[
        TRUST,
        "layer.rate_limit.calls_per_sec=1",
        "layer.rate_limit.burst_calls=100",
        "layer.rate_limit.keys_max=1000000",
        "layer.pre_auth_limit.keys_max=1000000",
        "layer.pre_auth_limit.requests_per_sec=1",
        "layer.pre_auth_limit.burst_requests=100",
        "layer.http.http2.requests_max=1000000000",
    ]);
    stage.with(&setup, Rules::USUAL, |appliance, findings| {
        let before = appliance.footprint()?.resident_bytes;
        let begun = Instant::now();
        let statuses = call_for_all(appliance.target(), clients)?;
        statuses.iter().for_each(|(status, count)| findings.see_status(*status, *count));
        let served = statuses.get(&200).copied().unwrap_or_default();
        findings.exactly("clients served", served, clients.into());
        findings.show("clients/s", f64::from(clients) / begun.elapsed().as_secs_f64(), "");
        let grown = appliance.footprint()?.resident_bytes.saturating_sub(before) as f64 / MIB;
        findings.measure("memory of their keys, two maps", grown, Side::AtMost, 64.0, "MiB");
        given_back(appliance, findings)
    })
}

/// The keys of clients that are silent go, since a full bucket says no more than none.
fn given_back(appliance: &Appliance, findings: &mut Findings) -> Result<(), String> {
    let series = "toolrack_bound_used{bound=\"rate_limit_client_keys\"}";
    let begun = Instant::now();
    let is_empty = wait::until(Duration::from_secs(60), || {
        appliance.metric(series).is_ok_and(|keys| keys <= 1.0)
    });
    findings.exactly("keys given back", is_empty.into(), 1);
    findings.time_ms("until they were", begun.elapsed().as_secs_f64() * 1e3, 30_000.0, 60_000.0);
    let target = appliance.target();
    let answer = Client::connect(target)?.exchange(&call_for(target, 1))?;
    findings.exactly("status of a client that comes back", answer.status.into(), 200);
    Ok(())
}
