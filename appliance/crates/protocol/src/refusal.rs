//! Answers that no plugin produced, because a protection said no.

mod cause;
mod causes;
mod id;
mod reference;

use std::borrow::Cow;
use std::time::Duration;

use crate::principal::Principal;
use crate::quota::Quota;

pub use cause::Cause;
pub use causes::CAUSES;
pub use id::{NotAnId, RefusalId};
pub use reference::reference;

/// Why a call was refused: one kind for each thing that a client can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// As many connections are open as the listener or the process may have.
    ConnectionsExhausted,
    /// As many connections are open as one address may have.
    AddressExhausted,
    /// The connection spent its time on HTTP/2 frames that ask for nothing.
    ConnectionAbused,
    /// The head frames its body in a way that two servers could read differently, or has a name that two could.
    HeadMalformed,
    /// The address of the request is longer than its cap.
    UriTooLong,
    /// The head has more fields, or longer ones, than its cap.
    HeadTooLarge,
    /// `Host` or `Origin` is not on the list.
    OriginForbidden,
    /// The body, or the answer, is larger than its cap.
    PayloadTooLarge,
    /// The body did not arrive in time.
    BodyTooSlow,
    /// A quota is used up for now.
    RateLimited,
    /// The client has as many calls under way or waiting as is its share.
    ClientBusy,
    /// Every permit is taken, and the queue for them is full or too slow.
    Overloaded,
    /// A plugin's permits and its queue are taken.
    PluginBusy,
    /// The session or stream budget is used up.
    SessionsExhausted,
    /// The budget of tasks, or of what they keep, is used up.
    TasksExhausted,
    /// There is no memory for it: the ledger of bodies is full, or the process is too near its limit.
    MemoryExhausted,
    /// The process is starting, draining or stopping.
    Draining,
    /// The tool failed too often and is left alone for a while.
    CircuitOpen,
    /// A deadline passed; the tool may have run.
    TimedOut,
    /// The plugin that owns the tool cannot serve now.
    PluginUnavailable,
}

impl RefusalKind {
    /// Every kind.
    pub const ALL: [Self; 20] = [
        Self::ConnectionsExhausted,
        Self::AddressExhausted,
        Self::ConnectionAbused,
        Self::HeadMalformed,
        Self::UriTooLong,
        Self::HeadTooLarge,
        Self::OriginForbidden,
        Self::PayloadTooLarge,
        Self::BodyTooSlow,
        Self::RateLimited,
        Self::ClientBusy,
        Self::Overloaded,
        Self::PluginBusy,
        Self::SessionsExhausted,
        Self::TasksExhausted,
        Self::MemoryExhausted,
        Self::Draining,
        Self::CircuitOpen,
        Self::TimedOut,
        Self::PluginUnavailable,
    ];

    /// The stable name: `data.refusal`, metric label and heading in the reference.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectionsExhausted => "connections_exhausted",
            Self::AddressExhausted => "address_exhausted",
            Self::ConnectionAbused => "connection_abused",
            Self::HeadMalformed => "head_malformed",
            Self::UriTooLong => "uri_too_long",
            Self::HeadTooLarge => "head_too_large",
            Self::OriginForbidden => "origin_forbidden",
            Self::PayloadTooLarge => "payload_too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::RateLimited => "rate_limited",
            Self::ClientBusy => "client_busy",
            Self::Overloaded => "overloaded",
            Self::PluginBusy => "plugin_busy",
            Self::SessionsExhausted => "sessions_exhausted",
            Self::TasksExhausted => "tasks_exhausted",
            Self::MemoryExhausted => "memory_exhausted",
            Self::Draining => "draining",
            Self::CircuitOpen => "circuit_open",
            Self::TimedOut => "timed_out",
            Self::PluginUnavailable => "plugin_unavailable",
        }
    }

    /// HTTP status before the first byte of the answer. 429: a named bound was reached; 503: nobody can be
    /// served now.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::HeadMalformed => 400,
            Self::OriginForbidden => 403,
            Self::UriTooLong => 414,
            Self::HeadTooLarge => 431,
            Self::PayloadTooLarge => 413,
            Self::BodyTooSlow => 408,
            Self::AddressExhausted
            | Self::ConnectionAbused
            | Self::RateLimited
            | Self::ClientBusy
            | Self::Overloaded
            | Self::PluginBusy
            | Self::SessionsExhausted
            | Self::TasksExhausted => 429,
            Self::ConnectionsExhausted
            | Self::MemoryExhausted
            | Self::Draining
            | Self::CircuitOpen
            | Self::PluginUnavailable => 503,
            // The protocol answered in time and says that the tool did not: a JSON-RPC error on 200.
            Self::TimedOut => 200,
        }
    }

    /// JSON-RPC code, in the range that 2026-07-28 leaves to implementations.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::HeadMalformed
            | Self::UriTooLong
            | Self::HeadTooLarge
            | Self::OriginForbidden
            | Self::PayloadTooLarge
            | Self::BodyTooSlow => -32600,
            Self::AddressExhausted | Self::ConnectionAbused | Self::ClientBusy => -32011,
            Self::RateLimited => -32010,
            Self::PluginBusy => -32012,
            Self::Overloaded => -32013,
            Self::SessionsExhausted | Self::TasksExhausted => -32014,
            Self::CircuitOpen | Self::PluginUnavailable => -32016,
            Self::ConnectionsExhausted | Self::MemoryExhausted => -32017,
            Self::Draining => -32018,
            Self::TimedOut => -32019,
        }
    }
}

/// A refusal: what, by which layer, at which bound, and when to come back.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What the client can do about it.
    pub kind: RefusalKind,
    /// The layer that refused, or the room for refusals outside of layers.
    pub layer: &'static str,
    /// What the bound covers, for example `process`, `listener`, `plugin:files`, `call`.
    pub scope: Cow<'static, str>,
    /// The bound that was reached, in the unit of its key.
    pub limit: Option<u64>,
    /// When a retry can help, the same for everybody; `None` when it cannot. Clients are told [`Refusal::retry_after`].
    pub wait: Option<Duration>,
    /// Who was refused, where that is known.
    pub principal: Option<Principal>,
    /// The quota that is used up. Boxed: few refusals have one, and every reply has room for a refusal.
    pub quota: Option<Box<Quota>>,
    /// For the caller, one sentence: never a path, a host or a cause.
    pub message: Cow<'static, str>,
    /// Of which the id is made: half as large.
    serial: u32,
}

/// Room for the data of almost every refusal.
const DATA_BYTES: usize = 256;

impl Refusal {
    /// A refusal without bound or retry. It must be in the catalogue ([`CAUSES`]).
    #[must_use]
    pub fn new(
        kind: RefusalKind,
        layer: &'static str,
        scope: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let scope = scope.into();
        debug_assert!(
            kind.cause(layer, &scope).is_some(),
            "{kind:?} by {layer} at {scope} is not in the catalogue"
        );
        Self {
            serial: id::next_serial(),
            kind,
            layer,
            scope,
            limit: None,
            wait: None,
            principal: None,
            quota: None,
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

    /// Tells it from all others.
    #[must_use]
    pub fn id(&self) -> RefusalId {
        RefusalId::of(self.serial)
    }

    /// The same with the bound that was reached.
    #[must_use]
    pub fn with_limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The same with a time after which a retry can help.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// The same for `principal`, unless it is known already who was refused.
    #[must_use]
    pub fn for_principal(mut self, principal: Principal) -> Self {
        self.principal.get_or_insert(principal);
        self
    }

    /// The same with the quota that is used up.
    #[must_use]
    pub fn with_quota(mut self, quota: Quota) -> Self {
        self.quota = Some(Box::new(quota));
        self
    }

    /// When this client may come back: the wait, in whole milliseconds rounded up, and up to a fifth more.
    ///
    /// How much more follows from the principal and a salt of the process, so that clients that were refused at one
    /// moment do not come back at one moment, and each hears the same whenever it asks.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let wait = self.wait?;
        let part_ms = u64::from(wait.subsec_nanos().div_ceil(1_000_000));
        let wait_ms = wait.as_secs().saturating_mul(1000).saturating_add(part_ms);
        let spread_ms =
            self.principal.map_or(0, |principal| principal.key() % (wait_ms / 5).max(1));
        Some(Duration::from_millis(wait_ms.saturating_add(spread_ms)))
    }

    /// `Retry-After` in whole seconds: rounded up, between 1 and 120 (RFC 9110, 10.2.3).
    #[must_use]
    pub fn retry_after_secs(&self) -> Option<u64> {
        let secs = |after: Duration| after.as_secs() + u64::from(after.subsec_nanos() > 0);
        self.retry_after().map(|after| secs(after).clamp(1, 120))
    }

    /// The JSON-RPC `data` of this refusal.
    #[must_use]
    pub fn data(&self, generation: u64) -> String {
        // Without the machinery of formats: refusals are made in masses when time is short.
        let mut data = String::with_capacity(DATA_BYTES);
        let mut digits = itoa::Buffer::new();
        data.push_str("{\"refusal\":\"");
        data.push_str(self.kind.as_str());
        data.push_str("\",\"request_id\":\"");
        data.extend(self.id().digits().map(char::from));
        data.push_str("\",\"layer\":\"");
        data.push_str(self.layer);
        data.push_str("\",\"scope\":");
        crate::json::write_string(&mut data, &self.scope);
        if let Some(limit) = self.limit {
            data.push_str(",\"limit\":");
            data.push_str(digits.format(limit));
        }
        if let Some(after) = self.retry_after() {
            data.push_str(",\"retry_after_ms\":");
            data.push_str(digits.format(after.as_millis() as u64));
        }
        if self.kind == RefusalKind::TimedOut {
            data.push_str(",\"may_have_executed\":true");
        }
        data.push_str(",\"generation\":");
        data.push_str(digits.format(generation));
        data.push('}');
        data
    }
}

/// Equal when they say the same; the serial number alone tells them apart.
impl PartialEq for Refusal {
    fn eq(&self, other: &Self) -> bool {
        let Self { serial: _, kind, layer, scope, limit, wait, principal, quota, message } = self;
        (*kind, *layer, *limit, *wait) == (other.kind, other.layer, other.limit, other.wait)
            && (scope, principal, quota, message)
                == (&other.scope, &other.principal, &other.quota, &other.message)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn refused(wait: Duration) -> Refusal {
        Refusal::new(RefusalKind::RateLimited, "rate_limit", "client", "Too many calls.")
            .with_retry_after(wait)
    }

    fn principals(count: u32) -> impl Iterator<Item = Principal> {
        (0..count).map(|number| Principal::at(Ipv4Addr::from(number).into()))
    }

    #[test]
    fn every_kind_has_a_name_of_its_own_and_a_code_for_implementations() {
        let names: std::collections::HashSet<_> =
            RefusalKind::ALL.into_iter().map(RefusalKind::as_str).collect();
        assert_eq!(names.len(), RefusalKind::ALL.len());
        for kind in RefusalKind::ALL {
            let code = kind.code();
            assert!(code == -32600 || (-32019..=-32010).contains(&code), "{kind:?}: {code}");
        }
    }

    #[test]
    fn a_wait_is_told_in_whole_milliseconds_and_never_too_short() {
        let told = |nanos| refused(Duration::from_nanos(nanos)).retry_after();
        assert_eq!(told(1), Some(Duration::from_millis(1)));
        assert_eq!(told(19_000_001), Some(Duration::from_millis(20)));
        assert_eq!(refused(Duration::from_millis(1_001)).retry_after_secs(), Some(2));
        assert_eq!(refused(Duration::ZERO).retry_after_secs(), Some(1));
        assert_eq!(refused(Duration::from_secs(900)).retry_after_secs(), Some(120));
        assert_eq!(refused(Duration::MAX).retry_after_secs(), Some(120));
    }

    #[test]
    fn a_client_hears_the_same_whenever_it_asks() {
        for principal in principals(100) {
            let refusal = refused(Duration::from_secs(5)).for_principal(principal);
            assert_eq!(
                refusal.retry_after(),
                refusal.clone().for_principal(principal).retry_after()
            );
            let other = Principal::local();
            assert_eq!(refusal.retry_after(), refusal.for_principal(other).retry_after());
        }
    }

    #[test]
    fn clients_refused_at_one_moment_come_back_over_a_fifth_of_the_wait() {
        let wait = Duration::from_secs(1);
        let mut tenths = [0_u32; 10];
        for principal in principals(1_000) {
            let told = refused(wait).for_principal(principal).retry_after().expect("a wait");
            let more = told.checked_sub(wait).expect("never earlier").as_millis();
            // The window is 200 ms; a value beyond it would have no tenth to fall in.
            tenths[usize::try_from(more / 20).expect("small")] += 1;
        }
        assert!(tenths.iter().all(|count| (1..=150).contains(count)), "{tenths:?}");
    }

    #[test]
    fn data_says_the_wait_of_this_client() {
        let refusal = refused(Duration::from_secs(1)).for_principal(Principal::local());
        let told = refusal.retry_after().expect("a wait").as_millis();
        assert!(refusal.data(3).contains(&format!("\"retry_after_ms\":{told},\"generation\":3}}")));
    }
}
