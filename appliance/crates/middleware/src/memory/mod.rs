//! Keeps the process from running out of memory: it refuses before the kernel kills.
//!
//! The *ledger* is a budget of bytes for bodies. A body takes what it declares, or 64 KiB at a time, before it is read,
//! and gives it back when its text is dropped; answers count as well. A body that finds no room is refused with 503 and
//! `Retry-After`, unread.
//!
//! The *ladder* looks every moment how much memory is used, of the limit that is nearest: that of a control group of
//! either version, of the machine, or `limit_bytes`. Where something waits for memory in more than a tenth of the time,
//! the level is one higher.
//!
//! | level | what is refused or shortened |
//! |---|---|
//! | soft | new streams; idle connections are kept for half their time |
//! | high | idle connections are kept for ever less, down to 2 s at critical |
//! | hard | tools and resources |
//! | critical | everything but cancellations, answers to questions and pings; new connections |
//!
//! The control listener is never refused. Prior art: Envoy's overload manager, systemd's and the kernel's pressure
//! stall information, and the byte reservations of Kafka's request memory pool.
//!
//! ```toml
//! [layer.memory]
//! limit_bytes = "512MiB"
//! ledger_bytes_max = "128MiB"
//! ```

mod call;
mod config;
mod gate;
mod ladder;
mod request;
mod state;
#[cfg(test)]
mod tests;

pub use call::{MemoryCall, MemoryCallLayer};
pub use config::Config;
pub use gate::{Gate, STEP_BYTES};
pub use request::{MemoryRequest, MemoryRequestLayer};
pub use state::{State, Status};

/// The layer's name.
pub const NAME: &str = "memory";
