//! A changed profile comes into the process that runs: read, checked and built beside what serves, swapped in at once,
//! and what it replaces is drained afterwards. Until the swap nothing is touched, so there is nothing to roll back; after
//! it, what came in is on probation, and what served before is kept until that has ended well.
//!
//! Every trigger goes through one queue, and one attempt runs at a time.

mod attempt;
mod beside;
mod ledger;
mod named;
mod posted;
mod probation;
mod queue;
mod rehearsal;
mod retire;
mod stage;
mod tools;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use control::{Reloads, Telling, Told};
use http::StatusCode;
use plugin_host::Plugin;
use runtime::{Attempt, Attempts, Trigger, Verdict};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot::error::RecvError;

use super::service_manager::ServiceManager;
pub(super) use attempt::House;
pub(super) use named::Named;
pub(super) use probation::Probation;
use queue::{Next, Queue, Wish};

/// The queue, and the thread that works on it.
pub(super) struct Reloader {
    house: House,
    manager: Arc<ServiceManager>,
    attempts: Arc<Attempts>,
    queue: Queue,
    /// Whose turn it is: an attempt's, or an upgrade's.
    turn: Mutex<()>,
}

impl Reloader {
    /// Nobody has asked yet.
    pub(super) fn new(house: House, manager: Arc<ServiceManager>) -> Arc<Self> {
        Arc::new(Self {
            house,
            manager,
            attempts: Attempts::new(),
            queue: Queue::default(),
            turn: Mutex::default(),
        })
    }

    /// Begins to take orders, and to look after the files of the profile. On threads of their own, so that a data plane
    /// that is overloaded can be given other limits.
    ///
    /// # Errors
    /// When there is no thread.
    pub(super) fn start(self: &Arc<Self>) -> std::io::Result<()> {
        // Beside the rest: the digests of libraries take their time, and orders and looks must not wait for them.
        let keeper = Arc::clone(self);
        let thread = std::thread::Builder::new().name("reload-first".to_owned());
        let first = thread.spawn(move || keeper.house.keep_first())?;
        let worker = Arc::clone(self);
        let thread = std::thread::Builder::new().name("reload".to_owned());
        thread.spawn(move || worker.work(first))?;
        watch::start(self)
    }

    /// Has SIGHUP read the profile again, from now on. To be called on the data plane.
    pub(super) fn follow_signals(self: &Arc<Self>) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => {
                return tracing::warn!(%error, "SIGHUP is not listened to; use `toolrack reload`.");
            }
        };
        let reloader = Arc::clone(self);
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                // Whoever sends a signal reads the log.
                drop(reloader.queue.order(Wish::Files, Trigger::Signal));
            }
        });
    }

    /// Takes no more orders. An attempt that runs is left alone: the switch is closed to it.
    pub(super) fn stop(&self) {
        self.queue.end();
    }

    /// What attempts change.
    pub(super) const fn house(&self) -> &House {
        &self.house
    }

    /// Has attempts wait until what this returns is dropped.
    pub(super) fn pause(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the service manager, at the end of an attempt.
    fn say_what_serves(&self, attempt: &Attempt) {
        let serves = self.house.status();
        let refused = if attempt.verdict.is_good() { "" } else { " The last change does not." };
        self.manager.ready(&format!("{serves}{refused}"));
    }

    /// `first` puts down what the process started with, which comes before what any attempt brings.
    fn work(&self, first: JoinHandle<()>) {
        let mut first = Some(first);
        let mut looked_at = Instant::now();
        let mut changed_at = None;
        loop {
            // Storms of orders wait, and those that want the files read add up.
            let interval = self.house.interval();
            let from = changed_at.map(|changed_at| changed_at + interval);
            match self.queue.next(from, self.house.next_look(looked_at)) {
                Next::End => return,
                Next::Order(order) => {
                    let (wish, trigger, waiters) = order.open();
                    if let Some(Err(_)) = first.take().map(JoinHandle::join) {
                        tracing::error!(
                            "What the process started with is not kept: its thread panicked."
                        );
                    }
                    let _turn = self.pause();
                    self.manager.reloading();
                    // A fault of ours in one attempt must not take the next one away.
                    let attempt =
                        catch_unwind(AssertUnwindSafe(|| self.house.attempt(wish, trigger)));
                    let attempt = attempt.unwrap_or_else(|_| self.house.failed(trigger));
                    if attempt.verdict == Verdict::Applied {
                        changed_at = Some(Instant::now());
                    }
                    let attempt = self.note(attempt);
                    self.say_what_serves(&attempt);
                    waiters.tell(&attempt);
                }
                Next::Look => {
                    looked_at = Instant::now();
                    let _turn = self.pause();
                    let attempt = catch_unwind(AssertUnwindSafe(|| self.house.look()));
                    let failed = |_| Some(self.house.failed(Trigger::Probation));
                    if let Some(attempt) = attempt.unwrap_or_else(failed) {
                        changed_at = Some(Instant::now());
                        let attempt = self.note(attempt);
                        self.say_what_serves(&attempt);
                    }
                }
            }
        }
    }

    fn note(&self, attempt: Attempt) -> Arc<Attempt> {
        let attempt = self.attempts.note(attempt);
        ledger::log(&attempt);
        attempt
    }

    /// Plugins that may have to serve again although no generation has them.
    pub(super) fn kept_plugins(&self) -> Vec<Arc<Plugin>> {
        self.house.kept()
    }

    /// The probation that is under way, as JSON; null when there is none.
    pub(super) fn probation(&self) -> serde_json::Value {
        self.house.probation_json()
    }

    /// The last attempts, as JSON.
    pub(super) fn to_json(&self) -> bytes::Bytes {
        let attempts: Vec<_> =
            self.attempts.last().iter().map(|attempt| ledger::json(attempt)).collect();
        json!({ "attempts": attempts }).to_string().into()
    }

    /// What a scrape shows of them.
    pub(super) fn metrics(&self) -> String {
        let (rollbacks, is_on_probation) = self.house.probation_counts();
        ledger::metrics(&self.attempts, rollbacks, is_on_probation)
    }
}

impl Reloads for Reloader {
    fn ask(self: Arc<Self>, waits: bool) -> Telling {
        let asked = self.queue.order(Wish::Files, Trigger::Admin);
        if waits {
            return Box::pin(async { told(asked.await) });
        }
        let body = json!({ "asked": true });
        Box::pin(async { Told { status: StatusCode::ACCEPTED, body } })
    }

    fn roll_back(self: Arc<Self>, to: Option<u64>) -> Telling {
        let record = match self.house.history.wanted(to) {
            Ok(record) => record,
            Err(why) => {
                return Box::pin(async move { Told::refused(StatusCode::NOT_FOUND, &why) });
            }
        };
        let back_to = record.number;
        let give = Box::new(move |house: &House| house.served_before(&record));
        let asked = self.queue.order(Wish::Given(give), Trigger::Rollback);
        Box::pin(async move {
            let mut told = told(asked.await);
            told.body["back_to"] = json!(back_to);
            told
        })
    }
}

/// What became of an attempt, for whoever waited for it.
fn told(attempt: Result<Arc<Attempt>, RecvError>) -> Told {
    match attempt {
        Ok(attempt) => {
            let is_good = attempt.verdict.is_good();
            let status = if is_good { StatusCode::OK } else { StatusCode::CONFLICT };
            Told { status, body: ledger::json(&attempt) }
        }
        Err(_) => Told::refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "The process is stopping; it takes no other profile any more.",
        ),
    }
}
