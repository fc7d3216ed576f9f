//! `cargo ci bench`: the appliance beside its peers, on this machine, and whether its goals are held.

mod contestants;
mod goals;
mod idle;
mod instructions;
mod machine;
mod process;
mod report;
mod rounds;
mod startup;
mod stdio;

use std::fs;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::Outcome;
use crate::run;
pub(crate) use contestants::serve_with;
use machine::{Cores, Machine};
pub(crate) use process::Process;
use report::Report;
pub(crate) use stdio::Pipe;

/// What the command line says.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// What to measure; everything when none is named.
    parts: Vec<Part>,
    /// Only this server; may be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Interleaved rounds, in each of which every server is measured once.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds of load on one server in one round.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Connections, each with one request in flight.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// A look at whether it works: two short rounds and a tenth of everything else.
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,
    /// Fail when a goal is missed.
    #[arg(long)]
    gate: bool,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Throughput and latency over HTTP.
    Http,
    /// Throughput over standard input and output.
    Stdio,
    /// Memory of idle processes, connections and sessions.
    Idle,
    /// From the start to the first answer.
    Startup,
    /// User instructions for one call; needs valgrind.
    Instructions,
}

/// How much is measured.
#[derive(Debug)]
pub(crate) struct Settings {
    rounds: usize,
    round_time: Duration,
    connections: usize,
    idle_connections: usize,
    idle_sessions: usize,
    starts: usize,
    cores: Cores,
}

impl Settings {
    fn from(arguments: &Arguments) -> Result<Self, String> {
        let share = if arguments.quick { 10 } else { 1 };
        let seconds = if arguments.quick { 0.3 } else { arguments.seconds };
        let round_time = Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|time| !time.is_zero())
            .ok_or_else(|| format!("--seconds {seconds}: must be more than none"))?;
        let descriptors =
            usize::try_from(load::process::raise_descriptors()?).unwrap_or(usize::MAX);
        Ok(Self {
            rounds: if arguments.quick { 2 } else { arguments.rounds.max(1) },
            round_time,
            connections: arguments.connections.max(1),
            // Some descriptors are needed for other things.
            idle_connections: (10_000 / share).min(descriptors.saturating_sub(200)),
            idle_sessions: 100_000 / share,
            starts: 20 / share,
            cores: Cores::choose()?,
        })
    }

    /// In words, for the report.
    fn method(&self) -> Vec<String> {
        vec![
            format!(
            "{} interleaved rounds of {} s, {} connections with one request in flight each; servers on core {}, load \
             on core {}; medians, and the distance of the extreme rounds as spread. Ratios compare medians of one era.",
            self.rounds,
            self.round_time.as_secs_f64(),
            self.connections,
            self.cores.server,
            self.cores.generator
            ),
            "`toolrack` is what `cargo ci release` builds, trained; `toolrack, untrained` and all others are release \
             builds of cargo."
                .to_owned(),
        ]
    }
}

/// Builds everybody, measures, and reports.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    if cfg!(debug_assertions) {
        return run::optimized("cargo ci bench");
    }
    let chosen = contestants::choose(&arguments.only)?;
    let settings = Settings::from(arguments)?;
    contestants::build(&chosen)?;
    let profile = run::root().join(contestants::PROFILE);
    let mut report = Report {
        machine: Machine::describe()?,
        method: settings.method(),
        versions: contestants::versions(),
        profile: fs::read_to_string(&profile)
            .map_err(|error| format!("{}: {error}", profile.display()))?,
        throughput: Vec::new(),
        stdio: Vec::new(),
        idle: Vec::new(),
        startup: Vec::new(),
        instructions: Vec::new(),
        goals: Vec::new(),
    };
    load::machine::run_on(&[settings.cores.generator])?;
    measure(arguments, &chosen, &settings, &mut report)?;
    report.goals = goals::judge(&report);
    run::say(&report.write()?);
    let missed = report.goals.iter().filter(|goal| goal.is_held() == Some(false)).count();
    if arguments.gate && missed > 0 {
        return Err(format!("{missed} goals are missed; the table above names them"));
    }
    Ok(())
}

fn measure(
    arguments: &Arguments,
    chosen: &[&'static contestants::Contestant],
    settings: &Settings,
    report: &mut Report,
) -> Outcome {
    let is_wanted = |part| {
        let is_wanted = arguments.parts.is_empty() || arguments.parts.contains(&part);
        if is_wanted {
            run::say(&format!("== {part:?}"));
        }
        is_wanted
    };
    if is_wanted(Part::Startup) {
        report.startup = startup::measure(chosen, settings)?;
    }
    if is_wanted(Part::Idle) {
        report.idle = idle::measure(chosen, settings)?;
    }
    if is_wanted(Part::Stdio) {
        report.stdio = stdio::measure(settings)?;
    }
    if is_wanted(Part::Http) {
        report.throughput = rounds::measure(chosen, settings)?;
    }
    if is_wanted(Part::Instructions) {
        if instructions::available() {
            report.instructions = instructions::measure(chosen, settings)?;
        } else {
            report
                .method
                .push("User instructions were not counted: there is no valgrind.".to_owned());
        }
    }
    Ok(())
}
