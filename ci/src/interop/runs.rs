//! One client in one era over one transport.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::CHECKS;
use super::clients::{Client, Era, Transport};
use super::install::Installed;
use crate::run;

/// A client that takes longer is stopped; a run takes a few seconds.
const RUN_DEADLINE: Duration = Duration::from_secs(120);

/// What the clients reach.
pub(super) struct Target {
    /// The running appliance.
    pub(super) url: String,
    /// The setting that names the folder of the files.
    pub(super) root: String,
}

/// What a check came to.
pub(super) enum Verdict {
    Good,
    /// With the client's own words.
    Bad(String),
}

/// What a run came to.
pub(super) struct Run {
    pub(super) client: &'static Client,
    pub(super) era: Era,
    pub(super) transport: Transport,
    /// By the names of the checks.
    pub(super) verdicts: BTreeMap<String, Verdict>,
    /// What went wrong with the client itself.
    trouble: Option<String>,
}

impl Run {
    /// Runs the client to its end or to the deadline.
    pub(super) fn of(
        client: &'static Client,
        era: Era,
        transport: Transport,
        installed: &Installed,
        target: &Target,
    ) -> Self {
        let mut run = Self { client, era, transport, verdicts: BTreeMap::new(), trouble: None };
        let mut command = installed.command(client);
        command.args([era.name(), &run.label().replace(' ', "-"), transport.name()]);
        match transport {
            Transport::Http => command.arg(&target.url),
            Transport::Stdio => command.arg(run::target().join("debug/toolrack")).args([
                "serve",
                "--profile",
                "ci/interop/stdio.toml",
                "--set",
                &target.root,
            ]),
        };
        run.trouble = run.listen(command).err();
        run
    }

    pub(super) fn label(&self) -> String {
        format!("{} {} {}", self.client.name, self.era.name(), self.transport.name())
    }

    /// What is not as it must be, one line each.
    pub(super) fn wrong(&self) -> Vec<String> {
        let label = self.label();
        if let Some(reason) = self.client.not_spoken(self.era) {
            let speaks = matches!(self.verdicts.get("connect"), Some(Verdict::Good));
            return speaks
                .then(|| format!("{label}: speaks this era, but the list says: {reason}"))
                .into_iter()
                .collect();
        }
        let missing = CHECKS.iter().filter(|check| !self.verdicts.contains_key(**check));
        let missing = missing.map(|check| format!("{label}: {check} was not checked"));
        let unknown = self.verdicts.keys().filter(|check| !CHECKS.contains(&check.as_str()));
        let unknown = unknown.map(|check| format!("{label}: {check} is not on the list of checks"));
        let bad = self.verdicts.iter().filter_map(|(check, verdict)| match verdict {
            Verdict::Good => None,
            Verdict::Bad(why) => Some(format!("{label}: {check}: {why}")),
        });
        let trouble = self.trouble.iter().map(|trouble| format!("{label}: {trouble}"));
        bad.chain(missing).chain(unknown).chain(trouble).collect()
    }

    fn listen(&mut self, mut command: Command) -> Result<(), String> {
        let log = run::root()
            .join("target/ci/interop")
            .join(format!("{}.log", self.label().replace(' ', "-")));
        let errors = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        command.stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().map_err(|error| format!("cannot start it: {error}"))?;
        let lines = lines_of(&mut child)?;
        let deadline = Instant::now() + RUN_DEADLINE;
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.note(&line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    child.kill().ok();
                    child.wait().ok();
                    return Err(format!("not done after {} s", RUN_DEADLINE.as_secs()));
                }
            }
        }
        let status = child.wait().map_err(|error| error.to_string())?;
        let has_failed = self.verdicts.values().any(|verdict| matches!(verdict, Verdict::Bad(_)));
        if status.success() || has_failed {
            Ok(())
        } else {
            Err(format!("ended with {status}; its words are in {}", log.display()))
        }
    }

    /// `ok NAME` or `FAIL NAME: reason`; other lines are not for us.
    fn note(&mut self, line: &str) {
        if let Some(check) = line.strip_prefix("ok ") {
            self.verdicts.insert(check.to_owned(), Verdict::Good);
        } else if let Some((check, why)) =
            line.strip_prefix("FAIL ").and_then(|rest| rest.split_once(": "))
        {
            self.verdicts.insert(check.to_owned(), Verdict::Bad(why.to_owned()));
        }
    }
}

fn lines_of(child: &mut Child) -> Result<Receiver<String>, String> {
    let stdout = child.stdout.take().ok_or("no standard output to read")?;
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::super::clients::CLIENTS;
    use super::*;

    fn run(client: usize, era: Era, lines: &[&str]) -> Run {
        let mut run = Run {
            client: &CLIENTS[client],
            era,
            transport: Transport::Http,
            verdicts: BTreeMap::new(),
            trouble: None,
        };
        for line in lines {
            run.note(line);
        }
        run
    }

    fn all_good() -> Vec<String> {
        CHECKS.iter().map(|check| format!("ok {check}")).collect()
    }

    #[test]
    fn a_check_that_fails_or_is_missing_or_unknown_is_wrong() {
        let lines = all_good();
        let mut lines: Vec<_> = lines.iter().map(String::as_str).collect();
        assert_eq!(run(1, Era::Modern, &lines).wrong(), Vec::<String>::new());
        lines[3] = "FAIL templates: none: at all";
        lines[5] = "noise";
        lines.push("ok something");
        assert_eq!(
            run(1, Era::Modern, &lines).wrong(),
            [
                "typescript-2 modern http: templates: none: at all",
                "typescript-2 modern http: call was not checked",
                "typescript-2 modern http: something is not on the list of checks",
            ]
        );
    }

    #[test]
    fn a_client_that_speaks_what_the_list_says_it_cannot_is_wrong() {
        assert_eq!(run(0, Era::Modern, &["FAIL connect: other"]).wrong(), Vec::<String>::new());
        assert_eq!(run(0, Era::Modern, &["ok connect"]).wrong().len(), 1);
    }
}
