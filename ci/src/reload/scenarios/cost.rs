//! H27, H29: a reload is cheap, and works when the house is full.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Outcome;
use crate::reload::live::{ON_REQUEST, ask, folder, play, play_in, write};
use crate::run;
use crate::stage::clients::{Clients, refused_ms};
use crate::stage::figure::Side;
use crate::stage::profile::mark;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::stage::wait;

/// A large profile.
pub(super) const COST: Scenario = Scenario {
    name: "cost",
    title: "a profile with a thousand tools of one plugin, as many files and origins: what a reload of it takes",
    left: "a chain of profiles longer than the eight that are allowed",
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
/// Tools of one plugin, files of another one, and origins.
const ITEMS: usize = 1_000;
const MANY_TOOLS: &str = "libmany_tools.so";

fn cost(stage: &mut Stage<'_>) -> Outcome {
    let reloads = stage.pick(3, 12);
    let folder = folder()?;
    for root in ["one", "two"] {
        let root = folder.path().join(root);
        fs::create_dir(&root).map_err(|error| format!("{}: {error}", root.display()))?;
        (0..ITEMS).try_for_each(|item| write(&root.join(format!("item-{item}.txt")), "x"))?;
    }
    compile_many_tools(folder.path())?;
    // Other settings: the plugins start anew and describe all of their items again.
    // What takes long on a machine that is busy is measured, not given up.
    let reload = ON_REQUEST.replace("images_max", "stage_deadline_ms = 60000\nimages_max");
    let tables = |number: u32| {
        let root = folder.path().join(["one", "two"][number as usize % 2]);
        let origins: Vec<_> =
            (0..ITEMS).map(|item| format!("\"https://{item}.example.com\"")).collect();
        format!(
            "{reload}{}[layer.origin]\nallowed_origins = [{}]\n[plugin.files]\nlibrary = \"libfilesystem.so\"\nconfig = {{ root = {root:?} }}\n\
             [plugin.many]\nlibrary = \"./{MANY_TOOLS}\"\nconfig = {{ mark = {number} }}\n",
            mark(number),
            origins.join(", ")
        )
    };
    let rules = Rules::USUAL.with_libraries(2 * u64::from(reloads));
    play_in(stage, folder.path(), &tables(0), rules, |live, findings| {
        let mut called = 0;
        let call = live.call_of(&format!("tool_{}", ITEMS - 1), json!({ "key": "x" }));
        let before = live.appliance.footprint()?.resident_bytes;
        let (worked, begun) = (live.appliance.processor_time()?, Instant::now());
        let (mut slowest, mut most) = (Duration::ZERO, before);
        for number in 1..=reloads {
            let asked = Instant::now();
            live.applies(&tables(number))?;
            slowest = slowest.max(asked.elapsed());
            most = most.max(live.appliance.footprint()?.resident_bytes);
            let (_, said) = ask(&mut live.client()?, &call)?;
            called += u64::from(said["result"]["content"][0]["text"] == "found");
        }
        let worked = (live.appliance.processor_time()? - worked).as_secs_f64();
        findings.time_ms("slowest reload", slowest.as_secs_f64() * 1e3, 2_000.0, 30_000.0);
        findings.exactly("calls of the last of the tools", called, reloads.into());
        // Half a core for as long as one may take.
        let of_one_ms = worked * 1e3 / f64::from(reloads);
        findings.time_ms("processor time of one", of_one_ms, 1_000.0, 15_000.0);
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

/// Compiles the library with a thousand tools in `folder`.
fn compile_many_tools(folder: &Path) -> Outcome {
    let root = run::root();
    let source = root.join("ci/src/reload/scenarios/many_tools.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-fPIC", "-shared", "-I"]);
    compiler.arg(root.join("schemas")).arg(source).arg("-o").arg(folder.join(MANY_TOOLS));
    let output = compiler.output().map_err(|error| {
        format!("this scenario needs a C compiler named `cc` (Debian: apt install gcc): {error}")
    })?;
    let complaint = || format!("many_tools.c: {}", String::from_utf8_lossy(&output.stderr));
    output.status.success().then_some(()).ok_or_else(complaint)
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
