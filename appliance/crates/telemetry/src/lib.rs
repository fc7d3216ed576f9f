//! Every metric name and log event, and how they leave the process.

mod calls;
mod gauges;
mod logging;
mod refusals;
mod registry;

pub use calls::{CallMeter, Measured};
pub use gauges::render_bound;
pub use logging::{LogShape, start_logging};
pub use refusals::RefusalCounter;
pub use registry::Registry;
