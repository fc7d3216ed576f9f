//! The only room where time passes: generations, the switch, changes, drain.

mod attempts;
mod changes;
mod generation;
mod notices;
pub mod probation;
mod secret_id;
mod tasks;
mod vitals;
mod wait;
mod watches;

pub use attempts::{Attempt, Attempts, Source, Trigger, Verdict};
pub use changes::{Change, Changes};
pub use generation::{Generation, NoTurn, Switch, Turn};
pub use notices::{NOTICES_MAX, describe_again, follow_notices};
pub use secret_id::{IdDigest, SecretId};
pub use tasks::{Task, Tasks};
pub use vitals::{Phase, Vitals};
pub use wait::wait_until;
pub use watches::{Watch, Watches};
