//! One stream of messages to the client: it outlives the connections that read it.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::Permit;

use super::Session;
use super::replay::Replay;
use super::shared::Shared;

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Opened by the client to hear of what no call of its own is about.
    Standalone,
    /// The messages of one call, and its response.
    Request,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// Kept for the reader.
    Kept,
    /// Kept; an older one that no reader had taken yet left for it.
    Displaced,
    /// Dropped: the stream is over.
    Over,
}

/// Name of one message in its session: the stream, and the place on it. 0 is the place before the first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId {
    stream: u32,
    number: u64,
}

impl EventId {
    /// Reads what [`fmt::Display`] wrote; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (stream, number) = text.split_once('_')?;
        let id = Self { stream: stream.parse().ok()?, number: number.parse().ok()? };
        // Signs and leading zeros would be further names of the same message.
        (id.to_string() == text).then_some(id)
    }

    pub(super) const fn stream(self) -> u32 {
        self.stream
    }

    pub(super) const fn number(self) -> u64 {
        self.number
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.stream, self.number)
    }
}

/// One stream of a session.
pub struct Stream {
    number: u32,
    kind: StreamKind,
    shared: Arc<Shared>,
    session: Weak<Session>,
    state: Mutex<State>,
    _permit: Permit,
}

struct State {
    replay: Replay,
    /// Number of the last message that any reader took.
    taken: u64,
    /// Whose turn it is to read; every reader that comes takes the next turn from the one before.
    turn: u64,
    is_attached: bool,
    waker: Option<Waker>,
    /// The reader is to leave after this message, and to come back after so many milliseconds.
    detach: Option<(u64, u32)>,
    is_over: bool,
    /// Whether [`Shared::make_room`] knows of it.
    is_noted: bool,
    /// When the stream was last finished or left, in the seconds of [`Shared::now_secs`].
    left_secs: u32,
}

impl State {
    fn wake(&mut self) -> Option<Waker> {
        self.waker.take()
    }
}

impl Stream {
    pub(super) fn new(
        session: &Arc<Session>,
        number: u32,
        kind: StreamKind,
        permit: Permit,
    ) -> Arc<Self> {
        let shared = Arc::clone(&session.shared);
        let state = State {
            replay: Replay::default(),
            taken: 0,
            turn: 0,
            is_attached: false,
            waker: None,
            detach: None,
            is_over: false,
            is_noted: false,
            left_secs: shared.now_secs(),
        };
        Arc::new(Self {
            number,
            kind,
            shared,
            session: Arc::downgrade(session),
            state: Mutex::new(state),
            _permit: permit,
        })
    }

    /// What the stream is for.
    #[must_use]
    pub const fn kind(&self) -> StreamKind {
        self.kind
    }

    /// Whether the stream was finished or closed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state.lock().is_over
    }

    /// Adds a message for the reader, or for the one to come.
    pub fn push(&self, message: Bytes) -> Pushed {
        self.push_then(message, |_| ())
    }

    /// Adds the response, with which the stream is over. It stays for a client that comes back.
    pub fn finish(self: &Arc<Self>, response: Bytes) {
        let now_secs = self.shared.now_secs();
        let pushed = self.push_then(response, |state| {
            state.is_over = true;
            state.left_secs = now_secs;
        });
        if pushed != Pushed::Over {
            self.shared.finished(Arc::downgrade(self));
        }
    }

    /// Ends the stream without a response. The reader still gets what was added before.
    pub fn close(self: &Arc<Self>) {
        let waker = {
            let mut state = self.state.lock();
            if state.is_over {
                return;
            }
            state.is_over = true;
            state.left_secs = self.shared.now_secs();
            state.wake()
        };
        self.shared.finished(Arc::downgrade(self));
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Lets the reader go after what was added so far; the client is to come back after `retry_ms`. Without effect
    /// when nobody reads.
    pub fn detach(&self, retry_ms: u32) {
        let waker = {
            let mut state = self.state.lock();
            if !state.is_attached || state.is_over {
                return;
            }
            state.detach = Some((state.replay.last(), retry_ms));
            state.wake()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Reads on after message `after`; `None`: from the first that is still kept. A reader that was there ends.
    pub fn reader(self: &Arc<Self>, after: Option<u64>) -> StreamReader {
        let turn = self.shared.next_turn();
        let waker = {
            let mut state = self.state.lock();
            state.turn = turn;
            state.is_attached = true;
            state.detach = None;
            state.wake()
        };
        // The reader before finds out that its turn is over.
        if let Some(waker) = waker {
            waker.wake();
        }
        StreamReader {
            stream: Arc::clone(self),
            _session: self.session.upgrade(),
            turn,
            taken: after.unwrap_or(0),
        }
    }

    fn push_then(&self, message: Bytes, then: impl FnOnce(&mut State)) -> Pushed {
        let events_max = self.shared.replay_events_max.load(Relaxed);
        let bytes_max = self.shared.replay_bytes_max.load(Relaxed);
        let mut state = self.state.lock();
        if state.is_over {
            return Pushed::Over;
        }
        let before = state.replay.oldest();
        let oldest = state.replay.push(message, events_max, bytes_max);
        let lost = oldest.saturating_sub(before.max(state.taken + 1));
        then(&mut state);
        let waker = state.wake();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        if lost == 0 {
            return Pushed::Kept;
        }
        self.shared.tally.messages_dropped.increment(lost);
        Pushed::Displaced
    }

    pub(super) fn has_reached(&self, number: u64) -> bool {
        number <= self.state.lock().replay.last()
    }

    /// Orders streams by how likely somebody hears: those that are read before all others, then the last one read.
    pub(super) fn nearness(&self) -> (bool, u64) {
        let state = self.state.lock();
        (state.is_attached, state.turn)
    }

    /// Whether nobody is expected any more: over, or standalone without a reader, for longer than the replay lasts.
    pub(super) fn has_expired(&self) -> bool {
        let state = self.state.lock();
        let left_for_secs = self.shared.now_secs().saturating_sub(state.left_secs);
        self.is_left(&state) && left_for_secs > self.shared.replay_secs()
    }

    /// Whether nobody reads it, and nothing comes any more that somebody waits for.
    fn is_left(&self, state: &State) -> bool {
        state.is_over || (self.kind == StreamKind::Standalone && !state.is_attached)
    }

    /// Makes room for others, unless its client has come back meanwhile.
    pub(super) fn yield_place(&self) {
        let is_left = {
            let mut state = self.state.lock();
            state.is_noted = false;
            self.is_left(&state)
        };
        if is_left {
            self.forget();
        }
    }

    /// Takes the stream out of its session: nobody can come back to it.
    pub(super) fn forget(&self) {
        if let Some(session) = self.session.upgrade() {
            session.forget_stream(self.number);
        }
    }

    const fn event_id(&self, number: u64) -> EventId {
        EventId { stream: self.number, number }
    }
}

/// What a reader gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamItem {
    /// A message.
    Message {
        /// Its name, by which the client can ask for what follows.
        event_id: EventId,
        /// One JSON-RPC message.
        message: Bytes,
    },
    /// The connection is to be closed; the stream goes on. Nothing follows.
    Detached {
        /// Where the client can come back to.
        event_id: EventId,
        /// After how many milliseconds.
        retry_ms: u32,
    },
    /// The stream is over, or another reader has taken it. Nothing follows.
    Closed,
}

/// Reads a stream. Dropping it leaves the stream as it is.
pub struct StreamReader {
    stream: Arc<Stream>,
    // A session that is listened to is not idle.
    _session: Option<Arc<Session>>,
    turn: u64,
    taken: u64,
}

impl StreamReader {
    /// Waits for the next item.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> StreamItem {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The message that was read last, or the place before the first: where a client can come back to.
    #[must_use]
    pub fn position(&self) -> EventId {
        self.stream.event_id(self.taken)
    }

    /// The stream that is read.
    #[must_use]
    pub const fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    fn poll_next(&mut self, cx: &Context<'_>) -> Poll<StreamItem> {
        let mut state = self.stream.state.lock();
        if state.turn != self.turn || !state.is_attached {
            return Poll::Ready(StreamItem::Closed);
        }
        if let Some((upto, retry_ms)) = state.detach
            && self.taken >= upto
        {
            state.detach = None;
            state.is_attached = false;
            state.left_secs = self.stream.shared.now_secs();
            let event_id = self.stream.event_id(self.taken);
            return Poll::Ready(StreamItem::Detached { event_id, retry_ms });
        }
        if let Some((number, message)) = state.replay.after(self.taken) {
            let message = message.clone();
            self.taken = number;
            state.taken = state.taken.max(number);
            return Poll::Ready(StreamItem::Message {
                event_id: self.stream.event_id(number),
                message,
            });
        }
        if state.is_over {
            return Poll::Ready(StreamItem::Closed);
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => state.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        let mut state = self.stream.state.lock();
        if state.turn == self.turn && state.is_attached {
            state.is_attached = false;
            state.detach = None;
            state.left_secs = self.stream.shared.now_secs();
            // Kept for a client that comes back, but not at the price of those who are here. Once is enough, however
            // often it comes and goes.
            let is_new = self.stream.is_left(&state) && !state.is_over && !state.is_noted;
            state.is_noted |= is_new;
            drop(state);
            if is_new {
                self.stream.shared.finished(Arc::downgrade(&self.stream));
            }
        }
    }
}
