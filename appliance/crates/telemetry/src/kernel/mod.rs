//! What the kernel says of the limits around this process: control groups of both versions, memory, pressure.
//!
//! The readers of text are pure; [`MemoryProbe`] is the one that asks again and again.

mod groups;
mod memory;
mod probe;

pub use groups::{Version, folders};
pub use memory::{group_limit, total_bytes};
pub use probe::{MemoryProbe, MemoryReading, MemoryUse};

/// The first number after `name` at the start of a line.
pub(crate) fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}
