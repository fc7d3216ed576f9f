use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use jiff::Timestamp;
use tempfile::TempDir;

use super::*;

/// Longer than any test takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn record(number: u64, identity: &str) -> Record {
    Record {
        number,
        at: Timestamp::UNIX_EPOCH,
        trigger: "file".to_owned(),
        takes_back: false,
        program: "0.1.0".to_owned(),
        identity: identity.to_owned(),
        changed: Vec::new(),
        name: "live".to_owned(),
        folder: None,
        libraries: BTreeMap::new(),
        profile: "format = 1\n".parse().expect("TOML"),
    }
}

fn open(folder: impl Into<PathBuf>, generations_max: usize) -> Arc<History> {
    let plan = HistoryPlan { folder: Some(folder.into()), generations_max };
    let history = History::open(&plan).expect("its owner's alone");
    history.start().expect("a thread");
    history
}

/// Numbers and identities that are on disk, without a look at what writes them.
fn on_disk(folder: &Path) -> Vec<(u64, String)> {
    let store = Store::new(Folder::open_existing(folder).expect("it is there"));
    let found = store.read().expect("readable");
    assert!(found.skipped.is_empty(), "{found:?}");
    found.records.into_iter().map(|record| (record.number, record.identity)).collect()
}

#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

fn kept(pairs: &[(u64, &str)]) -> Vec<(u64, String)> {
    pairs.iter().map(|(number, identity)| (*number, (*identity).to_owned())).collect()
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn what_was_put_down_is_on_disk_when_the_process_has_ended() {
    let folder = folder();
    let history = open(folder.path(), 3);
    for (number, identity) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
        history.keep(record(number, identity));
    }
    history.stop();
    assert_eq!(on_disk(folder.path()), kept(&[(2, "b"), (3, "c"), (4, "d")]));
    let next = open(folder.path(), 2);
    next.keep(record(5, "e"));
    next.stop();
    assert_eq!(on_disk(folder.path()), kept(&[(4, "d"), (5, "e")]));
}

#[test]
fn the_first_number_is_the_last_one_when_all_is_the_same_and_the_next_otherwise() {
    let folder = folder();
    let identity: Identity = "0".repeat(64).parse().expect("an identity");
    let libraries = || BTreeMap::from([("echo".to_owned(), "ff".to_owned())]);
    let history = open(folder.path(), 3);
    assert_eq!(history.first_number(identity, libraries), 1, "nothing is kept");
    history.keep(Record { libraries: libraries(), ..record(7, &identity.to_string()) });
    history.stop();
    let next = open(folder.path(), 3);
    assert_eq!(next.first_number(identity, libraries), 7);
    assert_eq!(next.first_number(identity, BTreeMap::new), 8, "another library");
    let other = "1".repeat(64).parse().expect("an identity");
    assert_eq!(next.first_number(other, || panic!("nobody asks for digests")), 8);
    next.stop();
}

#[test]
fn whoever_finds_the_folder_held_writes_when_it_is_let_go_and_takes_over_what_is_there() {
    let folder = folder();
    let old = open(folder.path(), 5);
    old.keep(record(1, "a"));
    until("the old one writes", || on_disk(folder.path()) == kept(&[(1, "a")]));
    let new = open(folder.path(), 5);
    new.keep(record(3, "c"));
    old.keep(record(2, "b"));
    old.stop();
    assert_eq!(on_disk(folder.path()), kept(&[(1, "a"), (2, "b")]), "one writes at a time");
    // It holds the folder until its thread has gone.
    drop(old);
    let all = kept(&[(1, "a"), (2, "b"), (3, "c")]);
    until("the new one writes", || on_disk(folder.path()) == all);
    until("the new one knows", || new.records().get(2).is_some());
    new.stop();
}

#[test]
fn a_folder_that_cannot_be_used_is_tried_again_and_holds_nothing_up() {
    let outer = folder();
    let path = outer.path().join("history");
    fs::write(&path, "no folder").expect("written");
    let history = open(&path, 5);
    history.keep(record(1, "a"));
    until("it fails", || history.counts.failed.load(std::sync::atomic::Ordering::Relaxed) > 0);
    fs::remove_file(&path).expect("removed");
    history.keep(record(2, "b"));
    until("both are written", || path.is_dir() && on_disk(&path) == kept(&[(1, "a"), (2, "b")]));
    // Away while it serves.
    fs::remove_dir_all(&path).expect("removed");
    history.keep(record(3, "c"));
    history.keep(record(4, "d"));
    history.stop();
    assert_eq!(history.records().iter().len(), 4);
}

#[test]
fn without_a_folder_it_is_kept_in_memory() {
    let history = History::open(&HistoryPlan { folder: None, generations_max: 2 }).expect("opened");
    history.start().expect("nothing to start");
    assert!(history.wanted(None).is_err_and(|why| why.contains("No other generation")));
    for (number, identity) in [(1, "a"), (2, "b"), (3, "c")] {
        history.keep(record(number, identity));
    }
    assert_eq!(history.wanted(None).map(|record| record.number), Ok(2));
    assert_eq!(history.wanted(Some(3)).map(|record| record.number), Ok(3));
    assert!(history.wanted(Some(1)).is_err_and(|why| why.contains("2, 3")));
    history.stop();
    let shown: serde_json::Value = serde_json::from_slice(&history.to_json()).expect("JSON");
    assert_eq!(shown["kept"], "memory");
    assert_eq!(shown["generations"][1]["outcome"], "serving");
}
