//! The messages, and the state that they carry in the words of its rooms.

use middleware::buckets::Level;
use middleware::circuit_breaker::Opening;
use protocol::{ClientCapabilities, LogLevel, Revision};
use runtime::IdDigest;
use serde::{Deserialize, Serialize};
use stack::{CarriedKey, Kit};
use transport::session::{Carried, News, Sessions};

/// The version of this language. Whoever hears another one says so and ends.
pub(super) const VERSION: u32 = 1;

/// How much of a kind goes in one message: some hundred kilobytes.
const AT_ONCE: usize = 1_000;

/// One message. The process before says those up to [`Message::Commit`], [`Message::News`] and [`Message::Released`];
/// the process after says the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Message {
    /// The first one, which every version can read: in which language the next ones are.
    Hello { version: u32 },
    /// The sockets that come beside it, and the secrets that state is hashed and sealed with.
    Offer { sockets: Vec<Handed>, salt: [u64; 2], seal_keys: Vec<SealKey> },
    /// Sessions, as they are or have become.
    Sessions { sessions: Vec<CarriedSession> },
    /// Buckets that are not full, by the name of their bound: whose, and after how many nanoseconds they are.
    Buckets { name: String, levels: Vec<(u64, u64)> },
    /// Circuits that are not closed.
    Circuits { circuits: Vec<Circuit> },
    /// That was all: serve.
    Commit,
    /// What became of sessions since, and the how-manieth change that is.
    News { count: u64, sessions: Vec<CarriedSession>, ended: Vec<[u8; 32]> },
    /// The process before serves nobody new any more: what is said to a service manager is said by the one after.
    Released,
    /// Everything is built; nobody is let in yet.
    Prepared,
    /// Why it cannot take over.
    Refused { problems: Vec<String> },
    /// Clients are let in.
    Serving,
    /// So many changes are known.
    Settled { count: u64 },
}

/// A socket that is handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Handed {
    /// Whose it is.
    pub(in super::super) role: Role,
    /// Where it was to be opened, as the profile says it.
    pub(in super::super) bind: String,
}

/// Whose a socket is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum Role {
    /// The listener of this name.
    Listener(String),
    /// The control listener.
    Control,
}

/// A key of `requestState`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SealKey {
    key: [u8; 32],
    is_random: bool,
    until_secs: u64,
}

impl SealKey {
    pub(super) fn of(carried: &CarriedKey) -> Self {
        let CarriedKey { key, is_random, until_secs } = *carried;
        Self { key, is_random, until_secs }
    }

    pub(super) const fn carried(&self) -> CarriedKey {
        let Self { key, is_random, until_secs } = *self;
        CarriedKey { key, is_random, until_secs }
    }
}

/// Shows no key.
impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CarriedSession {
    id: [u8; 32],
    revision: String,
    client: u16,
    is_initialized: bool,
    log_level: Option<String>,
    questions: u32,
    streams: u32,
}

/// A circuit that is not closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Circuit {
    plugin: String,
    tool: Option<String>,
    left_ms: u64,
    opened: u32,
}

impl CarriedSession {
    pub(super) fn of(carried: &Carried) -> Self {
        Self {
            id: *carried.id.bytes(),
            revision: carried.revision.as_str().to_owned(),
            client: carried.client.bits(),
            is_initialized: carried.is_initialized,
            log_level: carried.log_level.map(|level| level.as_str().to_owned()),
            questions: carried.questions,
            streams: carried.streams,
        }
    }

    /// `None`: of a revision that this program does not speak.
    fn carried(&self) -> Option<Carried> {
        Some(Carried {
            id: IdDigest::from_bytes(self.id),
            revision: Revision::parse(&self.revision)?,
            client: ClientCapabilities::from_bits(self.client),
            is_initialized: self.is_initialized,
            log_level: self.log_level.as_deref().and_then(LogLevel::parse),
            questions: self.questions,
            streams: self.streams,
        })
    }
}

/// All sessions, in messages that are not too long.
pub(super) fn sessions(sessions: &Sessions) -> Vec<Message> {
    let all: Vec<_> = sessions.carried().iter().map(CarriedSession::of).collect();
    all.chunks(AT_ONCE).map(|some| Message::Sessions { sessions: some.to_vec() }).collect()
}

/// What limits and circuits know at this moment.
pub(super) fn limits(kit: &Kit) -> Vec<Message> {
    let now = std::time::Instant::now();
    let mut messages = Vec::new();
    for buckets in kit.buckets() {
        let name = buckets.keys().reading().name;
        for some in buckets.levels(now).chunks(AT_ONCE * 10) {
            let levels = some.iter().map(|level| (level.key, level.full_in_ns)).collect();
            messages.push(Message::Buckets { name: name.to_owned(), levels });
        }
    }
    let circuits = kit.circuits.openings();
    let circuit = |opening: &Opening| Circuit {
        plugin: opening.plugin.to_string(),
        tool: opening.tool.as_deref().map(ToOwned::to_owned),
        left_ms: opening.left_ms,
        opened: opening.opened,
    };
    for some in circuits.chunks(AT_ONCE) {
        messages.push(Message::Circuits { circuits: some.iter().map(circuit).collect() });
    }
    messages
}

/// Changes of sessions, the last of which is the `count`-th.
pub(super) fn news(count: u64, news: &[News]) -> Message {
    // Each session as it is in the end: one that ended after it changed has ended.
    let (mut changed, mut ended) = (Vec::new(), Vec::new());
    for news in news {
        match news {
            News::Changed(carried) => changed.push(CarriedSession::of(carried)),
            News::Ended(id) => ended.push(*id.bytes()),
        }
    }
    Message::News { count, sessions: changed, ended }
}

/// Takes in what `message` says of state; `false`: it says nothing of that.
pub(super) fn install(message: &Message, sessions: &Sessions, kit: &Kit) -> bool {
    let now = std::time::Instant::now();
    match message {
        Message::Sessions { sessions: carried } => restore(carried, sessions),
        Message::News { sessions: carried, ended, .. } => {
            restore(carried, sessions);
            ended.iter().for_each(|id| sessions.end_restored(&IdDigest::from_bytes(*id)));
        }
        Message::Buckets { name, levels } => {
            let level =
                |(key, full_in_ns): &(u64, u64)| Level { key: *key, full_in_ns: *full_in_ns };
            let levels: Vec<_> = levels.iter().map(level).collect();
            let of_name = kit.buckets().filter(|buckets| buckets.keys().reading().name == name);
            of_name.for_each(|buckets| buckets.restore(&levels, now));
        }
        Message::Circuits { circuits } => {
            let opening = |circuit: &Circuit| Opening {
                plugin: circuit.plugin.as_str().into(),
                tool: circuit.tool.as_deref().map(Into::into),
                left_ms: circuit.left_ms,
                opened: circuit.opened,
            };
            kit.circuits.restore(&circuits.iter().map(opening).collect::<Vec<_>>());
        }
        _ => return false,
    }
    true
}

fn restore(carried: &[CarriedSession], sessions: &Sessions) {
    let known = carried.iter().filter_map(CarriedSession::carried);
    known.for_each(|carried| sessions.restore(&carried));
}
