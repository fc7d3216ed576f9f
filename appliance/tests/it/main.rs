//! The real program, real sockets, real plugins.

mod bench;
mod boxes;
mod cli;
mod descriptors;
mod examples;
mod fairness;
mod http;
mod limits;
mod memory;
mod misbehave;
mod program;
mod selftest;
mod sick;
mod stdio;
mod tasks;
