//! A start without a good profile serves the last good one, when that is allowed, and says so.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::history::{HISTORY, numbers, started};
use super::*;
use crate::program::run;
use crate::wire::{echo, until, until_metric};

/// Runs the program on a profile that is no good, to its end.
fn fails(live: &Live, more: &[&str]) -> String {
    let path = live.path();
    let arguments = [&["serve", "--profile", path.to_str().expect("UTF-8")], more].concat();
    let output = run(&arguments);
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(78), "{said}");
    said
}

/// Profiles that a start ends with 78 for, and what is said of each.
fn broken() -> Vec<(String, &'static str)> {
    let with = |table: &str| text(&[ON_REQUEST, HISTORY, ECHO, table]);
    let elsewhere = "[layer.origin]\nallowed_hosts = [\"example.com\"]\n[listen.other]\nhttp = { bind = \"192.0.2.1:80\" }\n";
    let panics =
        "[plugin.misbehave]\nlibrary = \"libmisbehave.so\"\nconfig = { panics_in = \"start\" }\n";
    let table = |table: &str, said| (with(table), said);
    vec![
        table("[layer\n", "not TOML"),
        table("[layer.timeout]\n[layer.timeout]\n", "not TOML"),
        table("[layer.nothing]\n", "layer.nothing"),
        table("[layer.concurrency]\ncalls_maxx = 1\n", "did you mean `calls_max`?"),
        table("[layer.concurrency]\ncalls_max = \"many\"\n", "layer.concurrency.calls_max"),
        table("[layer.concurrency]\ncalls_max = 0\n", "layer.concurrency.calls_max"),
        table("[layer.payload]\nrequest_bytes_max = \"1 furlong\"\n", "request_bytes_max"),
        table("[tasks]\nttl_ms = 1000\ndeadline_ms = 1001\n", "tasks.deadline_ms"),
        table("[hardware]\ncores = 1\nmemory_bytes = \"1GiB\"\n", "hardware.memory_bytes"),
        table("[request_state]\nkey = { env = \"TOOLRACK_NOWHERE\" }\n", "request_state.key"),
        table("[request_state]\nkey = { file = \"nowhere\" }\n", "request_state.key"),
        table("[plugin.other]\nlibrary = \"libnowhere.so\"\n", "libnowhere.so"),
        table("[plugin.other]\nlibrary = \"./live.toml\"\n", "plugin.other"),
        table("[plugin.twin]\nlibrary = \"libecho.so\"\n", "already offered by plugin.echo"),
        table(panics, "plugin.misbehave"),
        table(elsewhere, "192.0.2.1"),
        table("[log]\nfilter = \"no=such=filter\"\n", "log.filter"),
        (with("").replace("format = 1", "format = 2"), "format"),
        (format!("extends = \"nowhere.toml\"\n{}", with("")), "nowhere.toml"),
        (format!("extends = \"live.toml\"\n{}", with("")), "comes back to itself"),
    ]
}

#[test]
fn without_a_good_profile_the_last_good_one_serves_when_that_is_allowed() {
    let mut live = started(&[&deadline(5_001)]);
    until("it is written", || live.files().len() == 1);
    let broken = broken();
    assert!(broken.len() >= 20, "{}", broken.len());
    for (broken, said) in broken {
        live.program.signal("KILL");
        fs::write(live.path(), &broken).expect("written");
        let refused = fails(&live, &[]);
        assert!(refused.contains(said), "{refused}");
        assert!(refused.contains("hint: --allow-last-good"), "{refused}");
        live.program = Program::start(&live.path(), &["--allow-last-good"]);
        let warned = live.program.said.iter().any(|line| {
            line["level"] == "WARN" && line["message"].as_str().is_some_and(|it| it.contains(said))
        });
        assert!(warned, "{:#?}", live.program.said);
        // It says that it serves a moment before it is ready.
        until("it is ready", || live.program.control("/readyz").status == 200);
        let ready = live.program.control("/readyz").json();
        assert_eq!(live.state(), ("5001".to_owned(), json!("last_good")), "{broken}");
        assert!(ready["profile_problems"].as_u64() > Some(0), "{ready}");
        assert_eq!(echo(&live.program, "it serves").status, 200);
    }
    assert_eq!(numbers(&live.history()), [1], "it was the same one all the time");
}

#[test]
fn a_profile_that_was_mended_serves_instead_of_the_last_good_one() {
    let live = Live::start(&[HISTORY, ECHO, &deadline(5_001)]);
    until("it is written", || live.files().len() == 1);
    live.program.signal("KILL");
    live.write(&[HISTORY, ECHO, &deadline(0)]);
    let program = Program::start(&live.path(), &["--allow-last-good"]);
    let live = Live { folder: live.folder, program };
    until_metric(&live.program, "toolrack_profile_is_stale 1");
    let refused = live.reload();
    assert_eq!((&refused["result"], &refused["source"]), (&json!("refused"), &json!("file")));
    // What takes a restart takes one now as well: the last good one serves on.
    live.write(&[HISTORY, ECHO, &deadline(5_001), "[process]\nworker_threads = 3\n"]);
    live.until("it is looked at", |attempt| attempt["result"] == "restart_required");
    assert_eq!(live.state(), ("5001".to_owned(), json!("last_good")));
    live.write(&[HISTORY, ECHO, &deadline(5_001)]);
    live.until("it is mended", |attempt| attempt["result"] == "unchanged");
    assert_eq!(live.state(), ("5001".to_owned(), json!("file")));
    live.write(&[HISTORY, ECHO, &deadline(5_002)]);
    live.until("it changes", |attempt| attempt["result"] == "applied");
    assert_eq!((live.state(), live.generation()), (("5002".to_owned(), json!("file")), 2));
    until_metric(&live.program, "toolrack_profile_is_stale 0");
}

#[test]
fn the_newest_kept_generation_that_works_is_the_last_good_one() {
    let live = started(&[&deadline(5_001)]);
    live.applies(&[ON_REQUEST, HISTORY, ECHO, &deadline(5_002)]);
    let other = live.folder.path().join("libother.so");
    copy("libconformance.so", &other);
    let table = "[plugin.other]\nlibrary = \"./libother.so\"\n";
    live.applies(&[ON_REQUEST, HISTORY, ECHO, &deadline(5_003), table]);
    live.until_kept(3);
    let path = live.path();
    let live = {
        // It ends without a word.
        live.program.signal("KILL");
        let folder = live.folder;
        fs::remove_file(&other).expect("removed");
        fs::remove_file(&path).expect("removed");
        let set = "history.folder=history";
        let program = Program::start(&path, &["--allow-last-good", "--set", set]);
        Live { folder, program }
    };
    assert_eq!(live.state(), ("5002".to_owned(), json!("last_good")));
    live.until_kept(4);
    let last = live.history().pop().expect("one");
    assert_eq!((&last["generation"], &last["trigger"]), (&json!(4), &json!("start")));
}

#[test]
fn a_last_good_profile_is_taken_only_from_where_nobody_else_writes() {
    let live = started(&[]);
    until("it is written", || live.files().len() == 1);
    live.program.signal("KILL");
    live.write(&["[wrong\n", HISTORY]);
    let kept = live.folder.path().join("history");
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o770)).expect("changed");
    let said = fails(&live, &["--allow-last-good"]);
    assert!(said.contains("chmod go-w"), "{said}");
    live.write(&[HISTORY, ECHO]);
    let said = fails(&live, &["--allow-last-good"]);
    assert!(said.contains("history.folder") && said.contains("chmod go-w"), "{said}");
    fs::remove_dir_all(&kept).expect("removed");
    fs::create_dir(&kept).expect("made");
    live.write(&["[wrong\n", HISTORY]);
    let said = fails(&live, &["--allow-last-good"]);
    assert!(said.contains("no generation is kept"), "{said}");
    live.write(&["[wrong\n"]);
    let said = fails(&live, &["--allow-last-good"]);
    assert!(said.contains("no history.folder can be read"), "{said}");
}
