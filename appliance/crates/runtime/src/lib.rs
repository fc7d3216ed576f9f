//! The only room where time passes: generations, the switch, changes, drain.

mod changes;
mod vitals;

pub use changes::{Change, Changes};
pub use vitals::{Phase, Vitals};
