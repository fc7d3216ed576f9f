//! Counts refusals by layer and kind.

use metrics::{Counter, counter};
use protocol::{Refusal, RefusalKind};

use crate::metric::Metric;

/// Counts the refusals of one layer and kind, enforced and shadowed apart.
#[derive(Clone, Debug)]
pub struct RefusalCounter {
    enforced: Counter,
    shadowed: Counter,
}

impl RefusalCounter {
    /// The counter of `layer` and `kind`; both are closed sets, so the number of series is bounded.
    #[must_use]
    pub fn new(layer: &'static str, kind: RefusalKind) -> Self {
        let of = |mode| {
            let name = Metric::Refusals.name();
            counter!(name, "layer" => layer, "kind" => kind.as_str(), "mode" => mode)
        };
        Self { enforced: of("enforce"), shadowed: of("shadow") }
    }

    /// Counts one refusal. A shadowed one is logged as well: nobody else will hear of it.
    pub fn count(&self, refusal: &Refusal, shadowed: bool) {
        if shadowed {
            self.shadowed.increment(1);
            tracing::info!(
                layer = refusal.layer,
                kind = refusal.kind.as_str(),
                scope = %refusal.scope,
                limit = refusal.limit,
                "Would have refused."
            );
        } else {
            self.enforced.increment(1);
        }
    }
}
