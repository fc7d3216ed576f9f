//! Generations that were served, kept on disk so that a crash leaves each whole or not there at all.
//!
//! A record is written once and never changed: what became of a generation is told by the record after it.

mod disk;
mod folder;
#[cfg(test)]
mod model;
mod record;
mod records;
mod store;
#[cfg(test)]
mod tests;

pub use disk::Disk;
pub use folder::{Folder, Lock, OpenError};
pub use record::{Fault, Record};
pub use records::{Outcome, Records};
pub use store::{Found, Skipped, Store, WriteError};
