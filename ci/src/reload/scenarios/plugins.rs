//! H26, H9: a plugin is replaced under load; what it answers and what the profile says are of one generation.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use serde_json::{Value, json};

use crate::Outcome;
use crate::reload::live::{Live, ON_REQUEST, ask, folder, play_in};
use crate::stage::clients::together;
use crate::stage::rules::Rules;
use crate::stage::scenario::{Scenario, Stage};
use crate::stage::wait;

/// Libraries that take over from each other.
pub(super) const PLUGINS: Scenario = Scenario {
    name: "plugins",
    title: "fifteen libraries take over from each other under load",
    left: "",
    play: plugins,
};

/// How often a library is replaced.
const SWAPS: u32 = 15;
/// Connections that call.
const CALLERS: usize = 4;
/// Calls between two swaps.
const CALLS_BETWEEN: u64 = 8;

/// A profile whose name tells the zone that its plugin was started with.
fn tables(swap: u32) -> String {
    let zone = zone(swap);
    format!(
        "{ON_REQUEST}[server]\nname = \"{zone}\"\n[plugin.mine]\nlibrary = \"./libmine.so\"\nconfig = {{ zone = \"{zone}\" }}\n"
    )
}

const fn zone(swap: u32) -> &'static str {
    if swap.is_multiple_of(2) { "UTC" } else { "Asia/Tokyo" }
}

fn plugins(stage: &mut Stage<'_>) -> Outcome {
    let folder = folder()?;
    let library = folder.path().join("libmine.so");
    let built = crate::run::root().join(stage.folder).join("libtime.so");
    let failed = |error: std::io::Error| format!("{}: {error}", library.display());
    let bytes = fs::read(&built).map_err(|error| format!("{}: {error}", built.display()))?;
    // Its rights too: one that others may write is not loaded.
    fs::copy(&built, &library).map_err(failed)?;
    let rules = Rules::USUAL.with_libraries(SWAPS.into());
    play_in(stage, folder.path(), &tables(0), rules, |live, findings| {
        let (is_over, called, mixed) =
            (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        let request = live.call_of("now", json!({}));
        let mut swapped = 0;
        std::thread::scope(|scope| {
            let calling = scope.spawn(|| {
                together(CALLERS, |_| {
                    let mut client = live.client()?;
                    while !is_over.load(Relaxed) {
                        let (status, said) = ask(&mut client, &request)?;
                        if status != 200 || said["result"]["isError"] == true {
                            return Err(format!("a call failed: status {status}, {said}"));
                        }
                        mixed.fetch_add(u64::from(!is_of_one(&said)), Relaxed);
                        called.fetch_add(1, Relaxed);
                    }
                    Ok(())
                })
            });
            let played = (1..=SWAPS).try_for_each(|swap| {
                replace(&library, &bytes, swap).map_err(failed)?;
                swapped += u64::from(is_loaded(&live.applies(&tables(swap))?));
                go_on(&called)
            });
            is_over.store(true, Relaxed);
            let called = calling.join().map_err(|_| "a caller has panicked".to_owned())?;
            played.and(called.map(drop))
        })?;
        findings.exactly("libraries that took over", swapped, SWAPS.into());
        findings.at_least("calls meanwhile", called.into_inner() as f64, f64::from(SWAPS));
        findings.exactly("answers of two generations", mixed.into_inner(), 0);
        findings.exactly("generation", live.generation()?, u64::from(SWAPS) + 1);
        broken(live, &library)?;
        Ok(())
    })
}

/// Whether the zone in an answer is the one that the server's name tells.
fn is_of_one(said: &Value) -> bool {
    let result = &said["result"];
    let name = &result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"];
    name.is_string() && *name == result["structuredContent"]["zone"]
}

fn is_loaded(attempt: &Value) -> bool {
    attempt["plugins_loaded"] == json!(["mine"])
}

/// Puts another file of the same kind in its place, as an installer does: by its name, at once.
fn replace(library: &Path, bytes: &[u8], swap: u32) -> std::io::Result<()> {
    let next = library.with_extension("next");
    fs::copy(library, &next)?;
    fs::write(&next, [bytes, format!("build {swap}").as_bytes()].concat())?;
    fs::rename(&next, library)
}

/// Waits until calls have gone on.
fn go_on(called: &AtomicU64) -> Outcome {
    let before = called.load(Relaxed);
    let patience = crate::reload::live::PATIENCE;
    let go_on = wait::until(patience, || called.load(Relaxed) >= before + CALLS_BETWEEN);
    if go_on { Ok(()) } else { Err("calls do not go on".to_owned()) }
}

/// One that is no library is refused, and what serves does so on.
fn broken(live: &Live<'_>, library: &Path) -> Outcome {
    fs::write(library, "no library").map_err(|error| error.to_string())?;
    let attempt = live.reload()?;
    let (status, said) = ask(&mut live.client()?, &live.call_of("now", json!({})))?;
    if attempt["result"] == "refused" && status == 200 && is_of_one(&said) {
        Ok(())
    } else {
        Err(format!("a file that is no library: {attempt}, then {said}"))
    }
}
