//! One task, as those who run it, ask for it and listen to it share it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use profile::plan::TasksPlan;
use protocol::encode::ServerInfo;
use protocol::json::Raw;
use protocol::{Permit, TaskState, TaskStatus, encode};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::record::{End, NoRoom, Record};
use super::tally::Tally;

/// A call whose result its client asks for later.
pub struct Task {
    record: Mutex<Record>,
    begun: Instant,
    ttl: Duration,
    poll: Duration,
    /// Wakes the one who runs it.
    news: watch::Sender<()>,
    listeners: Mutex<Vec<Weak<Notify>>>,
    tally: Arc<Tally>,
    _place: Permit,
}

impl Task {
    pub(super) fn new(
        record: Record,
        begun: Instant,
        plan: &TasksPlan,
        tally: Arc<Tally>,
        place: Permit,
    ) -> Arc<Self> {
        Arc::new(Self {
            record: Mutex::new(record),
            begun,
            ttl: plan.ttl,
            poll: plan.poll,
            news: watch::Sender::new(()),
            listeners: Mutex::default(),
            tally,
            _place: place,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn status(&self) -> TaskStatus {
        self.record.lock().status()
    }

    /// Its members as the client of `id` sees them, without braces.
    #[must_use]
    pub fn members(&self, id: &str) -> Vec<u8> {
        let record = self.record.lock();
        self.with_state(&record, id, encode::task_members)
    }

    /// The same when it changed after `seen`, which then follows. 0 was before the first change.
    #[must_use]
    pub fn members_after(&self, id: &str, seen: &mut u64) -> Option<Vec<u8>> {
        let record = self.record.lock();
        if *seen >= record.version() {
            return None;
        }
        *seen = record.version();
        Some(self.with_state(&record, id, encode::task_members))
    }

    /// The result that says that it is there.
    pub(super) fn created(&self, id: &str, server: &ServerInfo) -> Bytes {
        self.with_state(&self.record.lock(), id, |state| encode::task_created(state, server))
    }

    fn with_state<T>(
        &self,
        record: &Record,
        id: &str,
        write: impl FnOnce(&TaskState<'_>) -> T,
    ) -> T {
        let open = record.open_questions();
        write(&TaskState {
            id,
            status: record.status(),
            created: &format!("{:.3}", record.created()),
            updated: &format!("{:.3}", record.updated()),
            ttl_ms: self.ttl.as_millis() as u64,
            poll_ms: self.poll.as_millis() as u64,
            detail: record.detail(&open),
        })
    }

    /// Takes in answers by the keys of their questions: an object of result objects. `false` when what tasks keep has
    /// no room for them.
    #[must_use]
    pub fn answer(&self, answers: Raw<'_>) -> bool {
        let is_taken = self.record.lock().answer(answers, Timestamp::now()).is_ok();
        self.tell();
        is_taken
    }

    /// Gives it up; its call is cancelled. Nothing happens to a task that has ended.
    pub fn cancel(&self) {
        self.end(End::Cancelled);
    }

    /// Wakes `listener` at every change from now on, as long as somebody else has it.
    pub fn listen(&self, listener: &Arc<Notify>) {
        let mut listeners = self.listeners.lock();
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(Arc::downgrade(listener));
    }

    pub(super) fn end(&self, end: End) {
        let mut record = self.record.lock();
        if !record.end(end, Timestamp::now()) {
            return;
        }
        self.tally.count(record.status());
        drop(record);
        self.tell();
    }

    pub(super) fn ask(&self, questions: Vec<(Box<str>, Bytes)>) -> Result<(), NoRoom> {
        let asked = self.record.lock().ask(questions, Timestamp::now());
        self.tell();
        asked
    }

    fn tell(&self) {
        self.news.send_replace(());
        for listener in self.listeners.lock().iter().filter_map(Weak::upgrade) {
            listener.notify_one();
        }
    }

    /// Waits until every question is answered; never ends for a task that has.
    pub(super) async fn answers(&self) -> Bytes {
        // Subscribed before the look: nothing that happens between the two is missed.
        let mut news = self.news.subscribe();
        loop {
            if let Some(answers) = self.record.lock().answers() {
                return answers;
            }
            drop(news.changed().await);
        }
    }

    /// Waits until it has ended, by whomever.
    pub(super) async fn ended(&self) {
        let mut news = self.news.subscribe();
        while !self.status().is_terminal() {
            drop(news.changed().await);
        }
    }

    /// What clients are asked to leave between two looks.
    pub(super) const fn poll(&self) -> Duration {
        self.poll
    }

    /// Whether it can no longer be asked for.
    pub(super) fn is_expired(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.begun) >= self.ttl
    }
}
