//! `reload`: how a changed profile comes in.

use std::fs;

use serde_json::Value;

use crate::program::{Program, profile};
use crate::wire::until;

/// Reads the profile again and waits; the status, and what became of it.
fn reload(program: &Program) -> (u16, Value) {
    let head = format!("POST /admin/reload?wait=true HTTP/1.1\r\nHost: {}\r\n", program.control);
    let answer = program.request_control(&head);
    (answer.status, answer.json())
}

fn last_attempt(program: &Program) -> Option<Value> {
    program.control("/admin/reloads").json()["attempts"].as_array()?.last().cloned()
}

pub(crate) fn a_changed_file_comes_in_by_itself_or_on_request() {
    for watch in [true, false] {
        let file = profile("[tasks]\npoll_ms = 1001\n");
        let program = Program::start(&file, &["--set", &format!("reload.watch={watch}")]);
        let text = fs::read_to_string(&file).expect("it is there");
        fs::write(&file, text.replace("1001", "1002")).expect("written");
        if watch {
            until("it comes in", || last_attempt(&program).is_some());
        } else {
            assert_eq!(reload(&program).0, 200);
        }
        let attempt = last_attempt(&program).expect("an attempt");
        let trigger = if watch { "file" } else { "admin" };
        assert_eq!((attempt["attempt"].as_u64(), &attempt["trigger"]), (Some(1), &trigger.into()));
        assert_eq!(attempt["result"], "applied", "{attempt}");
    }
}

pub(crate) fn plugins_have_so_long_to_be_ready() {
    for (deadline_ms, status) in [(1, 409), (60_000, 200)] {
        let file = profile("");
        let stage = format!("reload.stage_deadline_ms={deadline_ms}");
        let program = Program::start(&file, &["--set", &stage, "--set", "reload.watch=false"]);
        let text = fs::read_to_string(&file).expect("it is there");
        let more = "[plugin.misbehave]\nlibrary = \"libmisbehave.so\"\n";
        fs::write(&file, text + more).expect("written");
        let (answered, attempt) = reload(&program);
        assert_eq!(answered, status, "{attempt}");
        let names_it = attempt["problems"].to_string().contains("reload.stage_deadline_ms");
        assert_eq!(names_it, status == 409, "{attempt}");
    }
}
