//! The program as the load generator of its own benchmark, which must not be what limits it.

use std::path::Path;

use super::Amount;
use crate::Outcome;
use crate::run;

/// Calls a second that the steps multiply by up to ten: more than the profile lets in.
const CALLS_PER_SEC: &str = "2000";

/// One benchmark of a program that it starts itself. What it says is not looked at: this is not the build to measure.
pub(super) fn bench(program: &Path, amount: Amount) -> Outcome {
    let receipt = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (program, receipt) = (program.to_string_lossy(), receipt.path().to_string_lossy());
    let seconds = amount.load.as_secs_f64().to_string();
    let profile = ["bench", "--profile", "ci/release/strict.toml"];
    let load = ["--calls-per-sec", CALLS_PER_SEC, "--seconds", &seconds, "--out", &receipt];
    run::output(&program, &[&profile[..], &load[..]].concat()).map(drop)
}
