//! The way in over TCP: accepts connections and serves them with hyper, under deadlines and by the layers
//! `connections` and `http`.
//!
//! Speaks HTTP/1.1 and, with prior knowledge, HTTP/2 on the same port. Knows nothing of MCP: it hands requests to a
//! service. Deadlines for a request's body and for its answer are the service's own.

mod answered;
mod connection;
mod door;
mod drain;
mod farewell;
mod flood;
mod listener;
pub mod metrics;
mod progress;
mod serve;
mod socket;
mod streams;
#[cfg(test)]
mod tests;
mod watched;

pub use drain::{Drain, DrainHandle, drain};
pub use listener::{Guards, Listener, State};
pub use socket::{BindError, Socket};
