//! What a scenario is, and the stage on which it plays.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::appliance::{Appliance, Setup};
use super::findings::Findings;
use super::rules::{Rules, Watch};
use super::wait;

/// Calls before the first look at what the program holds, so that what is made once is not counted as left behind.
const WARM_UP_CALLS: usize = 20;
/// How long memory may take to settle after that.
const SETTLES: Duration = Duration::from_secs(3);
/// Looks between two that are compared.
const LOOKS: u32 = 15;
/// Connections that make them.
const WARM_UP_CONNECTIONS: usize = 16;

/// One scenario.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    /// What `--only` names it.
    pub(crate) name: &'static str,
    /// What it does to the program.
    pub(crate) title: &'static str,
    /// What of the original scenario waits for parts that the program does not have yet; empty: nothing.
    pub(crate) left: &'static str,
    /// Plays it.
    pub(crate) play: fn(&mut Stage<'_>) -> Result<(), String>,
}

/// Those of `all` with these names, in their order; all of them without any.
///
/// # Errors
/// The name that none has.
pub(crate) fn choose(
    all: &'static [&'static Scenario],
    names: &[String],
) -> Result<Vec<&'static Scenario>, String> {
    if let Some(unknown) = names.iter().find(|name| all.iter().all(|known| known.name != **name)) {
        return Err(format!("no scenario `{unknown}`; --list says which there are"));
    }
    let is_chosen =
        |scenario: &&Scenario| names.is_empty() || names.iter().any(|name| name == scenario.name);
    Ok(all.iter().copied().filter(is_chosen).collect())
}

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Length {
    /// For every change, on any machine.
    Short,
    /// For figures.
    Long,
}

/// What a scenario plays on.
pub(crate) struct Stage<'a> {
    /// How much of it.
    pub(crate) length: Length,
    /// What chance begins with.
    pub(crate) seed: u64,
    /// How long the soak lasts in the long run, in minutes.
    pub(crate) soak_minutes: u64,
    /// Where the program and its plugins are.
    pub(crate) folder: &'a Path,
    /// What was found so far.
    pub(crate) findings: Findings,
}

impl Stage<'_> {
    /// One of two amounts, by the length of the run.
    pub(crate) fn pick<T>(&self, short: T, long: T) -> T {
        match self.length {
            Length::Short => short,
            Length::Long => long,
        }
    }

    /// Starts a program, lets `body` load it, and holds the rules against it.
    pub(crate) fn with(
        &mut self,
        setup: &Setup<'_>,
        rules: Rules,
        body: impl FnOnce(&Appliance, &mut Findings) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut appliance = Appliance::start(self.folder, setup)?;
        warm_up(&appliance)?;
        let watch = Watch::begin(&appliance, rules)?;
        let played = body(&appliance, &mut self.findings);
        let judged = watch.end(&mut appliance, &mut self.findings);
        played.and(judged).map_err(|error| {
            format!("{error}\nlast lines of the log:\n{}", appliance.last_words().join("\n"))
        })
    }
}

fn warm_up(appliance: &Appliance) -> Result<(), String> {
    let connect = || load::Client::connect(appliance.target());
    let mut clients = (0..WARM_UP_CONNECTIONS).map(|_| connect()).collect::<Result<Vec<_>, _>>()?;
    for client in &mut clients {
        for _ in 0..WARM_UP_CALLS {
            // One may be refused, where a scenario's bounds are that narrow.
            if client.call(load::Era::Modern, "warm", true).is_err() {
                break;
            }
        }
    }
    drop(clients);
    // What the start needed is given back a little later; growth is measured from after that.
    let mut before = appliance.footprint()?.resident_bytes;
    let mut looks = 0;
    wait::until(SETTLES, || {
        looks += 1;
        if looks % LOOKS != 0 {
            return false;
        }
        appliance.ask_control("/metrics").ok();
        let now = appliance.footprint().map_or(0, |now| now.resident_bytes);
        let is_calm = now.abs_diff(before) < before / 50;
        before = now;
        is_calm
    });
    Ok(())
}
