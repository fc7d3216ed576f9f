//! Health, metrics, the effective plan and the last refusals, on a thread and a listener of their own.
//!
//! Nothing in here waits for the data plane: an answer is a look at atomics, or a text that was
//! made a moment ago.

mod answers;
mod caller;
mod connection;
mod listener;
mod orders;
mod pace;
mod paths;
mod profile;
mod reload;
mod reserve;
mod selftest;
mod sources;
#[cfg(test)]
mod tests;
mod thread;
mod upgrade;

pub use listener::{ControlAddress, OpenSocket, Passed, StartError};
pub use orders::{
    Ask, Posting, Profiles, Reloads, SelfTests, Serving, Telling, Told, UpgradeWish, Upgrades,
};
pub use sources::{PluginReport, ProfileReport, Sources};
pub use thread::{Control, start};
