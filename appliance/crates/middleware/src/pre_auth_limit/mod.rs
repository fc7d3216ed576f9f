//! Bounds how many requests an address may send, before anything else is known of them.
//!
//! What it protects is the work that comes before a client is known and its calls are counted: reading bodies, parsing
//! messages, looking up sessions. Edge stage, every method and path, from the head alone; a refused request costs a few
//! hundred instructions. The limit stands for everybody behind one address, so that it is above the limit for one
//! client.
//!
//! A token bucket for each address (GCRA, see [`crate::buckets`]); who the address is says [`protocol::Principal`].
//!
//! ```toml
//! [layer.pre_auth_limit]
//! requests_per_sec = 100
//! burst_requests = 200
//! ```

mod config;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::{Admission, Bound, Head, Principal, Refusal, RefusalKind};
use telemetry::RefusalCounter;
use tower_layer::Layer;

use crate::Mode;
use crate::buckets::{Buckets, Rate};
use crate::edge::{Edge, EdgeLayer};

pub use config::Config;

/// The layer's name.
pub const NAME: &str = "pre_auth_limit";

/// What outlives a generation: the bucket of each address.
#[derive(Clone, Debug)]
pub struct State(Arc<Buckets>);

impl State {
    /// Nobody has asked for anything.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self(Arc::new(Buckets::new("pre_auth_limit_keys", config.keys_max)))
    }

    /// Follows new settings; what an address has used stays used.
    pub fn follow(&self, config: &Config) {
        self.0.set_keys_max(config.keys_max);
    }

    /// The bound on addresses, for its metrics.
    #[must_use]
    pub fn bounds(&self) -> [&Arc<Bound>; 1] {
        [self.0.keys()]
    }

    /// All buckets, each named by its bound.
    #[must_use]
    pub fn buckets(&self) -> [&Buckets; 1] {
        [&self.0]
    }

    /// Forgets a part of those who were silent for long enough. To be called once a second.
    pub fn sweep(&self, now: Instant) {
        self.0.sweep(now);
    }
}

/// Makes [`PreAuthLimit`] services.
#[derive(Clone, Debug)]
pub struct PreAuthLimitLayer {
    mode: Mode,
    /// `None`: off.
    rate: Option<Rate>,
    requests_per_sec: u32,
    state: State,
    refused: RefusalCounter,
}

impl PreAuthLimitLayer {
    /// A layer that follows `config` and counts in `state`.
    #[must_use]
    pub fn new(config: &Config, state: State) -> Self {
        let second = Duration::from_secs(1);
        let rate = Rate::new("address", config.requests_per_sec, second, config.burst_requests);
        Self {
            mode: config.mode,
            rate: rate.filter(|_| config.mode != Mode::Off),
            requests_per_sec: config.requests_per_sec,
            state,
            refused: RefusalCounter::new(NAME, RefusalKind::RateLimited),
        }
    }

    fn take(&self, rate: &Rate, principal: Principal, now: Instant) -> Result<(), Refusal> {
        let Err(wait) = self.state.0.take(principal.key(), rate, now) else { return Ok(()) };
        let message = "Too many requests from this address; try again later.";
        let refusal = Refusal::new(RefusalKind::RateLimited, NAME, "address", message)
            .with_limit(self.requests_per_sec.into())
            .with_retry_after(wait)
            .for_principal(principal)
            .with_quota(rate.quota());
        self.mode.judge(refusal, &self.refused)
    }
}

impl<S> Layer<S> for PreAuthLimitLayer {
    type Service = PreAuthLimit<S>;

    fn layer(&self, inner: S) -> PreAuthLimit<S> {
        Edge::new(self.clone(), inner)
    }
}

/// Takes a request out of the bucket of its address, or refuses it.
pub type PreAuthLimit<S> = Edge<PreAuthLimitLayer, S>;

impl EdgeLayer for PreAuthLimitLayer {
    fn judge(&self, head: &Head<'_>, _: &mut Admission) -> Result<(), Refusal> {
        match &self.rate {
            Some(rate) => self.take(rate, head.principal, Instant::now()),
            None => Ok(()),
        }
    }
}
