//! The TOML as an operator writes it. Every comment in here is the documentation of its key.

mod hardware;
mod history;
mod listen;
mod plugin;
mod reload;

use std::collections::BTreeMap;

use middleware::{
    ByteSize, bulkhead, circuit_breaker, concurrency, connections, fairness, http, memory, origin,
    payload, pre_auth_limit, rate_limit, timeout,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::LogFormat;

pub(crate) use hardware::Hardware;
pub(crate) use history::History;
pub(crate) use listen::{Http, Listen};
pub(crate) use plugin::{Plugin, PluginLimits, ToolLimits};
pub(crate) use reload::{Probation, Reload};

/// The number that `format` must have.
pub(crate) const FORMAT: u64 = 1;

/// A toolrack profile.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Toolrack profile")]
pub(crate) struct Profile {
    /// The format of this file. Must be 1.
    pub(crate) format: u64,
    /// The profile that this one changes: the name of a built-in profile, or a path from this file's folder. Tables
    /// are merged key by key; lists and values replace those of the base. Default: none.
    #[serde(default)]
    pub(crate) extends: Option<String>,
    /// The box that this profile is made for, compared with the host at start. Absent: any box.
    #[serde(default)]
    pub(crate) hardware: Option<Hardware>,
    /// What clients are told about this server.
    #[serde(default)]
    pub(crate) server: Server,
    /// Where clients come in, each under a name of your choice. At least one is needed.
    #[serde(default)]
    pub(crate) listen: BTreeMap<String, Listen>,
    /// Health, metrics and administration, on a listener and a thread of their own. Absent: there is none.
    #[serde(default)]
    pub(crate) control: Option<Control>,
    /// Bounds of sessions (revisions up to 2025-11-25) and of streams.
    #[serde(default)]
    pub(crate) session: Session,
    /// Bounds of tasks: calls whose result the client asks for later (revision 2026-07-28).
    #[serde(default)]
    pub(crate) tasks: Tasks,
    /// The protections, one table each. An absent table means that the layer is off.
    #[serde(default)]
    pub(crate) layer: Layers,
    /// Plugins, each under a name of your choice.
    #[serde(default)]
    pub(crate) plugin: BTreeMap<String, Plugin>,
    /// How a change of this profile comes into a process that runs.
    #[serde(default)]
    pub(crate) reload: Reload,
    /// What is kept of the generations that served, to go back to.
    #[serde(default)]
    pub(crate) history: History,
    /// How the process ends.
    #[serde(default)]
    pub(crate) shutdown: Shutdown,
    /// Threads.
    #[serde(default)]
    pub(crate) process: Process,
    /// The operator's log, on standard error.
    #[serde(default)]
    pub(crate) log: Log,
    /// How a client carries a plugin's state between two rounds of a call (revision 2026-07-28).
    #[serde(default)]
    pub(crate) request_state: RequestState,
}

/// What clients are told about this server.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// `serverInfo.name`. Default: `toolrack`.
    pub(crate) name: String,
    /// `serverInfo.title`, for people. Default: none.
    pub(crate) title: Option<String>,
    /// What a model should know of this server as a whole; the plugins' own instructions follow it. Default: none.
    pub(crate) instructions: Option<String>,
    /// Most items on one page of a list; clients ask for the next page. From 1 to 10000. Default: 250, which keeps a
    /// page of described tools below 1 MiB.
    pub(crate) page_items_max: u64,
    /// Milliseconds for which a 2026-07-28 client may keep a list without asking again. Default: 60000.
    pub(crate) list_ttl_ms: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            name: "toolrack".to_owned(),
            title: None,
            instructions: None,
            page_items_max: 250,
            list_ttl_ms: 60_000,
        }
    }
}

/// The control listener.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Control {
    /// `address:port`, or `unix:/path/to/socket`. Port 0 takes a free one.
    pub(crate) bind: String,
    /// Whether `bind` may be an address that other hosts reach. Whoever reaches it reads metrics, the plan and
    /// why requests were refused.
    /// Default: false.
    #[serde(default)]
    pub(crate) allow_remote: bool,
    /// Whether `toolrack selftest` may open a lane beside the listeners, with states, counts and a plugin of its own,
    /// and attack the protections in it. On a loopback address or a Unix socket only: it is the one thing here that
    /// makes the process work. Default: true there, since whoever gets that far is on this machine, and a lane is
    /// bounded and harms nobody; false elsewhere.
    #[serde(default)]
    pub(crate) selftest: Option<bool>,
    /// Whether `POST /admin/profile` and `toolrack diff` may hand over profiles, to be tried or to take the place of this
    /// one while the process lives. On a loopback address or a Unix socket only. Whoever may post a profile says what the
    /// process does, as whoever may write its file: on a loopback address that is the user who runs it and root, on a Unix
    /// socket whom its file lets in. Default: true there; false elsewhere.
    #[serde(default)]
    pub(crate) allow_profile: Option<bool>,
    /// Refusals of each kind that `/admin/explain` remembers, the last ones; a flood of one kind leaves those of others
    /// alone. Each takes about 150 bytes once its kind has come. From 0, which is none, to 65536. Default: 512: at a
    /// thousand refusals a second, the time to ask at once; all kinds together take 1.5 MB at most.
    #[serde(default = "refusals_kept")]
    pub(crate) refusals_kept: u64,
}

const fn refusals_kept() -> u64 {
    512
}

/// Bounds of sessions and streams.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Session {
    /// Most sessions at once. At the limit: 429. Default: 10000.
    pub(crate) sessions_max: u64,
    /// Milliseconds without a request after which a session ends. Default: 1800000, half an hour.
    pub(crate) idle_ms: u64,
    /// Most streams at once: event streams of sessions, streamed answers, subscriptions. At the limit: 429.
    /// Default: 2000.
    pub(crate) streams_max: u64,
    /// Most events that a stream keeps for a client that comes back; the oldest leave first. Default: 256.
    pub(crate) replay_events_max: u64,
    /// Most bytes of those events. Default: 1 MiB.
    pub(crate) replay_bytes_max: ByteSize,
    /// Milliseconds for which a finished stream can still be read. Default: 300000, five minutes.
    pub(crate) replay_ms: u64,
    /// Most resources that one session or subscription follows. At the limit: an error. Default: 1000.
    pub(crate) subscriptions_max: u64,
    /// Milliseconds that a client has to answer a question of a tool. Default: 300000, five minutes: people answer.
    pub(crate) answer_ms: u64,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            sessions_max: 10_000,
            idle_ms: 1_800_000,
            streams_max: 2_000,
            replay_events_max: 256,
            replay_bytes_max: ByteSize::mib(1),
            replay_ms: 300_000,
            subscriptions_max: 1_000,
            answer_ms: 300_000,
        }
    }
}

/// Bounds of tasks.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tasks {
    /// Most tasks at once, finished ones that can still be asked for included. At the limit: 429. Default: 1000.
    pub(crate) count_max: u64,
    /// Most bytes that all tasks keep together: requests, questions, answers, results. At the limit: 429, and a result
    /// that has no room fails its task. Default: 64 MiB.
    pub(crate) bytes_max: ByteSize,
    /// Milliseconds after its creation for which a task can be asked for. Default: 3600000, one hour.
    pub(crate) ttl_ms: u64,
    /// Milliseconds after its creation by which a task must be done, time for answers included. At the limit: it is
    /// cancelled and failed. The call timeout and the plugins' deadlines do not apply to tasks. At most `ttl_ms`.
    /// Default: 600000, ten minutes.
    pub(crate) deadline_ms: u64,
    /// Milliseconds that clients are asked to leave between two looks at a task. Default: 1000.
    pub(crate) poll_ms: u64,
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            count_max: 1_000,
            bytes_max: ByteSize::mib(64),
            ttl_ms: 3_600_000,
            deadline_ms: 600_000,
            poll_ms: 1_000,
        }
    }
}

/// The protections.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Layers {
    /// How many connections may be open, and for how long.
    pub(crate) connections: Option<connections::Config>,
    /// What the head of a request may be, and what an HTTP/2 connection may ask for.
    pub(crate) http: Option<http::Config>,
    /// Which hosts and origins may speak to this server.
    pub(crate) origin: Option<origin::Config>,
    /// How many requests an address may send, whatever they ask for.
    pub(crate) pre_auth_limit: Option<pre_auth_limit::Config>,
    /// How large requests and answers may be.
    pub(crate) payload: Option<payload::Config>,
    /// How near to its memory limit the process may come, and how many bytes bodies may take.
    pub(crate) memory: Option<memory::Config>,
    /// How often a client may call, and a tool be called.
    pub(crate) rate_limit: Option<rate_limit::Config>,
    /// Who waits for a permit of `concurrency`, for how long, and what one client may have.
    pub(crate) fairness: Option<fairness::Config>,
    /// How many calls may be in the house at once, and what each class is guaranteed of it.
    pub(crate) concurrency: Option<concurrency::Config>,
    /// When calls of a tool that fails are refused at once.
    pub(crate) circuit_breaker: Option<circuit_breaker::Config>,
    /// How long a call may take.
    pub(crate) timeout: Option<timeout::Config>,
    /// How many calls of one plugin, and of one tool, may be at work at once.
    pub(crate) bulkhead: Option<bulkhead::Config>,
}

/// How the process ends.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Shutdown {
    /// Milliseconds between the signal and the end of accepting: time for a load balancer to notice that `/readyz` has
    /// turned. Default: 0.
    pub(crate) notice_ms: u64,
    /// Milliseconds for calls in flight to finish. At the limit: they are cut. Default: 30000.
    pub(crate) drain_ms: u64,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { notice_ms: 0, drain_ms: 30_000 }
    }
}

/// Threads.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Process {
    /// Threads that serve clients, from 1 to 1024. Default: one for each core that the process may use.
    pub(crate) worker_threads: Option<u64>,
}

/// The operator's log.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// What is written: `error`, `warn`, `info`, `debug`, `trace`, or finer: `info,transport=debug`. Default: `info`.
    pub(crate) filter: String,
    /// Shape of a line: `auto` is text on a terminal and JSON otherwise. Default: `auto`.
    pub(crate) format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Auto }
    }
}

/// How a client carries a plugin's state.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RequestState {
    /// The secret that seals the state, at least 32 bytes. Give every replica the same. It may change while the process
    /// serves: the last four before it open what they have sealed until its time is over. Default: a random one, which
    /// ends with the process.
    pub(crate) key: Option<Secret>,
    /// Milliseconds that a client may take between two rounds. Default: 600000, ten minutes.
    pub(crate) ttl_ms: u64,
}

impl Default for RequestState {
    fn default() -> Self {
        Self { key: None, ttl_ms: 600_000 }
    }
}

/// Where a secret is: exactly one of the two. A secret is never written into a profile.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secret {
    /// An environment variable.
    #[serde(default)]
    pub(crate) env: Option<String>,
    /// A file.
    #[serde(default)]
    pub(crate) file: Option<String>,
}
