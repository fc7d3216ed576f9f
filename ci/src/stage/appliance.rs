//! The real program under a profile of its own, what it says while it runs, and what it holds.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use load::wire::{self, Era};
use load::{Client, Target, answer};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::group::Group;
use super::wait;
use crate::run;

/// How old metrics are at most, and a little more.
const SNAPSHOT_AGE_MAX: Duration = Duration::from_millis(1_100);

/// What every scenario of `stress` begins with, from the root.
pub(crate) const PROFILE: &str = "ci/stress/profile.toml";
/// Lines of the log that are kept for the report of a failure.
const LINES_MAX: usize = 20;
/// How long the program may take to come up on a machine that is busy.
const START: Duration = Duration::from_secs(60);

/// How to start it.
#[derive(Default)]
pub(crate) struct Setup<'a> {
    /// The profile's path; `None`: the one that every scenario of `stress` begins with.
    pub(crate) profile: Option<PathBuf>,
    /// Keys and values that differ from the profile.
    pub(crate) settings: Vec<String>,
    /// A control group to run in.
    pub(crate) group: Option<&'a Group>,
    /// Most descriptors that it may open.
    pub(crate) descriptors: Option<u32>,
}

impl Setup<'_> {
    /// The profile with these settings.
    pub(crate) fn of(settings: &[&str]) -> Self {
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        Self { settings, ..Self::default() }
    }
}

/// What the log has said so far.
#[derive(Default)]
struct Log {
    panics: AtomicU64,
    plugin_panics: AtomicU64,
    last: Mutex<Vec<String>>,
}

/// A running program.
pub(crate) struct Appliance {
    child: Child,
    pid: u32,
    target: Target,
    control: Target,
    log: Arc<Log>,
}

/// What it holds at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Footprint {
    /// Open descriptors.
    pub(crate) descriptors: u64,
    /// Threads.
    pub(crate) threads: u64,
    /// Resident memory in bytes.
    pub(crate) resident_bytes: u64,
}

impl Appliance {
    /// Starts the program in `folder` and waits until it serves.
    pub(crate) fn start(folder: &Path, setup: &Setup<'_>) -> Result<Self, String> {
        let mut child = command(folder, setup).spawn().map_err(|error| {
            format!("cannot start the program in {}: {error}", folder.display())
        })?;
        let log = Arc::new(Log::default());
        let Some(out) = child.stderr.take() else {
            return Err("no standard error to read".to_owned());
        };
        let addresses = match addresses(out, &log) {
            Ok(addresses) => addresses,
            Err(error) => {
                child.kill().ok();
                child.wait().ok();
                return Err(error);
            }
        };
        let (target, control) = (Target::resolve(&addresses.0)?, Target::resolve(&addresses.1)?);
        // The shell has become the program.
        let pid = child.id();
        Ok(Self { child, pid, target, control, log })
    }

    /// Where clients go.
    pub(crate) const fn target(&self) -> &Target {
        &self.target
    }

    /// Where probes go.
    pub(crate) const fn control(&self) -> &Target {
        &self.control
    }

    /// What it holds.
    pub(crate) fn footprint(&self) -> Result<Footprint, String> {
        Ok(Footprint {
            descriptors: load::process::descriptors(self.pid)?,
            threads: load::process::threads(self.pid)?,
            resident_bytes: load::process::resident_bytes(self.pid)?,
        })
    }

    /// Processor time that it has used.
    pub(crate) fn processor_time(&self) -> Result<Duration, String> {
        load::process::processor_time(self.pid)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), String> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or("a process without an id")?;
        kill_process(pid, signal).map_err(|error| format!("cannot signal it: {error}"))
    }

    /// The answer of a path of the control listener.
    pub(crate) fn ask_control(&self, path: &str) -> Result<(u16, String), String> {
        self.exchange_control(&wire::get(&self.control, path))
    }

    /// The answer of a path of the control listener that is asked to do something, with further header lines.
    pub(crate) fn order(
        &self,
        path: &str,
        lines: &[(&str, &str)],
        body: &str,
    ) -> Result<(u16, String), String> {
        let control = Target { path: path.to_owned(), ..self.control.clone() };
        self.exchange_control(&wire::post_text(&control, lines, body))
    }

    fn exchange_control(&self, request: &[u8]) -> Result<(u16, String), String> {
        let mut client = Client::connect(&self.control)?;
        let answer = client.exchange(request)?;
        let body = answer::body(&answer.bytes)?;
        Ok((answer.status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// Every series of its metrics; a snapshot that may be a second old.
    pub(crate) fn metrics(&self) -> Result<BTreeMap<String, f64>, String> {
        let (_, text) = self.ask_control("/metrics")?;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Ok(series.collect())
    }

    /// One series; none is zero.
    pub(crate) fn metric(&self, series: &str) -> Result<f64, String> {
        Ok(self.metrics()?.get(series).copied().unwrap_or_default())
    }

    /// One series as it is by now: waits until every snapshot is of later than the call.
    pub(crate) fn metric_by_now(&self, series: &str) -> Result<f64, String> {
        wait::pass(SNAPSHOT_AGE_MAX);
        self.metric(series)
    }

    /// Calls `echo` once on a connection of its own.
    pub(crate) fn echo(&self, text: &str) -> Result<(), String> {
        Client::connect(&self.target)?.call(Era::Modern, text, true).map(drop)
    }

    /// Whether `echo` answers before the deadline.
    pub(crate) fn recovers_within(&self, patience: Duration) -> bool {
        wait::until(patience, || self.echo("well again").is_ok())
    }

    /// Whether the process has ended, though nobody asked it to.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Panics of the program's own, outside of plugins that were asked to panic.
    pub(crate) fn panics(&self) -> u64 {
        self.log.panics.load(Relaxed)
    }

    /// Panics of plugins.
    pub(crate) fn plugin_panics(&self) -> u64 {
        self.log.plugin_panics.load(Relaxed)
    }

    /// The last lines of its log.
    pub(crate) fn last_words(&self) -> Vec<String> {
        self.log.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        // One that was stopped takes no other signal.
        self.signal(Signal::KILL).ok();
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The command line: the shell sets the limit of descriptors and enters the group, and becomes the program.
fn command(folder: &Path, setup: &Setup<'_>) -> Command {
    let mut script = String::new();
    if let Some(count) = setup.descriptors {
        script.push_str(&format!("ulimit -n {count} && "));
    }
    if let Some(group) = setup.group {
        script.push_str(&format!("echo $$ > '{}' && ", group.members().display()));
    }
    script.push_str("exec \"$0\" \"$@\"");
    let mut command = run::program("sh", &["-c", &script]);
    command.arg(folder.join("toolrack")).args(["serve", "--profile"]);
    command.arg(setup.profile.as_deref().unwrap_or(Path::new(PROFILE)));
    // The addresses are told at the level of information.
    command.args(["--set", "log.filter=warn,transport=info,control=info,toolrack=info"]);
    for setting in &setup.settings {
        command.args(["--set", setting]);
    }
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Waits until both addresses were said; goes on to read the log for as long as the program lives.
fn addresses(out: impl Read + Send + 'static, log: &Arc<Log>) -> Result<(String, String), String> {
    let (sender, said) = std::sync::mpsc::channel();
    let log = Arc::clone(log);
    let heard = Arc::clone(&log);
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            heard.hear(&line);
            if let Some(url) = address(&line) {
                sender.send(url).ok();
            }
        }
    });
    let next = || {
        said.recv_timeout(START).map_err(|_| {
            let words = log.last.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
            format!("the program did not start:\n{words}")
        })
    };
    Ok((next()?, next()?))
}

/// The address in a line that says where a listener is.
fn address(line: &str) -> Option<String> {
    let fields: Value = serde_json::from_str(line).ok()?;
    let is_listener =
        fields["message"] == "Listening." || fields["message"] == "Control listening.";
    is_listener.then(|| fields["url"].as_str().map(str::to_owned))?
}

impl Log {
    fn hear(&self, line: &str) {
        // Plugins send theirs to the log, with the place in their source; the program's own go to standard error as
        // they are.
        if line.contains("panic at ") {
            self.plugin_panics.fetch_add(1, Relaxed);
        } else if line.contains(" panicked at ") {
            self.panics.fetch_add(1, Relaxed);
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == LINES_MAX {
            last.remove(0);
        }
        last.push(line.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_of_plugins_are_counted_apart() {
        let log = Log::default();
        log.hear("{\"message\":\"panic at plugins/misbehave/src/lib.rs:9:5: asked\"}");
        log.hear("thread 'main' (1) panicked at appliance/src/main.rs:1:1:");
        log.hear("{\"message\":\"Listening.\"}");
        assert_eq!((log.panics.load(Relaxed), log.plugin_panics.load(Relaxed)), (1, 1));
    }

    #[test]
    fn address_is_that_of_a_listener() {
        let line = "{\"message\":\"Listening.\",\"url\":\"http://127.0.0.1:7/mcp\"}";
        assert_eq!(address(line).as_deref(), Some("http://127.0.0.1:7/mcp"));
        assert_eq!(address("{\"message\":\"Plugin ready.\",\"url\":\"x\"}"), None);
    }
}
