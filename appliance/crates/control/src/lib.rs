//! Health, metrics, the effective plan and the last refusals, on a thread and a listener of their own.
//!
//! Nothing in here waits for the data plane: an answer is a look at atomics, or a text that was
//! made a moment ago.

mod answers;
mod caller;
mod connection;
mod listener;
mod profile;
mod reload;
mod reserve;
mod selftest;
#[cfg(test)]
mod tests;
mod thread;
mod upgrade;

pub use answers::{PluginReport, ProfileReport, Sources};
pub use listener::{ControlAddress, OpenSocket, Passed, StartError};
pub use profile::{Posting, Profiles, Serving};
pub use reload::Reloads;
pub use selftest::{Ask, SelfTests, Telling, Told};
pub use thread::{Control, start};
pub use upgrade::{UpgradeWish, Upgrades};
