//! Brings a folder up to what is kept in memory.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ::history::{Folder, Lock, Record, Records, Store};

/// How often the lock of the folder is asked for while another process has it, as in an upgrade.
const LOCK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a disk that failed is left alone.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// How writings ended.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) written: AtomicU64,
    pub(super) failed: AtomicU64,
}

/// The one that writes.
pub(super) struct Hand {
    path: PathBuf,
    /// Held from the first writing to the end of the process, unless the disk fails.
    held: Option<(Store<Folder>, Lock)>,
    /// What is on disk, as far as this process knows.
    on_disk: Vec<Arc<Record>>,
    /// What was said last of what keeps it from writing.
    said: Option<String>,
}

impl Hand {
    /// Has not looked yet.
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, held: None, on_disk: Vec::new(), said: None }
    }

    /// Reads what is in the folder. What is no record is warned of.
    pub(super) fn take_up(&mut self, store: &Store<Folder>) -> std::io::Result<Vec<Arc<Record>>> {
        let found = store.read()?;
        for skipped in &found.skipped {
            tracing::warn!(%skipped, "A file in history.folder is left aside.");
        }
        // What was read before stays the same one: it need not be written again.
        let known = std::mem::take(&mut self.on_disk);
        let same = |record: Record| {
            let known = known.iter().find(|known| ***known == record);
            known.map_or_else(|| Arc::new(record), Arc::clone)
        };
        self.on_disk = found.records.into_iter().map(same).collect();
        Ok(self.on_disk.clone())
    }

    /// Writes what `records` has and the disk has not, then takes away what `records` has no more. Returns what another
    /// process had written meanwhile; it is in `records`, too.
    ///
    /// # Errors
    /// When to try again.
    pub(super) fn bring_up_to(
        &mut self,
        records: &mut Records,
        counts: &Counts,
    ) -> Result<Vec<Arc<Record>>, Duration> {
        match self.try_to(records, counts) {
            Ok(Some(found)) => {
                self.said = None;
                Ok(found)
            }
            Ok(None) => {
                self.say("another process has it; it is written to when that lets go".to_owned());
                Err(LOCK_INTERVAL)
            }
            Err(error) => {
                counts.failed.fetch_add(1, Relaxed);
                // The folder may be another one by then.
                self.held = None;
                self.say(error);
                Err(RETRY_INTERVAL)
            }
        }
    }

    /// Once for each reason: it comes again with every try.
    fn say(&mut self, why: String) {
        if self.said.as_ref() != Some(&why) {
            tracing::warn!(why, "Nothing is written to history.folder; serving goes on.");
            self.said = Some(why);
        }
    }

    /// `None`: another process holds the folder.
    fn try_to(
        &mut self,
        records: &mut Records,
        counts: &Counts,
    ) -> Result<Option<Vec<Arc<Record>>>, String> {
        let mut found = Vec::new();
        if self.held.is_none() {
            let store = Store::new(Folder::open(&self.path).map_err(|error| error.to_string())?);
            let lock = store.disk().lock().map_err(|error| error.to_string())?;
            let Some(lock) = lock else { return Ok(None) };
            // Under the lock: what whoever held it wrote to the end.
            found = self.take_up(&store).map_err(|error| error.to_string())?;
            self.held = Some((store, lock));
            found.retain(|record| records.get(record.number).is_none());
            found.iter().for_each(|record| records.add(Arc::clone(record)));
        }
        let Some((store, _)) = &self.held else { return Ok(Some(found)) };
        let on_disk = &mut self.on_disk;
        for record in records.iter() {
            if !on_disk.iter().any(|known| Arc::ptr_eq(known, record)) {
                store.write(record).map_err(|error| error.to_string())?;
                counts.written.fetch_add(1, Relaxed);
                on_disk.retain(|known| known.number != record.number);
                on_disk.push(Arc::clone(record));
            }
        }
        // Last: a crash before leaves one too many.
        for gone in on_disk.extract_if(.., |known| records.get(known.number).is_none()) {
            store.remove(gone.number).map_err(|error| error.to_string())?;
        }
        Ok(Some(found))
    }
}
