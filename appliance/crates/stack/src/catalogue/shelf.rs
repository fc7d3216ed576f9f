//! Items of one kind by name and by number.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use foldhash::fast::RandomState;

/// Items of one kind: found by name once, and by number from then on.
pub(super) struct Shelf<T> {
    items: Vec<(Box<str>, T)>,
    numbers: HashMap<Box<str>, u32, RandomState>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { items: Vec::new(), numbers: HashMap::default() }
    }
}

impl<T> Shelf<T> {
    /// Adds an item; an `Err` is the one that has the name already.
    pub(super) fn add(&mut self, name: &str, item: T) -> Result<(), &T> {
        match self.numbers.entry(name.into()) {
            Entry::Occupied(taken) => Err(&self.items[*taken.get() as usize].1),
            Entry::Vacant(free) => {
                free.insert(self.items.len() as u32);
                self.items.push((name.into(), item));
                Ok(())
            }
        }
    }

    /// The number of an item.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// The item of a number.
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.items.get(number as usize).map(|(_, item)| item)
    }

    /// The item of a name.
    pub(super) fn find(&self, name: &str) -> Option<&T> {
        self.get(self.number(name)?)
    }

    /// Every item with its name, in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.items.iter().map(|(name, item)| (&**name, item))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}
