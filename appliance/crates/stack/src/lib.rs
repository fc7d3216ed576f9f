//! Builds the stack of a plan: the layers in order, the catalogue, the dispatch.
//!
//! A stack is immutable. What outlives it (permits, keys, plugins) comes in a [`Kit`]; what changes makes a new
//! stack.

mod build;
mod catalogue;
mod closing;
mod dispatch;
mod kit;
mod order;
mod quarantine;
mod seal;
mod start;

pub use build::{Stack, build};
pub use catalogue::BuildError;
pub use catalogue::{Catalogue, Identity, Pages};
pub use kit::Kit;
pub use order::ORDER;
pub use seal::{CarriedKey, KeyError, Seal};
pub use start::{
    Known, PLUGIN_GRACE, StartError, Started, library_of, start_plugins, stop_plugins,
};
