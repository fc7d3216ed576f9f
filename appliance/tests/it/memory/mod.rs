//! Bodies that have no room, and a process that is near its limit.

mod bodies;
pub(crate) mod group;
mod levels;
mod uploads;

use serde_json::{Value, json};

use crate::program::{Program, modern_call, modern_headers, profile};

/// The usual profile with these settings of the layer.
fn start(settings: &[&str]) -> Program {
    let settings: Vec<_> =
        settings.iter().map(|setting| format!("layer.memory.{setting}")).collect();
    let arguments: Vec<_> =
        settings.iter().flat_map(|setting| ["--set", setting.as_str()]).collect();
    Program::start(&profile(""), &arguments)
}

/// The value of a series of the metrics.
fn metric(program: &Program, series: &str) -> Option<u64> {
    let metrics = program.control("/metrics").body;
    let mut values =
        metrics.lines().filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    values.next().map(|value| value.parse().expect("a number"))
}

/// Waits until the ledger holds so many bytes. Scrapes within one second share a snapshot.
fn until_reserved(program: &Program, bytes: u64) {
    let mut found = None;
    let begun = std::time::Instant::now();
    while found != Some(bytes) {
        assert!(begun.elapsed() < crate::program::PATIENCE, "{found:?} instead of {bytes}");
        found = metric(program, "toolrack_bound_used{bound=\"memory_ledger_bytes\"}");
    }
}

/// Whether a client is told to come back after so many seconds, or a fifth later: not all at once.
fn is_after(retry_after: Option<&str>, secs: u64) -> bool {
    let told = retry_after.and_then(|secs| secs.parse().ok());
    told.is_some_and(|told: u64| (secs..=(secs * 6).div_ceil(5)).contains(&told))
}

/// A call of so many bytes of text, and more.
fn upload(kib: usize) -> Value {
    modern_call("echo", &json!({ "text": "x".repeat(kib << 10) }))
}

/// The head of such a call, without what says how long it is.
fn head(program: &Program) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{}",
        program.address,
        modern_headers("tools/call", Some("echo"))
    )
}
