//! S12 and S19: everything changes while everybody calls.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use load::wire::{self, Era, Tool};
use load::{Client, Target, answer};
use serde_json::{Value, json};

use crate::stage::appliance::Setup;
use crate::stage::clients::together;
use crate::stage::profile;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};

/// Lists change while tools are looked up and called.
pub(super) const S12: Scenario = Scenario {
    name: "s12",
    title: "lists of tools that change without end, under lookups and calls",
    left: "",
    play: changing,
};

/// Lists, circuits, quotas and sessions at once.
pub(super) const S19: Scenario = Scenario {
    name: "s19",
    title: "lists, circuits, quotas, sessions and the profile all changing at once",
    left: "",
    play: everything,
};

/// A plugin that comes and goes.
const TIME: &str = "[plugin.time]\nlibrary = \"libtime.so\"\n";
/// Turns of one thread from one profile to the next, of which every other one has the plugin.
const TURNS_PER_RELOAD: usize = 40;
/// From one profile to the next, where time bounds them.
const RELOAD_EVERY: Duration = Duration::from_millis(250);

/// What one thread counted.
#[derive(Default)]
struct Counts {
    operations: u64,
    lost: u64,
    misrouted: u64,
    /// Answers that break a rule, in words.
    broken: Vec<String>,
    refusals: BTreeMap<String, u64>,
}

/// One client with what it knows.
struct Actor<'a> {
    target: &'a Target,
    client: Client,
    number: usize,
    counts: Counts,
}

impl<'a> Actor<'a> {
    fn new(target: &'a Target, number: usize) -> Result<Self, String> {
        let (client, counts) = (Client::connect(target)?, Counts::default());
        Ok(Self { target, client, number, counts })
    }

    /// Sends, and reads the message that comes back; `None` when none does.
    fn ask(&mut self, request: &[u8]) -> Result<Option<Value>, String> {
        self.counts.operations += 1;
        let Ok(answer) = self.client.exchange(request) else {
            self.counts.lost += 1;
            self.client = Client::connect(self.target)?;
            return Ok(None);
        };
        let message = answer::body(&answer.bytes).ok().and_then(|body| answer::message(&body));
        if answer::header(&answer.bytes, "connection").is_some_and(|said| said == "close") {
            self.client = Client::connect(self.target)?;
        }
        if answer.status == 500 {
            self.counts.broken.push(String::from_utf8_lossy(&answer.bytes).into_owned());
        }
        if let Some(data) = message.as_ref().map(|message| &message["error"]["data"])
            && let Some(kind) = data["refusal"].as_str()
        {
            *self.counts.refusals.entry(kind.to_owned()).or_default() += 1;
            if !data["generation"].is_u64() {
                self.counts.broken.push(format!("a refusal without a generation: {data}"));
            }
        }
        Ok(message)
    }

    /// Calls a tool of the modern era.
    fn call(&mut self, name: &str, arguments: Value) -> Result<Option<Value>, String> {
        let tool = Tool { name: name.to_owned(), arguments };
        let request = wire::call(self.target, Era::Modern, None, &tool, false);
        self.ask(&request)
    }

    /// An echo that nobody else asks for.
    fn echo(&mut self) -> Result<(), String> {
        let text = format!("{} of {}", self.counts.operations, self.number);
        if let Some(message) = self.call("echo", json!({ "text": text }))? {
            let is_refused = message["error"]["data"]["refusal"].is_string();
            if !is_refused && !answer::echoes(&message, &text) {
                self.counts.misrouted += 1;
                self.counts.broken.push(message.to_string());
            }
        }
        Ok(())
    }

    /// The whole list: the tools of all plugins are in it, whatever changes.
    fn list(&mut self) -> Result<(), String> {
        let mut message = wire::call_message(Era::Modern, 1, &Tool::echo(""));
        message["method"] = "tools/list".into();
        if let Some(params) = message["params"].as_object_mut() {
            params.retain(|name, _| name == "_meta");
        }
        let lines = [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/list")];
        let request = wire::post_text(self.target, &lines, &message.to_string());
        if let Some(message) = self.ask(&request)? {
            let tools = message["result"]["tools"].as_array().into_iter().flatten();
            let names: Vec<_> = tools.filter_map(|tool| tool["name"].as_str()).collect();
            let is_refused = message["error"]["data"]["refusal"].is_string();
            if !is_refused && !["echo", "flood"].iter().all(|name| names.contains(name)) {
                self.counts.broken.push(format!("a list without its tools: {names:?}"));
            }
        }
        Ok(())
    }

    /// A session from its begin to its end; what was ended is never known again.
    fn session(&mut self) -> Result<(), String> {
        self.counts.operations += 1;
        let Ok(session) = self.client.open_session() else {
            self.client = Client::connect(self.target)?;
            return Ok(());
        };
        let delete = wire::delete(self.target, &session);
        self.ask(&delete)?;
        let call = wire::call(self.target, Era::Session, Some(&session), &Tool::echo("x"), false);
        let answer = self.client.exchange(&call)?;
        if answer.status != 404 && answer.status != 429 {
            self.counts.broken.push(format!("an ended session got status {}", answer.status));
        }
        Ok(())
    }
}

fn changing(stage: &mut Stage<'_>) -> Result<(), String> {
    let (threads, each) = stage.pick((8, 250), (64, 1_600));
    let rules = Rules { mebibytes: 96, ..Rules::USUAL }.with_threads(8);
    stage.with(&Setup::of(&["reload.interval_ms=0"]), rules, |appliance, findings| {
        let before = appliance.metric("toolrack_generation")?;
        let (all, came_in): (Vec<_>, Vec<_>) = together(threads, |number| {
            let mut actor = Actor::new(appliance.target(), number)?;
            let mut came_in = 0_u64;
            for turn in 0..each {
                match (number, turn % 4) {
                    (0, 0) if turn % TURNS_PER_RELOAD == 0 => {
                        let comes = turn % (2 * TURNS_PER_RELOAD) == 0;
                        let tables = if comes { TIME } else { "" };
                        came_in += u64::from(profile::post_good(appliance, tables)?);
                    }
                    (0, 0) => {
                        actor.call("flood", json!({ "what": "changes", "count": 10 }))?;
                    }
                    (_, 1) => actor.list()?,
                    _ => actor.echo()?,
                }
            }
            Ok((actor.counts, came_in))
        })?
        .into_iter()
        .unzip();
        let made = appliance.metric_by_now("toolrack_generation")? - before;
        judge(findings, &all);
        let refused: u64 = all.iter().flat_map(|counts| counts.refusals.values()).sum();
        findings.exactly("operations refused", refused, 0);
        findings.at_least("generations made meanwhile", made, 1.0);
        // Nobody else changes the profile: none of them can come too late.
        let posted = each.div_ceil(TURNS_PER_RELOAD) as u64;
        findings.exactly("profiles that came in meanwhile", came_in.into_iter().sum(), posted);
        Ok(())
    })
}

fn judge(findings: &mut crate::stage::findings::Findings, all: &[Counts]) {
    let sum = |of: fn(&Counts) -> u64| all.iter().map(of).sum::<u64>();
    findings.show("operations", sum(|counts| counts.operations) as f64, "");
    findings.exactly("operations without an answer", sum(|counts| counts.lost), 0);
    findings.exactly("answers to somebody else", sum(|counts| counts.misrouted), 0);
    findings.exactly("answers that break a rule", sum(|counts| counts.broken.len() as u64), 0);
    let broken = all.iter().flat_map(|counts| &counts.broken);
    broken.take(3).for_each(|said| findings.note(said.clone()));
}

fn everything(stage: &mut Stage<'_>) -> Result<(), String> {
    let (threads, time, seed) = (
        stage.pick(8, 64),
        stage.pick(Duration::from_secs(4), Duration::from_secs(600)),
        stage.seed,
    );
    let setup = Setup::of(&[
        "layer.rate_limit.calls_per_sec=2000",
        "layer.rate_limit.burst_calls=500",
        "layer.circuit_breaker.calls_min=5",
        "layer.circuit_breaker.open_ms=50",
        "layer.circuit_breaker.open_max_ms=200",
        "plugin.misbehave.limits.deadline_ms=100",
        "plugin.misbehave.limits.response_bytes_max=\"1KiB\"",
        "plugin.misbehave.config.fails_above_bytes=2000",
        "layer.concurrency.calls_max=6",
        "reload.interval_ms=0",
        "reload.probation.mode=off",
    ]);
    let rules = Rules { mebibytes: 96, ..Rules::USUAL }.with_threads(8).keeping(&["\"sessions\""]);
    stage.with(&setup, rules, |appliance, findings| {
        let begun = Instant::now();
        // One more: it brings in one profile after the other.
        let (all, reloads): (Vec<_>, Vec<_>) = together(threads + 1, |number| {
            if number == threads {
                let tables = |number| profile::mark(60_000 + number);
                let reloads = profile::post_for(appliance, time, RELOAD_EVERY, tables)?;
                return Ok((Counts::default(), reloads));
            }
            let mut chance = fastrand::Rng::with_seed(seed.wrapping_add(number as u64));
            let mut actor = Actor::new(appliance.target(), number)?;
            while begun.elapsed() < time {
                act(&mut actor, &mut chance)?;
            }
            Ok((actor.counts, 0))
        })?
        .into_iter()
        .unzip();
        judge(findings, &all);
        findings.at_least("reloads meanwhile", reloads.into_iter().sum::<u64>() as f64, 1.0);
        let mut refusals = BTreeMap::<&str, u64>::new();
        for (kind, count) in all.iter().flat_map(|counts| &counts.refusals) {
            *refusals.entry(kind).or_default() += count;
        }
        findings.note(format!("seed {seed}; refusals: {refusals:?}"));
        let flips = appliance.metric_by_now(
            "toolrack_circuit_transitions_total{plugin=\"misbehave\",tool=\"large\",to=\"open\"}",
        )?;
        findings.at_least("circuits that opened", flips, 1.0);
        Ok(())
    })
}

/// One operation by chance.
fn act(actor: &mut Actor<'_>, chance: &mut fastrand::Rng) -> Result<(), String> {
    match chance.u8(..20) {
        0 => drop(actor.call("flood", json!({ "what": "changes", "count": 3 }))?),
        1..=4 => drop(actor.call("large", json!({ "bytes": chance.u32(..4_000) }))?),
        5 => drop(actor.call("never", json!({}))?),
        6 => drop(actor.call("panic_async", json!({}))?),
        7..=8 => actor.session()?,
        9..=11 => actor.list()?,
        _ => actor.echo()?,
    }
    Ok(())
}
