//! The ledger of reloads: every attempt to change the profile of the running process, and what became of it.
//!
//! Values of a profile are in it as far as they may be shown: secrets never are.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use profile::{Change, Identity};

/// What asked for an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A file of the profile, a library or a secret has other content.
    File,
    /// SIGHUP.
    Signal,
    /// The control listener.
    Admin,
    /// The control listener, which brought the profile.
    Posted,
    /// What came in did worse than what served before.
    Probation,
    /// Somebody who wants a generation back that served before.
    Rollback,
}

impl Trigger {
    /// The name in answers and log lines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Signal => "signal",
            Self::Admin => "admin",
            Self::Posted => "posted",
            Self::Probation => "probation",
            Self::Rollback => "rollback",
        }
    }
}

/// Where a profile came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Its files, with the settings and the environment of the process: what a start reads.
    File,
    /// The control listener, with the same settings and environment: a start knows nothing of it.
    Posted,
    /// A generation that was kept, since the files were no good when the process started.
    LastGood,
    /// A generation that was kept, since somebody wanted it back.
    Rollback,
}

impl Source {
    /// The name in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Posted => "posted",
            Self::LastGood => "last_good",
            Self::Rollback => "rollback",
        }
    }

    /// Whether a start would read something else, or may.
    #[must_use]
    pub const fn is_stale(self) -> bool {
        !matches!(self, Self::File)
    }
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// A new generation serves.
    Applied,
    /// The profile and its libraries are the same: nothing was built.
    Unchanged,
    /// Something is wrong with it: the old generation serves on.
    Refused,
    /// It is good, but changes what only a start can: the old generation serves on, whole.
    RestartRequired,
    /// It was written against a profile that no longer serves.
    Superseded,
    /// What came in did worse than what served before, which serves again.
    RolledBack,
}

impl Verdict {
    /// Every verdict, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Applied,
        Self::Unchanged,
        Self::Refused,
        Self::RestartRequired,
        Self::Superseded,
        Self::RolledBack,
    ];

    /// The name in answers, log lines and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
            Self::RestartRequired => "restart_required",
            Self::Superseded => "superseded",
            Self::RolledBack => "rolled_back",
        }
    }

    /// Whether what serves is what the profile says.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Applied | Self::Unchanged)
    }
}

/// One attempt that has come to its end.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Counts from 1.
    pub number: u64,
    /// The last of those who asked for it.
    pub trigger: Trigger,
    /// Where its profile came from.
    pub source: Source,
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What became of it.
    pub verdict: Verdict,
    /// The generation that served when it ended.
    pub generation: u64,
    /// What its profile says, as one number.
    pub identity: Identity,
    /// The keys that have other values, in their order; a table that came or went stands for what is in it. One more than
    /// [`Attempts::CHANGES_SHOWN`] when there are more.
    pub changed: Vec<Change>,
    /// Plugins that were loaded beside the others: new ones, and those with other settings or another library.
    pub plugins: Vec<Arc<str>>,
    /// Tools that want other arguments than before.
    pub tools_changed: Vec<String>,
    /// Why it was not applied; each a sentence that says how to mend it.
    pub problems: Vec<String>,
}

/// The last attempts, and how many there were.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<Ledger>);

#[derive(Debug, Default)]
struct Ledger {
    last: VecDeque<Arc<Attempt>>,
    counts: [u64; Verdict::ALL.len()],
    good_at: Option<Timestamp>,
}

impl Attempts {
    /// How many are kept: those of a day of work on a profile.
    pub const KEPT: usize = 64;
    /// Most changes that one shows: more than anybody reads.
    pub const CHANGES_SHOWN: usize = 200;

    /// None so far.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Notes an attempt, whose number is the next one whatever it says, and returns it.
    pub fn note(&self, mut attempt: Attempt) -> Arc<Attempt> {
        let mut ledger = self.0.lock();
        attempt.number = ledger.counts.iter().sum::<u64>() + 1;
        attempt.changed.truncate(Self::CHANGES_SHOWN + 1);
        ledger.counts[attempt.verdict as usize] += 1;
        if attempt.verdict.is_good() {
            ledger.good_at = Some(attempt.at);
        }
        if ledger.last.len() == Self::KEPT {
            ledger.last.pop_front();
        }
        let attempt = Arc::new(attempt);
        ledger.last.push_back(Arc::clone(&attempt));
        attempt
    }

    /// The last ones, the oldest first.
    #[must_use]
    pub fn last(&self) -> Vec<Arc<Attempt>> {
        self.0.lock().last.iter().cloned().collect()
    }

    /// How many there were of each verdict.
    #[must_use]
    pub fn counts(&self) -> [(Verdict, u64); Verdict::ALL.len()] {
        let counts = self.0.lock().counts;
        Verdict::ALL.map(|verdict| (verdict, counts[verdict as usize]))
    }

    /// When the last one began after which the profile was what serves; `None` before the first.
    #[must_use]
    pub fn good_at(&self) -> Option<Timestamp> {
        self.0.lock().good_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(verdict: Verdict, second: i64) -> Attempt {
        Attempt {
            number: 0,
            trigger: Trigger::Signal,
            at: Timestamp::from_second(second).expect("a time"),
            took: Duration::ZERO,
            verdict,
            generation: 1,
            source: Source::File,
            identity: "0".repeat(64).parse().expect("an identity"),
            changed: Vec::new(),
            plugins: Vec::new(),
            tools_changed: Vec::new(),
            problems: Vec::new(),
        }
    }

    #[test]
    fn numbers_go_on_when_old_attempts_are_forgotten() {
        let attempts = Attempts::new();
        for _ in 0..Attempts::KEPT + 3 {
            attempts.note(attempt(Verdict::Refused, 0));
        }
        let numbers: Vec<_> = attempts.last().iter().map(|attempt| attempt.number).collect();
        assert_eq!(numbers, (4..=Attempts::KEPT as u64 + 3).collect::<Vec<_>>());
    }

    #[test]
    fn verdicts_are_counted_and_a_bad_one_leaves_the_last_good_time() {
        let attempts = Attempts::new();
        assert_eq!(attempts.good_at(), None);
        attempts.note(attempt(Verdict::Applied, 5));
        attempts.note(attempt(Verdict::RestartRequired, 6));
        attempts.note(attempt(Verdict::Refused, 7));
        attempts.note(attempt(Verdict::Superseded, 7));
        assert_eq!(attempts.good_at().map(Timestamp::as_second), Some(5));
        attempts.note(attempt(Verdict::Unchanged, 8));
        assert_eq!(attempts.good_at().map(Timestamp::as_second), Some(8));
        attempts.note(attempt(Verdict::RolledBack, 9));
        assert_eq!(attempts.good_at().map(Timestamp::as_second), Some(8));
        assert_eq!(attempts.counts().map(|(_, count)| count), [1; Verdict::ALL.len()]);
    }
}
