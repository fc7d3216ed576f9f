//! Everything that must hold before a change lands, in the order of what it costs.

use std::time::Instant;

use crate::Outcome;
use crate::run;
use crate::{arrows, conformance, interop, models, release, reload, schemas, stress, tidy};

type Step = (&'static str, fn() -> Outcome);

const STEPS: &[Step] = &[
    ("formatting", || run::must("cargo", &["fmt", "--all", "--check"])),
    ("tidy", tidy::run),
    ("arrows", arrows::run),
    ("generated files", || schemas::run(true)),
    ("clippy", || {
        run::must(
            "cargo",
            &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"],
        )
    }),
    ("plugins and program for the tests", || {
        run::must("cargo", &["build", "--quiet", "--workspace"])
    }),
    ("example in Rust", example),
    ("fuzz targets", fuzz_targets),
    // All that is wrong at once: the next run is minutes away.
    ("tests", || run::must("cargo", &["test", "--workspace", "--no-fail-fast"])),
    ("models of the concurrent cores", models::run),
    ("conformance", conformance::run),
    ("interop", interop::run),
    ("training of a release", release::check),
    ("stress", stress::check),
    ("reload", reload::check),
];

/// The example is a workspace of its own, as the plugins of other people are.
fn example() -> Outcome {
    let cargo = |task: &str, more: &[&str]| {
        let manifest = ["--manifest-path", "examples/plugin-rust/Cargo.toml"];
        run::must("cargo", &[&[task], &manifest[..], more].concat())
    };
    cargo("fmt", &["--check"])?;
    cargo("build", &["--quiet", "--target-dir", "target"])?;
    cargo("test", &["--quiet", "--target-dir", "target"])
}

/// The fuzz targets are a workspace of their own as well, and see doors that no other build has.
fn fuzz_targets() -> Outcome {
    let manifest = ["--manifest-path", "ci/fuzz/Cargo.toml", "--target-dir", "target/fuzz"];
    let mut cargo = run::program("cargo", &["check", "--quiet", "--locked"]);
    cargo.args(manifest).env("RUSTFLAGS", "--cfg fuzzing");
    run::finish(cargo, "cargo check of the fuzz targets")
}

/// Runs every step; stops at the first that fails.
pub(crate) fn run() -> Outcome {
    let begun = Instant::now();
    for (name, step) in STEPS {
        run::say(&format!("== {name}"));
        let started = Instant::now();
        step().map_err(|message| format!("{name}: {message}"))?;
        run::say(&format!("== {name}: good, {} s", started.elapsed().as_secs()));
    }
    run::say(&format!("Everything holds, {} s.", begun.elapsed().as_secs()));
    Ok(())
}
