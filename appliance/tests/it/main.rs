//! The real program, real sockets, real plugins.

mod bench;
mod boxes;
#[path = "../keys/callers.rs"]
#[allow(dead_code, reason = "shared with `keys`: either uses what it needs")]
mod callers;
mod cli;
mod control;
mod descriptors;
mod examples;
mod fairness;
mod http;
mod limits;
mod memory;
mod misbehave;
mod order;
mod program;
mod refusals;
mod reload;
mod selftest;
mod service_manager;
mod sick;
mod stdio;
mod tasks;
mod upgrade;
#[path = "../keys/wire.rs"]
#[allow(dead_code, reason = "shared with `keys`: either uses what it needs")]
mod wire;
