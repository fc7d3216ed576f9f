//! The catalogue of refusals: every way in which each kind comes to be, and what can be done about it.
//!
//! The one place that says so: the reference and `/admin/explain` are made from it, and a refusal that is not in it
//! fails the test that meets it, since [`Refusal::new`](super::Refusal::new) asserts it in debug builds.

mod call;
mod edge;

use super::Cause;
use call::CALL;
use edge::EDGE;

const NEXT_TOKEN: &str = "until one more is good";

/// Every cause, in the order in which a request could meet them.
pub static CAUSES: &[Cause] = &joined();

const fn joined() -> [Cause; EDGE.len() + CALL.len()] {
    let mut all = [EDGE[0]; EDGE.len() + CALL.len()];
    let (before, after) = all.split_at_mut(EDGE.len());
    before.copy_from_slice(EDGE);
    after.copy_from_slice(CALL);
    all
}
