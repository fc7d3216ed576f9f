//! Each step of building the next generation fails by itself: the attempt is refused and says what to do, no call
//! beside it fails, and what was built until then is gone.

use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::callers::Callers;
use crate::program::toolrack_with_descriptors;
use crate::wire::{threads, until};

/// What the program may open: enough for the good profiles, and known.
const DESCRIPTORS: u32 = 1_000;
/// Plugins and a listener that are brought up beside those that serve, whichever step fails.
const MORE: &str = "[plugin.files]\nlibrary = \"libfilesystem.so\"\nconfig = { root = \".\" }\n\
    [listen.second]\nhttp = { bind = \"127.0.0.1:0\" }\n";

/// One step that fails.
struct Step {
    /// The table that makes it fail.
    table: String,
    /// Where it is wrong, and what to do about it.
    said: [&'static str; 2],
}

fn refused(table: impl Into<String>, key: &'static str, mend: &'static str) -> Step {
    Step { table: table.into(), said: [key, mend] }
}

/// A plugin of a library that does not load.
fn library(library: &str, mend: &'static str) -> Step {
    refused(format!("[plugin.other]\nlibrary = \"{library}\"\n"), "plugin.other", mend)
}

/// A plugin that does not start, with this as its configuration.
fn misbehaving(config: &str, mend: &'static str) -> Step {
    let table = format!("[plugin.bad]\nlibrary = \"libmisbehave.so\"\nconfig = {{ {config} }}\n");
    refused(table, "plugin.bad", mend)
}

/// Libraries that are none, or that nobody should run.
fn put_libraries(folder: &Path) {
    let at = |name: &str| folder.join(name);
    fs::write(at("text.so"), "no library").expect("written");
    // A program is a library of its own kind.
    fs::copy("/bin/sh", at("program.so")).expect("copied");
    symlink(plugins().join("libtime.so"), at("link.so")).expect("linked");
    copy("libtime.so", &at("open.so"));
    fs::set_permissions(at("open.so"), fs::Permissions::from_mode(0o777)).expect("changed");
    let mut bytes = fs::read(plugins().join("libtime.so")).expect("it was built");
    let (from, to) = (b"\"abi\":\"1.0\"", b"\"abi\":\"9.0\"");
    let place = bytes.windows(from.len()).position(|part| part == from).expect("its manifest");
    bytes[place..place + to.len()].copy_from_slice(to);
    copy("libtime.so", &at("newer.so"));
    fs::write(at("newer.so"), bytes).expect("written");
    fs::write(at("short"), "too short").expect("written");
}

/// Each step in the order in which an attempt takes them. The port is one that somebody has.
fn steps(port: u16) -> Vec<Step> {
    let key = |source: &str| format!("[request_state]\nkey = {{ {source} }}\n");
    let listen = |bind: &str| format!("[listen.other]\nhttp = {{ bind = \"{bind}\" }}\n");
    vec![
        // What is known of a profile before anything of it is brought up.
        refused(
            "[hardware]\ncores = 1\nmemory_bytes = \"1GiB\"\n",
            "hardware.memory_bytes",
            "does not fit",
        ),
        refused(
            "[hardware]\ncores = 1024\nmemory_bytes = \"1TiB\"\nmismatch = \"refuse\"\n[layer.memory]\n[layer.concurrency]\n[layer.payload]\n",
            "hardware.cores",
            "give the process more",
        ),
        refused(
            "[layer.connections]\nconnections_max = 900\ndescriptors_reserve = 101\n",
            "may open only 1000 files",
            "Raise the limit to 1001",
        ),
        refused("[log]\nfilter = \"no=such=filter\"\n", "log.filter", "expected one of"),
        refused(key("env = \"NOT_SET\""), "request_state.key", "NOT_SET is not set"),
        refused(key("file = \"nowhere\""), "request_state.key", "cannot read"),
        refused(key("file = \"short\""), "request_state.key", "32"),
        // Libraries, as they are read and loaded.
        library("libnowhere.so", "build or copy it there, or write the path to it"),
        library("./text.so", "build it as a shared library"),
        library("./program.so", "build it with the plugin SDK"),
        library("./link.so", "name the library itself"),
        library("./open.so", "chmod go-w"),
        library("./newer.so", "1.0"),
        // Plugins, as they begin.
        misbehaving("no_such_key = 1", "no_such_key"),
        misbehaving("panics_in = \"start\"", "refuses to start"),
        misbehaving("panics_in = \"describe\"", "for its author to mend"),
        // What fits together, as it is rehearsed.
        refused(
            "[plugin.twin]\nlibrary = \"libecho.so\"\n",
            "the tool `echo`",
            "already offered by plugin.echo",
        ),
        // Listeners, as they are opened.
        refused(listen(&format!("127.0.0.1:{port}")), "listen.other.http.bind", "is in use"),
        refused(
            listen("192.0.2.1:80") + "[layer.origin]\nallowed_hosts = [\"example.com\"]\n",
            "listen.other.http.bind",
            "choose one that it has",
        ),
    ]
}

/// File descriptors and threads of the program.
fn held(live: &Live) -> (usize, usize) {
    let process = live.program.id();
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).expect("it runs").count();
    (descriptors, threads(process, |_| true))
}

/// Waits until no more is held than before.
#[track_caller]
fn until_given_back(live: &Live, before: (usize, usize), what: &str) {
    until(what, || {
        let now = held(live);
        now.0 <= before.0 && now.1 <= before.1
    });
}

/// A program in a folder with libraries that do not load.
fn start() -> Live {
    let folder = tempfile::tempdir().expect("a folder");
    put_libraries(folder.path());
    fs::write(folder.path().join("live.toml"), text(&[ON_REQUEST, ECHO, &deadline(5_000)]))
        .expect("written");
    let command = toolrack_with_descriptors(DESCRIPTORS);
    let program = Program::start_by(command, &folder.path().join("live.toml"), &[]);
    Live { folder, program }
}

#[test]
fn whichever_step_fails_says_what_to_do_and_leaves_nothing_behind() {
    let live = start();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let callers = Callers::thinking(
        &live.program,
        2,
        "echo",
        &json!({ "text": "still here" }),
        Duration::from_millis(2),
    );
    let mut ms = 5_000;
    let mut fail = |step: &Step| {
        let before = live.generation();
        let attempt = live.reload_with(&[ON_REQUEST, ECHO, &deadline(9_999), MORE, &step.table]);
        let problems = attempt["problems"].to_string();
        assert_eq!(attempt["result"], "refused", "{}: {attempt}", step.table);
        assert!(step.said.iter().all(|part| problems.contains(part)), "{}: {problems}", step.table);
        assert_eq!(live.generation(), before, "{}", step.table);
        assert_eq!(live.serves("layer.timeout.deadline_ms"), ms.to_string());
        callers.go_on(10);
        ms += 1;
        live.applies(&[ON_REQUEST, ECHO, &deadline(ms)]);
    };
    // Images stay for good, so that the first time leaves those behind.
    let steps = steps(port);
    steps.iter().for_each(&mut fail);
    let before = held(&live);
    for step in &steps {
        fail(step);
        until_given_back(&live, before, &step.table);
    }
}

/// A start that waits for a file is not waited for longer than `bound` says, and ends by itself when the file is there.
#[track_caller]
fn does_not_start_in_time(bound: &str, said: &str) {
    let live = start();
    let file = live.folder.path().join("now");
    let on_request =
        ON_REQUEST.replace("[reload.probation]", &format!("{bound}[reload.probation]"));
    let waits = format!(
        "[plugin.bad]\nlibrary = \"libmisbehave.so\"\nconfig = {{ starts_after = {file:?} }}\n"
    );
    let tables = [&on_request, ECHO, MORE, &waits];
    let good = [ON_REQUEST, ECHO, &deadline(5_001)];
    // Its own threads, and the one that stops what comes too late.
    let waiting = || threads(live.program.id(), |name| name == "stage" || name.contains("bad"));
    let late = || {
        let attempt = live.reload_with(&tables);
        assert_eq!(attempt["result"], "refused", "{attempt}");
        let problem = attempt["problems"][0].as_str().expect("a problem");
        assert!(problem.contains(said), "{problem}");
        live.reload_with(&good);
        assert_eq!(live.serves("layer.timeout.deadline_ms"), "5001", "nobody waits for it");
        assert_ne!(waiting(), 0, "it goes on waiting");
        fs::write(&file, "").expect("written");
        until("it is stopped", || waiting() == 0);
        fs::remove_file(&file).expect("removed");
    };
    // The images that it leaves behind.
    late();
    let before = held(&live);
    late();
    until_given_back(&live, before, "it is over");
    fs::write(&file, "").expect("written");
    live.applies(&tables);
}

#[test]
fn plugins_that_take_longer_than_a_change_may_are_refused_and_stopped_when_they_come() {
    does_not_start_in_time("stage_deadline_ms = 300\n", "try again, or raise it");
}

#[test]
fn a_start_that_never_ends_is_given_up() {
    does_not_start_in_time("stage_deadline_ms = 60000\n", "or leave it out");
}
