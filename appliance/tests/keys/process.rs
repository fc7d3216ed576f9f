//! `process`, `log`, `shutdown`: how the process runs, what it says, how it ends.

use std::process::Stdio;

use serde_json::Value;

use crate::program::{Program, toolrack};
use crate::wire::{Connection, echo, posted, serve, speaking_call, threads, until};

pub(crate) fn so_many_threads_serve_clients() {
    // A single one would be the main thread.
    for count in [2, 3] {
        let program = serve(&[&format!("process.worker_threads={count}")]);
        let serving = || threads(program.id(), |name| name == "serve");
        // A thread has its name from its own first step.
        until("all threads run", || serving() == count);
        assert_eq!((echo(&program, "x").status, serving()), (200, count));
    }
}

/// The log of a process that ends at once, because nobody is at its standard input.
fn log(setting: &str) -> String {
    let serve = ["serve", "--profile", "desktop", "--set", "log.filter=info", "--set", setting];
    let output = toolrack().args(serve).stdin(Stdio::null()).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).expect("text")
}

pub(crate) fn a_log_line_has_the_shape_that_was_asked_for() {
    let is_json = |line: &str| serde_json::from_str::<Value>(line).is_ok();
    let json = log("log.format=json");
    assert!(json.contains("Serving") && json.lines().all(is_json), "{json}");
    let text = log("log.format=text");
    assert!(text.contains("Serving") && !text.lines().any(is_json), "{text}");
}

pub(crate) fn the_log_holds_what_its_filter_lets_through() {
    assert!(log("log.filter=info").contains("Serving"));
    assert_eq!(log("log.filter=error"), "");
}

/// What a load balancer hears.
fn is_ready(program: &Program) -> bool {
    program.control("/readyz").status == 200
}

pub(crate) fn the_end_is_announced_for_so_long() {
    let mut abrupt = serve(&["shutdown.notice_ms=0"]);
    abrupt.signal("TERM");
    assert_eq!(abrupt.wait(), Some(0));
    let announced = serve(&["shutdown.notice_ms=86400000"]);
    announced.signal("TERM");
    until("it looks ready", || !is_ready(&announced));
    assert_eq!(echo(&announced, "x").status, 200);
}

pub(crate) fn calls_in_flight_may_take_so_long_to_finish() {
    let mut hasty = serve(&["shutdown.drain_ms=1"]);
    let mut cut = Connection::waiting(&hasty);
    hasty.signal("TERM");
    assert!(!cut.rest().contains("\"result\""));
    assert_eq!(hasty.wait(), Some(0));
    let mut patient = serve(&["shutdown.drain_ms=86400000"]);
    let (headers, call) = speaking_call("test_tool_with_progress");
    let request = posted(&patient, &headers, &call);
    let mut finished = Connection::with(&patient, &request);
    finished.until("Completed step 0");
    patient.signal("TERM");
    assert!(finished.rest().contains("\"complete\""));
    assert_eq!(patient.wait(), Some(0));
}
