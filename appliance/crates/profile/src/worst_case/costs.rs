//! What one of each thing takes at most, and where the figure is from.
//!
//! *Measured* means: a release build on Linux 6.18 (x86-64, mimalloc), resident memory before and
//! after, rounded up. `cargo ci bench idle` measures the process, kept connections and sessions again.

use middleware::ByteSize;

/// One figure.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Its name in the reference.
    pub name: &'static str,
    /// The figure.
    pub size: ByteSize,
    /// Where it is from.
    pub source: &'static str,
}

impl Cost {
    const fn new(name: &'static str, size: ByteSize, source: &'static str) -> Self {
        Self { name, size, source }
    }

    pub(super) const fn bytes(self) -> u64 {
        self.size.0
    }
}

/// The process before anybody comes.
pub const PROCESS: Cost = Cost::new(
    "the process itself",
    ByteSize::mib(16),
    "measured: 10 MiB with 1 to 16 worker threads and no plugin; the rest is for tables that grow with use",
);
/// A refusal that is remembered of each kind.
pub const REFUSAL: Cost = Cost::new(
    "a remembered refusal of each kind",
    ByteSize::kib(4),
    "counted: 136 bytes for each of 19 kinds, and room for as many more",
);
/// The control listener at work.
pub const CONTROL: Cost = Cost::new(
    "the control listener",
    ByteSize::mib(18),
    "counted: one text of metrics that is kept and one that is made, 8 MiB each at most, and 64 connections of 32 KiB",
);
/// A thread.
pub const THREAD: Cost =
    Cost::new("a thread", ByteSize::mib(2), "the stack of Rust's threads, all of it touched");
/// A connection that waits.
pub const CONNECTION: Cost = Cost::new(
    "a connection that is kept",
    ByteSize::kib(14),
    "measured: 13,488 B over 3,000 kept connections, each with its session",
);
/// An HTTP/2 connection without streams.
pub const HTTP2_CONNECTION: Cost = Cost::new(
    "an HTTP/2 connection without streams",
    ByteSize::kib(28),
    "measured: 24.9 KiB over 100 connections after their settings",
);
/// What an HTTP/2 stream takes besides its head.
pub const HTTP2_STREAM: Cost = Cost::new(
    "an HTTP/2 stream besides its head",
    ByteSize::kib(8),
    "measured: 5.9 KiB with a small head and 14.6 KiB with one of 7.5 KiB, over 1,600 requests that wait for their body; \
     later it is an answer below 4 KiB, which no ledger counts",
);
/// A call under way, without bodies.
pub const CALL: Cost = Cost::new(
    "a call without its bodies",
    ByteSize::kib(16),
    "counted: its future, its deadline, its places, its head, answers below 4 KiB",
);
/// A session that waits.
pub const SESSION: Cost =
    Cost::new("a session", ByteSize(512), "measured: 214 B over 20,000 idle sessions");
/// A resource that a session or a stream follows.
pub const SUBSCRIPTION: Cost = Cost::new(
    "a resource that is followed",
    ByteSize(2_304),
    "counted: its URI, 2,048 B at most, and a place in two maps",
);
/// A stream without its messages.
pub const STREAM: Cost = Cost::new(
    "a stream without its messages",
    ByteSize::kib(2),
    "measured: 1,254 B over 1,500 open streams",
);
/// The longest message that is no result.
pub const MESSAGE: Cost =
    Cost::new("a message that is no result", ByteSize::kib(64), "counted: plugins are held to it");
/// Output that waits for the reader of standard output.
pub const STDIO: Cost =
    Cost::new("standard input and output", ByteSize::kib(512), "counted: both buffers");
/// A key of a limit.
pub const LIMIT_KEY: Cost = Cost::new(
    "a key of a limit",
    ByteSize(32),
    "measured: 22 MiB for a million keys, and tables that double where it hurts most",
);
/// A plugin's library.
pub const PLUGIN: Cost = Cost::new(
    "a plugin without its calls",
    ByteSize::mib(4),
    "measured: 2.4 MiB for `echo`; what a plugin takes for itself is its own",
);

/// A generation that does not serve, or not any more.
pub const GENERATION: Cost = Cost::new(
    "a generation besides the one that serves",
    ByteSize::mib(2),
    "counted: the text of its profile, 1 MiB at most, and its values, layers and lists as much again; besides those that \
     drain there is one that is built and one that a probation may bring back",
);
/// What is kept of a generation that served.
pub const RECORD: Cost = Cost::new(
    "the record of a generation",
    ByteSize::mib(4),
    "counted: the longest file that is read as one",
);

/// Large bodies and answers that are gone.
pub const SPARES: Cost = Cost::new(
    "memory of large bodies and answers that waits for the next ones",
    ByteSize(mapped::SPARES_BYTES_MAX as u64),
    "counted: what is more goes back to the system",
);

/// The allocator wastes at most one part in so many: mimalloc's size classes are an eighth apart.
pub const ALLOCATOR_PART: u64 = 8;

/// Every figure, in the order in which the terms use them.
pub const ALL: [Cost; 18] = [
    PROCESS,
    SPARES,
    THREAD,
    REFUSAL,
    CONTROL,
    CONNECTION,
    HTTP2_CONNECTION,
    HTTP2_STREAM,
    CALL,
    SESSION,
    SUBSCRIPTION,
    STREAM,
    MESSAGE,
    STDIO,
    LIMIT_KEY,
    PLUGIN,
    GENERATION,
    RECORD,
];
