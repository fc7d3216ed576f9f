//! Turns a TOML profile into a plan, or into all of its problems.

pub mod plan;

pub use plan::Plan;
