//! Moves bytes and calls across HTTP and stdio.

pub mod accept;
mod body;
mod classify;
mod endpoint;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod http;
mod legacy;
mod modern;
mod outcome;
mod reserved;
pub mod session;
pub mod stdio;
mod subscription;
mod task;

pub use body::ReplyBody;
pub use endpoint::Endpoint;
