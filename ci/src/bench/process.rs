//! A server process on the servers' core, and what it costs.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use load::Target;
use rustix::process::{Pid, Signal, kill_process};

use crate::run;
use crate::server;

/// A running server.
pub(crate) struct Process {
    child: Child,
    target: Target,
    started_at: Instant,
}

impl Process {
    /// Starts a program on `core`, or anywhere, and waits until it says where it listens.
    pub(crate) fn start(argv: &[String], core: Option<usize>) -> Result<Self, String> {
        let label = argv.join(" ");
        let started_at = Instant::now();
        let mut child =
            spawn(argv, core, Stdio::null()).map_err(|error| format!("`{label}`: {error}"))?;
        // Ours speaks on standard error, the others on standard output.
        let (sender, lines) = channel();
        if let Some(out) = child.stdout.take() {
            listen(out, sender.clone());
        }
        if let Some(err) = child.stderr.take() {
            listen(err, sender);
        }
        let mut said = Vec::new();
        for line in lines {
            if let Some(url) = server::address(&line) {
                let target = Target::resolve(&url)?;
                return Ok(Self { child, target, started_at });
            }
            said.push(line);
        }
        child.wait().ok();
        Err(format!("`{label}` did not start:\n{}", said.join("\n")))
    }

    /// Where it listens.
    pub(crate) const fn target(&self) -> &Target {
        &self.target
    }

    /// When it was started.
    pub(crate) const fn started_at(&self) -> Instant {
        self.started_at
    }

    /// Memory that it holds, in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64, String> {
        load::process::resident_bytes(self.child.id())
    }

    /// Processor time that it has used, in user and kernel.
    pub(crate) fn processor_time(&self) -> Result<Duration, String> {
        load::process::processor_time(self.child.id())
    }

    /// Asks it to end, and waits for that.
    pub(crate) fn terminate(mut self) -> Result<ExitStatus, String> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or("a process without an id")?;
        kill_process(pid, Signal::TERM).map_err(|error| format!("cannot stop it: {error}"))?;
        self.child.wait().map_err(|error| error.to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Hands on the lines of a pipe, and keeps it empty for as long as its writer lives, heard or not.
fn listen(pipe: impl Read + Send + 'static, sender: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            sender.send(line).ok();
        }
    });
}

/// Starts a program that stays on `core`, or runs anywhere, from the root of the checkout, with all output in pipes.
pub(crate) fn spawn(argv: &[String], core: Option<usize>, input: Stdio) -> Result<Child, String> {
    let (program, arguments) = argv.split_first().ok_or("no program to start")?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(run::root()).stdin(input);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    // A child stays where the thread was that started it.
    let pinned = std::thread::spawn(move || {
        core.map_or(Ok(()), |core| load::machine::run_on(&[core]))?;
        command.spawn().map_err(|error| error.to_string())
    });
    pinned.join().map_err(|_| "the thread that starts programs has panicked".to_owned())?
}
