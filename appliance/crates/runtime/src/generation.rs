//! Generations and the switch between them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use profile::Plan;
use protocol::{Bound, Refusal};
use stack::Stack;

/// One plan, its stack and a number; immutable.
///
/// A call takes its generation once and keeps it until its answer has been sent: no call meets two generations.
pub struct Generation {
    number: u64,
    plan: Arc<Plan>,
    stack: Stack,
    in_flight: Arc<Bound>,
}

impl Generation {
    /// A generation of `plan`; `number` counts from 1.
    #[must_use]
    pub fn new(number: u64, plan: Arc<Plan>, stack: Stack) -> Self {
        Self { number, plan, stack, in_flight: Bound::new("generation_calls", usize::MAX) }
    }

    /// Counts from 1.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// What it was built from.
    #[must_use]
    pub const fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The layers and what they lead to.
    #[must_use]
    pub const fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Remembers a refusal that a client is told, so that an operator can ask about it.
    pub fn note(&self, refusal: &Refusal) {
        self.stack.kit().recent.note(refusal, self.number);
    }

    /// The calls and streams that it still has; each holds a permit until its last byte.
    #[must_use]
    pub const fn in_flight(&self) -> &Arc<Bound> {
        &self.in_flight
    }
}

/// The one atomic pointer to the current generation.
pub struct Switch(ArcSwap<Generation>);

impl Switch {
    /// Points to the first generation.
    #[must_use]
    pub fn new(first: Generation) -> Self {
        Self(ArcSwap::from_pointee(first))
    }

    /// The current generation, for one call.
    #[must_use]
    pub fn load(&self) -> Arc<Generation> {
        self.0.load_full()
    }

    /// Makes `next` the current one, and returns the one before. Cannot fail.
    pub fn publish(&self, next: Arc<Generation>) -> Arc<Generation> {
        self.0.swap(next)
    }
}
