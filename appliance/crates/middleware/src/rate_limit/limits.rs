//! The limits of one generation, and the buckets that outlive it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::{Bound, Principal, Refusal, RefusalKind};

use super::{Config, NAME};
use crate::Mode;
use crate::buckets::{Buckets, Rate};

/// What outlives a generation: the buckets of each limit.
#[derive(Clone, Debug)]
pub struct State(pub(super) Arc<Used>);

/// Buckets by client, by tool, by both, and by client for sessions.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) client: Buckets,
    pub(super) tool: Buckets,
    pub(super) client_tool: Buckets,
    pub(super) session: Buckets,
}

impl State {
    /// Nobody has called anything.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let buckets = |name| Buckets::new(name, config.keys_max);
        Self(Arc::new(Used {
            client: buckets("rate_limit_client_keys"),
            tool: buckets("rate_limit_tool_keys"),
            client_tool: buckets("rate_limit_client_tool_keys"),
            session: buckets("rate_limit_session_keys"),
        }))
    }

    /// Follows new settings; what was used stays used.
    pub fn follow(&self, config: &Config) {
        self.buckets().into_iter().for_each(|buckets| buckets.set_keys_max(config.keys_max));
    }

    /// The bounds on keys, for their metrics.
    #[must_use]
    pub fn bounds(&self) -> [&Arc<Bound>; 4] {
        self.buckets().map(Buckets::keys)
    }

    /// Forgets a part of what was silent for long enough. To be called once a second.
    pub fn sweep(&self, now: Instant) {
        self.buckets().into_iter().for_each(|buckets| buckets.sweep(now));
    }

    /// All buckets, each named by its bound.
    #[must_use]
    pub fn buckets(&self) -> [&Buckets; 4] {
        let Used { client, tool, client_tool, session } = &*self.0;
        [client, tool, client_tool, session]
    }
}

/// The key of a tool.
pub(super) fn tool_key(name: &str) -> u64 {
    protocol::counted(name)
}

/// The limits of one generation; `None`: no limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) client: Option<Limit>,
    pub(super) tool: Option<Limit>,
    pub(super) client_tool: Option<Limit>,
    pub(super) session: Option<Limit>,
}

impl Limits {
    pub(super) fn new(config: &Config) -> Self {
        let is_on = config.mode != Mode::Off;
        let limit = |class, count, per, burst, message| {
            let rate = Rate::new(class, count, per, burst).filter(|_| is_on)?;
            Some(Limit { rate, count, message })
        };
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        Self {
            client: limit(
                "client",
                config.calls_per_sec,
                second,
                config.burst_calls,
                "Too many calls; try again later.",
            ),
            tool: limit(
                "tool",
                config.tool_calls_per_sec,
                second,
                config.tool_burst_calls,
                "Too many calls of this tool, of all clients together; try again later.",
            ),
            client_tool: limit(
                "client_tool",
                config.client_tool_calls_per_sec,
                second,
                config.client_tool_burst_calls,
                "Too many calls of this tool; try again later.",
            ),
            session: limit(
                "session",
                config.sessions_per_min,
                minute,
                config.burst_sessions,
                "Too many new sessions; try again later.",
            ),
        }
    }

    /// Whether any of them is about calls.
    pub(super) const fn are_of_calls(&self) -> bool {
        self.client.is_some() || self.are_of_tools()
    }

    /// Whether any of them is about tools.
    pub(super) const fn are_of_tools(&self) -> bool {
        self.tool.is_some() || self.client_tool.is_some()
    }
}

/// One limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    rate: Rate,
    /// The rate in the unit of its key.
    count: u32,
    message: &'static str,
}

impl Limit {
    /// Takes a call out of the bucket of `key`, or says what `principal` is told. `name`: of the tool, for limits that
    /// are about one.
    pub(super) fn take(
        &self,
        buckets: &Buckets,
        key: u64,
        principal: Principal,
        name: Option<&str>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let Err(wait) = buckets.take(key, &self.rate, now) else { return Ok(()) };
        let quota = self.rate.quota();
        let scope = match name {
            None => Cow::Borrowed(quota.class),
            Some(name) => format!("{}:{name}", quota.class).into(),
        };
        Err(Refusal::new(RefusalKind::RateLimited, NAME, scope, self.message)
            .with_limit(self.count.into())
            .with_retry_after(wait)
            .for_principal(principal)
            .with_quota(quota))
    }
}
