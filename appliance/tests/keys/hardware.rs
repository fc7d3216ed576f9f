//! `hardware`: what a profile is made for, and what a host has.

use std::process::Stdio;

use crate::program::toolrack;

/// More than any machine has.
const MANY_CORES: &str = "hardware.cores=1024";
const MUCH_MEMORY: &str = "hardware.memory_bytes=16TiB";

/// What begins with these is small enough for every machine.
const SMALL: [&str; 14] = [
    "layer.memory.mode=enforce",
    "layer.memory.ledger_bytes_max=16MiB",
    "session.sessions_max=1",
    "session.subscriptions_max=1",
    "session.streams_max=1",
    "tasks.bytes_max=1MiB",
    "listen.desktop.stdio.calls_max=1",
    "layer.concurrency.calls_max=1",
    "layer.bulkhead.concurrent_calls=1",
    "layer.bulkhead.queue_calls=0",
    "process.worker_threads=1",
    "reload.images_max=4",
    "reload.draining_generations_max=1",
    "history.generations_max=2",
];

/// What a process says of a small profile with these settings. It ends at once, because nobody is at its standard
/// input: whether it had begun to serve.
fn said(settings: &[&str]) -> (bool, String) {
    let (is_good, said) = run("serve", settings);
    assert_eq!(is_good, said.contains("Serving"), "{said}");
    (is_good, said)
}

/// Runs a command with the small profile and these settings: whether it was good, and what was said.
fn run(command: &str, settings: &[&str]) -> (bool, String) {
    let usual = ["log.filter=info", "hardware.cores=1", "hardware.memory_bytes=256MiB"];
    let settings = usual.iter().chain(&SMALL).chain(settings);
    let settings = settings.flat_map(|setting| ["--set", setting]);
    let mut program = toolrack();
    program.args([command, "--profile", "desktop"]).args(settings).stdin(Stdio::null());
    let output = program.output().expect("it runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(matches!(output.status.code(), Some(0 | 78)), "{said}");
    (output.status.success(), said)
}

/// Whether these settings are good, and something is said that contains `part`.
#[track_caller]
fn is_good_and_says(settings: &[&str], is_good: bool, part: &str) {
    let (serves, said) = said(settings);
    assert!(serves == is_good && said.contains(part), "{said}");
}

/// Whether nothing is said of the box.
#[track_caller]
fn is_good_in_silence(settings: &[&str]) {
    let (serves, said) = said(settings);
    assert!(serves && !said.contains("hardware."), "{said}");
}

pub(crate) fn a_host_with_fewer_cores_is_a_mismatch() {
    is_good_in_silence(&[]);
    let part = "hardware.cores: the profile `desktop` is made for 1024 cores; here are ";
    is_good_and_says(&[MANY_CORES], true, part);
}

pub(crate) fn what_is_admitted_must_fit_into_the_memory_and_the_host() {
    is_good_and_says(&[MUCH_MEMORY], true, "is made for 16TiB of memory; here are ");
    let too_little = "the worst case does not fit into 64MiB: process 16.0 MiB + ";
    is_good_and_says(&["hardware.memory_bytes=64MiB"], false, too_little);
    let (_, said) = said(&["hardware.memory_bytes=64MiB"]);
    assert!(said.contains(" MiB; the most is saved by plugin."), "{said}");
    let outside = "hardware.memory_bytes: 1MiB is outside of 64MiB to 16TiB";
    is_good_and_says(&["hardware.memory_bytes=1MiB"], false, outside);
}

pub(crate) fn descriptors_must_hold_the_connections_and_be_there() {
    is_good_in_silence(&["hardware.descriptors=64"]);
    let many = "hardware.descriptors=10000000";
    let part = "hardware.descriptors: the profile `desktop` is made for 10000000 open files; here";
    is_good_and_says(&[many], true, part);
    let connections = [
        "hardware.descriptors=64",
        "hardware.memory_bytes=16TiB",
        "listen.more.http.bind=127.0.0.1:0",
        "listen.more.http.connections_max=65",
    ];
    is_good_and_says(
        &connections,
        false,
        "65 connections and 0 descriptors beside them do not fit",
    );
}

pub(crate) fn one_client_that_may_call_more_than_is_expected_of_all_is_warned_of() {
    let limited = ["hardware.calls_per_sec=49", "layer.rate_limit.calls_per_sec=50"];
    let room = "hardware.memory_bytes=512MiB";
    let part = "49 calls each second are expected of all clients, but one alone may send 50";
    is_good_and_says(&[limited[0], limited[1], room], true, part);
    is_good_in_silence(&["hardware.calls_per_sec=50", limited[1], room]);
    is_good_in_silence(&[limited[0]]);
}

pub(crate) fn connections_that_are_expected_must_be_let_in() {
    let part = "1 connections are expected, but the profile lets in 0";
    is_good_and_says(&["hardware.connections=1"], false, part);
    for (expected, is_good) in [(2, true), (3, false)] {
        // With such a listener it would serve until it is stopped.
        let (found, said) = run(
            "check",
            &[
                &format!("hardware.connections={expected}"),
                "listen.more.http.bind=127.0.0.1:0",
                "listen.more.http.connections_max=2",
            ],
        );
        assert!(found == is_good && said.contains("lets in 2") != is_good, "{said}");
    }
}

pub(crate) fn sessions_that_are_expected_must_be_let_in() {
    is_good_in_silence(&["hardware.sessions=1"]);
    let part = "2 sessions are expected, but the profile lets in 1; lower this or raise session";
    is_good_and_says(&["hardware.sessions=2"], false, part);
}

pub(crate) fn a_mismatch_is_warned_of_or_keeps_it_from_starting() {
    for (mode, serves) in [("warn", true), ("refuse", false)] {
        let mismatch = format!("hardware.mismatch={mode}");
        is_good_and_says(&[&mismatch, MANY_CORES], serves, "hardware.cores: the profile");
        is_good_in_silence(&[&mismatch]);
    }
}
