//! Libraries and secrets that a profile names come in by themselves when they change.

use std::fs::File;
use std::time::SystemTime;

use serde_json::json;

use super::*;
use crate::wire::echo;

#[test]
fn another_library_comes_in_by_itself_and_one_that_was_touched_makes_no_attempt() {
    let (live, library) = Live::with_library(&[]);
    let touched = File::options().append(true).open(&library).expect("it is there");
    for _ in 0..1_000 {
        touched.set_modified(SystemTime::now()).expect("touched");
    }
    replace(&library);
    let attempt = live.until("the library", |_| true);
    assert_eq!((&attempt["attempt"], &attempt["trigger"]), (&json!(1), &json!("file")));
    assert_eq!((&attempt["result"], &attempt["changed"]), (&json!("applied"), &json!([])));
    assert_eq!(attempt["plugins_loaded"], json!(["mine"]), "{attempt}");
    assert_eq!(echo(&live.program, "from the new one").status, 200);
}

#[test]
fn a_broken_library_is_refused_once_and_the_next_good_one_comes_in() {
    let (live, library) = Live::with_library(&[]);
    fs::write(&library, "no library").expect("written");
    let refused = live.until("the broken one", |_| true);
    assert_eq!(refused["result"], "refused", "{refused}");
    assert_eq!(echo(&live.program, "still the same").status, 200);
    let next = live.folder.path().join("next");
    copy("libecho.so", &next);
    fs::rename(next, &library).expect("in its place");
    replace(&library);
    live.until("the good one", |attempt| attempt["result"] == "applied");
    let results: Vec<_> = live.attempts().iter().map(|one| one["result"].clone()).collect();
    assert_eq!(results, [json!("refused"), json!("applied")]);
}

#[test]
fn another_library_under_a_broken_profile_is_tried_once_and_comes_in_with_the_next_good_one() {
    let (live, library) = Live::with_library(&[]);
    live.write(&[MINE, "[nonsense]\n"]);
    live.until("the broken profile", |_| true);
    replace(&library);
    live.until("the library", |attempt| attempt["attempt"] == 2);
    live.write(&[MINE, &deadline(5_002)]);
    let attempt = live.until("the good profile", |attempt| attempt["result"] == "applied");
    assert_eq!(attempt["plugins_loaded"], json!(["mine"]), "{attempt}");
    let results: Vec<_> = live.attempts().iter().map(|one| one["result"].clone()).collect();
    assert_eq!(results, [json!("refused"), json!("refused"), json!("applied")]);
}

#[test]
fn a_posted_profile_that_is_refused_does_not_hide_another_library() {
    let (live, library) = Live::with_library(&[]);
    replace(&library);
    let posted = live.post(&live.tag(), &[MINE, "[nonsense]\n"]);
    assert_eq!(posted.status, 409, "{}", posted.body);
    let attempt = live.until("the library", |attempt| attempt["result"] == "applied");
    assert_eq!(attempt["plugins_loaded"], json!(["mine"]), "{attempt}");
}

#[test]
fn a_library_that_was_missing_brings_its_profile_in() {
    let live = Live::start(&[ECHO]);
    live.write(&[ECHO, "[plugin.later]\nlibrary = \"./libtime.so\"\n"]);
    let refused = live.until("it is missing", |_| true);
    assert_eq!(refused["result"], "refused", "{refused}");
    copy("libtime.so", &live.folder.path().join("libtime.so"));
    let attempt = live.until("it is there", |attempt| attempt["result"] == "applied");
    assert_eq!(attempt["changed"], json!(["plugin.later"]));
}

#[test]
fn another_library_leaves_a_posted_profile_in_its_place() {
    let (live, library) = Live::with_library(&[]);
    assert_eq!(live.post(&live.tag(), &[MINE, &deadline(5_002)]).status, 200);
    replace(&library);
    let attempt = live.until("the library", |attempt| attempt["trigger"] == "file");
    assert_eq!((&attempt["result"], &attempt["source"]), (&json!("applied"), &json!("posted")));
    assert_eq!(live.serves("layer.timeout.deadline_ms"), "5002");
}

#[test]
fn another_content_of_a_secret_makes_an_attempt_that_says_nothing_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (key, content) = (folder.path().join("key"), |letter: &str| letter.repeat(40));
    fs::write(&key, content("a")).expect("written");
    let secret = "[request_state]\nkey = { file = \"key\" }\n";
    fs::write(folder.path().join("live.toml"), text(&[ECHO, secret])).expect("written");
    let live = Live::start_in(folder);
    fs::write(&key, content("a")).expect("written");
    let next = live.folder.path().join("next");
    fs::write(&next, content("b")).expect("written");
    fs::rename(next, &key).expect("in its place");
    let attempt = live.until("the secret", |_| true);
    assert_eq!((&attempt["attempt"], &attempt["trigger"]), (&json!(1), &json!("file")));
    assert!(!attempt.to_string().contains("bbbb"), "{attempt}");
}
