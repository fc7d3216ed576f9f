//! The real program, real sockets, real plugins.

mod cli;
mod examples;
mod http;
mod limits;
mod misbehave;
mod program;
mod sick;
mod stdio;
mod tasks;
