//! Profiles that are posted: whoever writes against what serves wins, and the files say nothing until they change.

use std::thread;

use serde_json::json;

use super::*;
use crate::wire::echo;

const KEY: &str = "layer.timeout.deadline_ms";

#[test]
fn a_posted_profile_serves_and_a_shown_one_can_be_posted_again() {
    let live = Live::start(&[ON_REQUEST, ECHO, &deadline(5_001)]);
    let tag = live.tag();
    let answer = live.post(&tag, &[ON_REQUEST, ECHO, &deadline(5_002)]);
    let attempt = answer.json();
    assert_eq!((answer.status, &attempt["result"]), (200, &json!("applied")), "{attempt}");
    assert_eq!(
        (&attempt["trigger"], &attempt["source"], &attempt["persisted"]),
        (&json!("posted"), &json!("posted"), &json!(false))
    );
    let change = json!({ "key": KEY, "class": "live", "before": "5001", "after": "5002",
        "effect": "calls under way keep their deadlines" });
    assert_eq!(attempt["changes"], json!([change]));
    assert_eq!((live.generation(), live.serves(KEY)), (2, "5002".to_owned()));
    let next = answer.header("etag").expect("an identity");
    assert_eq!((next, next == tag), (&*live.tag(), false));
    let shown = live.program.control("/admin/profile").body;
    let headers = format!("If-Match: {next}\r\n");
    let again = live.program.post_control("/admin/profile", &headers, &shown);
    assert_eq!((again.status, &again.json()["result"]), (200, &json!("unchanged")));
    // Whoever asks for the files gets them.
    let of_files = live.reload();
    assert_eq!((&of_files["result"], &of_files["source"]), (&json!("applied"), &json!("file")));
    assert_eq!((live.serves(KEY), live.tag()), ("5001".to_owned(), tag));
}

#[test]
fn of_fifty_writers_at_once_one_wins() {
    let live = Live::start(&[ON_REQUEST, ECHO]);
    for round in 1..=3_u32 {
        let tag = live.tag();
        let statuses: Vec<_> = thread::scope(|scope| {
            let write = |writer: u32| {
                let (live, tag) = (&live, &tag);
                scope.spawn(move || {
                    let answer =
                        live.post(tag, &[ON_REQUEST, ECHO, &deadline(round * 100 + writer)]);
                    if answer.status == 412 {
                        assert!(answer.json()["identity"].is_string(), "{}", answer.body);
                    }
                    answer.status
                })
            };
            let writers: Vec<_> = (0..50).map(write).collect();
            writers.into_iter().map(|writer| writer.join().expect("an answer")).collect()
        });
        let count = |status| statuses.iter().filter(|found| **found == status).count();
        assert_eq!((count(200), count(412)), (1, 49), "{statuses:?}");
        assert_eq!(live.generation(), u64::from(round) + 1);
    }
    let attempts = live.attempts();
    assert!(
        attempts
            .iter()
            .all(|attempt| { attempt["result"] == "applied" || attempt["result"] == "superseded" })
    );
}

#[test]
fn what_is_wrong_with_a_posted_profile_is_said_with_its_lines() {
    let live = Live::start(&[ON_REQUEST, ECHO, &deadline(5_001)]);
    let tag = live.tag();
    let refused = |tables: &[&str], result: &str, part: &str| {
        let (answer, tried) = (live.post(&tag, tables), live.try_out(tables));
        let (attempt, tried_json) = (answer.json(), tried.json());
        assert_eq!((answer.status, tried.status), (409, 409), "{attempt}");
        assert_eq!((&attempt["result"], &tried_json["result"]), (&json!(result), &json!(result)));
        assert_eq!(attempt["problems"], tried_json["problems"], "one code judges both");
        assert!(attempt["problems"].to_string().contains(part), "{attempt}");
        assert_eq!(echo(&live.program, "still here").status, 200);
    };
    refused(&[ECHO, "[layer.timeout]\ndeadline_mss = 1\n"], "refused", "posted profile:9:1: layer");
    refused(&["[layer\n"], "refused", "posted profile:6:");
    refused(&[ON_REQUEST, ECHO, "[process]\nworker_threads = 3\n"], "restart_required", "process");
    assert_eq!(live.post(&live.tag(), &[ON_REQUEST, ECHO, &deadline(5_003)]).status, 200);
    assert_eq!(live.post(&tag, &[ON_REQUEST, ECHO]).status, 412, "that one is gone");
}

#[test]
fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let live = Live::start(&[ON_REQUEST, ECHO, &deadline(5_001)]);
    let tag = live.tag();
    let nowhere = "[plugin.other]\nlibrary = \"libnowhere.so\"\nconfig = { token = \"hunter2\" }\n";
    let answer = live.try_out(&[ON_REQUEST, ECHO, &deadline(5_002), nowhere]);
    let tried = answer.json();
    assert_eq!((answer.status, &tried["result"]), (200, &json!("applied")), "{tried}");
    let keys: Vec<_> = tried["changes"].as_array().expect("a list").iter().collect();
    assert_eq!((&keys[0]["key"], &keys[1]["key"]), (&json!(KEY), &json!("plugin.other")));
    assert_eq!((&keys[1]["class"], &keys[1]["before"]), (&json!("live"), &Value::Null));
    assert!(!answer.body.contains("hunter2"), "{}", answer.body);
    assert_ne!(tried["identity"], tried["proposed"]);
    assert_eq!(live.try_out(&[ON_REQUEST, ECHO, &deadline(5_001)]).json()["result"], "unchanged");
    assert_eq!((live.generation(), live.tag(), live.attempts().len()), (1, tag, 0));
}

#[test]
fn the_files_undo_a_posted_profile_only_when_they_change() {
    let live = Live::start(&[ECHO, &deadline(5_001)]);
    for ms in [5_002, 5_003] {
        assert_eq!(live.post(&live.tag(), &[ECHO, &deadline(ms)]).status, 200);
        // Looked at, and the same as before.
        live.write(&[ECHO, &deadline(5_001)]);
    }
    live.write(&[ECHO, &deadline(5_004)]);
    live.until("the file", |attempt| attempt["source"] == "file" && attempt["result"] == "applied");
    assert_eq!(live.serves(KEY), "5004");
    let attempts = live.attempts();
    let applied = attempts.iter().filter(|attempt| attempt["result"] == "applied");
    let sources: Vec<_> = applied.map(|attempt| attempt["source"].clone()).collect();
    assert_eq!(sources, [json!("posted"), json!("posted"), json!("file")], "{attempts:#?}");
}

#[test]
fn a_posted_profile_begins_with_a_base_beside_the_file_that_it_replaces() {
    let live = Live::start(&[ON_REQUEST, ECHO]);
    let base = text(&[ON_REQUEST, ECHO, &deadline(5_005)]);
    fs::write(live.folder.path().join("base.toml"), base).expect("written");
    let headers = format!("If-Match: {}\r\n", live.tag());
    let answer = live.program.post_control(
        "/admin/profile",
        &headers,
        "format = 1\nextends = \"base.toml\"\n",
    );
    assert_eq!((answer.status, live.serves(KEY)), (200, "5005".to_owned()), "{}", answer.body);
}
