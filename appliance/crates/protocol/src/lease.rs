//! A place that a layer lends to a call, until whoever runs the call has let go of it.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

/// Who lends places to calls.
pub trait Lender: Debug + Send + Sync {
    /// Nobody waits for the call any more, its deadline has passed, and it still holds its place.
    fn stuck(&self);

    /// A place comes back. `begun` is when it was lent, if that was noted.
    fn give_back(&self, begun: Option<Instant>, was_stuck: bool);
}

/// A place that a call holds. A permit ends with the answer; a lease ends with the work, which may take longer: it
/// travels with the call to whoever runs it. Dropping it gives the place back.
#[derive(Debug)]
pub struct Lease {
    lender: Arc<dyn Lender>,
    begun: Option<Instant>,
    is_stuck: bool,
}

impl Lease {
    /// A place that the lender has counted already. `begun` is for lenders that want to know how long it was held.
    #[must_use]
    pub const fn new(lender: Arc<dyn Lender>, begun: Option<Instant>) -> Self {
        Self { lender, begun, is_stuck: false }
    }

    /// Tells the lender, once, that the call holds its place beyond its deadline.
    pub fn mark_stuck(&mut self) {
        if !self.is_stuck {
            self.is_stuck = true;
            self.lender.stuck();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.lender.give_back(self.begun, self.is_stuck);
    }
}
