//! An appliance of our own: this program once more, on ports that are free.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use profile::plan::TransportPlan;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::Failed;
use crate::cli::{self, ProfileOptions};
use crate::exit;

/// How long it may take to start: plugins may have much to load.
const START_MAX: Duration = Duration::from_secs(60);
/// How often a signal is looked for meanwhile.
const LOOK_PERIOD: Duration = Duration::from_millis(100);
/// How long it may take to end before it is killed.
const END_MAX: Duration = Duration::from_secs(5);
/// Lines of its log that are shown when it does not start.
const LINES_MAX: usize = 20;

/// A running appliance that ends with this value.
pub(super) struct Own {
    child: Child,
    /// Its log; ends when the process does.
    log: Receiver<String>,
    pub(super) url: String,
    pub(super) control_url: Option<String>,
}

impl Own {
    /// Starts it and waits until it serves.
    pub(super) fn start(options: &ProfileOptions, stopped: &AtomicBool) -> Result<Self, Failed> {
        let settings = settings(options)?;
        let mut command =
            Command::new(cli::program().map_err(|error| Failed::new(exit::INTERNAL, error))?);
        // This thread lives as long as the process: the kernel counts threads as parents.
        let own_pid = std::process::id().to_string();
        command.args(["serve", "--end-with", &own_pid, "--profile", &options.profile]);
        for setting in options.set.iter().chain(&settings) {
            command.args(["--set", setting]);
        }
        // Standard input stays open: a profile may serve it as well. A group of its own: Ctrl-C is for us to hear.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child = command
            .spawn()
            .map_err(|error| Failed::new(exit::INTERNAL, format!("cannot start: {error}")))?;
        let stderr = child.stderr.take();
        let log = stderr.map(read).unwrap_or_else(|| channel().1);
        let mut own = Self { child, log, url: String::new(), control_url: None };
        own.wait_until_it_serves(stopped)?;
        Ok(own)
    }

    fn wait_until_it_serves(&mut self, stopped: &AtomicBool) -> Result<(), Failed> {
        let deadline = Instant::now() + START_MAX;
        let mut said = VecDeque::new();
        loop {
            if stopped.load(Ordering::Relaxed) {
                return Err(Failed::new(exit::TEMPORARY, "stopped by a signal"));
            }
            let line = match self.log.recv_timeout(LOOK_PERIOD) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => continue,
                Err(why) => {
                    let (code, why) = match why {
                        RecvTimeoutError::Timeout => (exit::TEMPORARY, "does not start in time"),
                        RecvTimeoutError::Disconnected => (exit::CONFIG, "did not start"),
                    };
                    let first = format!("the appliance {why}; it said:");
                    return Err(Failed { code, lines: [first].into_iter().chain(said).collect() });
                }
            };
            let fields: Value = serde_json::from_str(&line).unwrap_or_default();
            let url = || fields["url"].as_str().map(str::to_owned);
            match fields["message"].as_str() {
                Some("Listening.") if self.url.is_empty() => self.url = url().unwrap_or_default(),
                Some("Control listening.") => self.control_url = url(),
                Some(message) if message.starts_with("Serving") => return Ok(()),
                _ => {}
            }
            if said.len() == LINES_MAX {
                said.pop_front();
            }
            said.push_back(line);
        }
    }

    /// The number of the process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, when it has.
    pub(super) fn ended(&mut self) -> Option<String> {
        // Keeps the log from piling up.
        while self.log.try_recv().is_ok() {}
        let status = self.child.try_wait().ok().flatten()?;
        Some(format!("the server has ended: {status}"))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if self.child.try_wait().is_ok_and(|status| status.is_none())
            && let Some(pid) = pid
            && kill_process(pid, Signal::TERM).is_ok()
        {
            let deadline = Instant::now() + END_MAX;
            // The log ends with the process.
            while self.log.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok()
            {
            }
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What must differ from the profile: free ports of this machine, and a log that can be read.
fn settings(options: &ProfileOptions) -> Result<Vec<String>, Failed> {
    let loaded = crate::commands::load(options)
        .map_err(|problems| Failed { code: exit::CONFIG, lines: problems })?;
    let name = &loaded.plan.name;
    if loaded.plan.plugins.is_empty() {
        return Err(Failed::new(
            exit::CONFIG,
            format!(
                "profile `{name}` names no plugin, so there is no tool to call; \
                 add --set plugin.echo.library=libecho.so"
            ),
        ));
    }
    let http = |listener: &&profile::plan::ListenerPlan| {
        matches!(listener.transport, TransportPlan::Http(_))
    };
    let mut settings: Vec<_> = loaded
        .plan
        .listeners
        .iter()
        .filter(http)
        .map(|listener| format!("listen.{}.http.bind=127.0.0.1:0", listener.name))
        .collect();
    if settings.is_empty() {
        return Err(Failed::new(
            exit::CONFIG,
            format!(
                "profile `{name}` does not serve HTTP, which is what is loaded; \
                 add --set listen.bench.http.bind=127.0.0.1:0"
            ),
        ));
    }
    settings.extend(
        ["control.bind=127.0.0.1:0", "log.format=json", "log.filter=info"].map(str::to_owned),
    );
    Ok(settings)
}

fn read(stderr: ChildStderr) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}
