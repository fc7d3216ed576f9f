//! The only room where time passes: generations, the switch, changes, drain.

mod changes;
mod generation;
mod vitals;

pub use changes::{Change, Changes};
pub use generation::{Generation, Switch};
pub use vitals::{Phase, Vitals};
