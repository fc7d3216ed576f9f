//! A profile after checking: complete, resolved, comparable, printable, inert.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use middleware::{
    Mode, bulkhead, circuit_breaker, concurrency, connections, fairness, http, memory, origin,
    payload, pre_auth_limit, rate_limit, timeout,
};
use serde::Serialize;

use crate::identity::Identity;

/// Everything that a running appliance is made of. Holds no default to be filled in later.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The profile's name: a built-in name, or the file's stem.
    pub name: Arc<str>,
    /// What the profile says, as one number.
    pub identity: Identity,
    /// The box that it is made for; `None`: any.
    pub hardware: Option<HardwarePlan>,
    /// What clients are told about this server.
    pub server: ServerPlan,
    /// Where clients come in, in the order of their names.
    pub listeners: Vec<ListenerPlan>,
    /// Health, metrics and administration; `None`: no control listener.
    pub control: Option<ControlPlan>,
    /// Bounds of legacy sessions and of streams.
    pub session: SessionPlan,
    /// Bounds of tasks.
    pub tasks: TasksPlan,
    /// Every layer, present or off.
    pub layers: LayersPlan,
    /// Plugins in the order of their names.
    pub plugins: Vec<PluginPlan>,
    /// How a changed profile comes into the process.
    pub reload: ReloadPlan,
    /// What is kept of the generations that served.
    pub history: HistoryPlan,
    /// How the process ends.
    pub shutdown: ShutdownPlan,
    /// Threads of the data plane.
    pub process: ProcessPlan,
    /// What the operator reads.
    pub log: LogPlan,
    /// Key of `requestState`.
    pub request_state: RequestStatePlan,
}

/// The box that a profile is made for, and what is expected of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HardwarePlan {
    /// Cores that the process may use.
    pub cores: usize,
    /// Memory that it may use.
    pub memory_bytes: u64,
    /// Files and sockets that it may open.
    pub descriptors: Option<u64>,
    /// Calls each second that are expected.
    pub calls_per_sec: Option<u64>,
    /// Connections at once that are expected.
    pub connections: Option<u64>,
    /// Sessions at once that are expected.
    pub sessions: Option<u64>,
    /// What to do on a host that has less.
    pub mismatch: Mismatch,
}

/// What to do on a host that has less than a profile is made for.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Mismatch {
    /// Start, and say so.
    #[default]
    Warn,
    /// Do not start.
    Refuse,
}

/// What clients are told about this server.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerPlan {
    /// `serverInfo.name`.
    pub name: String,
    /// `serverInfo.title`.
    pub title: Option<String>,
    /// `instructions` of `initialize` and `server/discover`.
    pub instructions: Option<String>,
    /// Items on one page of a list.
    pub page_items_max: usize,
    /// How long a modern client may keep a list.
    pub list_ttl: Duration,
}

impl Plan {
    /// Every file that a secret is in.
    #[must_use]
    pub fn secret_files(&self) -> Vec<&Path> {
        let secrets = [self.request_state.key.as_ref()].into_iter().flatten();
        let file = |secret| match secret {
            &SecretSource::Env(_) => None,
            SecretSource::File(path) => Some(path.as_path()),
        };
        secrets.filter_map(file).collect()
    }

    /// The HTTP listener with this name; each name is there once.
    #[must_use]
    pub fn http(&self, name: &str) -> Option<&HttpPlan> {
        let listener = self.listeners.iter().find(|listener| *listener.name == *name)?;
        match &listener.transport {
            TransportPlan::Http(http) => Some(http),
            TransportPlan::Stdio(_) => None,
        }
    }

    /// Connections of clients at once: what the listeners take together, within the `connections` layer's own bound.
    #[must_use]
    pub fn connections_max(&self) -> u64 {
        let of_listeners = self.listeners.iter().map(|listener| match &listener.transport {
            TransportPlan::Http(http) => http.connections_max as u64,
            TransportPlan::Stdio(_) => 0,
        });
        let of_listeners = of_listeners.fold(0, u64::saturating_add);
        let layer = &self.layers.connections;
        match layer.mode {
            Mode::Enforce => of_listeners.min(layer.connections_max as u64),
            Mode::Shadow | Mode::Off => of_listeners,
        }
    }
}

/// One way in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ListenerPlan {
    /// Its name in the profile.
    pub name: Arc<str>,
    /// Its transport.
    pub transport: TransportPlan,
}

/// The transport of a listener.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TransportPlan {
    /// Streamable HTTP.
    Http(HttpPlan),
    /// Lines on standard input and output.
    Stdio(StdioPlan),
}

/// A Streamable HTTP listener.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HttpPlan {
    /// Address; port 0 takes a free one.
    pub bind: SocketAddr,
    /// The one MCP endpoint.
    pub path: String,
    /// Networks of proxies that say for whom they speak.
    pub trusted_proxies: Vec<IpNet>,
    /// Connections at once.
    pub connections_max: usize,
    /// From accept to the first byte, and to the end of the protocol sniff.
    pub first_byte_deadline: Duration,
    /// From the first byte of a request to the end of its head.
    pub head_deadline: Duration,
    /// For a whole request body.
    pub body_deadline: Duration,
    /// Least bytes per second of a body; 0: no bound.
    pub body_bytes_per_sec_min: usize,
    /// Over which that rate is measured.
    pub body_window: Duration,
    /// Without a request on a kept-alive connection.
    pub idle_deadline: Duration,
    /// Without the socket taking a byte while there is something to send.
    pub write_deadline: Duration,
    /// Between comment lines on a silent stream.
    pub heartbeat: Duration,
}

/// The stdio listener.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StdioPlan {
    /// Requests of the one client at once; more are refused.
    pub calls_max: usize,
}

/// The control listener.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ControlPlan {
    /// Where it listens.
    pub bind: ControlBind,
    /// Whether no other host reaches it: then it also takes orders.
    pub is_local: bool,
    /// Whether self-tests may be begun; never where other hosts reach it.
    pub selftest: bool,
    /// Whether profiles may be posted; never where other hosts reach it.
    pub takes_profiles: bool,
    /// Refusals of each kind that it can explain.
    pub refusals_kept: usize,
}

/// Where the control listener is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlBind {
    /// TCP; off loopback only when the profile says so.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Bounds of legacy sessions and of streams.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SessionPlan {
    /// Sessions at once.
    pub sessions_max: usize,
    /// Without a request, after which a session ends.
    pub idle: Duration,
    /// Streams at once: GET streams, streamed answers, `subscriptions/listen`.
    pub streams_max: usize,
    /// Events that one stream keeps for a client that comes back.
    pub replay_events_max: usize,
    /// Bytes of those events.
    pub replay_bytes_max: usize,
    /// How long a finished stream can still be asked for.
    pub replay: Duration,
    /// Resource subscriptions of one session or listen stream.
    pub subscriptions_max: usize,
    /// How long a client has to answer a question.
    pub answer_deadline: Duration,
}

/// Bounds of tasks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TasksPlan {
    /// Tasks at once, finished ones that can still be asked for included.
    pub count_max: usize,
    /// Bytes that all tasks keep together.
    pub bytes_max: usize,
    /// How long after its creation a task can be asked for.
    pub ttl: Duration,
    /// How long after its creation a task must be done; at most `ttl`.
    pub deadline: Duration,
    /// What clients are asked to leave between two looks.
    pub poll: Duration,
}

/// Every layer of this stack.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayersPlan {
    /// Connections at once.
    pub connections: connections::Config,
    /// Heads and HTTP/2.
    pub http: http::Config,
    /// Host and Origin.
    pub origin: origin::Config,
    /// Requests by address.
    pub pre_auth_limit: pre_auth_limit::Config,
    /// Sizes.
    pub payload: payload::Config,
    /// Memory.
    pub memory: memory::Config,
    /// Calls by client and tool.
    pub rate_limit: rate_limit::Config,
    /// Calls that wait.
    pub fairness: fairness::Config,
    /// Calls at once.
    pub concurrency: concurrency::Config,
    /// Tools that fail.
    pub circuit_breaker: circuit_breaker::Config,
    /// Deadlines.
    pub timeout: timeout::Config,
    /// Calls at once of each plugin and tool.
    pub bulkhead: bulkhead::Config,
}

/// One plugin.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PluginPlan {
    /// Its name in the profile.
    pub name: Arc<str>,
    /// The library as the profile names it.
    pub library: PathBuf,
    /// Folders in which a bare file name is looked for, in order.
    pub search: Vec<PathBuf>,
    /// The plugin's own table, as one JSON object.
    pub config_json: String,
    /// Its limits.
    pub limits: PluginLimitsPlan,
    /// Limits of single tools.
    pub tools: BTreeMap<Arc<str>, ToolLimitsPlan>,
}

/// Limits of one tool.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToolLimitsPlan {
    /// Calls at once.
    pub concurrent_calls: usize,
    /// The same for a tool that blocks.
    pub blocking_calls: usize,
    /// Calls that wait.
    pub queue_calls: usize,
    /// For one call.
    pub deadline: Duration,
}

impl ToolLimitsPlan {
    /// Of each tool without limits of its own: half of its plugin's, so that one that hangs leaves the others the rest.
    #[must_use]
    pub fn usual(
        concurrent_calls: usize,
        queue_calls: usize,
        threads_max: usize,
        deadline: Duration,
    ) -> Self {
        Self {
            concurrent_calls: concurrent_calls.div_ceil(2),
            blocking_calls: concurrent_calls.min(threads_max).div_ceil(2),
            queue_calls: queue_calls.div_ceil(2),
            deadline,
        }
    }
}

/// Limits of one plugin.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PluginLimitsPlan {
    /// Calls at once.
    pub concurrent_calls: usize,
    /// Calls that wait for their turn.
    pub queue_calls: usize,
    /// Threads for blocking tools.
    pub threads_max: usize,
    /// For one call.
    pub deadline: Duration,
    /// Of one result.
    pub response_bytes_max: usize,
    /// How long a non-blocking tool may hold a data-plane thread.
    pub overrun: Duration,
    /// After how many overruns it moves to the plugin's own threads.
    pub overruns_max: u32,
    /// Of every tool that has none of its own.
    pub each_tool: ToolLimitsPlan,
}

/// How a changed profile comes into the process.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReloadPlan {
    /// Whether its files are watched.
    pub watch: bool,
    /// For loading and starting plugins.
    pub stage_deadline: Duration,
    /// Least time between two changes of what serves.
    pub interval: Duration,
    /// Generations that may drain at once.
    pub draining_generations_max: usize,
    /// Longest that a generation drains.
    pub drain: Duration,
    /// Libraries in memory at once.
    pub images_max: usize,
    /// How a change is watched after it came in.
    pub probation: ProbationPlan,
}

/// How a changed profile is watched after it came in. Shares are in points of a hundred; 100: not compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbationPlan {
    /// Whether it is.
    pub mode: ProbationMode,
    /// How long.
    pub watch: Duration,
    /// Calls before and after for shares to be compared.
    pub calls_min: u64,
    /// Growth of the share of calls that fail.
    pub errors_increase_percent: usize,
    /// Growth of the share of requests that are refused.
    pub refusals_increase_percent: usize,
    /// The same of refusals that may be meant, or the load's.
    pub intended_increase_percent: usize,
    /// How much longer than before a call takes that is slow, in percent.
    pub latency_increase_percent: usize,
    /// Growth of the share of slow calls.
    pub slow_increase_percent: usize,
    /// Faults of plugins besides those before.
    pub plugin_faults_max: u64,
}

/// Whether a changed profile is on probation.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ProbationMode {
    /// It is: what served before comes back when it does worse.
    #[default]
    On,
    /// It stays, whatever it does.
    Off,
}

/// What is kept of the generations that served.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistoryPlan {
    /// Where; `None`: in memory.
    pub folder: Option<PathBuf>,
    /// How many.
    pub generations_max: usize,
}

/// How the process ends.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShutdownPlan {
    /// Not ready, but still accepting: time for a load balancer to notice.
    pub notice: Duration,
    /// For calls in flight.
    pub drain: Duration,
}

/// Threads of the data plane.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProcessPlan {
    /// Worker threads; `None`: one for each core that the process may use.
    pub worker_threads: Option<usize>,
}

/// What the operator reads.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LogPlan {
    /// Filter, for example `info` or `info,transport=debug`.
    pub filter: String,
    /// Shape of a line.
    pub format: LogFormat,
}

/// Shape of a log line.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Key of `requestState`, by which a modern client carries a plugin's state between rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RequestStatePlan {
    /// Where the key is; `None`: a random key that ends with the process.
    pub key: Option<SecretSource>,
    /// How long a client may take between two rounds.
    pub ttl: Duration,
}

/// Where a secret is. Never the secret itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file, readable by its owner only.
    File(PathBuf),
}
