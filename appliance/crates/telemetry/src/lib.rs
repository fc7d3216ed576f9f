//! Every metric name and log event, and how they leave the process.

mod calls;
mod histogram;
pub mod kernel;
mod logging;
mod metric;
mod process;
mod recent;
mod refusals;
mod registry;
mod samples;
mod waits;

pub use calls::{CallMeter, CallReading, Measured};
pub use logging::{Log, LogLines, LogShape};
pub use metric::{Kind, Metric, reference};
pub use recent::{RecentRefusals, Remembered};
pub use refusals::RefusalCounter;
pub use registry::{LaneRegistry, Registry};
pub use samples::Samples;
pub use waits::WaitMeter;
