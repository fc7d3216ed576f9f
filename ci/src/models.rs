//! The concurrent cores in loom and shuttle: the tests called `interleavings`, see `protocol::sync`.

use crate::Outcome;
use crate::run;

/// Schedules of each model in shuttle: some minutes' worth are for nights.
const SCHEDULES: &str = "1000";
/// Preemptions of each model in loom.
const PREEMPTIONS: &str = "2";

/// Explores every model. Builds of their own: a model checker knows of its own atomics and locks only.
pub(crate) fn run() -> Outcome {
    let check = |checker: &str, crates: &[&str]| {
        let packages = crates.iter().flat_map(|name| ["--package", name]);
        let features: Vec<String> = crates.iter().map(|name| format!("{name}/{checker}")).collect();
        let mut cargo =
            run::program("cargo", &["test", "--quiet", "--no-fail-fast", "--lib", "interleavings"]);
        cargo.args(packages).args(["--features", &features.join(",")]);
        // Those of the caller count, for a longer look.
        for (key, value) in
            [("SHUTTLE_SCHEDULES", SCHEDULES), ("LOOM_MAX_PREEMPTIONS", PREEMPTIONS)]
        {
            if std::env::var_os(key).is_none() {
                cargo.env(key, value);
            }
        }
        run::finish(cargo, &format!("models in {checker}"))
    };
    check("loom", &["protocol", "telemetry", "middleware"])?;
    check("shuttle", &["protocol", "middleware", "plugin-host"])
}
