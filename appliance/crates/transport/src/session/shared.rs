//! What all sessions have in common: bounds, a coarse clock, and the order in which finished streams leave.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use profile::plan::SessionPlan;
use protocol::{Bound, Refusal, RefusalKind};

use super::carry::{Journal, News};
use super::metrics::Tally;
use super::stream::Stream;

/// When a client that found a bound reached may come back: sessions and streams end at human pace.
const RETRY_AFTER: Duration = Duration::from_secs(5);

pub(super) struct Shared {
    pub(super) sessions: Arc<Bound>,
    pub(super) streams: Arc<Bound>,
    pub(super) tally: Tally,
    pub(super) replay_events_max: AtomicUsize,
    pub(super) replay_bytes_max: AtomicUsize,
    pub(super) subscriptions_max: AtomicUsize,
    idle_secs: AtomicU32,
    replay_secs: AtomicU32,
    answer_deadline_ms: AtomicU64,
    started: Instant,
    /// Seconds since `started`, as of the last tick: looking a session up reads no clock.
    now_secs: AtomicU32,
    turns: AtomicU64,
    finished: Mutex<VecDeque<Weak<Stream>>>,
    /// Who is told of what becomes of sessions.
    pub(super) journal: RwLock<Option<Arc<dyn Journal>>>,
}

impl Shared {
    pub(super) fn new(plan: &SessionPlan) -> Arc<Self> {
        let shared = Self {
            sessions: Bound::new("sessions", plan.sessions_max),
            streams: Bound::new("session_streams", plan.streams_max),
            tally: Tally::new(),
            replay_events_max: AtomicUsize::default(),
            replay_bytes_max: AtomicUsize::default(),
            subscriptions_max: AtomicUsize::default(),
            idle_secs: AtomicU32::default(),
            replay_secs: AtomicU32::default(),
            answer_deadline_ms: AtomicU64::default(),
            started: Instant::now(),
            now_secs: AtomicU32::default(),
            turns: AtomicU64::default(),
            finished: Mutex::default(),
            journal: RwLock::default(),
        };
        shared.follow(plan);
        Arc::new(shared)
    }

    /// Takes over the numbers of `plan`.
    pub(super) fn follow(&self, plan: &SessionPlan) {
        // Up: nothing may end before its time.
        let secs = |duration: Duration| {
            u32::try_from(duration.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX)
        };
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.sessions.set_limit(plan.sessions_max);
        self.streams.set_limit(plan.streams_max);
        self.replay_events_max.store(plan.replay_events_max, Relaxed);
        self.replay_bytes_max.store(plan.replay_bytes_max, Relaxed);
        self.subscriptions_max.store(plan.subscriptions_max, Relaxed);
        self.idle_secs.store(secs(plan.idle), Relaxed);
        self.replay_secs.store(secs(plan.replay), Relaxed);
        self.answer_deadline_ms.store(ms(plan.answer_deadline), Relaxed);
    }

    pub(super) fn answer_deadline(&self) -> Duration {
        Duration::from_millis(self.answer_deadline_ms.load(Relaxed))
    }

    pub(super) fn idle_secs(&self) -> u32 {
        self.idle_secs.load(Relaxed)
    }

    pub(super) fn replay_secs(&self) -> u32 {
        self.replay_secs.load(Relaxed)
    }

    /// Whole seconds since the start, as of the last tick.
    pub(super) fn now_secs(&self) -> u32 {
        self.now_secs.load(Relaxed)
    }

    pub(super) fn set_now(&self, now_secs: u32) {
        self.now_secs.store(now_secs, Relaxed);
    }

    /// Whole seconds since the start, by the clock.
    pub(super) fn elapsed_secs(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    /// A number higher than all before: tells which of two readers came last.
    pub(super) fn next_turn(&self) -> u64 {
        self.turns.fetch_add(1, Relaxed) + 1
    }

    /// Notes that `stream` is only kept for a client that comes back.
    pub(super) fn finished(&self, stream: Weak<Stream>) {
        self.finished.lock().push_back(stream);
    }

    /// Makes room for one more stream while finished or left ones hold it: the oldest leaves first.
    pub(super) fn make_room(&self) {
        while self.streams.used() >= self.streams.limit() {
            let oldest = self.finished.lock().pop_front();
            match oldest {
                Some(oldest) => {
                    oldest.upgrade().into_iter().for_each(|stream| stream.yield_place())
                }
                None => return,
            }
        }
    }

    /// Tells whoever listens what became of a session.
    pub(super) fn note(&self, news: impl FnOnce() -> News) {
        if let Some(journal) = &*self.journal.read() {
            journal.note(news());
        }
    }

    /// Drops the notes of streams that are gone.
    pub(super) fn tidy(&self) {
        self.finished.lock().retain(|stream| stream.strong_count() > 0);
    }
}

/// The refusal when `bound` is reached.
pub(super) fn exhausted(scope: &'static str, limit: usize, message: &'static str) -> Refusal {
    Refusal::new(RefusalKind::SessionsExhausted, "session", scope, message)
        .with_limit(limit as u64)
        .with_retry_after(RETRY_AFTER)
}
