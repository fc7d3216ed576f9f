//! What is built, with flags of its own for the compiler.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::Hasher;
use std::path::{Path, PathBuf};

use super::{PACKAGES, file_name};
use crate::Outcome;
use crate::run;

/// The programs of one target folder.
pub(super) struct Programs {
    host: String,
    target: PathBuf,
    folder: PathBuf,
}

impl Programs {
    /// Those that are built into `target` on `host`, and for it.
    pub(super) fn new(host: &str, target: PathBuf) -> Self {
        let folder = target.join(host).join("release");
        Self { host: host.to_owned(), target, folder }
    }

    /// Where they are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Builds them with `flag` for the compiler, beside those that the environment asks for. Names the host as the target, so that
    /// scripts and macros, which run while building, are compiled without.
    pub(super) fn build(&self, flag: &str) -> Outcome {
        let mut cargo = run::program("cargo", &["build", "--release", "--locked", "--target"]);
        cargo.arg(&self.host).arg("--target-dir").arg(&self.target);
        for package in PACKAGES {
            cargo.args(["--package", package]);
        }
        let asked = std::env::var("RUSTFLAGS").unwrap_or_default();
        let flags: Vec<&str> = asked.split_whitespace().chain([flag]).collect();
        // Separated by what no path has in it.
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        run::finish(cargo, "cargo build --release")
    }

    /// Names the bytes of all of them.
    pub(super) fn digest(&self) -> Result<u64, String> {
        let mut hasher = DefaultHasher::new();
        for package in PACKAGES {
            let path = self.folder.join(file_name(package));
            let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            hasher.write(&bytes);
        }
        Ok(hasher.finish())
    }
}
