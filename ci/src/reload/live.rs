//! A program whose profile is a file that a scenario writes, and what became of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use load::wire::{self, Era, Tool};
use load::{Client, answer};
use serde_json::{Value, json};

use crate::Outcome;
use crate::stage::appliance::{Appliance, Setup};
use crate::stage::findings::Findings;
use crate::stage::profile::{self, text};
use crate::stage::rules::Rules;
use crate::stage::scenario::Stage;
use crate::stage::wait;

/// A profile that is read again when somebody asks, at once and as often as that; what came in stays.
pub(super) const ON_REQUEST: &str =
    "[reload]\nwatch = false\ninterval_ms = 0\nimages_max = 1000\nprobation = { mode = \"off\" }\n";
/// Longer than anything takes: a scenario that waits for ever must fail.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A running program and the folder of its profile.
pub(super) struct Live<'a> {
    /// The program.
    pub(super) appliance: &'a Appliance,
    /// Where its profile is, and what else a scenario puts there.
    pub(super) folder: &'a Path,
}

/// An empty folder that goes with its scenario.
pub(super) fn folder() -> Result<tempfile::TempDir, String> {
    tempfile::tempdir().map_err(|error| format!("no folder for the profile: {error}"))
}

/// Plays on a program with the usual profile and these tables.
pub(super) fn play(
    stage: &mut Stage<'_>,
    tables: &str,
    rules: Rules,
    body: impl FnOnce(&Live<'_>, &mut Findings) -> Outcome,
) -> Outcome {
    play_in(stage, folder()?.path(), tables, rules, body)
}

/// The same, in a folder that has more of what the profile names.
pub(super) fn play_in(
    stage: &mut Stage<'_>,
    folder: &Path,
    tables: &str,
    rules: Rules,
    body: impl FnOnce(&Live<'_>, &mut Findings) -> Outcome,
) -> Outcome {
    let profile = folder.join("live.toml");
    write(&profile, text(tables))?;
    let setup = Setup { profile: Some(profile), ..Setup::default() };
    stage.with(&setup, rules, |appliance, findings| body(&Live { appliance, folder }, findings))
}

/// Writes a file, or says which could not be written.
pub(super) fn write(path: &Path, content: impl AsRef<[u8]>) -> Outcome {
    fs::write(path, content).map_err(|error| format!("{}: {error}", path.display()))
}

impl Live<'_> {
    /// The profile.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.join("live.toml")
    }

    /// Writes the profile with these tables.
    pub(super) fn write(&self, tables: &str) -> Outcome {
        write(&self.path(), text(tables))
    }

    /// Puts another file with these tables in its place, at once.
    pub(super) fn replace(&self, tables: &str) -> Outcome {
        let next = tempfile::NamedTempFile::new_in(self.folder)
            .map_err(|error| format!("{}: {error}", self.folder.display()))?;
        write(next.path(), text(tables))?;
        next.persist(self.path()).map(drop).map_err(|error| error.to_string())
    }

    /// Has the profile read again; the attempt, as the program tells of it.
    pub(super) fn reload(&self) -> Result<Value, String> {
        let (status, body) = self.appliance.order("/admin/reload?wait=true", &[], "")?;
        serde_json::from_str(&body).map_err(|_| format!("status {status}, no attempt: {body}"))
    }

    /// Posts a profile with these tables against what serves now; the attempt.
    pub(super) fn post(&self, tables: &str) -> Result<Value, String> {
        profile::post(self.appliance, tables)
    }

    /// The same of a profile with these tables.
    pub(super) fn reload_with(&self, tables: &str) -> Result<Value, String> {
        self.write(tables)?;
        self.reload()
    }

    /// The same, which must be applied.
    pub(super) fn applies(&self, tables: &str) -> Result<Value, String> {
        let attempt = self.reload_with(tables)?;
        if attempt["result"] == "applied" {
            Ok(attempt)
        } else {
            Err(format!("not applied: {attempt}"))
        }
    }

    /// The last attempts, the oldest first.
    pub(super) fn attempts(&self) -> Result<Vec<Value>, String> {
        let shown = self.shown("/admin/reloads")?;
        shown["attempts"].as_array().cloned().ok_or_else(|| format!("no attempts: {shown}"))
    }

    /// The number of the generation that serves.
    pub(super) fn generation(&self) -> Result<u64, String> {
        let shown = self.shown("/readyz")?;
        shown["generation"].as_u64().ok_or_else(|| format!("no generation: {shown}"))
    }

    /// A key as it serves.
    pub(super) fn serves(&self, key: &str) -> Result<String, String> {
        let shown = self.shown("/admin/plan")?;
        Ok(shown["values"][key]["value"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until a key serves with this value; whether it did.
    pub(super) fn comes_to_serve(&self, key: &str, value: &str) -> bool {
        wait::until(PATIENCE, || self.serves(key).is_ok_and(|serves| serves == value))
    }

    fn shown(&self, path: &str) -> Result<Value, String> {
        let (status, body) = self.appliance.ask_control(path)?;
        serde_json::from_str(&body).map_err(|_| format!("{path}: status {status}, no JSON: {body}"))
    }

    /// A connection of a client.
    pub(super) fn client(&self) -> Result<Client, String> {
        Client::connect(self.appliance.target())
    }

    /// The bytes of a call of the modern era.
    pub(super) fn call_of(&self, name: &str, arguments: Value) -> Vec<u8> {
        let tool = Tool { name: name.to_owned(), arguments };
        wire::call(self.appliance.target(), Era::Modern, None, &tool, false)
    }

    /// The bytes of another request of the modern era, with these params beside `_meta`.
    pub(super) fn request_of(&self, method: &str, params: Value) -> Vec<u8> {
        let mut message = wire::call_message(Era::Modern, 1, &Tool::echo(""));
        let meta = message["params"]["_meta"].take();
        message["method"] = json!(method);
        message["params"] = params;
        message["params"]["_meta"] = meta;
        let lines = [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method)];
        wire::post_text(self.appliance.target(), &lines, &message.to_string())
    }
}

/// Sends a request; its status and the message of its answer.
pub(super) fn ask(client: &mut Client, request: &[u8]) -> Result<(u16, Value), String> {
    let answer = client.exchange(request)?;
    let message = answer::message(&answer::body(&answer.bytes)?);
    Ok((answer.status, message.unwrap_or_default()))
}
