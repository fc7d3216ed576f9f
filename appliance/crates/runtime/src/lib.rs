//! The only room where time passes: generations, the switch, changes, drain.

mod changes;
mod generation;
mod notices;
mod vitals;
mod watches;

pub use changes::{Change, Changes};
pub use generation::{Generation, Switch};
pub use notices::{NOTICES_MAX, follow_notices};
pub use vitals::{Phase, Vitals};
pub use watches::{Watch, Watches};
