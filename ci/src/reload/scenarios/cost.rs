//! H27, H29: a reload is cheap, and works when the house is full.

use std::fs;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::reload::live::{ON_REQUEST, folder, play, play_in, write};
use crate::stage::clients::{Clients, refused_ms};
use crate::stage::figure::Side;
use crate::stage::profile::mark;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::stage::wait;

/// A large profile.
pub(super) const COST: Scenario = Scenario {
    name: "cost",
    title: "a profile with a thousand described items and as many origins: what a reload of it takes",
    left: "a thousand tools of one plugin; a chain of profiles longer than the eight that are allowed",
    play: cost,
};

/// A full house.
pub(super) const OVERLOAD: Scenario = Scenario {
    name: "overload",
    title: "reloads during ten times the calls that fit",
    left: "",
    play: overload,
};

const MIB: f64 = 1_048_576.0;
const ITEMS: usize = 1_000;

fn cost(stage: &mut Stage<'_>) -> Outcome {
    let reloads = stage.pick(3, 12);
    let folder = folder()?;
    for root in ["one", "two"] {
        let root = folder.path().join(root);
        fs::create_dir(&root).map_err(|error| format!("{}: {error}", root.display()))?;
        (0..ITEMS).try_for_each(|item| write(&root.join(format!("item-{item}.txt")), "x"))?;
    }
    // Another root: the plugin starts anew and describes all of its items again.
    let tables = |number: u32| {
        let root = folder.path().join(["one", "two"][number as usize % 2]);
        let origins: Vec<_> =
            (0..ITEMS).map(|item| format!("\"https://{item}.example.com\"")).collect();
        format!(
            "{ON_REQUEST}{}[layer.origin]\nallowed_origins = [{}]\n[plugin.files]\nlibrary = \"libfilesystem.so\"\nconfig = {{ root = {root:?} }}\n",
            mark(number),
            origins.join(", ")
        )
    };
    let rules = Rules::USUAL.with_libraries(reloads.into());
    play_in(stage, folder.path(), &tables(0), rules, |live, findings| {
        let before = live.appliance.footprint()?.resident_bytes;
        let (worked, begun) = (live.appliance.processor_time()?, Instant::now());
        let (mut slowest, mut most) = (Duration::ZERO, before);
        for number in 1..=reloads {
            let asked = Instant::now();
            live.applies(&tables(number))?;
            slowest = slowest.max(asked.elapsed());
            most = most.max(live.appliance.footprint()?.resident_bytes);
        }
        let worked = (live.appliance.processor_time()? - worked).as_secs_f64();
        findings.time_ms("slowest reload", slowest.as_secs_f64() * 1e3, 2_000.0, 30_000.0);
        findings.show("processor time of one", worked * 1e3 / f64::from(reloads), "ms");
        findings.show(
            "share of a core, one after the other",
            worked / begun.elapsed().as_secs_f64(),
            "",
        );
        let grown = (most - before) as f64 / MIB;
        findings.measure("memory at most", grown, Side::AtMost, 200.0, "MiB");
        Ok(())
    })
}

fn overload(stage: &mut Stage<'_>) -> Outcome {
    const PLACES: u32 = 8;
    const CALL_MS: u64 = 40;
    let reloads = stage.pick(4, 20);
    let tables = |number: u32| {
        format!("{ON_REQUEST}{}[layer.concurrency]\ncalls_max = {PLACES}\n", mark(number))
    };
    play(stage, &tables(0), Rules::USUAL, |live, findings| {
        let fits_per_sec = f64::from(PLACES) * 1e3 / CALL_MS as f64;
        let clients = Clients::waiting(CALL_MS, 256);
        let (tally, slowest) = clients.beside(live.appliance, fits_per_sec * 10.0, || {
            let mut slowest = Duration::ZERO;
            for number in 1..=reloads {
                let asked = Instant::now();
                live.applies(&tables(number))?;
                slowest = slowest.max(asked.elapsed());
                wait::pass(Duration::from_millis(500));
            }
            Ok::<_, String>(slowest)
        })?;
        findings.see(&tally);
        findings.exactly("neither a result nor a refusal", tally.failed(), 0);
        findings.at_least("calls that found no place", tally.refused() as f64, 1.0);
        findings.at_least("calls that did", tally.accepted as f64, 1.0);
        findings.show("p99 of refusals", refused_ms(&tally, 0.99), "ms");
        findings.time_ms("slowest reload", slowest?.as_secs_f64() * 1e3, 5_000.0, 30_000.0);
        Ok(())
    })
}
