//! Where the concurrent cores take their atomics and locks from.
//!
//! In every build that serves: atomics of the standard library and locks of `parking_lot`, under their own names. With
//! the feature `loom` or `shuttle`: those of that model checker, which stops at each of their operations and lets any
//! thread go on. They work inside of a model only, so such a build runs the tests called `interleavings` and no others.
//!
//! loom tries all interleavings of a model, and what weak orderings let a thread see; of operations that are
//! sequentially consistent it knows no common order. shuttle tries interleavings by chance, in one order of all. So
//! cores that go by acquire and release are modelled in loom, and those that rely on one order of all in shuttle.

#[cfg(any(feature = "loom", feature = "shuttle"))]
mod modelled;

#[cfg(any(feature = "loom", feature = "shuttle"))]
pub use modelled::{Mutex, MutexGuard, atomic, explore, thread};
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
pub use parking_lot::{Mutex, MutexGuard};
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
pub use std::sync::atomic;
