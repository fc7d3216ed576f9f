//! Legacy sessions as plain state: who shook hands, what runs, what was asked, which streams are open.
//!
//! Knows messages, not transports: nothing in here is HTTP, except for the text of an event in [`sse`]. An idle session
//! is one small block; everything that only a busy one needs is made on demand and given back by [`Sessions::sweep`].

mod carry;
pub mod metrics;
mod question;
mod replay;
mod running;
mod sessions;
mod shared;
pub mod sse;
mod stream;
mod streams;
mod subscriptions;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};

use parking_lot::Mutex;
use protocol::{ClientCapabilities, LogLevel, Permit, Revision};
use runtime::IdDigest;

use running::Calls;
use shared::Shared;
use streams::Streams;
use subscriptions::Subscriptions;

pub use carry::{Carried, Journal, News};
pub use question::{Answer, AskError, Asked};
pub use running::{DuplicateId, Running};
pub use runtime::SecretId as SessionId;
pub use sessions::Sessions;
pub use stream::{EventId, Pushed, Stream, StreamItem, StreamKind, StreamReader};

/// `Session::log_level` of a client that has not asked for messages.
const NO_LEVEL: u8 = u8::MAX;

/// One legacy session. Whoever holds it keeps it from being swept as idle, not from being ended.
pub struct Session {
    shared: Arc<Shared>,
    /// What it is kept under.
    id: IdDigest,
    state: Mutex<State>,
    /// When it was last looked up, in the seconds of [`Shared::now_secs`].
    touched_secs: AtomicU32,
    /// Numbers of questions and streams are unique in the session, also after its busy state was given back.
    questions: AtomicU32,
    streams: AtomicU32,
    /// How many streams the process before had.
    streams_before: AtomicU32,
    revision: Revision,
    client: ClientCapabilities,
    is_initialized: AtomicBool,
    log_level: AtomicU8,
    _permit: Permit,
}

/// What a session has going.
enum State {
    Quiet,
    Busy(Box<Busy>),
    Ended,
}

/// What only a busy session needs.
#[derive(Default)]
struct Busy {
    calls: Calls,
    questions: question::Questions,
    streams: Streams,
    subscriptions: Subscriptions,
}

impl Busy {
    fn is_empty(&self) -> bool {
        self.calls.is_empty()
            && self.questions.is_empty()
            && self.streams.is_empty()
            && self.subscriptions.is_empty()
    }
}

impl State {
    /// The busy state, made if there is none; `None` when the session has ended.
    fn busy(&mut self) -> Option<&mut Busy> {
        if matches!(self, Self::Quiet) {
            *self = Self::Busy(Box::default());
        }
        self.busy_already()
    }

    /// The busy state, if there is any.
    fn busy_already(&mut self) -> Option<&mut Busy> {
        match self {
            Self::Busy(busy) => Some(busy),
            Self::Quiet | Self::Ended => None,
        }
    }
}

impl Session {
    fn new(
        shared: &Arc<Shared>,
        permit: Permit,
        id: IdDigest,
        revision: Revision,
        client: ClientCapabilities,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::clone(shared),
            id,
            state: Mutex::new(State::Quiet),
            touched_secs: AtomicU32::new(shared.now_secs()),
            questions: AtomicU32::new(0),
            streams: AtomicU32::new(0),
            streams_before: AtomicU32::new(0),
            revision,
            client,
            is_initialized: AtomicBool::new(false),
            log_level: AtomicU8::new(NO_LEVEL),
            _permit: permit,
        })
    }

    /// The revision that was negotiated.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// What the client declared that it can do.
    #[must_use]
    pub const fn client(&self) -> ClientCapabilities {
        self.client
    }

    /// Whether the client has said that it is ready for more than answers.
    #[must_use]
    pub fn is_initialized(&self) -> bool {
        self.is_initialized.load(Relaxed)
    }

    /// Notes `notifications/initialized`.
    pub fn set_initialized(&self) {
        self.is_initialized.store(true, Relaxed);
        self.note_change();
    }

    /// Lowest severity that the client wants to hear of; `None` until it asks.
    #[must_use]
    pub fn log_level(&self) -> Option<LogLevel> {
        LogLevel::ALL.get(usize::from(self.log_level.load(Relaxed))).copied()
    }

    /// Notes `logging/setLevel`.
    pub fn set_log_level(&self, level: LogLevel) {
        self.log_level.store(level as u8, Relaxed);
        self.note_change();
    }

    fn touch(&self) {
        self.touched_secs.store(self.shared.now_secs(), Relaxed);
    }

    fn idle_secs(&self) -> u32 {
        self.shared.now_secs().saturating_sub(self.touched_secs.load(Relaxed))
    }

    /// Cancels what runs, closes the streams, tells whoever waits for an answer.
    fn end(&self) {
        let state = std::mem::replace(&mut *self.state.lock(), State::Ended);
        // Outside of the lock: what is woken may look at the session, and guards of subscriptions are not ours.
        if let State::Busy(busy) = state {
            let Busy { calls, questions, streams, subscriptions } = *busy;
            calls.wake_all();
            streams.close_all();
            // Dropped senders are how askers hear of the end.
            drop((questions, subscriptions));
        }
    }

    /// Forgets what is no longer asked for, and gives back what an idle session does not need.
    fn tidy(&self) {
        let mut state = self.state.lock();
        let expired = match state.busy_already() {
            Some(busy) => busy.streams.take_expired(),
            None => return,
        };
        let rest = match &*state {
            State::Busy(busy) if busy.is_empty() => {
                Some(std::mem::replace(&mut *state, State::Quiet))
            }
            State::Busy(_) | State::Quiet | State::Ended => None,
        };
        drop(state);
        for stream in &expired {
            stream.close();
        }
        drop((expired, rest));
    }
}
