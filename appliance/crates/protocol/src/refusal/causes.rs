//! The catalogue of refusals: every way in which each kind comes to be, and what can be done about it.
//!
//! The one place that says so: the reference and `/admin/explain` are made from it, and a refusal that is not in it
//! fails the test that meets it, since [`Refusal::new`](super::Refusal::new) asserts it in debug builds.

use super::RefusalKind;

/// One way in which a refusal comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What it is a cause of.
    pub kind: RefusalKind,
    /// The layer that refuses, or the room for refusals outside of layers.
    pub layer: &'static str,
    /// When: `accept` before the first byte of a connection, `edge` from the head, `body` while it is read, `call` from
    /// the parsed call, `answer` from the result.
    pub stage: &'static str,
    /// `data.scope`; `NAME` stands for a name.
    pub scope: &'static str,
    /// What has to be so.
    pub when: &'static str,
    /// What it depends on besides the request; empty: on nothing.
    pub state: &'static str,
    /// What `Retry-After` says, before the spread; empty: there is none, since a retry cannot help.
    pub wait: &'static str,
    /// What an operator can change, the key of `data.limit` first where there is one; `NAME` stands for a name.
    pub keys: &'static [&'static str],
}

impl Cause {
    /// Whether refusals with this `scope` come from here.
    #[must_use]
    pub fn covers(&self, scope: &str) -> bool {
        match self.scope.strip_suffix("NAME") {
            Some(begin) => scope.starts_with(begin),
            None => self.scope == scope,
        }
    }

    /// Whether the tool may have run.
    #[must_use]
    pub fn may_have_executed(&self) -> bool {
        self.kind == RefusalKind::TimedOut || self.stage == "answer"
    }
}

impl RefusalKind {
    /// Every way in which this kind comes to be, the earliest first.
    pub fn causes(self) -> impl Iterator<Item = &'static Cause> {
        CAUSES.iter().filter(move |cause| cause.kind == self)
    }

    /// The cause of a refusal that says this of itself.
    #[must_use]
    pub fn cause(self, layer: &str, scope: &str) -> Option<&'static Cause> {
        self.causes().find(|cause| cause.layer == layer && cause.covers(scope))
    }
}

const BY_LEVEL: &str = "2 s, from the hard level on 5 s, at the critical one 10 s";
const NEXT_TOKEN: &str = "until one more is good";
const QUEUE: &str = "what those before it will take, from 1 s to 30 s";

/// Every cause, in the order in which a request could meet them.
pub static CAUSES: &[Cause] = &[
    Cause {
        kind: RefusalKind::ConnectionsExhausted,
        layer: "listen",
        stage: "accept",
        scope: "listener",
        when: "As many connections of the listener are open as it may have.",
        state: "how many connections are open",
        wait: "2 s",
        keys: &["listen.NAME.http.connections_max"],
    },
    Cause {
        kind: RefusalKind::ConnectionsExhausted,
        layer: "listen",
        stage: "accept",
        scope: "process",
        when: "The process has no file descriptor left, and no connection is idle.",
        state: "how many connections are open",
        wait: "2 s",
        keys: &["layer.connections.descriptors_reserve", "layer.connections.connections_max"],
    },
    Cause {
        kind: RefusalKind::ConnectionsExhausted,
        layer: "connections",
        stage: "accept",
        scope: "process",
        when: "As many connections of all listeners are open as there may be.",
        state: "how many connections are open",
        wait: "2 s",
        keys: &["layer.connections.connections_max"],
    },
    Cause {
        kind: RefusalKind::AddressExhausted,
        layer: "connections",
        stage: "accept",
        scope: "address",
        when: "As many connections are open as one address may have.",
        state: "how many connections are open",
        wait: "2 s",
        keys: &["layer.connections.per_address_max"],
    },
    Cause {
        kind: RefusalKind::MemoryExhausted,
        layer: "memory",
        stage: "accept",
        scope: "listener",
        when: "Memory is at its critical level.",
        state: "how much memory is in use",
        wait: "10 s",
        keys: &["layer.memory.critical_percent", "layer.memory.limit_bytes"],
    },
    Cause {
        kind: RefusalKind::ConnectionAbused,
        layer: "http",
        stage: "accept",
        scope: "connection",
        when: "An HTTP/2 connection sent too many frames that ask for nothing. It hears `ENHANCE_YOUR_CALM` and is cut.",
        state: "which frames the connection sent",
        wait: "the window in which they are counted",
        keys: &[
            "layer.http.http2.client_resets_max",
            "layer.http.http2.control_frames_max",
            "layer.http.http2.flood_window_ms",
        ],
    },
    Cause {
        kind: RefusalKind::UriTooLong,
        layer: "http",
        stage: "edge",
        scope: "request",
        when: "The address of the request is longer than its cap.",
        state: "",
        wait: "",
        keys: &["layer.http.uri_bytes_max"],
    },
    Cause {
        kind: RefusalKind::HeadTooLarge,
        layer: "http",
        stage: "edge",
        scope: "request",
        when: "The head has too many fields, or one that is too long.",
        state: "",
        wait: "",
        keys: &[
            "layer.http.headers_max",
            "layer.http.header_name_bytes_max",
            "layer.http.header_value_bytes_max",
        ],
    },
    Cause {
        kind: RefusalKind::HeadMalformed,
        layer: "http",
        stage: "edge",
        scope: "request",
        when: "The body has a transfer coding other than `chunked`, or a field name has a `_`. The connection closes.",
        state: "",
        wait: "",
        keys: &["layer.http.mode"],
    },
    Cause {
        kind: RefusalKind::OriginForbidden,
        layer: "origin",
        stage: "edge",
        scope: "request",
        when: "`Host` or `Origin` is not on its list, missing, repeated or malformed.",
        state: "",
        wait: "",
        keys: &["layer.origin.allowed_hosts", "layer.origin.allowed_origins"],
    },
    Cause {
        kind: RefusalKind::RateLimited,
        layer: "pre_auth_limit",
        stage: "edge",
        scope: "address",
        when: "An address sent more requests than it may.",
        state: "how many requests the address sent of late",
        wait: NEXT_TOKEN,
        keys: &["layer.pre_auth_limit.requests_per_sec", "layer.pre_auth_limit.burst_requests"],
    },
    Cause {
        kind: RefusalKind::PayloadTooLarge,
        layer: "payload",
        stage: "edge",
        scope: "request",
        when: "The body is declared, or turns out, to be larger than its cap.",
        state: "",
        wait: "",
        keys: &["layer.payload.request_bytes_max"],
    },
    Cause {
        kind: RefusalKind::PayloadTooLarge,
        layer: "memory",
        stage: "edge",
        scope: "request",
        when: "The body is larger than all that bodies may take.",
        state: "",
        wait: "",
        keys: &["layer.memory.ledger_bytes_max"],
    },
    Cause {
        kind: RefusalKind::MemoryExhausted,
        layer: "memory",
        stage: "edge",
        scope: "request",
        when: "The bodies in the house take all that bodies may take.",
        state: "how many bytes other bodies take",
        wait: "2 s",
        keys: &["layer.memory.ledger_bytes_max"],
    },
    Cause {
        kind: RefusalKind::MemoryExhausted,
        layer: "memory",
        stage: "call",
        scope: "process",
        when: "Memory is at a level at which requests of this class are not served. A head that says its method is refused before its body is read.",
        state: "how much memory is in use",
        wait: BY_LEVEL,
        keys: &[
            "layer.memory.soft_percent",
            "layer.memory.hard_percent",
            "layer.memory.critical_percent",
            "layer.memory.limit_bytes",
        ],
    },
    Cause {
        kind: RefusalKind::Draining,
        layer: "lifecycle",
        stage: "edge",
        scope: "process",
        when: "The process is starting, or stopping, or the listener was taken out of the profile.",
        state: "whether the process starts or stops, and which listeners the profile has",
        wait: "1 s",
        keys: &["shutdown.notice_ms", "shutdown.drain_ms", "listen.NAME.http.bind"],
    },
    Cause {
        kind: RefusalKind::BodyTooSlow,
        layer: "listen",
        stage: "body",
        scope: "request",
        when: "The body did not arrive in time, or came too slowly.",
        state: "how fast the body comes",
        wait: "",
        keys: &[
            "listen.NAME.http.body_ms",
            "listen.NAME.http.body_bytes_per_sec_min",
            "listen.NAME.http.body_window_ms",
        ],
    },
    Cause {
        kind: RefusalKind::SessionsExhausted,
        layer: "session",
        stage: "call",
        scope: "process",
        when: "As many sessions, or streams, are open as there may be.",
        state: "how many sessions, streams and subscriptions there are",
        wait: "5 s",
        keys: &["session.sessions_max", "session.streams_max"],
    },
    Cause {
        kind: RefusalKind::SessionsExhausted,
        layer: "session",
        stage: "call",
        scope: "session",
        when: "A session or subscription follows as many resources as it may.",
        state: "how many sessions, streams and subscriptions there are",
        wait: "5 s",
        keys: &["session.subscriptions_max"],
    },
    Cause {
        kind: RefusalKind::Overloaded,
        layer: "listen",
        stage: "call",
        scope: "connection",
        when: "The client on standard input has as many requests under way as it may.",
        state: "how many requests are under way",
        wait: "1 s",
        keys: &["listen.NAME.stdio.calls_max"],
    },
    Cause {
        kind: RefusalKind::RateLimited,
        layer: "rate_limit",
        stage: "call",
        scope: "client",
        when: "A client called more often than it may.",
        state: "how many calls came of late",
        wait: NEXT_TOKEN,
        keys: &["layer.rate_limit.calls_per_sec", "layer.rate_limit.burst_calls"],
    },
    Cause {
        kind: RefusalKind::RateLimited,
        layer: "rate_limit",
        stage: "call",
        scope: "client_tool:NAME",
        when: "A client called one tool more often than it may.",
        state: "how many calls came of late",
        wait: NEXT_TOKEN,
        keys: &[
            "layer.rate_limit.client_tool_calls_per_sec",
            "layer.rate_limit.client_tool_burst_calls",
        ],
    },
    Cause {
        kind: RefusalKind::RateLimited,
        layer: "rate_limit",
        stage: "call",
        scope: "tool:NAME",
        when: "All clients together called one tool more often than they may.",
        state: "how many calls came of late",
        wait: NEXT_TOKEN,
        keys: &["layer.rate_limit.tool_calls_per_sec", "layer.rate_limit.tool_burst_calls"],
    },
    Cause {
        kind: RefusalKind::RateLimited,
        layer: "rate_limit",
        stage: "call",
        scope: "session",
        when: "A client began more sessions than it may.",
        state: "how many calls came of late",
        wait: NEXT_TOKEN,
        keys: &["layer.rate_limit.sessions_per_min", "layer.rate_limit.burst_sessions"],
    },
    Cause {
        kind: RefusalKind::ClientBusy,
        layer: "fairness",
        stage: "call",
        scope: "client",
        when: "As many calls of the client are under way and wait as may, or one waited too long for the others to end.",
        state: "how many calls of the client are under way and wait",
        wait: QUEUE,
        keys: &[
            "layer.fairness.client_queue_calls_max",
            "layer.fairness.client_calls_max",
            "layer.fairness.wait_ms",
        ],
    },
    Cause {
        kind: RefusalKind::Overloaded,
        layer: "fairness",
        stage: "call",
        scope: "read",
        when: "As many calls wait as may, or this one waited for too long.",
        state: "how many calls are under way and wait",
        wait: QUEUE,
        keys: &[
            "layer.fairness.queue_calls_max",
            "layer.fairness.wait_ms",
            "layer.fairness.standing_wait_ms",
            "layer.concurrency.calls_max",
        ],
    },
    Cause {
        kind: RefusalKind::Overloaded,
        layer: "fairness",
        stage: "call",
        scope: "work",
        when: "As many calls wait as may, or this one waited for too long.",
        state: "how many calls are under way and wait",
        wait: QUEUE,
        keys: &[
            "layer.fairness.queue_calls_max",
            "layer.fairness.wait_ms",
            "layer.fairness.standing_wait_ms",
            "layer.concurrency.calls_max",
        ],
    },
    Cause {
        kind: RefusalKind::Overloaded,
        layer: "concurrency",
        stage: "call",
        scope: "process",
        when: "As many calls are under way as there may be.",
        state: "how many calls are under way",
        wait: "1 s",
        keys: &["layer.concurrency.calls_max"],
    },
    Cause {
        kind: RefusalKind::Overloaded,
        layer: "concurrency",
        stage: "call",
        scope: "read",
        when: "What is free is kept for the other class, or the adaptive limit is reached.",
        state: "how many calls are under way",
        wait: "1 s",
        keys: &[
            "layer.concurrency.calls_max",
            "layer.concurrency.work_share_percent",
            "layer.concurrency.adaptive",
        ],
    },
    Cause {
        kind: RefusalKind::Overloaded,
        layer: "concurrency",
        stage: "call",
        scope: "work",
        when: "What is free is kept for the other class, or the adaptive limit is reached.",
        state: "how many calls are under way",
        wait: "1 s",
        keys: &[
            "layer.concurrency.calls_max",
            "layer.concurrency.read_share_percent",
            "layer.concurrency.adaptive",
        ],
    },
    Cause {
        kind: RefusalKind::CircuitOpen,
        layer: "circuit_breaker",
        stage: "call",
        scope: "tool:NAME",
        when: "A tool failed too often, or its calls do not end.",
        state: "how the last calls of the tool ended",
        wait: "until it is tried again",
        keys: &[
            "layer.circuit_breaker.failure_percent",
            "layer.circuit_breaker.calls_min",
            "layer.circuit_breaker.slow_percent",
            "layer.circuit_breaker.open_ms",
        ],
    },
    Cause {
        kind: RefusalKind::CircuitOpen,
        layer: "circuit_breaker",
        stage: "call",
        scope: "plugin:NAME",
        when: "What a plugin offers beside tools failed too often, or does not end.",
        state: "how the last calls of the tool ended",
        wait: "until it is tried again",
        keys: &[
            "layer.circuit_breaker.failure_percent",
            "layer.circuit_breaker.calls_min",
            "layer.circuit_breaker.slow_percent",
            "layer.circuit_breaker.open_ms",
        ],
    },
    Cause {
        kind: RefusalKind::TimedOut,
        layer: "timeout",
        stage: "call",
        scope: "call",
        when: "A call did not end before its deadline.",
        state: "how long the call takes",
        wait: "",
        keys: &["layer.timeout.deadline_ms"],
    },
    Cause {
        kind: RefusalKind::TimedOut,
        layer: "lifecycle",
        stage: "call",
        scope: "generation",
        when: "A call or a task did not end in time after the profile that it began under was replaced.",
        state: "how long ago the profile was replaced, and how many such profiles there are",
        wait: "",
        keys: &["reload.drain_ms", "reload.draining_generations_max"],
    },
    Cause {
        kind: RefusalKind::TimedOut,
        layer: "tasks",
        stage: "call",
        scope: "task",
        when: "A task did not end before its deadline.",
        state: "how long the task takes",
        wait: "",
        keys: &["tasks.deadline_ms"],
    },
    Cause {
        kind: RefusalKind::TasksExhausted,
        layer: "tasks",
        stage: "call",
        scope: "process",
        when: "There are as many tasks as there may be, or they keep as many bytes as they may.",
        state: "how many tasks there are",
        wait: "5 s",
        keys: &["tasks.count_max", "tasks.bytes_max"],
    },
    Cause {
        kind: RefusalKind::PluginBusy,
        layer: "bulkhead",
        stage: "call",
        scope: "tool:NAME",
        when: "As many calls of a tool are at work and wait as may.",
        state: "how many calls of the plugin or tool are under way",
        wait: QUEUE,
        keys: &[
            "plugin.NAME.tool.NAME.concurrent_calls",
            "plugin.NAME.tool.NAME.queue_calls",
            "layer.bulkhead.queue_wait_ms",
            "plugin.NAME.limits.concurrent_calls",
            "layer.bulkhead.concurrent_calls",
            "plugin.NAME.limits.queue_calls",
            "layer.bulkhead.queue_calls",
        ],
    },
    Cause {
        kind: RefusalKind::PluginBusy,
        layer: "bulkhead",
        stage: "call",
        scope: "plugin:NAME",
        when: "As many calls of a plugin are at work and wait as may.",
        state: "how many calls of the plugin or tool are under way",
        wait: QUEUE,
        keys: &[
            "plugin.NAME.limits.concurrent_calls",
            "layer.bulkhead.concurrent_calls",
            "plugin.NAME.limits.queue_calls",
            "layer.bulkhead.queue_calls",
            "layer.bulkhead.queue_wait_ms",
        ],
    },
    Cause {
        kind: RefusalKind::PluginBusy,
        layer: "plugin",
        stage: "call",
        scope: "plugin:NAME",
        when: "Without the `bulkhead` layer: a plugin has as many calls as it can take.",
        state: "how many calls of the plugin are under way",
        wait: "1 s",
        keys: &[
            "plugin.NAME.limits.concurrent_calls",
            "layer.bulkhead.concurrent_calls",
            "plugin.NAME.limits.queue_calls",
            "layer.bulkhead.queue_calls",
        ],
    },
    Cause {
        kind: RefusalKind::TimedOut,
        layer: "plugin",
        stage: "call",
        scope: "plugin:NAME",
        when: "A call did not end before the deadline of its plugin or tool.",
        state: "how long the call takes",
        wait: "",
        keys: &["plugin.NAME.limits.deadline_ms", "plugin.NAME.tool.NAME.deadline_ms"],
    },
    Cause {
        kind: RefusalKind::PluginUnavailable,
        layer: "plugin",
        stage: "call",
        scope: "plugin:NAME",
        when: "A plugin says that it cannot serve now, or was stopped.",
        state: "how the plugin is",
        wait: "2 s",
        keys: &["plugin.NAME.library"],
    },
    Cause {
        kind: RefusalKind::PayloadTooLarge,
        layer: "payload",
        stage: "answer",
        scope: "response",
        when: "The result is larger than its cap. The tool has run.",
        state: "how large the result is",
        wait: "",
        keys: &["layer.payload.response_bytes_max"],
    },
];
