//! Budgets and habits that no compiler checks.

mod links;

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::run;

/// Lines of a file without its tests: beyond it a wall is missing.
const FILE_LINES_MAX: usize = 500;
/// Lines of ARCHITECTURE.md: it must be read.
const ARCHITECTURE_LINES_MAX: usize = 250;
/// What may stand at the root.
const ROOT: &[&str] = &[
    ".cargo",
    ".ci",
    ".dockerignore",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "Containerfile",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "appliance",
    "ci",
    "clippy.toml",
    "deny.toml",
    "examples",
    "plugins",
    "profiles",
    "rustfmt.toml",
    "schemas",
];
/// Names that say nothing.
const EMPTY_NAMES: [&str; 5] = ["util", "utils", "helpers", "common", "misc"];

/// Looks at every tracked file.
pub(crate) fn run() -> Outcome {
    let root = run::root();
    let mut wrong = Vec::new();
    let tracked = run::output("git", &["ls-files", "--cached", "--others", "--exclude-standard"])?;
    let files: Vec<PathBuf> =
        tracked.lines().map(PathBuf::from).filter(|file| root.join(file).is_file()).collect();
    for file in &files {
        let top =
            file.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned());
        if !top.as_deref().is_some_and(|top| ROOT.contains(&top)) {
            wrong.push(format!("{}: does not belong at the root", file.display()));
        }
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => wrong.extend(source(file, &text)),
            Some("md") => wrong.extend(links::broken(&root, file, &text)),
            _ => {}
        }
    }
    let architecture = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap_or_default();
    if architecture.lines().count() > ARCHITECTURE_LINES_MAX {
        wrong.push(format!("ARCHITECTURE.md: more than {ARCHITECTURE_LINES_MAX} lines"));
    }
    wrong.extend(links::unknown_paths("ARCHITECTURE.md", &architecture, &files));
    wrong.sort();
    wrong.dedup();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

fn source(file: &Path, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut complain = |what: &str| wrong.push(format!("{}: {what}", file.display()));
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let is_test = stem == "tests" || file.components().any(|part| part.as_os_str() == "tests");
    if EMPTY_NAMES.contains(&stem.as_str()) {
        complain("its name says nothing about what is in it");
    }
    if !is_test && !text.starts_with("//!") {
        complain("a module opens with //! and one sentence that says what it is for");
    }
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    if !is_test && code.lines().count() > FILE_LINES_MAX {
        complain(&format!(
            "more than {FILE_LINES_MAX} lines without tests; find the wall that is missing"
        ));
    }
    // Written in two parts, so that this file does not find itself.
    for mark in
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("#[ign", "ore")]
    {
        if text.contains(mark) {
            complain(&format!("has `{mark}`: do it, or file it"));
        }
    }
    wrong
}
