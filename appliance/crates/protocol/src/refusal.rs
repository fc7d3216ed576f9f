//! Answers that no plugin produced, because a protection said no.

use std::borrow::Cow;
use std::time::Duration;

/// Why a call was refused: one kind for each thing that a client can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// `Host` or `Origin` is not on the list.
    OriginForbidden,
    /// The body, or the answer, is larger than its cap.
    PayloadTooLarge,
    /// The body did not arrive in time.
    BodyTooSlow,
    /// Every permit is taken.
    Overloaded,
    /// A plugin's permits and its queue are taken.
    PluginBusy,
    /// The session or stream budget is used up.
    SessionsExhausted,
    /// The budget of tasks, or of what they keep, is used up.
    TasksExhausted,
    /// The process is starting, draining or stopping.
    Draining,
    /// A deadline passed; the tool may have run.
    TimedOut,
    /// The plugin that owns the tool cannot serve now.
    PluginUnavailable,
}

impl RefusalKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::OriginForbidden,
        Self::PayloadTooLarge,
        Self::BodyTooSlow,
        Self::Overloaded,
        Self::PluginBusy,
        Self::SessionsExhausted,
        Self::TasksExhausted,
        Self::Draining,
        Self::TimedOut,
        Self::PluginUnavailable,
    ];

    /// The stable name: `data.refusal`, metric label and heading in the reference.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OriginForbidden => "origin_forbidden",
            Self::PayloadTooLarge => "payload_too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::Overloaded => "overloaded",
            Self::PluginBusy => "plugin_busy",
            Self::SessionsExhausted => "sessions_exhausted",
            Self::TasksExhausted => "tasks_exhausted",
            Self::Draining => "draining",
            Self::TimedOut => "timed_out",
            Self::PluginUnavailable => "plugin_unavailable",
        }
    }

    /// HTTP status before the first byte of the answer. 429: a named bound was reached; 503: nobody can be
    /// served now.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::OriginForbidden => 403,
            Self::PayloadTooLarge => 413,
            Self::BodyTooSlow => 408,
            Self::Overloaded
            | Self::PluginBusy
            | Self::SessionsExhausted
            | Self::TasksExhausted => 429,
            Self::Draining | Self::PluginUnavailable => 503,
            // The protocol answered in time and says that the tool did not: a JSON-RPC error on 200.
            Self::TimedOut => 200,
        }
    }

    /// JSON-RPC code, in the range that 2026-07-28 leaves to implementations.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::OriginForbidden | Self::PayloadTooLarge | Self::BodyTooSlow => -32600,
            Self::PluginBusy => -32012,
            Self::Overloaded => -32013,
            Self::SessionsExhausted | Self::TasksExhausted => -32014,
            Self::PluginUnavailable => -32016,
            Self::Draining => -32018,
            Self::TimedOut => -32019,
        }
    }
}

/// A refusal: what, by which layer, at which bound, and when to come back.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// What the client can do about it.
    pub kind: RefusalKind,
    /// The layer that refused, or the room for refusals outside of layers.
    pub layer: &'static str,
    /// What the bound covers, for example `process`, `listener`, `plugin:files`, `call`.
    pub scope: Cow<'static, str>,
    /// The bound that was reached, in the unit of its key.
    pub limit: Option<u64>,
    /// When a retry can help; `None` when it cannot.
    pub retry_after: Option<Duration>,
    /// For the caller, one sentence: never a path, a host or a cause.
    pub message: Cow<'static, str>,
}

impl Refusal {
    /// A refusal without bound or retry.
    #[must_use]
    pub fn new(
        kind: RefusalKind,
        layer: &'static str,
        scope: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            kind,
            layer,
            scope: scope.into(),
            limit: None,
            retry_after: None,
            message: message.into(),
        }
    }

    /// A request body above the cap that the `payload` layer set, found by its declared length or while reading.
    #[must_use]
    pub fn request_too_large(bytes_max: usize) -> Self {
        Self::new(
            RefusalKind::PayloadTooLarge,
            "payload",
            "request",
            "The request body is too large.",
        )
        .with_limit(bytes_max as u64)
    }

    /// The same with the bound that was reached.
    #[must_use]
    pub fn with_limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The same with a time after which a retry can help.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// `Retry-After` in whole seconds: rounded up, between 1 and 120 (RFC 9110, 10.2.3).
    #[must_use]
    pub fn retry_after_secs(&self) -> Option<u64> {
        self.retry_after.map(|after| (after.as_millis().div_ceil(1000) as u64).clamp(1, 120))
    }

    /// The JSON-RPC `data` of this refusal.
    #[must_use]
    pub fn data(&self, generation: u64) -> String {
        let mut data = format!(
            "{{\"refusal\":\"{}\",\"layer\":\"{}\",\"scope\":",
            self.kind.as_str(),
            self.layer
        );
        crate::json::write_string(&mut data, &self.scope);
        if let Some(limit) = self.limit {
            data.push_str(&format!(",\"limit\":{limit}"));
        }
        if let Some(after) = self.retry_after {
            data.push_str(&format!(",\"retry_after_ms\":{}", after.as_millis()));
        }
        if self.kind == RefusalKind::TimedOut {
            data.push_str(",\"may_have_executed\":true");
        }
        data.push_str(&format!(",\"generation\":{generation}}}"));
        data
    }
}
