//! How much memory a plan takes when everything that it admits is there at once, and as large as it admits.
//!
//! Every term is a bound of the plan times what one of it takes. A new layer that keeps something adds its term to
//! [`WorstCase::of`], and its figure to [`costs`]; nothing else has to know.
//!
//! Not in the sum, because no profile bounds it: what plugins allocate for themselves, and the kernel's buffers of
//! sockets, for which `net.ipv4.tcp_mem` is the machine's own bound. Shipped profiles leave a quarter of the memory.

mod change;
pub mod costs;
#[cfg(test)]
mod tests;

use std::fmt::{self, Write};

use middleware::{ByteSize, Mode};

use crate::plan::{HttpPlan, ListenerPlan, Plan, PluginPlan, StdioPlan, TransportPlan};
use costs::{
    ALLOCATOR_PART, CALL, CONNECTION, CONTROL, HTTP2_CONNECTION, HTTP2_STREAM, LIMIT_KEY, MESSAGE,
    PLUGIN, PROCESS, REFUSAL, SESSION, SPARES, STDIO, STREAM, SUBSCRIPTION, THREAD,
};

/// The share of the nearest limit that the ledger takes when the profile says nothing, and its usual most: those of
/// the `memory` layer.
const LEDGER_PART: u64 = 4;
const LEDGER_USUAL_MAX: ByteSize = ByteSize::mib(2_048);

/// One part of the sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// What takes the memory.
    pub what: String,
    /// The key that makes it smaller.
    pub key: String,
    /// How many times what: `512 x 382KiB`.
    pub how: String,
    /// Bytes.
    pub bytes: u64,
}

/// All parts of the sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorstCase {
    /// In a fixed order.
    pub terms: Vec<Term>,
}

impl WorstCase {
    /// Adds up what `plan` admits.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let mut sum = Self { terms: Vec::new() };
        sum.process(plan);
        sum.connections(plan);
        sum.requests(plan);
        sum.calls(plan);
        sum.sessions(plan);
        sum.streams(plan);
        let tasks = plan.tasks.bytes_max as u64;
        sum.add("tasks", "tasks.bytes_max", 1, tasks);
        sum.limits(plan);
        for plugin in &plan.plugins {
            sum.plugin(plugin);
        }
        sum.generations(plan);
        sum.replaced_plugins(plan);
        sum.upgrade(plan);
        let part = sum.bytes() / ALLOCATOR_PART;
        let how = format!("1/{ALLOCATOR_PART} of the above");
        sum.terms.push(Term { what: "allocator".to_owned(), key: String::new(), how, bytes: part });
        sum
    }

    /// The sum.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.terms.iter().fold(0, |sum, term| sum.saturating_add(term.bytes))
    }

    /// The part that takes the most.
    #[must_use]
    pub fn largest(&self) -> Option<&Term> {
        self.terms.iter().filter(|term| !term.key.is_empty()).max_by_key(|term| term.bytes)
    }

    /// The sum in one line: `connections 191 MiB + requests 128 MiB + ... = 700 MiB`.
    #[must_use]
    pub fn line(&self) -> String {
        let term = |term: &Term| format!("{} {}", term.what, Mebibytes(term.bytes));
        let terms: Vec<_> = self.terms.iter().map(term).collect();
        format!("{} = {}", terms.join(" + "), Mebibytes(self.bytes()))
    }

    /// The sum as a table, each row with the key that makes it smaller, and the memory that it must fit.
    #[must_use]
    pub fn table(&self, memory_bytes: Option<u64>) -> String {
        let width = |text: fn(&Term) -> &str| {
            self.terms.iter().map(|term| text(term).len()).max().unwrap_or(0)
        };
        let (what, how) = (width(|term| &term.what).max(6), width(|term| &term.how));
        let mut out = String::from("Worst case of memory, everything that is admitted at once:\n");
        for term in &self.terms {
            let size = Mebibytes(term.bytes).to_string();
            let row =
                format!("  {:<what$}  {size:>12}  {:<how$}  {}", term.what, term.how, term.key);
            writeln!(out, "{}", row.trim_end()).ok();
        }
        let sum = Mebibytes(self.bytes()).to_string();
        let limit = match memory_bytes {
            Some(bytes) => format!(
                "{} % of hardware.memory_bytes, {}",
                self.bytes().saturating_mul(100) / bytes.max(1),
                Mebibytes(bytes)
            ),
            None => "there is no [hardware] to compare it with".to_owned(),
        };
        writeln!(out, "  {:<what$}  {sum:>12}  {limit}", "sum").ok();
        out
    }

    fn add(&mut self, what: impl Into<String>, key: impl Into<String>, count: u64, each: u64) {
        let how = match count {
            1 => ByteSize(each).to_string(),
            _ => format!("{count} x {}", ByteSize(each)),
        };
        let bytes = count.saturating_mul(each);
        self.terms.push(Term { what: what.into(), key: key.into(), how, bytes });
    }

    fn process(&mut self, plan: &Plan) {
        self.add("process", "", 1, PROCESS.bytes());
        self.add("spare memory", "", 1, SPARES.bytes());
        let threads = worker_threads(plan);
        self.add("worker threads", "process.worker_threads", threads, THREAD.bytes());
        if let Some(control) = &plan.control {
            self.add("control", "", 1, CONTROL.bytes());
            let kept = control.refusals_kept as u64;
            self.add("refusals", "control.refusals_kept", kept, REFUSAL.bytes());
        }
    }

    fn connections(&mut self, plan: &Plan) {
        let http = &plan.layers.http;
        let of_http1 = CONNECTION.bytes().saturating_add(http.head_bytes_max.0.saturating_mul(2));
        let stream = http.http2.header_list_bytes_max.0.saturating_add(HTTP2_STREAM.bytes());
        let of_http2 = [
            HTTP2_CONNECTION.bytes(),
            http.http2.connection_window_bytes.0,
            http.http2.frame_bytes_max.0,
            stream.saturating_mul(http.http2.streams_max.into()),
        ];
        let each = of_http1.max(of_http2.into_iter().fold(0, u64::saturating_add));
        let key = match plan.layers.connections.mode {
            Mode::Enforce => "layer.connections.connections_max",
            Mode::Shadow | Mode::Off => "listen.NAME.http.connections_max",
        };
        if plan.listeners.iter().any(|listener| http_of(listener).is_some()) {
            self.add("connections", key, plan.connections_max(), each);
        }
        for calls_max in plan.listeners.iter().filter_map(stdio_of).map(|stdio| stdio.calls_max) {
            let each = request_bytes_max(plan);
            self.add("lines", "listen.NAME.stdio.calls_max", calls_max as u64, each);
            self.add("standard output", "", 1, STDIO.bytes());
        }
    }

    /// Bodies on their way in: the ledger lends no more, without it every stream may bring one.
    fn requests(&mut self, plan: &Plan) {
        let memory = &plan.layers.memory;
        if memory.mode == Mode::Enforce {
            let hardware = plan.hardware.as_ref().map(|hardware| hardware.memory_bytes);
            let limit = memory.limit_bytes.map(|limit| limit.0).into_iter().chain(hardware).min();
            let usual = limit.map_or(LEDGER_USUAL_MAX.0, |limit| limit / LEDGER_PART);
            let ledger =
                memory.ledger_bytes_max.map_or(usual.min(LEDGER_USUAL_MAX.0), |size| size.0);
            self.add("requests", "layer.memory.ledger_bytes_max", 1, ledger);
            return;
        }
        let bodies = requests_max(plan);
        self.add("requests", "layer.memory.mode", bodies, request_bytes_max(plan));
    }

    /// Calls with their answers: each once more than its plugin has it, in the text that is written.
    fn calls(&mut self, plan: &Plan) {
        let each = CALL.bytes().saturating_add(response_bytes_max(plan));
        let layer = &plan.layers.concurrency;
        match layer.mode {
            Mode::Enforce => {
                let calls = layer.calls_max.get() as u64;
                self.add("calls", "layer.concurrency.calls_max", calls, each);
            }
            Mode::Shadow | Mode::Off => {
                self.add("calls", "layer.concurrency.mode", requests_max(plan), each);
            }
        }
        let queues = &plan.layers.fairness;
        if queues.mode == Mode::Enforce {
            // The ledger has their bodies.
            let calls = queues.queue_calls_max.into();
            self.add("calls that wait", "layer.fairness.queue_calls_max", calls, CALL.bytes());
        }
    }

    fn sessions(&mut self, plan: &Plan) {
        let each = SESSION.bytes().saturating_add(followed_bytes(plan));
        self.add("sessions", "session.sessions_max", plan.session.sessions_max as u64, each);
    }

    /// A stream keeps its newest message however long it is.
    fn streams(&mut self, plan: &Plan) {
        let newest = response_bytes_max(plan).max(MESSAGE.bytes());
        let kept = newest.max(plan.session.replay_bytes_max as u64);
        let each = STREAM.bytes().saturating_add(kept).saturating_add(followed_bytes(plan));
        self.add("streams", "session.streams_max", plan.session.streams_max as u64, each);
    }

    /// Keys of limits: each limit that is on has its own.
    fn limits(&mut self, plan: &Plan) {
        for (what, key, keys) in limit_keys(plan) {
            self.add(what, key, keys, LIMIT_KEY.bytes());
        }
    }

    /// The buffers that the host lends a plugin, two for each call and one besides, and its threads.
    fn plugin(&mut self, plugin: &PluginPlan) {
        let limits = &plugin.limits;
        let calls = limits.concurrent_calls.saturating_add(limits.queue_calls) as u64;
        let buffers = calls.saturating_mul(2).saturating_add(1);
        let lent = buffers.saturating_mul(limits.response_bytes_max as u64);
        let threads = THREAD.bytes().saturating_mul(limits.threads_max as u64);
        let bytes = PLUGIN.bytes().saturating_add(lent).saturating_add(threads);
        let how = format!(
            "{} + {buffers} x {} + {} x {}",
            PLUGIN.size,
            ByteSize(limits.response_bytes_max as u64),
            limits.threads_max,
            THREAD.size
        );
        let name = &plugin.name;
        let key = format!("plugin.{name}.limits");
        self.terms.push(Term { what: format!("plugin {name}"), key, how, bytes });
    }
}

/// Bytes as people compare them.
struct Mebibytes(u64);

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Tenths, rounded up: a bound must not look smaller than it is.
        let tenths = u128::from(self.0).saturating_mul(10).div_ceil(1 << 20);
        write!(f, "{}.{} MiB", tenths / 10, tenths % 10)
    }
}

const fn http_of(listener: &ListenerPlan) -> Option<&HttpPlan> {
    match &listener.transport {
        TransportPlan::Http(http) => Some(http),
        TransportPlan::Stdio(_) => None,
    }
}

const fn stdio_of(listener: &ListenerPlan) -> Option<&StdioPlan> {
    match &listener.transport {
        TransportPlan::Http(_) => None,
        TransportPlan::Stdio(stdio) => Some(stdio),
    }
}

fn worker_threads(plan: &Plan) -> u64 {
    let cores = plan.hardware.as_ref().map_or(1, |hardware| hardware.cores);
    plan.process.worker_threads.unwrap_or(cores) as u64
}

/// Of each layer that limits: what has keys, the key of the profile, and how many there may be.
fn limit_keys(plan: &Plan) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
    let before = &plan.layers.pre_auth_limit;
    let addresses = (before.mode != Mode::Off)
        .then(|| ("addresses", "layer.pre_auth_limit.keys_max", before.keys_max.into()));
    let rates = &plan.layers.rate_limit;
    let clients = (rates.mode != Mode::Off).then(|| {
        let each = [
            rates.calls_per_sec,
            rates.tool_calls_per_sec,
            rates.client_tool_calls_per_sec,
            rates.sessions_per_min,
        ];
        let limits = each.iter().filter(|rate| **rate > 0).count() as u64;
        let keys = limits.saturating_mul(rates.keys_max.into());
        ("clients", "layer.rate_limit.keys_max", keys)
    });
    addresses.into_iter().chain(clients)
}

/// Requests at once where no layer bounds them: one on each stream of each connection, and those of standard input.
fn requests_max(plan: &Plan) -> u64 {
    let streams = u64::from(plan.layers.http.http2.streams_max.max(1));
    let lines = plan.listeners.iter().filter_map(stdio_of).map(|stdio| stdio.calls_max as u64);
    lines.fold(plan.connections_max().saturating_mul(streams), u64::saturating_add)
}

fn request_bytes_max(plan: &Plan) -> u64 {
    let payload = &plan.layers.payload;
    match payload.mode {
        Mode::Enforce => payload.request_bytes_max.0,
        Mode::Shadow | Mode::Off => middleware::payload::Config::HARD_REQUEST_BYTES_MAX.0,
    }
}

/// Of one answer: what the layer and the plugins allow.
fn response_bytes_max(plan: &Plan) -> u64 {
    let of_plugins =
        plan.plugins.iter().map(|plugin| plugin.limits.response_bytes_max as u64).max();
    let payload = &plan.layers.payload;
    let of_layer = payload.response_bytes_max.0;
    match (payload.mode, of_plugins) {
        (Mode::Enforce, Some(of_plugins)) => of_layer.min(of_plugins),
        (Mode::Enforce, None) => of_layer,
        (Mode::Shadow | Mode::Off, of_plugins) => of_plugins.unwrap_or(0),
    }
}

fn followed_bytes(plan: &Plan) -> u64 {
    SUBSCRIPTION.bytes().saturating_mul(plan.session.subscriptions_max as u64)
}
