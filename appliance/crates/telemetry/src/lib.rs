//! Every metric name and log event, and how they leave the process.

mod refusals;

pub use refusals::RefusalCounter;
