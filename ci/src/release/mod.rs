//! `cargo ci release`: the program as it is shipped, compiled for what it does most.
//!
//! It is built twice. The first build counts how often each piece of code runs while the appliance serves every kind of
//! client (`training`); the second lays the code out by those counts and keeps what is rare out of the way (LLVM's
//! profile-guided optimization). What a call runs through is then half as much, in fewer places.

mod programs;
mod toolchain;
mod training;

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::dev::PLUGINS;
use crate::run;
use programs::Programs;
use toolchain::Merge;
use training::Amount;

/// What is built: the program, the plugins that are shipped with it, and those that the training or the benchmark needs.
const PACKAGES: [&str; 7] =
    ["toolrack", "echo", "time", "filesystem", "probe", "conformance", "misbehave"];

/// Builds, and puts what is shipped into `dist` of the target folder.
pub(crate) fn run() -> Outcome {
    let built = build()?;
    let shipped = run::target().join("dist");
    copy("toolrack", &built, &shipped)?;
    for plugin in PLUGINS {
        copy(plugin, &built, &shipped)?;
    }
    run::say(&format!("The program and its plugins are in {}.", shipped.display()));
    Ok(())
}

/// Runs the training once, briefly, on the debug build that the tests have made: no part of it may stop working
/// unnoticed.
pub(crate) fn check() -> Outcome {
    training::run(&run::target().join("debug"), Amount::LOOK)
}

/// Where [`build`] puts the programs.
pub(crate) fn folder() -> PathBuf {
    run::target().join("trained/programs")
}

/// Builds; the folder of the programs. Nothing is done twice: as long as the counting build stays the same, so do the
/// counts, and with them the second build.
pub(crate) fn build() -> Result<PathBuf, String> {
    let trained = run::target().join("trained");
    let host = toolchain::host()?;
    let merge = Merge::find(&host)?;
    // A folder each: libraries have the same name in both, and would be built anew by turns.
    let counting = Programs::new(&host, trained.join("counting"));
    let programs = Programs::new(&host, trained.join("build"));
    let counts = trained.join("counts");
    run::say("== a build that counts");
    counting.build(&format!("-Cprofile-generate={}", counts.display()))?;
    let digest = counting.digest()? ^ training::digest();
    let counted = trained.join(format!("{digest:016x}.profdata"));
    if !counted.exists() {
        run::say("== training");
        forget(&trained, &counts)?;
        training::run(counting.folder(), Amount::WHOLE)?;
        merge.merge(&counts, &counted)?;
    }
    run::say("== the build for what was counted");
    programs.build(&format!("-Cprofile-use={}", counted.display()))?;
    let folder = folder();
    for package in PACKAGES {
        copy(package, programs.folder(), &folder)?;
    }
    Ok(folder)
}

/// The file that a package is built into.
fn file_name(package: &str) -> String {
    if package == "toolrack" { package.to_owned() } else { format!("lib{package}.so") }
}

/// Removes what earlier trainings left.
fn forget(folder: &Path, counts: &Path) -> Outcome {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    if counts.exists() {
        fs::remove_dir_all(counts).map_err(failed)?;
    }
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "profdata") {
            fs::remove_file(&path).map_err(failed)?;
        }
    }
    Ok(())
}

/// Puts a copy of a package's file in place of what is there, whose bytes stay as they are: it may be running. The same
/// again is left alone, with the pages that the system has of it.
fn copy(package: &str, from: &Path, to: &Path) -> Outcome {
    let name = file_name(package);
    let (from, there, beside) = (from.join(&name), to.join(&name), to.join(format!("{name}.new")));
    let failed = |error| format!("cannot copy {} to {}: {error}", from.display(), to.display());
    let bytes = fs::read(&from).map_err(failed)?;
    if fs::read(&there).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    fs::create_dir_all(to)
        .and_then(|()| fs::copy(&from, &beside))
        .and_then(|_| fs::rename(&beside, &there))
        .map_err(failed)
}
