use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;

use crate::model::Model;
use crate::{Disk, Fault, Folder, OpenError, Outcome, Record, Records, Store};

/// A generation whose content is told by `identity`.
fn record(number: u64, identity: &str) -> Record {
    let profile = "format = 1\n[layer.timeout]\ndeadline_ms = 5000\n[plugin.echo]\nlibrary = \"libecho.so\"\n\
                   config = { list = [1, 2.5, \"three\"], inner = { deep = true } }\n";
    Record {
        number,
        at: Timestamp::from_second(1_800_000_000).expect("a time"),
        trigger: "file".to_owned(),
        takes_back: false,
        program: "0.1.0".to_owned(),
        identity: identity.to_owned(),
        changed: vec!["layer.timeout.deadline_ms".to_owned()],
        name: "live".to_owned(),
        folder: Some("/etc/toolrack".into()),
        libraries: BTreeMap::from([("echo".to_owned(), "00ff".to_owned())]),
        profile: profile.parse().expect("TOML"),
    }
}

fn numbers(store: &Store<impl Disk>) -> Vec<u64> {
    let found = store.read().expect("readable");
    assert!(found.skipped.is_empty(), "{found:?}");
    found.records.iter().map(|record| record.number).collect()
}

#[test]
fn a_record_comes_back_as_it_was_and_no_changed_byte_passes() {
    let record = record(7, "a");
    let text = record.encode().expect("text");
    assert_eq!(Record::decode(text.as_bytes()), Ok(record));
    for end in 0..text.len() {
        assert!(Record::decode(&text.as_bytes()[..end]).is_err(), "the first {end} bytes");
    }
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        assert!(Record::decode(&bytes).is_err(), "byte {at}");
    }
}

#[test]
fn what_is_no_record_is_told_apart() {
    let text = record(7, "a").encode().expect("text");
    let other = text.replacen("format 1", "format 2", 1);
    assert_eq!(Record::decode(other.as_bytes()), Err(Fault::Format(2)));
    assert_eq!(Record::decode(b"format = 1\n"), Err(Fault::Foreign));
    assert_eq!(Record::decode(b""), Err(Fault::Foreign));
    let torn = Record::decode(&text.as_bytes()[..text.len() - 1]);
    assert_eq!(torn, Err(Fault::Torn));
}

#[test]
fn the_oldest_leaves_and_the_next_one_tells_what_became_of_each() {
    let mut records = Records::new(3);
    assert!(records.newest().is_none() && records.before().is_none());
    for number in [2, 1, 4, 3] {
        records.add(Arc::new(Record { takes_back: number == 4, ..record(number, "a") }));
    }
    let kept: Vec<_> = records.iter().map(|record| record.number).collect();
    assert_eq!(kept, [2, 3, 4]);
    let outcomes = [1, 2, 3, 4].map(|number| records.outcome(number));
    let expected =
        [None, Some(Outcome::Replaced), Some(Outcome::RolledBack), Some(Outcome::Serving)];
    assert_eq!(outcomes, expected);
    let good: Vec<_> = records.good().map(|record| record.number).collect();
    assert_eq!(good, [4, 2]);
    assert_eq!(records.get(3).map(|record| record.number), Some(3));
    assert!(records.get(1).is_none());
}

#[test]
fn a_number_that_comes_again_takes_the_place_of_the_old_one() {
    let mut records = Records::new(3);
    records.add(Arc::new(record(1, "a")));
    records.add(Arc::new(record(1, "b")));
    let kept: Vec<_> = records.iter().map(|record| record.identity.as_str()).collect();
    assert_eq!(kept, ["b"]);
}

#[test]
fn the_one_before_has_other_content_and_was_not_taken_back() {
    let mut records = Records::new(10);
    let mut add = |number, identity, takes_back| {
        records.add(Arc::new(Record { takes_back, ..record(number, identity) }));
        records.before().map(|record| record.number)
    };
    assert_eq!(add(1, "a", false), None);
    assert_eq!(add(2, "b", false), Some(1));
    assert_eq!(add(3, "c", false), Some(2));
    // Back to the second: the third is not worth another try.
    assert_eq!(add(4, "b", true), Some(1));
    let other_library = Record { libraries: BTreeMap::new(), ..record(5, "b") };
    records.add(Arc::new(other_library));
    assert_eq!(records.before().map(|record| record.number), Some(4), "another build is another");
}

#[test]
fn only_its_owner_reads_and_writes_what_is_kept() {
    let outer = tempfile::tempdir().expect("a folder");
    let path = outer.path().join("of/history");
    let store = Store::new(Folder::open(&path).expect("made"));
    store.write(&record(1, "a")).expect("written");
    let mode = |path: &std::path::Path| {
        fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    };
    assert_eq!(mode(&path), 0o700);
    let files: Vec<_> =
        fs::read_dir(&path).expect("readable").map(|file| file.expect("one")).collect();
    assert_eq!(files.len(), 1);
    assert_eq!(mode(&files[0].path()), 0o600);
    for open in [0o770, 0o702] {
        fs::set_permissions(&path, fs::Permissions::from_mode(open)).expect("changed");
        assert!(matches!(Folder::open(&path), Err(OpenError::Open { .. })), "{open:o}");
    }
    let missing = Folder::open_existing(&outer.path().join("nothing"));
    assert!(matches!(missing, Err(OpenError::Unavailable { .. })));
    let file = Folder::open(&files[0].path());
    assert!(matches!(file, Err(OpenError::Unavailable { .. })));
}

#[test]
fn one_process_at_a_time_holds_the_folder() {
    let path = tempfile::tempdir().expect("a folder");
    let (one, other) = (Folder::open(path.path()), Folder::open(path.path()));
    let (one, other) = (one.expect("opened"), other.expect("opened"));
    let held = one.lock().expect("asked").expect("free");
    assert!(other.lock().expect("asked").is_none());
    drop(held);
    assert!(other.lock().expect("asked").is_some());
}

#[test]
fn what_does_not_belong_there_is_skipped() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let store = Store::new(Folder::open(folder.path()).expect("opened"));
    store.write(&record(1, "a")).expect("written");
    store.write(&record(2, "b")).expect("written");
    let name = |number: u64| format!("generation-{number:020}.toml");
    fs::copy(path(&name(2)), path(&name(3))).expect("copied");
    fs::write(path(&name(4)), "format = 1\n").expect("written");
    fs::create_dir(path(&name(5))).expect("made");
    symlink(path(&name(1)), path(&name(6))).expect("linked");
    fs::write(path(&name(7)), vec![b' '; 5 << 20]).expect("written");
    fs::write(path("notes.txt"), "of somebody else").expect("written");
    let found = store.read().expect("readable");
    let numbers: Vec<_> = found.records.iter().map(|record| record.number).collect();
    assert_eq!(numbers, [1, 2]);
    let skipped: Vec<_> = found.skipped.iter().map(|skipped| skipped.name.clone()).collect();
    assert_eq!(skipped, [3, 4, 5, 6, 7].map(name));
}

#[test]
fn a_record_that_is_written_again_takes_the_place_of_the_old_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::new(Folder::open(folder.path()).expect("opened"));
    store.write(&record(1, "a")).expect("written");
    // Of a process that ended while it wrote.
    fs::write(folder.path().join("next"), "half").expect("written");
    store.write(&record(1, "b")).expect("written");
    assert_eq!(store.read().expect("readable").records, [record(1, "b")]);
    store.remove(1).expect("removed");
    store.remove(1).expect("nothing to remove");
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0);
}

#[test]
fn a_step_that_fails_leaves_the_others_and_the_next_writing_works() {
    let steps = {
        let store = Store::new(Model::default());
        store.write(&record(1, "a")).expect("written");
        store.disk().steps.get()
    };
    assert_eq!(steps, 5, "create, write, sync, rename, sync of the names");
    for dies_after in 0..steps {
        let store = Store::new(Model::default());
        store.write(&record(1, "a")).expect("written");
        store.disk().die_after(dies_after);
        store.write(&record(2, "b")).expect_err("it died");
        let now = numbers(&store);
        assert!(now == [1] || now == [1, 2], "after {dies_after}: {now:?}");
        let survived = Store::new(store.disk().after_power_loss(usize::MAX, usize::MAX));
        survived.write(&record(3, "c")).expect("whatever was left behind");
        assert_eq!(numbers(&survived), [now, vec![3]].concat());
    }
}

#[test]
fn a_torn_file_is_left_aside() {
    let store = Store::new(Model::default());
    store.write(&record(1, "a")).expect("written");
    let text = record(2, "b").encode().expect("text");
    store.disk().put("generation-00000000000000000002.toml", &text.as_bytes()[..text.len() / 2]);
    let found = store.read().expect("readable");
    assert_eq!((found.records.len(), found.skipped.len()), (1, 1));
    assert!(found.skipped[0].to_string().contains("torn"), "{found:?}");
}

/// What is done to a store.
#[derive(Clone, Copy, Debug)]
enum Step {
    Write(u64),
    Remove(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![3 => (1..6_u64).prop_map(Step::Write), 1 => (1..6_u64).prop_map(Step::Remove)]
}

proptest! {
    /// Whenever the power goes: every record that was written and not asked away is there, whole, in its old or its new
    /// wording, and nothing is torn.
    #[test]
    fn no_loss_of_power_takes_a_record_that_was_written(
        steps in prop::collection::vec(step(), 1..8),
        dies_after in 0..40_usize,
        kept_names in 0..4_usize,
        kept_bytes in 0..900_usize,
    ) {
        let store = Store::new(Model::default());
        store.disk().die_after(dies_after);
        // By number: what may be there. The first entry stands for none.
        let mut possible: BTreeMap<u64, Vec<Option<Record>>> = BTreeMap::new();
        for (at, step) in steps.iter().enumerate() {
            match *step {
                Step::Write(number) => {
                    let next = record(number, &at.to_string());
                    let known = possible.entry(number).or_insert_with(|| vec![None]);
                    match store.write(&next) {
                        Ok(()) => *known = vec![Some(next)],
                        Err(_) => known.push(Some(next)),
                    }
                }
                Step::Remove(number) => {
                    possible.entry(number).or_default().push(None);
                    store.remove(number).ok();
                }
            }
        }
        let after = Store::new(store.disk().after_power_loss(kept_names, kept_bytes));
        let found = after.read().expect("readable");
        prop_assert!(found.skipped.is_empty(), "{:?}", found.skipped);
        for (number, possible) in possible {
            let is = found.records.iter().find(|record| record.number == number).cloned();
            prop_assert!(possible.contains(&is), "{number}: {is:?} is none of {possible:?}");
        }
        after.write(&record(9, "after")).expect("whatever was left behind");
        prop_assert!(after.read().expect("readable").records.iter().any(|record| record.number == 9));
    }
}
