//! A disk that forgets what was not synced, and can die at any step.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;

use crate::disk::Disk;

/// A folder in memory that knows what of it a loss of power leaves.
#[derive(Debug, Default)]
pub(crate) struct Model {
    files: RefCell<Vec<Content>>,
    /// Names as the program sees them.
    names: RefCell<BTreeMap<String, usize>>,
    /// Names as they are on the platter.
    synced: RefCell<BTreeMap<String, usize>>,
    /// What happened to names since, in order.
    pending: RefCell<Vec<Change>>,
    /// Steps until it dies; `None`: it does not.
    steps_left: Cell<Option<usize>>,
    /// Steps so far.
    pub(crate) steps: Cell<usize>,
}

#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    synced_bytes: usize,
}

#[derive(Clone, Debug)]
enum Change {
    Set(String, usize),
    Remove(String),
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Set(name, file) => drop(names.insert(name.clone(), *file)),
            Self::Remove(name) => drop(names.remove(name)),
        }
    }
}

impl Model {
    /// Dies in the step after so many.
    pub(crate) fn die_after(&self, steps: usize) {
        self.steps_left.set(Some(steps));
    }

    /// What is there when the power comes back: of the changes of names that were not synced the first `kept_names`,
    /// and of the bytes that were not synced the first `kept_bytes`.
    pub(crate) fn after_power_loss(&self, kept_names: usize, kept_bytes: usize) -> Self {
        let mut names = self.synced.borrow().clone();
        self.pending.borrow().iter().take(kept_names).for_each(|change| change.apply(&mut names));
        let mut files = self.files.borrow().clone();
        for file in &mut files {
            let kept = file.bytes.len().min(file.synced_bytes.saturating_add(kept_bytes));
            file.bytes.truncate(kept);
            file.synced_bytes = kept;
        }
        Self {
            files: RefCell::new(files),
            names: RefCell::new(names.clone()),
            synced: RefCell::new(names),
            ..Self::default()
        }
    }

    /// Replaces the bytes of a file, as nobody of ours does.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let mut files = self.files.borrow_mut();
        files.push(Content { bytes: bytes.to_vec(), synced_bytes: bytes.len() });
        self.names.borrow_mut().insert(name.to_owned(), files.len() - 1);
    }

    /// `false` in the step in which it dies, an error in every later one.
    fn lives(&self) -> io::Result<bool> {
        self.steps.set(self.steps.get() + 1);
        match self.steps_left.get() {
            None => Ok(true),
            Some(0) => {
                self.steps_left.set(Some(usize::MAX));
                Ok(false)
            }
            Some(usize::MAX) => Err(dead()),
            Some(left) => {
                self.steps_left.set(Some(left - 1));
                Ok(true)
            }
        }
    }

    fn step(&self, does: impl FnOnce()) -> io::Result<()> {
        if !self.lives()? {
            return Err(dead());
        }
        does();
        Ok(())
    }

    fn change(&self, change: Change) {
        change.apply(&mut self.names.borrow_mut());
        self.pending.borrow_mut().push(change);
    }
}

fn dead() -> io::Error {
    io::Error::other("it died")
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for Model {
    type File = usize;

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.names.borrow().keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let file = *self.names.borrow().get(name).ok_or_else(not_found)?;
        Ok(self.files.borrow()[file].bytes.clone())
    }

    fn create(&self, name: &str) -> io::Result<usize> {
        if self.names.borrow().contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = self.files.borrow().len();
        self.step(|| {
            self.files.borrow_mut().push(Content::default());
            self.change(Change::Set(name.to_owned(), file));
        })?;
        Ok(file)
    }

    fn write(&self, file: &mut usize, bytes: &[u8]) -> io::Result<()> {
        let lives = self.lives()?;
        // Whoever dies in it has written a part.
        let written = if lives { bytes } else { &bytes[..bytes.len() / 2] };
        self.files.borrow_mut()[*file].bytes.extend_from_slice(written);
        if lives { Ok(()) } else { Err(dead()) }
    }

    fn sync(&self, file: &usize) -> io::Result<()> {
        self.step(|| {
            let content = &mut self.files.borrow_mut()[*file];
            content.synced_bytes = content.bytes.len();
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let file = *self.names.borrow().get(from).ok_or_else(not_found)?;
        self.step(|| {
            // One change: nobody ever sees both names, or none.
            let mut names = self.names.borrow_mut();
            names.remove(from);
            names.insert(to.to_owned(), file);
            let mut pending = self.pending.borrow_mut();
            pending.push(Change::Set(to.to_owned(), file));
            pending.push(Change::Remove(from.to_owned()));
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if !self.names.borrow().contains_key(name) {
            return Err(not_found());
        }
        self.step(|| self.change(Change::Remove(name.to_owned())))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.step(|| {
            *self.synced.borrow_mut() = self.names.borrow().clone();
            self.pending.borrow_mut().clear();
        })
    }
}
