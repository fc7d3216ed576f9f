//! The numbers of the profiles for a box: one formula for each key, over cores and memory, and nowhere else.
//!
//! A layer that is new adds its keys to [`FORMULAS`]; the profiles, the page and the checks follow. What does not depend
//! on the box stands in `profiles/production.toml`.

use std::fmt;

/// A box.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Box {
    /// The name of its profile.
    pub(crate) name: &'static str,
    /// What it is like.
    pub(crate) about: &'static str,
    pub(crate) cores: u64,
    pub(crate) memory_gib: u64,
}

/// The boxes that there are profiles for, the smallest first.
pub(crate) const BOXES: [Box; 6] = [
    Box { name: "edge-1c1g", about: "a small virtual machine", cores: 1, memory_gib: 1 },
    Box { name: "small-2c4g", about: "a small server", cores: 2, memory_gib: 4 },
    Box { name: "medium-4c8g", about: "a usual server", cores: 4, memory_gib: 8 },
    Box { name: "large-8c16g", about: "a large server", cores: 8, memory_gib: 16 },
    Box {
        name: "reference-16c32g",
        about: "the server that the figures of this project are meant for",
        cores: 16,
        memory_gib: 32,
    },
    Box { name: "xlarge-32c64g", about: "a whole machine", cores: 32, memory_gib: 64 },
];

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

impl Box {
    const fn memory(self) -> u64 {
        self.memory_gib * GIB
    }

    fn connections(self) -> u64 {
        (512 * self.memory_gib).min(16_384)
    }

    fn reserve(self) -> u64 {
        (self.connections() / 8).clamp(256, 1_024)
    }

    const fn sessions(self) -> u64 {
        1_024 * self.memory_gib
    }

    fn ledger(self) -> u64 {
        (self.memory() / 8).min(2 * GIB)
    }

    fn response(self) -> u64 {
        (self.memory() / 2_048).min(2 * MIB)
    }

    const fn calls(self) -> u64 {
        64 * self.cores
    }

    const fn plugin_calls(self) -> u64 {
        self.calls() / 8
    }

    const fn task_bytes(self) -> u64 {
        self.memory() / 32
    }

    fn client_calls_per_sec(self) -> u64 {
        (20 * self.cores).min(50)
    }
}

/// A number as a profile writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Count(u64),
    Bytes(u64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Bytes(bytes) if bytes.is_multiple_of(GIB) => write!(f, "\"{}GiB\"", bytes / GIB),
            Self::Bytes(bytes) if bytes.is_multiple_of(MIB) => write!(f, "\"{}MiB\"", bytes / MIB),
            Self::Bytes(bytes) => write!(f, "\"{}KiB\"", bytes.div_ceil(KIB)),
        }
    }
}

/// How one key follows from a box.
pub(crate) struct Formula {
    /// The key, by its whole path.
    pub(crate) key: &'static str,
    /// As people read it: C cores, M GiB of memory, or other keys.
    pub(crate) formula: &'static str,
    /// Why it is so.
    pub(crate) why: &'static str,
    /// What happens beyond it; empty for what refuses nobody.
    pub(crate) beyond: &'static str,
    pub(crate) value: fn(Box) -> Value,
}

/// Every key that scales, in the order of the profiles.
pub(crate) const FORMULAS: &[Formula] = &[
    Formula {
        key: "hardware.cores",
        formula: "C",
        why: "what the profile is made for",
        beyond: "",
        value: |on| Value::Count(on.cores),
    },
    Formula {
        key: "hardware.memory_bytes",
        formula: "M GiB",
        why: "the worst case of memory must fit; `toolrack check` shows it",
        beyond: "",
        value: |on| Value::Bytes(on.memory()),
    },
    Formula {
        key: "hardware.descriptors",
        formula: "connections_max + descriptors_reserve",
        why: "each connection is a descriptor",
        beyond: "",
        value: |on| Value::Count(on.connections() + on.reserve()),
    },
    Formula {
        key: "hardware.calls_per_sec",
        formula: "5,000 x C",
        why: "a fourteenth of the 70,000 echoed calls that one core is to serve: real tools work, and half of a box is left for peaks",
        beyond: "",
        value: |on| Value::Count(5_000 * on.cores),
    },
    Formula {
        key: "hardware.connections",
        formula: "connections_max",
        why: "all that the profile lets in",
        beyond: "",
        value: |on| Value::Count(on.connections()),
    },
    Formula {
        key: "hardware.sessions",
        formula: "sessions_max",
        why: "all that the profile lets in",
        beyond: "",
        value: |on| Value::Count(on.sessions()),
    },
    Formula {
        key: "process.worker_threads",
        formula: "C",
        why: "calls that wait hold no thread, so more threads than cores only take turns",
        beyond: "",
        value: |on| Value::Count(on.cores),
    },
    Formula {
        key: "listen.public.http.connections_max",
        formula: "layer.connections.connections_max",
        why: "one listener may have them all",
        beyond: "",
        value: |on| Value::Count(on.connections()),
    },
    Formula {
        key: "session.sessions_max",
        formula: "1,024 x M",
        why: "a session takes 512 B, and 72 KiB with every resource that it may follow: 7 % of the memory",
        beyond: "429 `sessions_exhausted`",
        value: |on| Value::Count(on.sessions()),
    },
    Formula {
        key: "session.streams_max",
        formula: "56 x M",
        why: "a stream keeps its newest message, at most `response_bytes_max`: a ninth of the memory",
        beyond: "429 `sessions_exhausted`",
        value: |on| Value::Count(56 * on.memory_gib),
    },
    Formula {
        key: "reload.images_max",
        formula: "4 x C, from 8 to 16",
        why: "an image stays for good, and what it replaces may still drain on threads of its own: 20 MiB each",
        beyond: "a change is refused; a restart or an upgrade begins anew",
        value: |on| Value::Count((4 * on.cores).clamp(8, 16)),
    },
    Formula {
        key: "tasks.count_max",
        formula: "tasks.bytes_max / 64 KiB",
        why: "most tasks keep a few KiB; a few keep more",
        beyond: "429 `tasks_exhausted`",
        value: |on| Value::Count(on.task_bytes() / (64 * KIB)),
    },
    Formula {
        key: "tasks.bytes_max",
        formula: "M GiB / 32",
        why: "results wait for clients that may never ask: 3 % of the memory",
        beyond: "429 `tasks_exhausted`",
        value: |on| Value::Bytes(on.task_bytes()),
    },
    Formula {
        key: "layer.connections.connections_max",
        formula: "512 x M, at most 16,384",
        why: "a hostile HTTP/2 client makes a connection take 428 KiB: a fifth of the memory; a process with more than 16,384 was never measured",
        beyond: "503 `connections_exhausted`, closed",
        value: |on| Value::Count(on.connections()),
    },
    Formula {
        key: "layer.connections.per_address_max",
        formula: "connections_max / 8, from 64 to 256",
        why: "eight addresses have to conspire to take them all; a browser opens six",
        beyond: "429 `address_exhausted`, closed",
        value: |on| Value::Count((on.connections() / 8).clamp(64, 256)),
    },
    Formula {
        key: "layer.connections.descriptors_reserve",
        formula: "connections_max / 8, from 256 to 1,024",
        why: "files of plugins, probes, the control listener",
        beyond: "",
        value: |on| Value::Count(on.reserve()),
    },
    Formula {
        key: "layer.pre_auth_limit.requests_per_sec",
        formula: "2 x rate_limit.calls_per_sec",
        why: "pings, streams and sessions count here as well",
        beyond: "429 `rate_limited`",
        value: |on| Value::Count(2 * on.client_calls_per_sec()),
    },
    Formula {
        key: "layer.pre_auth_limit.burst_requests",
        formula: "2 s of them",
        why: "an agent that begins lists everything at once",
        beyond: "429 `rate_limited`",
        value: |on| Value::Count(4 * on.client_calls_per_sec()),
    },
    Formula {
        key: "layer.pre_auth_limit.keys_max",
        formula: "25,000 x M, at most 100,000",
        why: "32 B each: below 1 % of the memory",
        beyond: "later ones share 256 places",
        value: |on| Value::Count(keys(on)),
    },
    Formula {
        key: "layer.payload.request_bytes_max",
        formula: "ledger_bytes_max / 64, at most 4 MiB",
        why: "64 of the largest requests are read at once",
        beyond: "413 `payload_too_large`",
        value: |on| Value::Bytes((on.ledger() / 64).min(4 * MIB)),
    },
    Formula {
        key: "layer.payload.response_bytes_max",
        formula: "M MiB / 2, at most 2 MiB",
        why: "counts for every call and every stream; the first key to raise for images and files, as far as `toolrack check` allows",
        beyond: "an error instead of the result",
        value: |on| Value::Bytes(on.response()),
    },
    Formula {
        key: "layer.memory.limit_bytes",
        formula: "M GiB",
        why: "on a larger host the process keeps to its box",
        beyond: "503 `memory_exhausted` from 90 % on",
        value: |on| Value::Bytes(on.memory()),
    },
    Formula {
        key: "layer.memory.ledger_bytes_max",
        formula: "M GiB / 8, at most 2 GiB",
        why: "bodies on their way in take an eighth of the memory",
        beyond: "503 `memory_exhausted`",
        value: |on| Value::Bytes(on.ledger()),
    },
    Formula {
        key: "layer.rate_limit.calls_per_sec",
        formula: "20 x C, at most 50",
        why: "many times what an agent that reads its answers sends, and no more than a small box bears from one of many",
        beyond: "429 `rate_limited`",
        value: |on| Value::Count(on.client_calls_per_sec()),
    },
    Formula {
        key: "layer.rate_limit.burst_calls",
        formula: "2 s of them",
        why: "an agent calls several tools at once, then thinks",
        beyond: "429 `rate_limited`",
        value: |on| Value::Count(2 * on.client_calls_per_sec()),
    },
    Formula {
        key: "layer.rate_limit.keys_max",
        formula: "25,000 x M, at most 100,000",
        why: "32 B each and limit: about 1 % of the memory",
        beyond: "later ones share 256 places",
        value: |on| Value::Count(keys(on)),
    },
    Formula {
        key: "layer.fairness.client_calls_max",
        formula: "concurrency.calls_max / 8",
        why: "eight greedy clients have to come together to keep others waiting",
        beyond: "they wait, then 429 `client_busy`",
        value: |on| Value::Count(on.calls() / 8),
    },
    Formula {
        key: "layer.fairness.client_queue_calls_max",
        formula: "2 x client_calls_max, at most 128",
        why: "a burst of three times of what may be under way",
        beyond: "429 `client_busy`",
        value: |on| Value::Count((on.calls() / 4).min(128)),
    },
    Formula {
        key: "layer.fairness.queue_calls_max",
        formula: "4 x concurrency.calls_max, at most 4,096",
        why: "what is served within the longest wait where calls take a quarter of it",
        beyond: "429 `overloaded`",
        value: |on| Value::Count((4 * on.calls()).min(4_096)),
    },
    Formula {
        key: "layer.concurrency.calls_max",
        formula: "64 x C",
        why: "most calls wait for something else most of the time; above that, latency grows and goodput does not",
        beyond: "429 `overloaded`",
        value: |on| Value::Count(on.calls()),
    },
    Formula {
        key: "layer.bulkhead.concurrent_calls",
        formula: "calls_max / 8",
        why: "a plugin that hangs leaves the others most of the house",
        beyond: "they wait",
        value: |on| Value::Count(on.plugin_calls()),
    },
    Formula {
        key: "layer.bulkhead.queue_calls",
        formula: "2 x concurrent_calls",
        why: "a burst of three times of what is at work",
        beyond: "429 `plugin_busy`",
        value: |on| Value::Count(2 * on.plugin_calls()),
    },
    Formula {
        key: "layer.bulkhead.response_bytes_max",
        formula: "payload.response_bytes_max",
        why: "larger ones would not be passed on",
        beyond: "the plugin is told so",
        value: |on| Value::Bytes(on.response()),
    },
];

fn keys(on: Box) -> u64 {
    (25_000 * on.memory_gib).min(100_000)
}
