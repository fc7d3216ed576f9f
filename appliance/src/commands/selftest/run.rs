//! One run over all checks: lanes, attacks, findings.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use middleware::Mode;

use super::judge::{Expected, Finding, Seen, Trial};
use super::lane::{Lane, Test};
use super::wire::{Clients, Connection, Way};

/// A check is not begun with less time than this: the longest takes about as much.
const TIME_NEEDED: Duration = Duration::from_secs(8);

/// Why a run does not go on.
pub(super) struct Stopped(pub(super) String);

impl From<String> for Stopped {
    fn from(why: String) -> Self {
        Self(why)
    }
}

/// What a check returns: findings are noted in the run.
pub(super) type Checked = Result<(), Stopped>;

/// A run.
pub(super) struct Run {
    pub(super) test: Test,
    pub(super) findings: Vec<Finding>,
    clients: Clients,
}

/// What is attacked, and what must come of it.
pub(super) struct Attack<'a> {
    pub(super) lane: &'a Lane,
    pub(super) key: &'a str,
    pub(super) mode: Mode,
    pub(super) expected: Expected,
    pub(super) sent: String,
}

impl Run {
    pub(super) fn new(test: Test) -> Self {
        Self { test, findings: Vec::new(), clients: Clients::default() }
    }

    /// Opens a fresh lane.
    pub(super) fn open(&self, wishes: &[(&str, &str)]) -> Result<Lane, Stopped> {
        if self.test.left() < TIME_NEEDED {
            return Err(Stopped("the time of the test is over".to_owned()));
        }
        self.test.open(wishes).map_err(Stopped)
    }

    /// A bound that a lane has room for: so many, or half of its connections.
    pub(super) fn few(&self, most: usize) -> String {
        most.min(self.test.begun.connections_max / 2).to_string()
    }

    /// An address that no request has come from.
    pub(super) const fn client(&mut self) -> IpAddr {
        self.clients.next()
    }

    /// A connection from a fresh address.
    pub(super) fn connect(&mut self, way: &Way) -> Result<Connection, Seen> {
        let client = self.client();
        Connection::open(way, client)
    }

    /// Sends one request from a fresh address.
    pub(super) fn ask(&mut self, way: &Way, request: &[u8]) -> Seen {
        let client = self.client();
        Self::ask_from(way, client, request)
    }

    /// Sends one request from an address that others came from.
    pub(super) fn ask_from(way: &Way, client: IpAddr, request: &[u8]) -> Seen {
        Connection::open(way, client)
            .map_or_else(|failed| failed, |mut connection| connection.ask(request))
    }

    /// Judges an attack whose outcome within the bound is known.
    pub(super) fn attack(
        &mut self,
        attack: Attack<'_>,
        below: Option<Seen>,
        beyond: impl FnOnce(&mut Self) -> Seen,
    ) -> Checked {
        let Attack { lane, key, mode, expected, sent } = attack;
        let counted = match (mode, &expected) {
            (Mode::Shadow, Expected::Refusal(refusal)) => {
                let kind = refusal.kind;
                Some(format!(
                    "toolrack_refusals_total{{layer=\"{}\",kind=\"{kind}\",mode=\"shadow\"}}",
                    refusal.layer
                ))
            }
            _ => None,
        };
        let count = |run: &Self| counted.as_deref().map_or(Ok(0), |series| run.test.count(series));
        let before = count(self)?;
        let beyond = beyond(self);
        let shadowed = count(self)?.saturating_sub(before);
        let key = key.to_owned();
        self.note(lane, Trial { key, mode, sent, expected, below, beyond, shadowed }.judge());
        Ok(())
    }

    /// Notes a finding, with what differed in the lane.
    pub(super) fn note(&mut self, lane: &Lane, mut finding: Finding) {
        if let Some(difference) = lane.difference(&finding.key) {
            if !finding.why.is_empty() {
                finding.why.push_str("; ");
            }
            finding.why.push_str(&difference);
        }
        self.findings.push(finding);
    }

    /// Notes that nothing was shown of a key, and why.
    pub(super) fn skip(&mut self, key: impl Into<String>, why: impl Into<String>) {
        self.findings.push(Finding::not_exercised(key, why));
    }

    /// Asks for a count of the lane until it is reached, or gives up.
    pub(super) fn reaches(
        &self,
        series: &str,
        count: u64,
        longest: Duration,
    ) -> Result<bool, Stopped> {
        let begun = Instant::now();
        loop {
            if self.test.count(series)? >= count {
                return Ok(true);
            }
            if begun.elapsed() > longest {
                return Ok(false);
            }
            pause(Duration::from_millis(20));
        }
    }
}

/// Waits. This program has nothing else to do meanwhile.
#[expect(clippy::disallowed_methods, reason = "a client that waits; no runtime has a worker here")]
pub(super) fn pause(time: Duration) {
    std::thread::sleep(time);
}
