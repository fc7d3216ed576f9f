//! The words everyone speaks: a call, a reply, a refusal, and their JSON.
//!
//! Pure: nothing in here does I/O, knows TOML or spawns. Sources of the rules: the MCP specification,
//! revisions 2024-11-05 to 2026-07-28.

pub mod bound;
pub mod call;
pub mod capabilities;
pub mod class;
pub mod class_bound;
pub mod codes;
pub mod encode;
pub mod envelope;
pub mod event;
pub mod fields;
pub mod head;
#[cfg(all(test, any(feature = "loom", feature = "shuttle")))]
mod interleavings;
pub mod json;
pub mod lease;
pub mod memory;
pub mod method;
pub mod principal;
pub mod quota;
pub mod refusal;
pub mod reply;
pub mod revision;
pub mod sync;
pub mod target;
pub mod task;

pub use bound::{Bound, Held, Keeper, Permit, Reading, Share};
pub use call::{Aimed, Call, Particulars};
pub use capabilities::ClientCapabilities;
pub use class::Class;
pub use class_bound::{ClassBound, Shares, Waiters};
pub use envelope::{Envelope, EnvelopeError, Id, MetaKey, Param, Shape};
pub use event::{Event, EventReceiver, EventSender, LogLevel};
pub use fields::{Field, Fields};
pub use head::{Admission, Entry, Head, Peer};
pub use lease::{Lease, Lender};
pub use memory::{MemoryGauge, MemoryLevel};
pub use method::Method;
pub use principal::{Principal, Salt, counted};
pub use quota::Quota;
pub use refusal::{Cause, Refusal, RefusalId, RefusalKind};
pub use reply::{CacheHint, CacheScope, Content, Fault, InputRequired, Outcome, Reply};
pub use revision::{Era, Revision};
pub use target::{Target, TargetItem};
pub use task::{TaskDetail, TaskState, TaskStatus};

/// Prefix of the keys that the protocol reserves in `_meta`.
pub const META_PREFIX: &str = "io.modelcontextprotocol/";
