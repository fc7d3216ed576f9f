//! Caps what goes in and what comes out.
//!
//! A request that declares more than the cap is refused before its body is read; one that does not declare its
//! size is read up to the cap and no further. An answer above its cap is replaced by a refusal, so that a tool
//! cannot flood a client.
//!
//! ```toml
//! [layer.payload]
//! request_bytes_max = "4MiB"
//! response_bytes_max = "16MiB"
//! ```

mod answer;
mod config;
mod request;
#[cfg(test)]
mod tests;

pub use answer::{PayloadAnswer, PayloadAnswerLayer};
pub use config::Config;
pub use request::{PayloadRequest, PayloadRequestLayer};

/// The layer's name.
pub const NAME: &str = "payload";
