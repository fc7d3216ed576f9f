//! The operator's log: standard error, text for people and JSON for machines.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogShape {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Starts to write log lines that `filter` lets through, for example `info` or `info,transport=debug`. Colours only on
/// a terminal, and not when `colours` forbids them.
///
/// # Errors
/// When `filter` cannot be read.
pub fn start_logging(filter: &str, shape: LogShape, colours: bool) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    let is_terminal = stderr().is_terminal();
    let is_json = match shape {
        LogShape::Auto => !is_terminal,
        LogShape::Text => false,
        LogShape::Json => true,
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_target(false);
    // A second start, as in tests, keeps the first.
    if is_json {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init().ok();
    } else {
        lines.with_ansi(is_terminal && colours).try_init().ok();
    }
    Ok(())
}
