//! Turns a TOML profile into a plan, or into all of its problems.
//!
//! Reads the files that it is given and nothing else: no environment, no sockets, no libraries.

mod built_in;
mod changes;
mod check;
mod classes;
mod explain;
mod identity;
mod kept;
mod load;
mod origin;
pub mod plan;
mod problem;
mod profile;
mod reference;
mod resolve;
mod schema;
mod shown;
mod source;
mod text;
pub mod worst_case;

pub use built_in::{BuiltIn, built_in, built_ins};
pub use changes::Change;
pub use classes::{Class, not_reloadable};
pub use explain::Row;
pub use identity::{Identity, NoIdentity};
pub use kept::{Kept, load_kept};
pub use load::{Loaded, Sources, load};
pub use origin::Origin;
pub use plan::Plan;
pub use problem::{Place, Problem, Problems};
pub use reference::reference;
pub use schema::{keys, schema};
pub use source::{Posted, TEXT_BYTES_MAX, Written, history_folder, written};
pub use worst_case::WorstCase;
