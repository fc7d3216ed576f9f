//! The generations that are kept, in their order, and what follows from it.

use std::sync::Arc;

use crate::record::Record;

/// What became of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is the newest one.
    Serving,
    /// Another came after it.
    Replaced,
    /// The next one took it back.
    RolledBack,
}

impl Outcome {
    /// The name in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Replaced => "replaced",
            Self::RolledBack => "rolled_back",
        }
    }
}

/// The last generations, the oldest first, each number once.
#[derive(Clone, Debug)]
pub struct Records {
    kept: Vec<Arc<Record>>,
    most: usize,
}

impl Records {
    /// None yet; so many are kept, and at least one.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { kept: Vec::new(), most: most.max(1) }
    }

    /// Takes a record in. One of the same number gives way, and the oldest one when there are too many.
    pub fn add(&mut self, record: Arc<Record>) {
        self.kept.retain(|known| known.number != record.number);
        let at = self.kept.partition_point(|known| known.number < record.number);
        self.kept.insert(at, record);
        let surplus = self.kept.len().saturating_sub(self.most);
        self.kept.drain(..surplus);
    }

    /// All of them, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Record>> + ExactSizeIterator {
        self.kept.iter()
    }

    /// The newest.
    #[must_use]
    pub fn newest(&self) -> Option<&Arc<Record>> {
        self.kept.last()
    }

    /// The one of a number.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Arc<Record>> {
        self.kept.iter().find(|record| record.number == number)
    }

    /// What became of the generation `number`, as far as it is kept.
    #[must_use]
    pub fn outcome(&self, number: u64) -> Option<Outcome> {
        let at = self.kept.iter().position(|record| record.number == number)?;
        Some(match self.kept.get(at + 1) {
            None => Outcome::Serving,
            Some(next) if next.takes_back => Outcome::RolledBack,
            Some(_) => Outcome::Replaced,
        })
    }

    /// Those that nobody took back, the newest first: in this order they are worth a try.
    pub fn good(&self) -> impl Iterator<Item = &Arc<Record>> {
        let is_good =
            |record: &&Arc<Record>| self.outcome(record.number) != Some(Outcome::RolledBack);
        self.kept.iter().rev().filter(is_good)
    }

    /// The newest good one of other content than the newest of all: what whoever says no number rolls back to.
    #[must_use]
    pub fn before(&self) -> Option<&Arc<Record>> {
        let newest = self.newest()?;
        self.good().find(|record| !record.is_same_content(newest))
    }
}
