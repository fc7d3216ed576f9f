//! Load on an MCP server over HTTP, what came back, and the receipt that says so.
//!
//! One generator for `toolrack bench` and for the repository's own benchmark. It keeps to a schedule: a call that
//! comes late because the server is slow counts from the moment it was due, so that waiting is never left out. What the
//! generator itself waits is no delay of the server: a latency ends when the kernel had the whole answer, and how late
//! calls were sent although a client was free is a figure of its own.

pub mod answer;
mod arrival;
pub mod client;
pub mod health;
mod line;
pub mod load;
pub mod machine;
pub mod pace;
pub mod process;
pub mod receipt;
pub mod tally;
pub mod target;
pub mod trial;
pub mod wire;
mod workload;

pub use client::Client;
pub use load::Load;
pub use pace::Pace;
pub use tally::Tally;
pub use target::Target;
pub use wire::Era;
pub use workload::Workload;
