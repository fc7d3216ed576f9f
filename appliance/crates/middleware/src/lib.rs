//! Each layer: its settings, its state, its behaviour.
//!
//! One folder for each layer. Its name is the TOML table, the metric label and the word in every log line.
//! `connections` sees a connection before its first byte; edge layers see a [`protocol::Head`] and refuse before
//! the body is read; call layers see a [`protocol::Call`]. Layers never know each other or their order: `stack` does.

pub mod buckets;
pub mod bulkhead;
pub mod circuit_breaker;
pub mod concurrency;
pub mod connections;
pub mod edge;
pub mod fairness;
pub mod http;
mod mean;
pub mod memory;
pub mod mode;
pub mod origin;
pub mod payload;
pub mod pre_auth_limit;
pub mod rate_limit;
pub mod roster;
pub mod size;
#[cfg(test)]
mod testing;
pub mod timeout;

pub use mode::Mode;
pub use roster::Roster;
pub use size::ByteSize;
