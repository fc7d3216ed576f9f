//! Upgrades that fail leave everything as it was.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::json;

use super::*;
use crate::wire::{echo, metric, request};

/// A program that does this instead of taking over.
fn script(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("changed");
    path
}

#[test]
fn whatever_the_other_program_does_this_one_serves_on_and_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut upgraded = Upgraded::start("");
    let session = upgraded.program.session("2025-06-18", json!({}));
    let hangs = script(&folder, "hangs", "exec sleep 600");
    let fails = script(&folder, "fails", "exit 3");
    let babbles = script(&folder, "babbles", "printf '\\0\\0\\0\\2{}' >&0; exec cat >/dev/null");
    // Says that it is ready, and ends when everything is handed over.
    let quits =
        "printf '\\0\\0\\0\\023{\"kind\":\"prepared\"}' >&0; head -c 400 <&0 >/dev/null; exit 5";
    let quits = script(&folder, "quits", quits);
    let empty = folder.path().join("empty");
    fs::write(&empty, "").expect("written");
    fs::set_permissions(&empty, Permissions::from_mode(0o755)).expect("changed");
    let open = script(&folder, "open", "true");
    fs::set_permissions(&open, Permissions::from_mode(0o777)).expect("changed");
    let cases = [
        (&hangs, "&wait_ms=200", "not ready within 200 ms"),
        (&fails, "", "ended with exit code 3"),
        (&babbles, "", "did not take over"),
        (&quits, "", "ended with exit code 5"),
        (&empty, "", "cannot be started"),
        (&open, "", "can be written by others"),
        (&folder.path().join("none"), "", "No such file"),
    ];
    for (at, (program, more, expected)) in cases.iter().enumerate() {
        let problems = upgraded.refused(&format!("?program={}{more}", program.display()));
        assert!(problems.contains(expected), "{problems}");
        assert_eq!(echo(&upgraded.program, "still here").status, 200);
        let ping = request("ping", &json!({}));
        assert_eq!(upgraded.program.post(&session, &ping).status, 200);
        let failed = at as f64 + 1.0;
        until("it is counted", || {
            metric(&upgraded.program, "toolrack_upgrades_failed_total") == Some(failed)
        });
    }
    upgraded.upgrade();
    upgraded.initial_ends();
    assert_eq!(echo(&upgraded.program, "another").status, 200);
}

/// The program as the first process of a namespace of its own, as in a container; `None` where the system forbids it.
fn as_process_one() -> Option<Command> {
    let arguments = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
    let unshare = |program: &str| {
        let mut command = Command::new("unshare");
        command.args(arguments).arg(program);
        command
    };
    let tried = unshare("true").output().is_ok_and(|output| output.status.success());
    tried.then(|| unshare(env!("CARGO_BIN_EXE_toolrack")))
}

#[test]
fn process_one_is_not_upgraded_since_its_container_would_end_with_it() {
    let Some(command) = as_process_one() else {
        eprintln!("left out: no namespaces of processes for this user");
        return;
    };
    let upgraded = Upgraded::start_by(command, "");
    let problems = upgraded.refused("");
    assert!(problems.contains("this is process 1"), "{problems}");
    assert_eq!(echo(&upgraded.program, "still here").status, 200);
}

#[test]
fn a_profile_that_is_wrong_by_now_is_refused_with_its_problems() {
    let mut upgraded = Upgraded::start("");
    let good = fs::read_to_string(&upgraded.profile).expect("it is there");
    fs::write(&upgraded.profile, format!("{good}\n[nonsense]\n")).expect("written");
    let problems = upgraded.refused("");
    assert!(problems.contains("nonsense"), "{problems}");
    fs::write(&upgraded.profile, good.replace("libecho.so", "libnone.so")).expect("written");
    let problems = upgraded.refused("");
    assert!(problems.contains("libnone.so"), "{problems}");
    assert_eq!(echo(&upgraded.program, "still here").status, 200);
    fs::write(&upgraded.profile, good).expect("written");
    upgraded.upgrade();
    upgraded.initial_ends();
}

#[test]
fn tasks_are_not_lost_unasked() {
    let tasks = "[plugin.echo.limits]\nqueue_calls = 16\n";
    let mut upgraded = Upgraded::start(tasks);
    let capabilities =
        json!({ "elicitation": {}, "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let params = json!({ "name": "slow_compute", "arguments": { "seconds": 60 } });
    let made = crate::wire::ask_with(&upgraded.program, "tools/call", params, &capabilities).json();
    assert!(made["result"]["taskId"].is_string(), "{made}");
    let problems = upgraded.refused("");
    assert!(problems.contains("keeps tasks") && problems.contains("--forget-tasks"), "{problems}");
    upgraded.upgrade_with("?forget_tasks=true");
    upgraded.initial_ends();
}

#[test]
fn nobody_takes_over_who_was_not_asked() {
    let output = toolrack().args(["serve", "--take-over"]).output().expect("it runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(75), "{said}");
    assert!(said.contains("only a process that is upgraded"), "{said}");
}

#[test]
fn a_profile_that_only_the_process_has_is_not_lost_unasked() {
    let upgraded = Upgraded::start("");
    let program = &upgraded.program;
    let shown = program.control("/admin/profile");
    let etag = shown.header("etag").expect("what serves").to_owned();
    let text = fs::read_to_string(&upgraded.profile).expect("it is there");
    let text = text.replace("drain_ms = 2000", "drain_ms = 2001");
    let headers = format!("If-Match: {etag}\r\n");
    let posted = program.post_control("/admin/profile", &headers, &text);
    assert_eq!(posted.status, 200, "{posted:?}");
    let problems = upgraded.refused("");
    assert!(problems.contains("not the one of its file"), "{problems}");
}

#[test]
fn a_client_on_standard_input_is_not_cut_off() {
    let profile = profile(&format!("{QUICK}[listen.desktop]\nstdio = {{}}\n"));
    let mut program = Program::start_with_stdio(&profile, &[]);
    let head = format!("POST /admin/upgrade HTTP/1.1\r\nHost: {}\r\n", program.control);
    let told = program.request_control(&head);
    assert_eq!(told.status, 409, "{told:?}");
    assert!(told.body.contains("cannot be handed over"), "{told:?}");
    let params = crate::program::modern_params(json!({}), &json!({}));
    let answer = program.ask_stdio(&request("server/discover", &params));
    assert!(answer["result"].is_object(), "{answer}");
}

#[test]
fn another_version_of_the_handover_is_refused_by_its_number() {
    let (mut before, after) = UnixStream::pair().expect("a pair");
    before.set_read_timeout(Some(crate::program::PATIENCE)).expect("a limit");
    let hello = br#"{"kind":"hello","version":2}"#;
    let frame = [&(hello.len() as u32).to_be_bytes()[..], hello].concat();
    before.write_all(&frame).expect("written");
    let output = toolrack()
        .args(["serve", "--take-over"])
        .stdin(Stdio::from(OwnedFd::from(after)))
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(75));
    let mut answer = Vec::new();
    before.read_to_end(&mut answer).expect("it has ended");
    let answer: Value = serde_json::from_slice(&answer[4..]).expect("a message");
    assert_eq!(answer["kind"], "refused");
    let problem = answer["problems"][0].as_str().expect("a reason");
    assert!(problem.contains("hands over in version 2"), "{problem}");
}
