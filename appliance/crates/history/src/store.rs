//! Records as files: written beside, synced, moved into place, and the folder synced after that.

use std::io;

use crate::disk::Disk;
use crate::record::{Fault, Record};

/// What a file is called while it is written. One process writes at a time, one file at a time.
const NEXT: &str = "next";

/// The records of a folder.
#[derive(Debug)]
pub struct Store<D> {
    disk: D,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Whole ones, the oldest first.
    pub records: Vec<Record>,
    /// Files that are none, in the order of their names.
    pub skipped: Vec<Skipped>,
}

/// A file that was left aside.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {why}")]
pub struct Skipped {
    /// Its name.
    pub name: String,
    /// Why.
    pub why: String,
}

/// Why a record was not written. What was there before is there.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It has no text.
    #[error("the profile has no text: {0}")]
    Encode(#[from] toml::ser::Error),
    /// The disk is full, or may not be written to.
    #[error(transparent)]
    Disk(#[from] io::Error),
}

impl<D: Disk> Store<D> {
    /// The records of `disk`.
    pub const fn new(disk: D) -> Self {
        Self { disk }
    }

    /// What it is on.
    pub const fn disk(&self) -> &D {
        &self.disk
    }

    /// Reads all that is there.
    ///
    /// # Errors
    /// When the folder cannot be read; a single file that cannot is skipped.
    pub fn read(&self) -> io::Result<Found> {
        let mut names = self.disk.names()?;
        names.retain(|name| number(name).is_some());
        names.sort_unstable();
        let mut found = Found::default();
        for name in names {
            match self.read_one(&name) {
                Ok(record) => found.records.push(record),
                Err(why) => found.skipped.push(Skipped { name, why }),
            }
        }
        found.records.sort_by_key(|record| record.number);
        Ok(found)
    }

    fn read_one(&self, name: &str) -> Result<Record, String> {
        let bytes = self.disk.read(name).map_err(|error| error.to_string())?;
        let record = Record::decode(&bytes).map_err(|fault| fault.to_string())?;
        // Somebody copied it: the number is what it is found by.
        if file_name(record.number) == name { Ok(record) } else { Err(Fault::Foreign.to_string()) }
    }

    /// Writes a record, in place of one of the same number. When it returns, the record outlives a loss of power.
    ///
    /// # Errors
    /// When it has not; the others are as before.
    pub fn write(&self, record: &Record) -> Result<(), WriteError> {
        let text = record.encode()?;
        // Of a process that ended while it wrote.
        self.forget(NEXT)?;
        let written = self.write_next(text.as_bytes());
        if written.is_err() {
            // On a full disk its bytes are worth more than it is; if it stays, the next writing takes it away.
            self.forget(NEXT).ok();
        }
        written?;
        self.disk.rename(NEXT, &file_name(record.number))?;
        Ok(self.disk.sync_names()?)
    }

    fn write_next(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.disk.create(NEXT)?;
        self.disk.write(&mut file, bytes)?;
        self.disk.sync(&file)
    }

    /// Takes the record of a number away, if there is one.
    ///
    /// # Errors
    /// As the system says.
    pub fn remove(&self, number: u64) -> io::Result<()> {
        self.forget(&file_name(number))
    }

    fn forget(&self, name: &str) -> io::Result<()> {
        match self.disk.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Twenty digits, so that the order of the names is that of the numbers.
fn file_name(number: u64) -> String {
    format!("generation-{number:020}.toml")
}

/// The number in the name of a record; `None` for the name of something else.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("generation-")?.strip_suffix(".toml")?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}
