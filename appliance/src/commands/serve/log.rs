//! The operator's log, as a profile wants it.

use profile::plan::{LogFormat, LogPlan};
use telemetry::{LogLines, LogShape};

/// What the plan wants written, and how.
///
/// # Errors
/// When its filter cannot be read: the key, and why.
pub(super) fn lines(plan: &LogPlan) -> Result<LogLines, String> {
    let shape = match plan.format {
        LogFormat::Auto => LogShape::Auto,
        LogFormat::Text => LogShape::Text,
        LogFormat::Json => LogShape::Json,
    };
    LogLines::new(&plan.filter, shape, crate::cli::wants_colours()).map_err(|error| {
        let filter = &plan.filter;
        format!("log.filter: `{filter}`: {error}; write it like `info` or `warn,transport=debug`")
    })
}
