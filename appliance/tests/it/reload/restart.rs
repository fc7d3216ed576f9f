//! Each key that takes a restart refuses a change whole, and is named with its reason.

use serde_json::json;

use super::history::HISTORY;
use super::*;
use crate::wire::echo;

/// Every key that takes a restart, with another value than the profile below gives it.
const CHANGES: &[(&str, &str)] = &[
    ("control.allow_profile", "true"),
    ("control.allow_remote", "true"),
    ("control.bind", "\"127.0.0.2:0\""),
    ("control.refusals_kept", "7"),
    ("control.selftest", "true"),
    ("history.folder", "\"elsewhere\""),
    ("history.generations_max", "7"),
    ("listen.NAME.stdio.calls_max", "7"),
    ("process.worker_threads", "3"),
];

/// A profile that has every table that they are in.
fn before() -> String {
    let tables = "[listen.desktop.stdio]\n[process]\n";
    text(&[ON_REQUEST, ECHO, HISTORY, tables, &deadline(5_000)])
}

/// The same profile with another value of `key`, and with something that a running process could follow.
fn with(key: &str, value: &str) -> String {
    let (table, name) = key.rsplit_once('.').expect("a key of a table");
    let (head, assigned) = (format!("[{table}]"), format!("{name} = "));
    let mut is_there = false;
    let mut changed = String::new();
    for line in before().lines() {
        is_there = if line.starts_with('[') { line == head } else { is_there };
        if !(is_there && line.starts_with(&assigned)) {
            changed.push_str(&format!("{line}\n"));
        }
        if line == head {
            changed.push_str(&format!("{assigned}{value}\n"));
        }
    }
    changed.replace("deadline_ms = 5000", "deadline_ms = 5001")
}

#[test]
fn each_key_that_takes_a_restart_is_refused_by_itself_and_with_its_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("live.toml");
    fs::write(&path, before()).expect("written");
    let program = Program::start_with_stdio(&path, &[]);
    let live = Live { folder, program };
    let keys = profile::not_reloadable();
    let known: Vec<_> = keys.iter().map(|(key, _)| key.as_str()).collect();
    let tried: Vec<_> = CHANGES.iter().map(|(key, _)| *key).collect();
    assert_eq!(known, tried, "a key that is new wants a change of its own here");
    for ((key, value), (_, why)) in CHANGES.iter().zip(&keys) {
        let key = key.replace("NAME", "desktop");
        fs::write(&path, with(&key, value)).expect("written");
        let answer = live.ask("?wait=true");
        let attempt = answer.json();
        let result = (answer.status, &attempt["result"]);
        assert_eq!(result, (409, &json!("restart_required")), "{key}: {attempt}");
        let said =
            format!("{key}: takes a restart, since {why}; restart, or take this change back");
        assert_eq!(attempt["problems"], json!([said]));
        let mut changed = [key.as_str(), "layer.timeout.deadline_ms"];
        changed.sort_unstable();
        assert_eq!(attempt["changed"], json!(changed));
        assert_eq!(
            live.serves("layer.timeout.deadline_ms"),
            "5000",
            "{key}: none of it is applied"
        );
        assert_eq!((live.generation(), echo(&live.program, &key).status), (1, 200));
    }
    fs::write(&path, before().replace("deadline_ms = 5000", "deadline_ms = 5001"))
        .expect("written");
    assert_eq!(live.reload()["result"], "applied");
}
