//! Where a connection stands, and until when it has to get on.
//!
//! One small block of atomics, shared by the connection's socket, its service and the bodies of its answers. Each
//! notes what happens; one timer of the connection asks [`Progress::due`].

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, OnceLock};
use std::task::{Context, Waker};
use std::time::Duration;

use profile::plan::HttpPlan;
use protocol::MemoryGauge;
use rustix::time::ClockId;
use tokio::time::Instant;

/// How long a closed connection waits for the other side to close, so that its last answer is not lost to a reset:
/// a few round trips of the slowest networks.
const LINGER_MS: u64 = 1_000;

/// How long a connection that has said nothing yet may say it when its listener ends: a client that has just connected
/// is about to ask, and would hear nothing but the end.
const PARTING_MS: u64 = 250;

/// The shortest time that an idle connection gets when memory is short, unless its listener gives less: a client that
/// is about to send its next request does so within it.
const IDLE_MS_MIN: u64 = 2_000;
/// How often an idle connection asks how long it may stay.
const RECHECKS: u64 = 8;

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Closed {
    /// In order, by either side.
    Done,
    /// It did not say which protocol it speaks in time.
    FirstByte,
    /// It did not complete a request's head in time, or had been at it for the longest when there was no descriptor.
    Head,
    /// It sent no request for too long.
    Idle,
    /// It did not take what it was sent.
    WriteStall,
    /// It was as old as connections may grow.
    Age,
    /// It had asked as often as an HTTP/2 connection may.
    Spent,
    /// It was idle when there was no descriptor for the next one.
    Evicted,
    /// It flooded this server with what HTTP/2 lets a client send for nothing.
    Abuse,
    /// It broke the protocol, or the network broke it.
    Error,
    /// It was still busy at the end of the drain.
    Cut,
}

impl Closed {
    /// Every reason, in the order of their numbers.
    pub(super) const ALL: [Self; 11] = [
        Self::Done,
        Self::FirstByte,
        Self::Head,
        Self::Idle,
        Self::WriteStall,
        Self::Age,
        Self::Spent,
        Self::Evicted,
        Self::Abuse,
        Self::Error,
        Self::Cut,
    ];

    /// Whether what is in flight is answered first.
    pub(super) const fn is_graceful(self) -> bool {
        matches!(self, Self::Idle | Self::Age | Self::Spent | Self::Evicted)
    }

    /// The metric label.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::FirstByte => "first_byte",
            Self::Head => "head",
            Self::Idle => "idle",
            Self::WriteStall => "write_stall",
            Self::Age => "age",
            Self::Spent => "spent",
            Self::Evicted => "evicted",
            Self::Abuse => "abuse",
            Self::Error => "error",
            Self::Cut => "cut",
        }
    }
}

/// The deadlines of a listener's connections, in milliseconds. Those that are inside follow when they change: at the
/// latest when they look at their time again, an eighth of their idle time later.
#[derive(Debug)]
pub(super) struct Deadlines {
    first_byte_ms: AtomicU64,
    head_ms: AtomicU64,
    idle_ms: AtomicU64,
    write_ms: AtomicU64,
    /// Shortens `idle_ms` when memory is short.
    memory: Arc<MemoryGauge>,
}

impl Deadlines {
    pub(super) fn new(plan: &HttpPlan, memory: &Arc<MemoryGauge>) -> Arc<Self> {
        let deadlines = Self {
            first_byte_ms: AtomicU64::default(),
            head_ms: AtomicU64::default(),
            idle_ms: AtomicU64::default(),
            write_ms: AtomicU64::default(),
            memory: Arc::clone(memory),
        };
        deadlines.follow(plan);
        Arc::new(deadlines)
    }

    /// Takes over the deadlines of this plan.
    pub(super) fn follow(&self, plan: &HttpPlan) {
        for (deadline, of_plan) in [
            (&self.first_byte_ms, plan.first_byte_deadline),
            (&self.head_ms, plan.head_deadline),
            (&self.idle_ms, plan.idle_deadline),
            (&self.write_ms, plan.write_deadline),
        ] {
            deadline.store(u64::try_from(of_plan.as_millis()).unwrap_or(u64::MAX / 2), Relaxed);
        }
    }

    /// What of `idle_ms` is left at this moment.
    fn idle_ms(&self) -> u64 {
        let idle_ms = self.idle_ms.load(Relaxed);
        let part = idle_ms * u64::from(self.memory.idle_permille());
        (part / u64::from(MemoryGauge::WHOLE_PERMILLE)).max(idle_ms.min(IDLE_MS_MIN))
    }

    pub(super) fn write(&self) -> Duration {
        Duration::from_millis(self.write_ms.load(Relaxed))
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
    /// The first bytes at a listener that ends.
    Parting,
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
            4 => Self::Parting,
            _ => Self::Close,
        }
    }
}

/// Where one connection stands. Times are milliseconds of [`now_ms`].
#[derive(Debug)]
pub(super) struct Progress {
    deadlines: Arc<Deadlines>,
    /// What this connection spends of its idle time and of its age.
    jitter: Jitter,
    /// When it is as old as it may grow.
    aged_ms: u64,
    /// When `stage` was entered, the last request ended, or the last bytes left late.
    since_ms: AtomicU64,
    /// Since when the socket takes no bytes; 0: it takes them.
    stalled_since_ms: AtomicU64,
    in_flight: AtomicU32,
    /// Requests that it may still send.
    requests_left: AtomicU32,
    stage: AtomicU8,
    is_http2: AtomicBool,
    /// What it was asked to end for, as a number of [`Closed`] and one; 0: nothing.
    asked: AtomicU8,
    /// Wakes the connection's task, when somebody else asks it to end.
    waker: OnceLock<Waker>,
}

impl Progress {
    /// A connection that was accepted right now, and may grow so old.
    pub(super) fn new(deadlines: &Arc<Deadlines>, age_max: Option<Duration>) -> Arc<Self> {
        let now_ms = now_ms();
        let jitter = Jitter::next();
        let age_ms = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX / 2);
        Arc::new(Self {
            deadlines: Arc::clone(deadlines),
            jitter,
            aged_ms: age_max.map_or(u64::MAX, |age| now_ms + jitter.shorten(age_ms(age))),
            since_ms: AtomicU64::new(now_ms),
            stalled_since_ms: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            requests_left: AtomicU32::new(u32::MAX),
            stage: AtomicU8::new(Stage::Sniff as u8),
            is_http2: AtomicBool::new(false),
            asked: AtomicU8::new(0),
            waker: OnceLock::new(),
        })
    }

    /// The protocol is HTTP/2, and the connection may send so many requests.
    pub(super) fn is_http2_for(&self, requests_max: u32) {
        self.requests_left.store(requests_max, Relaxed);
        self.is_http2.store(true, Relaxed);
    }

    /// The protocol is known; now the first head is due.
    pub(super) fn sniffed(&self) {
        self.enter(Stage::Head);
    }

    /// The listener ends, and nothing is known of the protocol yet.
    pub(super) fn parting(&self) {
        self.enter(Stage::Parting);
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
        let is_http2 = self.is_http2.load(Relaxed);
        // Streams of one connection begin one after the other.
        if is_http2 && self.requests_left.fetch_sub(1, Relaxed) == 1 {
            self.ask(Closed::Spent);
        }
        if self.stage() == Stage::Head {
            let next = if is_http2 { Stage::NextStream } else { Stage::NextHead };
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

    /// Asks the connection to end for this reason; whoever asks first is heard.
    pub(super) fn ask(&self, reason: Closed) {
        if self.asked.compare_exchange(0, reason as u8 + 1, Relaxed, Relaxed).is_ok()
            && let Some(waker) = self.waker.get()
        {
            waker.wake_by_ref();
        }
    }

    /// What the connection was asked to end for.
    pub(super) fn asked(&self) -> Option<Closed> {
        let number = self.asked.load(Relaxed).checked_sub(1)?;
        Closed::ALL.get(usize::from(number)).copied()
    }

    /// Remembers the connection's task, whose waker never changes.
    pub(super) fn remember(&self, cx: &Context<'_>) {
        self.waker.get_or_init(|| cx.waker().clone());
    }

    /// Since when a connection that waits for its next request does so; `None`: it has something to do, or ends.
    pub(super) fn idle_since_ms(&self) -> Option<u64> {
        let is_idle = self.in_flight.load(Relaxed) == 0
            && matches!(self.stage(), Stage::NextHead | Stage::NextStream)
            && self.stalled_since_ms.load(Relaxed) == 0
            && self.asked.load(Relaxed) == 0;
        is_idle.then(|| self.since_ms.load(Relaxed))
    }

    /// Since when a connection is at its first word or at a head, with nothing else to do; `None`: it is elsewhere.
    pub(super) fn head_since_ms(&self) -> Option<u64> {
        let is_at_head = self.in_flight.load(Relaxed) == 0
            && matches!(self.stage(), Stage::Sniff | Stage::Head)
            && self.asked.load(Relaxed) == 0;
        is_at_head.then(|| self.since_ms.load(Relaxed))
    }

    /// When the connection is as old as it may grow; `None`: it ends already.
    pub(super) fn aged_ms(&self) -> Option<u64> {
        (self.stage() != Stage::Close && self.aged_ms != u64::MAX).then_some(self.aged_ms)
    }

    /// Requests in flight may end; then the connection closes.
    pub(super) fn closing(&self) {
        self.enter(Stage::Close);
    }

    fn stage(&self) -> Stage {
        Stage::of(self.stage.load(Relaxed))
    }

    fn enter(&self, stage: Stage) {
        self.since_ms.store(recent_ms(), Relaxed);
        self.stage.store(stage as u8, Relaxed);
    }

    /// By when the connection has to get on, and what it is guilty of if it does not; `None` while only the service
    /// keeps it waiting.
    pub(super) fn due(&self) -> Option<(u64, Closed)> {
        let stalled_since = self.stalled_since_ms.load(Relaxed);
        if stalled_since != 0 {
            // While bytes wait to be taken, the client is not idle: it reads, or it stalls.
            return Some((
                stalled_since + self.deadlines.write_ms.load(Relaxed),
                Closed::WriteStall,
            ));
        }
        if self.in_flight.load(Relaxed) != 0 {
            return None;
        }
        let (allowed_ms, guilty) = match self.stage() {
            Stage::Sniff => (self.deadlines.first_byte_ms.load(Relaxed), Closed::FirstByte),
            Stage::Head => (self.deadlines.head_ms.load(Relaxed), Closed::Head),
            Stage::NextHead | Stage::NextStream => {
                (self.jitter.shorten(self.deadlines.idle_ms()), Closed::Idle)
            }
            Stage::Parting => (PARTING_MS, Closed::Done),
            Stage::Close => (LINGER_MS, Closed::Done),
        };
        Some((self.since_ms.load(Relaxed) + allowed_ms, guilty))
    }

    /// How long to wait at most before asking again: what is not due yet may be when memory has become short.
    pub(super) fn recheck_ms(&self) -> u64 {
        (self.deadlines.idle_ms.load(Relaxed) / RECHECKS).max(1)
    }
}

/// Takes up to a tenth off a time, differently for each connection and in the same way in each run: those that came in
/// one moment do not all come back in one moment.
#[derive(Clone, Copy, Debug)]
struct Jitter(u16);

impl Jitter {
    /// That of the next connection.
    fn next() -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        // Multiples of the golden ratio lie evenly in any range (Knuth, The Art of Computer Programming, 6.4).
        let spread = SERIAL.fetch_add(1, Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self((spread >> 48) as u16)
    }

    fn shorten(self, time_ms: u64) -> u64 {
        time_ms - ((u128::from(time_ms / 10) * u128::from(self.0)) >> 16) as u64
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
        self.0.since_ms.store(recent_ms(), Relaxed);
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// When the first connection came, by the timers' clock and by the kernel's.
static START: LazyLock<(Instant, Duration)> =
    LazyLock::new(|| (Instant::now(), kernel_time(ClockId::Monotonic)));

fn kernel_time(clock: ClockId) -> Duration {
    Duration::try_from(rustix::time::clock_gettime(clock)).unwrap_or_default()
}

/// Milliseconds since the first connection, plus one: never 0.
pub(super) fn now_ms() -> u64 {
    START.0.elapsed().as_millis() as u64 + 1
}

/// The same as of the kernel's last tick, a few milliseconds ago at most: what every request can afford to ask.
fn recent_ms() -> u64 {
    let since = kernel_time(ClockId::MonotonicCoarse).saturating_sub(START.1);
    since.as_millis() as u64 + 1
}

/// The moment of a time given by [`now_ms`], as soon as it has surely passed.
pub(super) fn instant_of(at_ms: u64) -> Instant {
    START.0 + Duration::from_millis(at_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shortened_by_up_to_a_tenth_and_evenly() {
        let mut shortened: Vec<u64> = (0..1_000).map(|_| Jitter::next().shorten(100_000)).collect();
        shortened.sort_unstable();
        assert!(shortened[0] > 90_000 && shortened[999] <= 100_000);
        let widest = shortened.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(widest < Some(200), "{widest:?} of 10000 in one piece");
        assert_eq!(Jitter(u16::MAX).shorten(9), 9);
    }
}
