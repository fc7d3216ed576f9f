//! What the compiler's toolchain is asked for.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::run;

/// The component of rustup that has the tool.
const COMPONENT: &str = "llvm-tools";

/// The machine that is built on, and for.
pub(super) fn host() -> Result<String, String> {
    let version = run::output("rustc", &["--version", "--verbose"])?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| format!("rustc does not say its host:\n{version}"))
}

/// The tool that makes one file of many counts, for the same version of LLVM as the compiler's.
pub(super) struct Merge(PathBuf);

impl Merge {
    /// Looks for it, and installs it where it is missing.
    pub(super) fn find(host: &str) -> Result<Self, String> {
        let root = run::output("rustc", &["--print", "sysroot"])?;
        let bin = format!("lib/rustlib/{host}/bin/llvm-profdata");
        let tool = Path::new(root.trim()).join(bin);
        if !tool.exists() {
            run::must("rustup", &["component", "add", COMPONENT]).map_err(|error| {
                format!("{error}\n{} is missing: install the component {COMPONENT} of the Rust toolchain", tool.display())
            })?;
        }
        Ok(Self(tool))
    }

    /// Makes `file` of what the programs left in `counts`.
    pub(super) fn merge(&self, counts: &Path, file: &Path) -> Outcome {
        let failed = |error: std::io::Error| format!("{}: {error}", counts.display());
        let mut command = run::program(&self.0.to_string_lossy(), &["merge", "--output"]);
        // Under another name until it is whole.
        let beside = file.with_extension("part");
        command.arg(&beside);
        for entry in fs::read_dir(counts).map_err(failed)? {
            command.arg(entry.map_err(failed)?.path());
        }
        run::finish(command, "llvm-profdata merge")?;
        fs::rename(&beside, file).map_err(|error| format!("{}: {error}", file.display()))
    }
}
