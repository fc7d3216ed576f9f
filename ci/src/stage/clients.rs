//! Clients of the one load generator, as scenarios speak of them.

use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use load::tally::Expected;
use load::wire::{Era, Tool};
use load::{Load, Pace, Tally, Workload};
use serde_json::{Value, json};

use super::appliance::Appliance;

/// Longest run of a load that ends when its scenario does.
const ENDLESS: Duration = Duration::from_secs(24 * 3_600);

/// Some clients that call one tool.
#[derive(Clone)]
pub(crate) struct Clients {
    tool: Tool,
    era: Era,
    text: Option<String>,
    connections: usize,
    addresses: usize,
    first_address: Ipv4Addr,
    calls_per_connection: Option<u64>,
}

impl Clients {
    /// Clients of `echo`, so many connections from one address.
    pub(crate) fn echo(connections: usize) -> Self {
        let text = load::wire::text(64);
        let tool = Tool::echo(&text);
        Self { text: Some(text), ..Self::of(tool, connections) }
    }

    /// Clients of a tool of the plugin that does wrong.
    pub(crate) fn calling(name: &str, arguments: Value, connections: usize) -> Self {
        Self::of(Tool { name: name.to_owned(), arguments }, connections)
    }

    /// Clients of a tool that takes so long, and no core.
    pub(crate) fn waiting(ms: u64, connections: usize) -> Self {
        Self::calling("wait", json!({ "ms": ms }), connections)
    }

    fn of(tool: Tool, connections: usize) -> Self {
        Self {
            tool,
            era: Era::Modern,
            text: None,
            connections,
            addresses: 1,
            first_address: Ipv4Addr::LOCALHOST,
            calls_per_connection: None,
        }
    }

    /// From so many addresses, `first` onwards.
    pub(crate) fn from(self, first: [u8; 4], addresses: usize) -> Self {
        let [a, b, c, d] = first;
        Self { addresses, first_address: Ipv4Addr::new(a, b, c, d), ..self }
    }

    /// With a session for each connection.
    pub(crate) fn in_sessions(self) -> Self {
        Self { era: Era::Session, ..self }
    }

    /// With a connection for each call.
    pub(crate) fn once_each(self) -> Self {
        Self { calls_per_connection: Some(1), ..self }
    }

    fn workload(&self) -> Workload<'_> {
        Workload {
            era: self.era,
            tool: &self.tool,
            expected: self.text.as_deref().map_or(Expected::Result, Expected::Echo),
            connections: self.connections,
            addresses: self.addresses,
            first_address: self.first_address,
            calls_per_connection: self.calls_per_connection,
        }
    }

    /// Calls at this pace for so long.
    pub(crate) fn run(
        &self,
        appliance: &Appliance,
        pace: Pace,
        duration: Duration,
    ) -> Result<Tally, String> {
        self.run_while(appliance, pace, duration, &AtomicBool::new(false))
    }

    /// Each calls again as soon as it has its answer.
    pub(crate) fn press(&self, appliance: &Appliance, time: Duration) -> Result<Tally, String> {
        self.run(appliance, Pace::Closed, time)
    }

    /// So many calls a second by the clock.
    pub(crate) fn offer(
        &self,
        appliance: &Appliance,
        calls_per_sec: f64,
        time: Duration,
    ) -> Result<Tally, String> {
        self.run(appliance, Pace::Open { calls_per_sec }, time)
    }

    fn run_while(
        &self,
        appliance: &Appliance,
        pace: Pace,
        duration: Duration,
        is_over: &AtomicBool,
    ) -> Result<Tally, String> {
        let mut load = Load::open(appliance.target(), self.workload())?;
        let tally = load.run(pace, duration, &mut |_| {
            if is_over.load(Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        load.close();
        Ok(tally)
    }

    /// Calls so often a second for as long as `body` takes; what came back, and what the body says.
    pub(crate) fn beside<R>(
        &self,
        appliance: &Appliance,
        calls_per_sec: f64,
        body: impl FnOnce() -> R,
    ) -> Result<(Tally, R), String> {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let pace = Pace::Open { calls_per_sec };
            let over = &is_over;
            let steady = scope.spawn(move || self.run_while(appliance, pace, ENDLESS, over));
            let ends = Ends(over);
            let result = body();
            drop(ends);
            let tally = steady.join().map_err(|_| "the steady load has panicked".to_owned())??;
            Ok((tally, result))
        })
    }
}

/// Ends the load beside, however the body ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Runs a piece of a load on so many threads, told their numbers; all results, or the first error.
pub(crate) fn together<R: Send>(
    threads: usize,
    piece: impl Fn(usize) -> Result<R, String> + Sync,
) -> Result<Vec<R>, String> {
    std::thread::scope(|scope| {
        let piece = &piece;
        let running: Vec<_> =
            (0..threads).map(|number| scope.spawn(move || piece(number))).collect();
        let joined = running.into_iter().map(|thread| {
            thread.join().map_err(|_| "a thread of the load has panicked".to_owned())?
        });
        joined.collect()
    })
}

/// Milliseconds below which so many of the accepted calls stayed.
pub(crate) fn accepted_ms(tally: &Tally, quantile: f64) -> f64 {
    tally.accepted_ns.value_at_quantile(quantile) as f64 / 1e6
}

/// Milliseconds below which so many of the refusals stayed, from the first byte out.
pub(crate) fn refused_ms(tally: &Tally, quantile: f64) -> f64 {
    tally.refusal_answer_ns.value_at_quantile(quantile) as f64 / 1e6
}

/// How many refusals there were of one kind.
pub(crate) fn refusals(tally: &Tally, kind: &str) -> u64 {
    tally.refusals.get(kind).copied().unwrap_or_default()
}

/// The share of the calls that were sent and accepted.
pub(crate) fn success(tally: &Tally) -> f64 {
    let sent = tally.offered.saturating_sub(tally.not_sent);
    tally.accepted as f64 / (sent.max(1)) as f64
}
