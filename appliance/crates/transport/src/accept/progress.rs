//! Where a connection stands, and until when it has to get on.
//!
//! One small block of atomics, shared by the connection's socket, its service and the bodies of its answers. Each
//! notes what happens; one timer of the connection asks [`Progress::due`].

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use profile::plan::HttpPlan;
use protocol::MemoryGauge;
use tokio::time::Instant;

/// How long a closed connection waits for the other side to close, so that its last answer is not lost to a reset:
/// a few round trips of the slowest networks.
const LINGER_MS: u64 = 1_000;

/// The shortest time that an idle connection gets when memory is short, unless its listener gives less: a client that
/// is about to send its next request does so within it.
const IDLE_MS_MIN: u64 = 2_000;
/// How often an idle connection asks how long it may stay.
const RECHECKS: u64 = 8;

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// In order, by either side.
    Done,
    /// It did not say which protocol it speaks in time.
    FirstByte,
    /// It did not complete a request's head in time.
    Head,
    /// It sent no request for too long.
    Idle,
    /// It did not take what it was sent.
    WriteStall,
    /// It broke the protocol, or the network broke it.
    Error,
    /// It was still busy at the end of the drain.
    Cut,
}

impl Closed {
    /// Every reason, in the order of their numbers.
    pub(super) const ALL: [Self; 7] = [
        Self::Done,
        Self::FirstByte,
        Self::Head,
        Self::Idle,
        Self::WriteStall,
        Self::Error,
        Self::Cut,
    ];

    /// The metric label.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::FirstByte => "first_byte",
            Self::Head => "head",
            Self::Idle => "idle",
            Self::WriteStall => "write_stall",
            Self::Error => "error",
            Self::Cut => "cut",
        }
    }
}

/// The deadlines of a listener's connections, in milliseconds.
#[derive(Debug)]
pub(super) struct Deadlines {
    first_byte_ms: u64,
    head_ms: u64,
    idle_ms: u64,
    write_ms: u64,
    /// Shortens `idle_ms` when memory is short.
    memory: Arc<MemoryGauge>,
}

impl Deadlines {
    pub(super) fn new(plan: &HttpPlan, memory: &Arc<MemoryGauge>) -> Arc<Self> {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2);
        Arc::new(Self {
            first_byte_ms: ms(plan.first_byte_deadline),
            head_ms: ms(plan.head_deadline),
            idle_ms: ms(plan.idle_deadline),
            write_ms: ms(plan.write_deadline),
            memory: Arc::clone(memory),
        })
    }

    /// What of `idle_ms` is left at this moment.
    fn idle_ms(&self) -> u64 {
        let part = self.idle_ms * u64::from(self.memory.idle_permille());
        (part / u64::from(MemoryGauge::WHOLE_PERMILLE)).max(self.idle_ms.min(IDLE_MS_MIN))
    }

    /// The memory that these deadlines follow.
    pub(super) const fn memory(&self) -> &Arc<MemoryGauge> {
        &self.memory
    }

    pub(super) const fn write(&self) -> Duration {
        Duration::from_millis(self.write_ms)
    }
}

/// What a connection without a request in flight waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    /// Enough bytes to know the protocol.
    Sniff,
    /// The rest of a head.
    Head,
    /// The next request of HTTP/1: any byte begins its head.
    NextHead,
    /// The next stream of HTTP/2, whose other frames are no requests.
    NextStream,
    /// Nothing more: what is left is to close.
    Close,
}

impl Stage {
    const fn of(number: u8) -> Self {
        match number {
            0 => Self::Sniff,
            1 => Self::Head,
            2 => Self::NextHead,
            3 => Self::NextStream,
            _ => Self::Close,
        }
    }
}

/// Where one connection stands. Times are milliseconds of [`now_ms`].
#[derive(Debug)]
pub(super) struct Progress {
    deadlines: Arc<Deadlines>,
    /// When `stage` was entered, the last request ended, or the last bytes left late.
    since_ms: AtomicU64,
    /// Since when the socket takes no bytes; 0: it takes them.
    stalled_since_ms: AtomicU64,
    in_flight: AtomicU32,
    stage: AtomicU8,
    is_http2: AtomicBool,
}

impl Progress {
    /// A connection that was accepted right now.
    pub(super) fn new(deadlines: &Arc<Deadlines>) -> Arc<Self> {
        Arc::new(Self {
            deadlines: Arc::clone(deadlines),
            since_ms: AtomicU64::new(now_ms()),
            stalled_since_ms: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            stage: AtomicU8::new(Stage::Sniff as u8),
            is_http2: AtomicBool::new(false),
        })
    }

    /// The protocol is known; now the first head is due.
    pub(super) fn sniffed(&self, is_http2: bool) {
        self.is_http2.store(is_http2, Relaxed);
        self.enter(Stage::Head);
    }

    /// Bytes came in.
    pub(super) fn received(&self) {
        if self.stage() == Stage::NextHead && self.in_flight.load(Relaxed) == 0 {
            self.enter(Stage::Head);
        }
    }

    /// A request's head is complete.
    pub(super) fn began(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        if self.stage() == Stage::Head {
            let next =
                if self.is_http2.load(Relaxed) { Stage::NextStream } else { Stage::NextHead };
            self.stage.store(next as u8, Relaxed);
        }
        InFlight(Arc::clone(self))
    }

    /// The socket takes no bytes.
    pub(super) fn stalled(&self) {
        if self.stalled_since_ms.load(Relaxed) == 0 {
            self.stalled_since_ms.store(now_ms(), Relaxed);
        }
    }

    /// The socket took bytes.
    pub(super) fn sent(&self) {
        if self.stalled_since_ms.load(Relaxed) != 0 {
            self.stalled_since_ms.store(0, Relaxed);
            self.since_ms.store(now_ms(), Relaxed);
        }
    }

    /// Requests in flight may end; then the connection closes.
    pub(super) fn closing(&self) {
        self.enter(Stage::Close);
    }

    fn stage(&self) -> Stage {
        Stage::of(self.stage.load(Relaxed))
    }

    fn enter(&self, stage: Stage) {
        self.since_ms.store(now_ms(), Relaxed);
        self.stage.store(stage as u8, Relaxed);
    }

    /// By when the connection has to get on, and what it is guilty of if it does not; `None` while only the service
    /// keeps it waiting.
    pub(super) fn due(&self) -> Option<(u64, Closed)> {
        let stalled_since = self.stalled_since_ms.load(Relaxed);
        if stalled_since != 0 {
            // While bytes wait to be taken, the client is not idle: it reads, or it stalls.
            return Some((stalled_since + self.deadlines.write_ms, Closed::WriteStall));
        }
        if self.in_flight.load(Relaxed) != 0 {
            return None;
        }
        let (allowed_ms, guilty) = match self.stage() {
            Stage::Sniff => (self.deadlines.first_byte_ms, Closed::FirstByte),
            Stage::Head => (self.deadlines.head_ms, Closed::Head),
            Stage::NextHead | Stage::NextStream => (self.deadlines.idle_ms(), Closed::Idle),
            Stage::Close => (LINGER_MS, Closed::Done),
        };
        Some((self.since_ms.load(Relaxed) + allowed_ms, guilty))
    }

    /// How long to wait at most before asking again: what is not due yet may be when memory has become short.
    pub(super) fn recheck_ms(&self) -> u64 {
        (self.deadlines.idle_ms / RECHECKS).max(1)
    }
}

/// One request in flight, from its head to the last frame of its answer.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Progress>);

impl InFlight {
    pub(super) fn is_http2(&self) -> bool {
        self.0.is_http2.load(Relaxed)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.since_ms.store(now_ms(), Relaxed);
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since the first call, plus one: never 0.
pub(super) fn now_ms() -> u64 {
    START.elapsed().as_millis() as u64 + 1
}

/// The moment of a time given by [`now_ms`], as soon as it has surely passed.
pub(super) fn instant_of(at_ms: u64) -> Instant {
    *START + Duration::from_millis(at_ms)
}
