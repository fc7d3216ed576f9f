//! Health, metrics and the effective plan, on a thread and a listener of their own.
//!
//! Nothing in here waits for the data plane: an answer is a look at atomics, or a text that was made a moment ago.

mod answers;
mod listener;
#[cfg(test)]
mod tests;

pub use answers::{PluginReport, Sources};
pub use listener::{Control, ControlAddress, StartError, start};
