//! `reload`: how a changed profile comes in, and what becomes of what it replaces.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempPath;

use crate::program::{Program, profile};
use crate::wire::{Connection, check, until, until_metric};

/// Reads the profile again and waits; the status, and what became of it.
pub(crate) fn reload(program: &Program) -> (u16, Value) {
    let head = format!("POST /admin/reload?wait=true HTTP/1.1\r\nHost: {}\r\n", program.control);
    let answer = program.request_control(&head);
    (answer.status, answer.json())
}

/// A program whose profile is changed by the test, with these settings besides.
pub(crate) struct Changing {
    pub(crate) program: Program,
    file: TempPath,
}

impl Changing {
    /// With `more` of a profile.
    pub(crate) fn start(more: &str, settings: &[&str]) -> Self {
        let file = profile(more);
        let usual = ["reload.watch=false", "reload.interval_ms=0", "reload.probation.mode=off"];
        // The last one of a key wins.
        let settings: Vec<_> =
            usual.iter().chain(settings).flat_map(|setting| ["--set", setting]).collect();
        let program = Program::start(&file, &settings);
        Self { program, file }
    }

    /// Has a part of the profile say something else, and says what became of it.
    pub(crate) fn change(&self, from: &str, to: &str) -> Value {
        let text = fs::read_to_string(&self.file).expect("it is there");
        assert!(text.contains(from), "{text}");
        fs::write(&self.file, text.replace(from, to)).expect("written");
        reload(&self.program).1
    }
}

pub(crate) fn there_is_so_much_time_between_two_changes() {
    let took = |interval_ms: u64| {
        let interval = format!("reload.interval_ms={interval_ms}");
        let changing = Changing::start("[tasks]\npoll_ms = 1001\n", &[&interval]);
        let begun = Instant::now();
        assert_eq!(changing.change("1001", "1002")["result"], "applied");
        assert_eq!(changing.change("1002", "1003")["result"], "applied");
        begun.elapsed()
    };
    assert!(took(3_000) >= Duration::from_secs(3));
    assert!(took(0) < Duration::from_secs(3));
}

/// With a call under way in each of two generations that were replaced, under these settings.
fn two_replaced(settings: &[&str]) -> (Changing, [Connection; 2]) {
    let changing = Changing::start("[tasks]\npoll_ms = 1001\n", settings);
    let first = Connection::waiting(&changing.program);
    assert_eq!(changing.change("1001", "1002")["result"], "applied");
    let second = Connection::waiting(&changing.program);
    assert_eq!(changing.change("1002", "1003")["result"], "applied");
    (changing, [first, second])
}

pub(crate) fn so_many_generations_drain_at_once() {
    for most in ["1", "2"] {
        let bound = format!("reload.draining_generations_max={most}");
        let (changing, [mut first, second]) =
            two_replaced(&[&bound, "reload.stage_deadline_ms=2000"]);
        until_metric(&changing.program, &format!("toolrack_generations_draining {most}"));
        if most == "1" {
            assert!(first.until("\"error\"").contains("timed_out"));
        }
        drop((first, second));
    }
}

pub(crate) fn a_generation_drains_for_so_long() {
    for (drain_ms, left) in [("50", 0), ("86400000", 2)] {
        let drain = format!("reload.drain_ms={drain_ms}");
        let (changing, [mut first, second]) = two_replaced(&[&drain]);
        if left == 0 {
            assert!(first.until("\"error\"").contains("timed_out"));
        }
        until_metric(&changing.program, &format!("toolrack_generations_draining {left}"));
        drop((first, second));
    }
}

pub(crate) fn so_many_libraries_are_in_memory_at_once() {
    for (images_max, result) in [("2", "restart_required"), ("3", "applied")] {
        let images = format!("reload.images_max={images_max}");
        let changing = Changing::start("[plugin.echo.limits]\nqueue_calls = 16\n", &[&images]);
        // The one that serves needs its image until the next one does.
        let attempt = changing.change("queue_calls = 16", "queue_calls = 17");
        assert_eq!(attempt["result"], result, "{attempt}");
    }
    // Those of the profile itself must have room.
    let (is_good, said) = check(&["reload.images_max=1"]);
    assert!(!is_good && said.contains("reload.images_max"), "{said}");
    // And whatever takes the place of one of them as well.
    let (is_good, said) = check(&["reload.images_max=2"]);
    assert!(is_good && said.contains("reload.images_max"), "{said}");
    let (is_good, said) = check(&["reload.images_max=3"]);
    assert!(is_good && !said.contains("reload.images_max"), "{said}");
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
        let off = ["--set", "reload.watch=false", "--set", "reload.probation.mode=off"];
        let program = Program::start(&file, &[&["--set", &stage][..], &off].concat());
        let text = fs::read_to_string(&file).expect("it is there");
        let more = "[plugin.misbehave]\nlibrary = \"libmisbehave.so\"\n";
        fs::write(&file, text + more).expect("written");
        let (answered, attempt) = reload(&program);
        assert_eq!(answered, status, "{attempt}");
        let names_it = attempt["problems"].to_string().contains("reload.stage_deadline_ms");
        assert_eq!(names_it, status == 409, "{attempt}");
    }
}
