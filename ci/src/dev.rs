//! `cargo dev`: from a clone to a running appliance.

use std::os::unix::process::CommandExt;

use crate::Outcome;
use crate::run;

/// The plugins that the built-in profiles name, and the one that stands in for them in a self-test.
pub(crate) const PLUGINS: [&str; 4] = ["echo", "time", "filesystem", "probe"];

/// Builds, then becomes the appliance.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let mut build = vec!["build", "--release", "--package", "toolrack"];
    for plugin in PLUGINS {
        build.extend(["--package", plugin]);
    }
    run::must("cargo", &build)?;
    let program = run::target().join("release/toolrack");
    let mut serve = std::process::Command::new(&program);
    serve.args(["serve", "--profile", "dev"]).args(arguments);
    // Returns only when the program cannot be started.
    Err(format!("cannot start {}: {}", program.display(), serve.exec()))
}
