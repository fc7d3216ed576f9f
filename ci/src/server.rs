//! The real program, started for a check and stopped after it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::run;

/// A running appliance.
pub(crate) struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Starts the debug build with `profile`, a path from the root, and waits until it says where it listens.
    pub(crate) fn start(profile: &str) -> Result<Self, String> {
        Self::start_with(profile, &[])
    }

    /// With `more` arguments for `serve`.
    pub(crate) fn start_with(profile: &str, more: &[&str]) -> Result<Self, String> {
        let program = run::target().join("debug/toolrack");
        let mut child = run::program(&program.to_string_lossy(), &["serve", "--profile", profile])
            .args(more)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let stderr = child.stderr.take().ok_or("no standard error to read")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut said = Vec::new();
        while let Some(Ok(line)) = lines.next() {
            let address = address(&line);
            said.push(line);
            if let Some(url) = address {
                // Keeps the pipe empty for as long as the program writes to it.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(Self { child, url });
            }
        }
        child.wait().ok();
        Err(format!("the appliance did not start:\n{}", said.join("\n")))
    }

    /// Its endpoint.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// The address in a line that says where a server listens: of our log, or `listening http://...`.
pub(crate) fn address(line: &str) -> Option<String> {
    if let Some(url) = line.strip_prefix("listening ") {
        return Some(url.to_owned());
    }
    let fields: Value = serde_json::from_str(line).ok()?;
    (fields["message"] == "Listening.").then(|| fields["url"].as_str().map(str::to_owned))?
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
