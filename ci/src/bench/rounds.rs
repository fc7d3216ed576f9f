//! Throughput and latency: interleaved rounds, in each of which everybody is measured once.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::time::Duration;

use load::process::own_processor_time;
use load::tally::Expected;
use load::wire::{self, Era, Tool};
use load::{Client, Load, Pace, Tally, Workload, answer};
use serde::Serialize;

use super::Settings;
use super::contestants::{Contestant, Role};
use super::process::Process;
use crate::run;
use crate::statistics::{median, rotation, spread};

/// Bytes of the texts to echo.
pub(crate) const SIZES: [usize; 2] = [64, 4096];
/// The eras, in the order of the report.
const ERAS: [Era; 3] = [Era::Session, Era::Sessionless, Era::Modern];
/// Load before the measured part of a round: caches, branch predictors and allocators settle.
const WARM_UP: Duration = Duration::from_millis(250);
/// Bytes of an answer beside the text, for the ceiling when ours does not take part.
const FRAME_BYTES: usize = 96;

/// What one contestant did in one case: medians over the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// The contestant.
    pub(crate) server: &'static str,
    /// The era.
    pub(crate) era: &'static str,
    /// Bytes of the text to echo.
    pub(crate) text_bytes: usize,
    /// Good answers in a second.
    pub(crate) requests_per_second: f64,
    /// Distance of the best and the worst round as a share of the median.
    pub(crate) spread: f64,
    /// Processor time of the server for one answer, in microseconds, user and kernel.
    pub(crate) processor_us: f64,
    /// Processor time of the generator for one answer, in microseconds: it must not be what sets the pace.
    pub(crate) generator_us: f64,
    /// Median latency, in microseconds.
    pub(crate) p50_us: f64,
    /// 99 % were faster, in microseconds.
    pub(crate) p99_us: f64,
    /// 99.9 % were faster, in microseconds.
    pub(crate) p999_us: f64,
    /// Requests without a good answer, over all rounds.
    pub(crate) errors: u64,
    /// The first of them.
    pub(crate) first_error: Option<String>,
    /// Resident memory at the end, in bytes.
    pub(crate) resident_bytes: u64,
    /// Requests per second as a share of the ceiling's.
    pub(crate) of_ceiling: Option<f64>,
    /// Requests per second as a multiple of the best peer's, in the same era.
    pub(crate) of_best_peer: Option<f64>,
}

/// One contestant in one case.
struct Seat {
    contestant: &'static Contestant,
    argv: Vec<String>,
    rounds: Vec<Round>,
}

struct Round {
    tally: Tally,
    processor: Duration,
    generator: Duration,
}

/// All contestants that speak one era, at one size.
struct Case {
    era: Era,
    text: String,
    seats: Vec<Seat>,
}

/// Runs all rounds.
pub(crate) fn measure(
    chosen: &[&'static Contestant],
    settings: &Settings,
) -> Result<Vec<Row>, String> {
    let mut processes = BTreeMap::new();
    let mut cases = Vec::new();
    for text_bytes in SIZES {
        for era in ERAS {
            cases.push(Case::seat(era, text_bytes, chosen, settings, &mut processes)?);
        }
    }
    for round in 0..settings.rounds {
        for case in &mut cases {
            for place in rotation(case.seats.len(), round) {
                case.measure(place, settings, &processes)?;
            }
        }
        run::say(&format!("  round {} of {} done", round + 1, settings.rounds));
    }
    let mut rows = Vec::new();
    for case in &cases {
        rows.extend(case.rows(&processes)?);
    }
    Ok(rows)
}

impl Case {
    /// Starts who is not running yet, and calls each once.
    fn seat(
        era: Era,
        text_bytes: usize,
        chosen: &[&'static Contestant],
        settings: &Settings,
        processes: &mut BTreeMap<Vec<String>, Process>,
    ) -> Result<Self, String> {
        let text = wire::text(text_bytes);
        let mut answer_bytes = text_bytes + FRAME_BYTES;
        let mut seats = Vec::new();
        for contestant in chosen {
            if !contestant.eras.iter().any(|(known, _)| *known == era) {
                continue;
            }
            let argv = contestant.argv(era, answer_bytes);
            if !processes.contains_key(&argv) {
                let process = Process::start(&argv, Some(settings.cores.server))?;
                processes.insert(argv.clone(), process);
            }
            if let Some(process) = processes.get(&argv) {
                let mut client = Client::connect(process.target())?;
                let answer = client
                    .call(era, &text, contestant.speaks_mcp())
                    .map_err(|error| format!("{}: {error}", contestant.name))?;
                if contestant.role == Role::Ours {
                    // The ceiling, which comes after ours, answers with as much.
                    answer_bytes = answer::body(&answer.bytes)?.len();
                }
            }
            seats.push(Seat { contestant, argv, rounds: Vec::new() });
        }
        Ok(Self { era, text, seats })
    }

    fn measure(
        &mut self,
        place: usize,
        settings: &Settings,
        processes: &BTreeMap<Vec<String>, Process>,
    ) -> Result<(), String> {
        let Some(seat) = self.seats.get_mut(place) else {
            return Ok(());
        };
        let Some(process) = processes.get(&seat.argv) else {
            return Ok(());
        };
        let tool = Tool::echo(&self.text);
        let workload = Workload {
            era: self.era,
            tool: &tool,
            expected: if seat.contestant.speaks_mcp() {
                Expected::Echo(&self.text)
            } else {
                Expected::Status
            },
            connections: settings.connections,
            addresses: 1,
            first_address: Ipv4Addr::LOCALHOST,
            calls_per_connection: None,
        };
        let run = |load: &mut Load<'_>, time| {
            load.run(Pace::Closed, time, &mut |_| ControlFlow::Continue(()))
        };
        let mut load = Load::open(process.target(), workload)?;
        run(&mut load, WARM_UP)?;
        let before = (process.processor_time()?, own_processor_time()?);
        let tally = run(&mut load, settings.round_time)?;
        let processor = process.processor_time()?.saturating_sub(before.0);
        let generator = own_processor_time()?.saturating_sub(before.1);
        load.close();
        seat.rounds.push(Round { tally, processor, generator });
        Ok(())
    }

    fn rows(&self, processes: &BTreeMap<Vec<String>, Process>) -> Result<Vec<Row>, String> {
        let mut rows = Vec::new();
        for seat in &self.seats {
            let process = processes.get(&seat.argv).ok_or("a seat without a process")?;
            rows.push(seat.row(self.era, self.text.len(), process.resident_bytes()?));
        }
        let best = |role: Role| {
            let rates =
                self.seats.iter().zip(&rows).filter(|(seat, _)| seat.contestant.role == role);
            rates.map(|(_, row)| row.requests_per_second).max_by(f64::total_cmp)
        };
        let (ceiling, peer) = (best(Role::Ceiling), best(Role::Peer));
        for row in &mut rows {
            row.of_ceiling = ceiling.map(|ceiling| row.requests_per_second / ceiling);
            row.of_best_peer = peer.map(|peer| row.requests_per_second / peer);
        }
        Ok(rows)
    }
}

impl Seat {
    fn row(&self, era: Era, text_bytes: usize, resident_bytes: u64) -> Row {
        let each = |of: &dyn Fn(&Round) -> f64| self.rounds.iter().map(of).collect::<Vec<_>>();
        let middle = |of: &dyn Fn(&Round) -> f64| median(&each(of)).unwrap_or_default();
        let latency = |quantile: f64| {
            middle(&|round| round.tally.accepted_ns.value_at_quantile(quantile) as f64 / 1_000.0)
        };
        let rate = |round: &Round| round.tally.goodput();
        let each_us = |of: fn(&Round) -> Duration| {
            middle(&|round| {
                of(round).as_secs_f64() * 1e6 / round.tally.accepted_in_time.max(1) as f64
            })
        };
        Row {
            server: self.contestant.name,
            era: era.name(),
            text_bytes,
            requests_per_second: middle(&rate),
            spread: spread(&each(&rate)).unwrap_or_default(),
            processor_us: each_us(|round| round.processor),
            generator_us: each_us(|round| round.generator),
            p50_us: latency(0.5),
            p99_us: latency(0.99),
            p999_us: latency(0.999),
            errors: self
                .rounds
                .iter()
                .map(|round| round.tally.failed() + round.tally.refused())
                .sum(),
            first_error: self.rounds.iter().find_map(|round| round.tally.first_error.clone()),
            resident_bytes,
            of_ceiling: None,
            of_best_peer: None,
        }
    }
}
