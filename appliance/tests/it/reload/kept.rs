//! What a reload leaves alone, what it refuses while the process ends, and what is the same everywhere.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::program::toolrack;
use crate::wire::{Connection, echo};

/// The kernel's numbers of the sockets that listen on a port.
fn listening(address: &str) -> BTreeSet<String> {
    let (_, port) = address.rsplit_once(':').expect("a port");
    let port = format!(":{:04X}", port.parse::<u16>().expect("a number"));
    let table = fs::read_to_string("/proc/net/tcp").expect("a table");
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    // The state 0A listens.
    let rows =
        rows.filter(|row| row.get(1).is_some_and(|own| own.ends_with(&port)) && row[3] == "0A");
    rows.map(|row| row[9].to_owned()).collect()
}

#[test]
fn listeners_stay_the_sockets_that_they_were() {
    let live = Live::start(&[ON_REQUEST, ECHO, &deadline(5_000)]);
    let both = || [&live.program.address, &live.program.control].map(|address| listening(address));
    let before = both();
    assert!(before.iter().all(|sockets| !sockets.is_empty()), "{before:?}");
    for ms in 5_001..5_010 {
        live.applies(&[ON_REQUEST, ECHO, CONFORMANCE, &deadline(ms)]);
    }
    assert_eq!(both(), before);
}

#[test]
fn a_process_that_stops_takes_no_other_profile_and_says_so() {
    let mut live = Live::start(&[ON_REQUEST, ECHO, CONFORMANCE, &deadline(60_000)]);
    let waiting = Connection::waiting(&live.program);
    live.program.signal("TERM");
    crate::wire::until("it drains", || live.program.control("/readyz").status == 503);
    live.write(&[ON_REQUEST, ECHO, CONFORMANCE, &deadline(60_001)]);
    let answer = live.ask("?wait=true");
    assert!([409, 503].contains(&answer.status) && answer.body.contains("stopping"), "{answer:?}");
    drop(waiting);
    assert_eq!(live.program.wait(), Some(0));
}

#[test]
fn a_process_that_stops_does_not_try_what_is_written_meanwhile() {
    let mut live =
        Live::start(&["[reload]\ninterval_ms = 0\n", ECHO, CONFORMANCE, &deadline(60_000)]);
    let waiting = Connection::waiting(&live.program);
    live.program.signal("TERM");
    crate::wire::until("it drains", || live.program.control("/readyz").status == 503);
    live.write(&["[reload]\ninterval_ms = 0\n", ECHO, CONFORMANCE, &deadline(60_001)]);
    // Longer than a write waits to be read.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        let reloads = live.program.control("/admin/reloads").json();
        assert_eq!(reloads["attempts"].as_array().map(Vec::len), Some(0), "{reloads}");
    }
    drop(waiting);
    assert_eq!(live.program.wait(), Some(0));
}

#[test]
fn one_profile_is_the_same_in_every_folder_language_and_zone() {
    let shown = |language: &str, zone: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("live.toml");
        fs::write(&path, text(&[ON_REQUEST, ECHO, &deadline(5_000)])).expect("written");
        let mut command = toolrack();
        command.env("LC_ALL", language).env("TZ", zone);
        let live = Live { program: Program::start_by(command, &path, &[]), folder };
        let attempt = live.reload();
        assert_eq!(attempt["result"], "unchanged", "{attempt}");
        let mut values = live.program.control("/admin/plan").json()["values"].take();
        let values = values.as_object_mut().expect("a table");
        // Where a value came from is another place each time; everything has one.
        for (key, shown) in values.iter_mut() {
            assert!(shown["origin"].take().is_string(), "{key}");
        }
        (attempt["identity"].clone(), json!(values))
    };
    let one = shown("C", "UTC");
    assert!(one.0.as_str().is_some_and(|identity| identity.len() == 64), "{}", one.0);
    assert_eq!(one, shown("tr_TR.UTF-8", "Asia/Kathmandu"));
    let live = Live::start(&[ON_REQUEST, ECHO, &deadline(5_001)]);
    assert_ne!(live.reload()["identity"], one.0);
    assert_eq!(echo(&live.program, "served").status, 200);
}
