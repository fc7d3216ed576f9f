//! Brings the clients from their registries, locked, and only when something changed.

use std::fs;
use std::path::{Path, PathBuf};

use super::clients::{Client, Runtime};
use crate::Outcome;
use crate::conformance;
use crate::run;

/// Where the clients are, from the root.
const FOLDER: &str = "ci/interop";
/// Where what was built or installed for them is, from the root.
const BUILT: &str = "target/ci/interop";

/// What runs the clients.
pub(super) struct Installed {
    node: PathBuf,
    python: PathBuf,
    native: PathBuf,
}

impl Installed {
    /// The command of a client, without arguments.
    pub(super) fn command(&self, client: &Client) -> std::process::Command {
        let folder = folder(client.name);
        let (program, script) = match client.runtime {
            Runtime::Node => (&self.node, Some(folder.join("client.mjs"))),
            Runtime::Python => (&self.python, Some(folder.join("client.py"))),
            Runtime::Native => (&self.native, None),
        };
        let mut command = run::program(&program.to_string_lossy(), &[]);
        command.args(script);
        command
    }
}

fn folder(client: &str) -> PathBuf {
    run::root().join(FOLDER).join(client)
}

/// The version that a client is pinned to, read where it is pinned.
pub(super) fn version(client: &Client) -> String {
    let (file, before) = client.pinned;
    let text = fs::read_to_string(folder(client.name).join(file)).unwrap_or_default();
    let version = text.split_once(before).map(|(_, rest)| rest);
    let version = version.and_then(|rest| rest.split(['"', '\n']).next());
    version.unwrap_or("without a version").to_owned()
}

/// Installs everything.
pub(super) fn all() -> Result<Installed, String> {
    let node = conformance::install()?;
    for client in ["typescript-1", "typescript-2"] {
        packages(&folder(client))?;
    }
    let built = run::root().join(BUILT);
    Ok(Installed {
        node,
        python: python(&folder("python"), &built.join("python"))?,
        native: native(&built.join("rmcp"))?,
    })
}

/// The lock file that the packages were installed from lies among them.
fn packages(folder: &Path) -> Outcome {
    let record = folder.join("node_modules/.installed-from.json");
    let lock = folder.join("package-lock.json");
    let wanted = fs::read(&lock).map_err(|error| format!("{}: {error}", lock.display()))?;
    if fs::read(&record).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let mut npm = run::program("npm", &["ci", "--no-audit", "--no-fund"]);
    npm.current_dir(folder);
    run::finish(npm, "npm ci")?;
    fs::write(&record, wanted).map_err(|error| format!("{}: {error}", record.display()))
}

/// A virtual environment; the list that it was made from lies in it.
fn python(folder: &Path, environment: &Path) -> Result<PathBuf, String> {
    let requirements = folder.join("requirements.txt");
    let program = environment.join("bin/python");
    let record = environment.join("requirements.txt");
    let wanted =
        fs::read(&requirements).map_err(|error| format!("{}: {error}", requirements.display()))?;
    if fs::read(&record).is_ok_and(|installed| installed == wanted) {
        return Ok(program);
    }
    let made = environment.to_string_lossy();
    run::must("python3", &["-m", "venv", "--clear", &made])?;
    let mut pip = run::program(&program.to_string_lossy(), &["-m", "pip", "install", "--quiet"]);
    pip.args(["--disable-pip-version-check", "--no-deps", "--requirement"]).arg(&requirements);
    run::finish(pip, "pip install")?;
    fs::write(&record, wanted).map_err(|error| format!("{}: {error}", record.display()))?;
    Ok(program)
}

fn native(built: &Path) -> Result<PathBuf, String> {
    let mut cargo = run::program("cargo", &["build", "--quiet", "--locked"]);
    cargo.current_dir(folder("rmcp")).arg("--target-dir").arg(built);
    run::finish(cargo, "cargo build of the Rust client")?;
    Ok(built.join("debug/interop-rmcp"))
}
