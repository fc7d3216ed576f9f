//! A changed profile comes into a program that serves.

mod beside;
mod broken;
mod clients;
mod diff;
mod draining;
mod history;
mod identity;
mod kept;
mod killed;
mod last_good;
mod listeners;
mod load;
mod named;
mod plugins;
mod posted;
mod probation;
mod refused;
mod restart;
mod steps;
mod storms;
mod triggers;
mod writes;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Answer, PATIENCE, Program, plugins};

/// A profile that is read again when somebody asks, as often as they do, and stays.
const ON_REQUEST: &str =
    "[reload]\nwatch = false\ninterval_ms = 0\n[reload.probation]\nmode = \"off\"\n";

/// Whether promises are tried at their full length: `LONG=1 cargo test`.
fn is_long() -> bool {
    std::env::var_os("LONG").is_some()
}

/// The plugin that says back what it is told.
const ECHO: &str = "[plugin.echo]\nlibrary = \"libecho.so\"\n";
/// The plugin with fixtures of every kind.
const CONFORMANCE: &str = "[plugin.conformance]\nlibrary = \"libconformance.so\"\n";

/// A plugin of its own library.
const MINE: &str = "[plugin.mine]\nlibrary = \"./libmine.so\"\n";

/// The text of a profile with these tables.
fn text(tables: &[&str]) -> String {
    let head = "format = 1\n[listen.public]\nhttp = { bind = \"127.0.0.1:0\" }\n[control]\nbind = \"127.0.0.1:0\"\n";
    tables.iter().fold(head.to_owned(), |text, table| text + table)
}

/// `[layer.timeout]` with a deadline that tells one writing from another.
fn deadline(ms: u32) -> String {
    format!("[layer.timeout]\ndeadline_ms = {ms}\n")
}

/// A program, and the folder of its profile and of libraries that a test changes.
struct Live {
    folder: TempDir,
    program: Program,
}

impl Live {
    fn start(tables: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("live.toml"), text(tables)).expect("written");
        Self::start_in(folder)
    }

    /// Of a profile with these tables and [`MINE`], a copy of `echo`, and that library.
    fn with_library(tables: &[&str]) -> (Self, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let library = folder.path().join("libmine.so");
        copy("libecho.so", &library);
        let text = text(&[tables, &[MINE]].concat());
        fs::write(folder.path().join("live.toml"), text).expect("written");
        (Self::start_in(folder), library)
    }

    /// Of a folder that has all that the profile in it names.
    fn start_in(folder: TempDir) -> Self {
        let program = Program::start(&folder.path().join("live.toml"), &[]);
        Self { folder, program }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("live.toml")
    }

    fn write(&self, tables: &[&str]) {
        fs::write(self.path(), text(tables)).expect("written");
    }

    fn ask(&self, query: &str) -> Answer {
        let host = &self.program.control;
        let head = format!("POST /admin/reload{query} HTTP/1.1\r\nHost: {host}\r\n");
        self.program.request_control(&head)
    }

    /// Has the profile read again; what became of it.
    fn reload(&self) -> Value {
        self.ask("?wait=true").json()
    }

    /// The same of a profile with these tables.
    fn reload_with(&self, tables: &[&str]) -> Value {
        self.write(tables);
        self.reload()
    }

    /// The same, which must be good.
    #[track_caller]
    fn applies(&self, tables: &[&str]) -> Value {
        let attempt = self.reload_with(tables);
        assert_eq!(attempt["result"], "applied", "{attempt}");
        attempt
    }

    /// What serves, as `If-Match` names it.
    fn tag(&self) -> String {
        let shown = self.program.control("/admin/profile");
        shown.header("etag").expect("an identity").to_owned()
    }

    /// Posts a profile with these tables, written against what `tag` names.
    fn post(&self, tag: &str, tables: &[&str]) -> Answer {
        let headers = format!("If-Match: {tag}\r\n");
        self.program.post_control("/admin/profile", &headers, &text(tables))
    }

    /// Asks what a profile with these tables would change.
    fn try_out(&self, tables: &[&str]) -> Answer {
        self.program.post_control("/admin/profile?dry_run=true", "", &text(tables))
    }

    fn attempts(&self) -> Vec<Value> {
        let shown = self.program.control("/admin/reloads").json();
        shown["attempts"].as_array().expect("a list").clone()
    }

    /// Waits for an attempt, which is looked for from the newest one.
    #[track_caller]
    fn until(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let attempts = self.attempts();
            if let Some(found) = attempts.iter().rev().find(|attempt| is_it(attempt)) {
                return found.clone();
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: {attempts:#?}");
        }
    }

    /// A key as it serves.
    fn serves(&self, key: &str) -> String {
        let plan = self.program.control("/admin/plan").json();
        plan["values"][key]["value"].as_str().unwrap_or_default().to_owned()
    }

    fn generation(&self) -> u64 {
        self.program.control("/readyz").json()["generation"].as_u64().expect("a number")
    }
}

/// A copy of a library under another name, as it was built.
fn copy(library: &str, to: &Path) {
    fs::copy(plugins().join(library), to).expect("it was built");
}

/// Puts another library in the place of one that does the same, and is not the same file.
fn replace(library: &Path) {
    let mut bytes = fs::read(library).expect("it is there");
    bytes.extend_from_slice(b"another build");
    install(library, &bytes);
}

/// Puts a library in the place of one, as an installer does: by its name, at once.
fn install(library: &Path, bytes: &[u8]) {
    let next = library.with_extension("next");
    // With its mode.
    fs::copy(library, &next).expect("copied");
    fs::write(&next, bytes).expect("written");
    fs::rename(next, library).expect("in its place");
}
