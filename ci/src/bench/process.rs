//! A server process on the servers' core, and what it costs.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::machine;
use crate::run;
use crate::server;

/// A running server.
pub(crate) struct Process {
    child: Child,
    authority: String,
    started_at: Instant,
}

impl Process {
    /// Starts a program on `core` and waits until it says where it listens.
    pub(crate) fn start(argv: &[String], core: usize) -> Result<Self, String> {
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
                let authority = url.split('/').nth(2).unwrap_or_default().to_owned();
                return Ok(Self { child, authority, started_at });
            }
            said.push(line);
        }
        child.wait().ok();
        Err(format!("`{label}` did not start:\n{}", said.join("\n")))
    }

    /// Where it listens: address and port.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// When it was started.
    pub(crate) const fn started_at(&self) -> Instant {
        self.started_at
    }

    /// Memory that it holds, in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64, String> {
        resident_bytes(self.child.id())
    }

    /// Processor time that it has used, in user and kernel.
    pub(crate) fn processor_time(&self) -> Result<Duration, String> {
        processor_time(self.child.id())
    }

    /// Asks it to end, and waits for that.
    pub(crate) fn terminate(mut self) -> Result<(), String> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or("a process without an id")?;
        kill_process(pid, Signal::TERM).map_err(|error| format!("cannot stop it: {error}"))?;
        self.child.wait().map(drop).map_err(|error| error.to_string())
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

/// Starts a program that stays on `core`, from the root of the checkout, with all output in pipes.
pub(crate) fn spawn(argv: &[String], core: usize, input: Stdio) -> Result<Child, String> {
    let (program, arguments) = argv.split_first().ok_or("no program to start")?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(run::root()).stdin(input);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    // A child stays where the thread was that started it.
    let pinned = std::thread::spawn(move || {
        machine::pin(core)?;
        command.spawn().map_err(|error| error.to_string())
    });
    pinned.join().map_err(|_| "the thread that starts programs has panicked".to_owned())?
}

/// Exact, unlike `VmRSS`, which the kernel counts in batches of each thread.
fn resident_bytes(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kilobytes = value.and_then(|value| value.trim().strip_suffix("kB")?.trim().parse().ok());
    kilobytes.map(|kilobytes: u64| kilobytes * 1024).ok_or_else(|| format!("{path}: no Rss"))
}

/// Processor time of this process, in user and kernel.
pub(crate) fn own_processor_time() -> Result<Duration, String> {
    processor_time(std::process::id())
}

fn processor_time(pid: u32) -> Result<Duration, String> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let ticks = ticks(&text).ok_or_else(|| format!("{path}: no times in it"))?;
    let seconds = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    Ok(Duration::from_secs_f64(seconds))
}

/// User and kernel time in clock ticks: fields 14 and 15 of `/proc/PID/stat`, counted from 1. The second field is the
/// program's name and may hold anything, so counting begins after it.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some(user + kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_times_behind_any_program_name() {
        let stat = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 120 34 0 0 20 0 1";
        assert_eq!(ticks(stat), Some(154));
        assert_eq!(ticks("7 (a"), None);
    }

    #[test]
    fn reads_its_own_cost() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).unwrap() > 100_000);
        assert!(processor_time(pid).is_ok());
    }
}
