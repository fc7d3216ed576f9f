//! H15, H14: what was used up stays used up, what was promised stays, and what was taken away is gone at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use load::wire::{self, Era, Tool};
use serde_json::json;

use crate::Outcome;
use crate::reload::live::{Live, ON_REQUEST, PATIENCE, ask, play};
use crate::stage::clients::{Clients, together};
use crate::stage::profile::mark;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::stage::wait;

/// A quota and a circuit through many reloads.
pub(super) const QUOTA: Scenario = Scenario {
    name: "quota",
    title: "ten times a quota while the profile is reloaded: what gets in is the quota and its burst",
    left: "",
    play: quota,
};

/// A limit that shrinks below what is under way.
pub(super) const LIMITS: Scenario = Scenario {
    name: "limits",
    title: "a limit of 256 calls becomes 8 and 256 again: no call is cut, none too many begins",
    left: "",
    play: limits,
};

/// What is taken away.
pub(super) const REVOKE: Scenario = Scenario {
    name: "revoke",
    title: "an origin and a tool are taken away under load: refused from the next request on",
    left: "",
    play: revoke,
};

/// Tools that fail open a circuit that stays open for longer than any run.
const BREAKER: &str =
    "[layer.circuit_breaker]\ncalls_min = 5\nopen_ms = 600000\nopen_max_ms = 600000\n";

fn quota(stage: &mut Stage<'_>) -> Outcome {
    const PER_SEC: f64 = 100.0;
    const BURST: f64 = 300.0;
    let seconds = stage.pick(5, 60);
    let tables = |number: u32| {
        let limit = "[layer.rate_limit]\ncalls_per_sec = 100\nburst_calls = 300\n";
        format!("{ON_REQUEST}{limit}{BREAKER}{}", mark(number))
    };
    play(stage, &tables(1), Rules::USUAL, |live, findings| {
        opens_the_circuit(live)?;
        // A client that the warm-up was not.
        let clients = Clients::echo(32).from([127, 0, 43, 1], 1);
        let begun = Instant::now();
        let (tally, reloaded) = clients.beside(live.appliance, PER_SEC * 10.0, || {
            (1..=seconds).try_for_each(|second: u32| {
                live.applies(&tables(second + 1))?;
                let due = Duration::from_secs(second.into());
                wait::pass(due.saturating_sub(begun.elapsed()));
                Ok::<_, String>(())
            })
        })?;
        reloaded?;
        let took = begun.elapsed().as_secs_f64();
        findings.see(&tally);
        findings.exactly("neither a result nor a refusal", tally.failed(), 0);
        findings.show("reloads", seconds.into(), "");
        let admitted = tally.accepted as f64;
        let least = BURST + PER_SEC * tally.elapsed.as_secs_f64();
        // A machine that does not get around to calling for a while lets a bucket run over.
        findings.measure(
            "calls let in",
            admitted,
            crate::stage::figure::Side::AtLeast,
            least * 0.99,
            "",
        );
        findings.at_most("calls let in", admitted, (BURST + PER_SEC * took) * 1.01);
        findings.exactly("circuits that are open still", is_open(live)?.into(), 1);
        Ok(())
    })
}

/// Has a tool fail until its circuit opens, as a client of its own.
fn opens_the_circuit(live: &Live<'_>) -> Outcome {
    let mut client = live.client()?;
    let request = live.call_of("rubbish", json!({ "kind": "utf8" }));
    let opens = wait::until(PATIENCE, || {
        ask(&mut client, &request)
            .is_ok_and(|(_, said)| said["error"]["data"]["refusal"] == "circuit_open")
    });
    if opens { Ok(()) } else { Err(format!("no circuit opens: {:?}", ask(&mut client, &request)?)) }
}

fn is_open(live: &Live<'_>) -> Result<bool, String> {
    let request = live.call_of("rubbish", json!({ "kind": "utf8" }));
    let (_, said) = ask(&mut live.client()?, &request)?;
    Ok(said["error"]["data"]["refusal"] == "circuit_open")
}

fn limits(stage: &mut Stage<'_>) -> Outcome {
    const MANY: usize = 256;
    const FEW: usize = 8;
    let tables = |calls: usize| {
        let plugin = format!(
            "[plugin.misbehave.limits]\nconcurrent_calls = {MANY}\nqueue_calls = 0\n[plugin.misbehave.tool.wait]\nconcurrent_calls = {MANY}\nqueue_calls = 0\n"
        );
        // Whoever finds no permit hears so at once.
        format!(
            "{ON_REQUEST}{plugin}[layer.fairness]\nmode = \"off\"\n[layer.concurrency]\ncalls_max = {calls}\nread_share_percent = 0\nwork_share_percent = 100\n"
        )
    };
    play(stage, &tables(MANY), Rules::USUAL, |live, findings| {
        // Each holds its place until it is told by the clock; so long that the reloads are within.
        let request = live.call_of("wait", json!({ "ms": 4_000 }));
        let mut clients = (0..MANY).map(|_| live.client()).collect::<Result<Vec<_>, _>>()?;
        clients.iter_mut().try_for_each(|client| client.send(&request))?;
        let used = "toolrack_bound_used{bound=\"concurrency_calls\"}";
        let are_in = wait::until(PATIENCE, || {
            live.appliance.metric(used).is_ok_and(|used| used >= MANY as f64)
        });
        findings.exactly("all were let in", are_in.into(), 1);
        live.applies(&tables(FEW))?;
        let (status, _) = ask(&mut live.client()?, &live.call_of("echo", json!({ "text": "x" })))?;
        findings.exactly("status of one more call", status.into(), 429);
        let mut cut = 0_u64;
        for client in &mut clients {
            cut += u64::from(!client.receive().is_ok_and(|answer| answer.status == 200));
        }
        findings.exactly("calls that were cut", cut, 0);
        findings.exactly("let in by the small limit", let_in(live, &mut clients)?, FEW as u64);
        live.applies(&tables(MANY))?;
        findings.exactly("let in by the large limit", let_in(live, &mut clients)?, MANY as u64);
        Ok(())
    })
}

/// All call at once; how many were let in.
fn let_in(live: &Live<'_>, clients: &mut [load::Client]) -> Result<u64, String> {
    let request = live.call_of("wait", json!({ "ms": 2_000 }));
    clients.iter_mut().try_for_each(|client| client.send(&request))?;
    let mut accepted = 0;
    for client in clients {
        accepted += u64::from(client.receive()?.status == 200);
    }
    Ok(accepted)
}

fn revoke(stage: &mut Stage<'_>) -> Outcome {
    const ORIGIN: &str = "https://chat.example.com";
    let rounds = stage.pick(3, 14);
    let without = |number: u32| format!("{ON_REQUEST}{}", mark(number));
    let with = |number: u32| {
        let origin = format!("[layer.origin]\nallowed_origins = [\"{ORIGIN}\"]\n");
        format!("{}{origin}[plugin.time]\nlibrary = \"libtime.so\"\n", without(number))
    };
    play(stage, &with(0), Rules::USUAL.with_libraries(rounds.into()), |live, findings| {
        let target = live.appliance.target();
        let body = wire::call_message(Era::Modern, 1, &Tool::echo("x")).to_string();
        let lines = [
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Method", "tools/call"),
            ("Mcp-Name", "echo"),
            ("Origin", ORIGIN),
        ];
        let requests = [wire::post_text(target, &lines, &body), live.call_of("now", json!({}))];
        let (mut late, mut served) = (0, 0);
        for round in 0..rounds {
            let (began_after, accepted) =
                round_of(live, &requests, || live.applies(&without(round + 1)).map(drop))?;
            late += began_after;
            served += accepted;
            live.applies(&with(round + 1))?;
        }
        findings.at_least("requests that were let in before", served as f64, f64::from(rounds));
        findings.exactly("let in though begun after it was told to be done", late, 0);
        Ok(())
    })
}

/// Two clients ask without end while `take_away` takes away; requests that began after it and were let in, and all that
/// were let in.
fn round_of(
    live: &Live<'_>,
    requests: &[Vec<u8>; 2],
    take_away: impl FnOnce() -> Outcome,
) -> Result<(u64, u64), String> {
    let (is_gone, late, served) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let (is_gone, late, served) = (&is_gone, &late, &served);
        let asking = scope.spawn(move || {
            together(requests.len(), |number| {
                let mut client = live.client()?;
                // Twenty after it is gone.
                let mut left = 20;
                while left > 0 {
                    let began_after = is_gone.load(Relaxed);
                    let answer = client.exchange(&requests[number])?;
                    let is_served = answer.status == 200;
                    served.fetch_add(is_served.into(), Relaxed);
                    late.fetch_add((is_served && began_after).into(), Relaxed);
                    left -= u32::from(began_after);
                    if wire_closes(&answer.bytes) {
                        client = live.client()?;
                    }
                }
                Ok(())
            })
        });
        let calls = wait::until(PATIENCE, || served.load(Relaxed) >= 20 || asking.is_finished());
        let taken = take_away();
        is_gone.store(true, Relaxed);
        let asked = asking.join().map_err(|_| "a client has panicked".to_owned())?;
        taken.and(asked.map(drop))?;
        if calls { Ok(()) } else { Err("nothing was let in before".to_owned()) }
    })?;
    Ok((late.into_inner(), served.into_inner()))
}

fn wire_closes(answer: &[u8]) -> bool {
    load::answer::header(answer, "connection").is_some_and(|said| said == "close")
}
