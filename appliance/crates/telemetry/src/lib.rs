//! Every metric name and log event, and how they leave the process.

mod calls;
pub mod kernel;
mod logging;
mod metric;
mod process;
mod recent;
mod refusals;
mod registry;
mod samples;

pub use calls::{CallMeter, Measured};
pub use logging::{LogShape, start_logging};
pub use metric::{Kind, Metric, reference};
pub use recent::{RecentRefusals, Remembered};
pub use refusals::RefusalCounter;
pub use registry::Registry;
pub use samples::Samples;
