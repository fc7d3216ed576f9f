//! Turns a dynamic library into safe Rust values, or says why not.
//!
//! Nothing here trusts a plugin's answers: lengths, text, JSON and completions are checked before they leave this
//! crate. What inline isolation cannot give: a plugin that corrupts memory takes the process with it, and a blocking
//! call cannot be stopped, only left behind. Libraries are never unloaded.

mod buffer;
mod call;
mod core;
mod create;
mod describe;
mod descriptor;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod host_functions;
pub mod images;
mod line;
mod load;
mod log_lines;
mod manifest;
mod older;
mod outcome;
mod plugin;
mod promise;
mod reload;
mod settings;
mod slots;
mod stamp;
mod start;
mod threads;
mod usage;

pub use call::{Invocation, PendingCall};
pub use describe::{
    Described, Exec, ExecMode, HeaderKind, HeaderParam, ItemDescription, TaskSupport,
};
pub use error::{LoadError, StopError};
pub use manifest::{Inspection, Manifest, inspect};
pub use plugin::{Item, Plugin, PluginState};
pub use settings::{Limits, Notice, NoticeSink, Settings};
pub use slots::CounterSnapshot;
pub use stamp::Stamp;
