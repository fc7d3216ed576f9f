//! The generations that served: in memory, and on disk when the profile names a folder.
//!
//! Whoever activates a generation puts it down in memory. A thread of its own brings the disk up to that, which is waited
//! for, so that who is told that a generation serves finds it again after a crash; but only for a moment, so that a disk
//! that is full, gone or slow holds nothing up.

mod hand;
pub(super) mod last_good;
mod record;
mod shown;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::history::{Folder, OpenError, Record, Records, Store};
use profile::Identity;
use profile::plan::HistoryPlan;

use hand::{Counts, Hand};

pub(super) use record::{Cause, libraries, record};

/// How long an attempt, and the end of the process, wait for the disk at most.
const GRACE: Duration = Duration::from_secs(2);

/// The generations that served, the last ones.
pub(super) struct History {
    kept: Mutex<Kept>,
    news: Condvar,
    counts: Counts,
    is_on_disk: bool,
}

struct Kept {
    records: Records,
    /// Counts the changes of `records`.
    version: u64,
    /// The version that the disk has.
    written: u64,
    /// The newest version that somebody tried to write.
    tried: u64,
    is_over: bool,
    /// Writes to the disk; taken by its thread.
    hand: Option<Hand>,
    /// Whether that thread is at work.
    is_writing: bool,
}

impl History {
    /// Reads what is kept. What cannot be read now is warned of, and tried again by whoever writes.
    ///
    /// # Errors
    /// When others could have written there.
    pub(super) fn open(plan: &HistoryPlan) -> Result<Arc<Self>, String> {
        let mut records = Records::new(plan.generations_max);
        let hand = match &plan.folder {
            None => None,
            Some(folder) => Some(Self::read(folder, &mut records)?),
        };
        let is_on_disk = hand.is_some();
        let kept = Kept {
            records,
            version: 0,
            written: 0,
            tried: 0,
            is_over: false,
            hand,
            is_writing: false,
        };
        Ok(Arc::new(Self {
            kept: Mutex::new(kept),
            news: Condvar::new(),
            counts: Counts::default(),
            is_on_disk,
        }))
    }

    fn read(folder: &Path, records: &mut Records) -> Result<Hand, String> {
        let mut hand = Hand::new(folder.to_owned());
        match Folder::open(folder) {
            Ok(folder) => match hand.take_up(&Store::new(folder)) {
                Ok(found) => found.into_iter().for_each(|record| records.add(record)),
                Err(error) => warn(&error),
            },
            Err(error @ OpenError::Unavailable { .. }) => warn(&error),
            Err(error) => return Err(format!("history.folder: {error}")),
        }
        Ok(hand)
    }

    /// The number for the first generation of this process: that of the newest one when it is made of the same, else the
    /// next. The digests of the libraries are only asked for when the profile is the same.
    pub(super) fn first_number(
        &self,
        identity: Identity,
        libraries: impl FnOnce() -> BTreeMap<String, String>,
    ) -> u64 {
        let newest = self.lock().records.newest().cloned();
        let Some(newest) = newest else { return 1 };
        let is_same = newest.identity == identity.to_string() && newest.libraries == libraries();
        if is_same { newest.number } else { newest.number.saturating_add(1) }
    }

    /// Begins to write, on a thread of its own.
    ///
    /// # Errors
    /// When there is no thread.
    pub(super) fn start(self: &Arc<Self>) -> std::io::Result<()> {
        let Some(hand) = self.lock().hand.take() else { return Ok(()) };
        let history = Arc::clone(self);
        let thread = std::thread::Builder::new().name("history".to_owned());
        self.lock().is_writing = true;
        let started = thread.spawn(move || history.write(hand));
        started.inspect_err(|_| self.lock().is_writing = false).map(drop)
    }

    /// Waits for a moment until the disk has everything.
    pub(super) fn stop(&self) {
        let mut kept = self.lock();
        kept.is_over = true;
        self.news.notify_all();
        let is_behind = |kept: &mut Kept| kept.is_writing;
        drop(self.news.wait_timeout_while(kept, GRACE, is_behind));
    }

    /// Puts a generation down, and waits until the disk has it, has failed, or a moment has gone.
    pub(super) fn keep(&self, record: Record) {
        let mut kept = self.lock();
        kept.records.add(Arc::new(record));
        kept.version += 1;
        let version = kept.version;
        self.news.notify_all();
        let is_untried = |kept: &mut Kept| kept.is_writing && kept.tried < version;
        drop(self.news.wait_timeout_while(kept, GRACE, is_untried));
    }

    /// The generations at this moment.
    pub(super) fn records(&self) -> Records {
        self.lock().records.clone()
    }

    /// The generation that somebody wants back: the one of a number, or the last good one of other content.
    ///
    /// # Errors
    /// What there is instead.
    pub(super) fn wanted(&self, to: Option<u64>) -> Result<Arc<Record>, String> {
        let records = self.records();
        let found = match to {
            Some(number) => records.get(number),
            None => records.before(),
        };
        found.cloned().ok_or_else(|| {
            let numbers: Vec<_> = records.iter().map(|record| record.number.to_string()).collect();
            let numbers = numbers.join(", ");
            match to {
                Some(number) => {
                    format!("Generation {number} is not kept; those that are: {numbers}.")
                }
                None => format!(
                    "No other generation than the one that serves is kept and good. Those that are kept: {numbers}; name one to have it all the same."
                ),
            }
        })
    }

    /// Brings the disk up to the memory until it is over.
    fn write(&self, mut hand: Hand) {
        let mut kept = self.lock();
        loop {
            if kept.written < kept.version {
                let (version, mut records) = (kept.version, kept.records.clone());
                drop(kept);
                let result = hand.bring_up_to(&mut records, &self.counts);
                kept = self.lock();
                kept.tried = version;
                self.news.notify_all();
                match result {
                    Ok(found) => {
                        for record in found {
                            if kept.records.get(record.number).is_none() {
                                kept.records.add(record);
                            }
                        }
                        kept.written = version;
                        continue;
                    }
                    Err(_) if kept.is_over => break,
                    // News do not wait for it: whoever is full now may not be then.
                    Err(later) => {
                        kept = self.wait_for(kept, version, later);
                        continue;
                    }
                }
            }
            if kept.is_over {
                break;
            }
            kept = self.news.wait(kept).unwrap_or_else(PoisonError::into_inner);
        }
        kept.is_writing = false;
        drop(kept);
        self.news.notify_all();
    }

    /// Waits until there is something else to write than `version`, or it is time.
    fn wait_for<'k>(
        &self,
        kept: MutexGuard<'k, Kept>,
        version: u64,
        time: Duration,
    ) -> MutexGuard<'k, Kept> {
        let is_same = |kept: &mut Kept| !kept.is_over && kept.version == version;
        let waited = self.news.wait_timeout_while(kept, time, is_same);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn warn(error: &dyn std::fmt::Display) {
    tracing::warn!(%error, "What is kept in history.folder cannot be read; it is tried again.");
}
