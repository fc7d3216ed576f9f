//! Bounds connections before their first byte is read: over all listeners, and of one client address.
//!
//! Protects the descriptors and the memory that every connection costs, and everybody else from one client that opens
//! them without end. The accept loop asks before it serves a connection. Above a bound the connection is answered and
//! closed: 503 when nobody new can be served, 429 when one address has its share. A connection that was let in holds
//! its place until it ends; after `age_max_ms` it is asked to end, which never cuts an answer.
//!
//! The bound of one address is nginx's `limit_conn`, its IPv6 /64 what registries assign to one subscriber (RFC 6177);
//! the age is Envoy's `max_connection_duration` and gRPC's `MAX_CONNECTION_AGE`, jitter included.
//!
//! ```toml
//! [layer.connections]
//! connections_max = 10000
//! per_address_max = 256
//! ```

mod address;
mod config;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use protocol::{Bound, Permit, Refusal, RefusalKind};
use telemetry::RefusalCounter;

use crate::Mode;
use address::{Addresses, Place};

pub use config::Config;

/// The layer's name.
pub const NAME: &str = "connections";

/// When a refused client may come back: connections end all the time, but not at once.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// What outlives a generation: who is inside, and by which settings the next one is judged.
#[derive(Clone, Debug)]
pub struct State(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    settings: ArcSwap<Config>,
    bound: Arc<Bound>,
    addresses: Arc<Addresses>,
    exhausted: RefusalCounter,
    address_exhausted: RefusalCounter,
}

impl State {
    /// Nobody inside.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self(Arc::new(Inside {
            settings: ArcSwap::from_pointee(config.clone()),
            bound: Bound::new("connections", config.connections_max),
            addresses: Addresses::new(),
            exhausted: RefusalCounter::new(NAME, RefusalKind::ConnectionsExhausted),
            address_exhausted: RefusalCounter::new(NAME, RefusalKind::AddressExhausted),
        }))
    }

    /// Follows new settings; connections above a lowered bound stay until they end.
    pub fn follow(&self, config: &Config) {
        self.0.bound.set_limit(config.connections_max);
        self.0.settings.store(Arc::new(config.clone()));
    }

    /// The bound over all listeners, for its metrics.
    #[must_use]
    pub fn bound(&self) -> &Arc<Bound> {
        &self.0.bound
    }

    /// How old a connection may grow; `None`: as old as it likes.
    #[must_use]
    pub fn age_max(&self) -> Option<Duration> {
        let settings = self.0.settings.load();
        (settings.mode == Mode::Enforce).then(|| Duration::from_millis(settings.age_max_ms))
    }

    /// Lets a connection of `remote` in.
    ///
    /// # Errors
    /// The refusal, when a bound is reached and enforced.
    pub fn admit(&self, remote: IpAddr) -> Result<Pass, Refusal> {
        let settings = self.0.settings.load();
        let mode = settings.mode;
        if mode == Mode::Off {
            return Ok(Pass::default());
        }
        let permit = self.place(mode, settings.connections_max)?;
        let (place, count) = self.0.addresses.enter(remote.into());
        if count > settings.per_address_max {
            let refusal = address_exhausted(settings.per_address_max);
            mode.judge(refusal, &self.0.address_exhausted)?;
        }
        Ok(Pass { _permit: permit, _place: Some(place) })
    }

    /// A place among the connections of the process. One that is refused was never in it, not even in its peak.
    fn place(&self, mode: Mode, connections_max: usize) -> Result<Option<Permit>, Refusal> {
        let judge = || mode.judge(exhausted(connections_max), &self.0.exhausted);
        if mode == Mode::Enforce {
            return match self.0.bound.try_take() {
                Some(permit) => Ok(Some(permit)),
                None => judge().map(|()| None),
            };
        }
        let (permit, is_within) = self.0.bound.take_anyway();
        if !is_within {
            judge()?;
        }
        Ok(Some(permit))
    }
}

/// The place of one connection; dropping it makes room for another.
#[derive(Debug, Default)]
pub struct Pass {
    _permit: Option<Permit>,
    _place: Option<Place>,
}

fn exhausted(connections_max: usize) -> Refusal {
    let message = "Every connection is taken; try again later.";
    Refusal::new(RefusalKind::ConnectionsExhausted, NAME, "process", message)
        .with_limit(connections_max as u64)
        .with_retry_after(RETRY_AFTER)
}

fn address_exhausted(per_address_max: usize) -> Refusal {
    let message = "Your address has as many connections as it may; use those, or try again later.";
    Refusal::new(RefusalKind::AddressExhausted, NAME, "address", message)
        .with_limit(per_address_max as u64)
        .with_retry_after(RETRY_AFTER)
}
