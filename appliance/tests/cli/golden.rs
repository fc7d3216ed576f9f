//! What `toolrack explain` says of each profile of the program, word for word, so that no number changes unseen.
//!
//! After a change that is meant: `GOLDEN=write cargo test -p toolrack --test cli golden`, and read the difference.

use std::fs;
use std::path::PathBuf;

use super::*;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.txt"))
}

#[test]
fn explain_says_of_each_profile_what_it_said_before() {
    let writes = std::env::var_os("GOLDEN").is_some_and(|value| value == "write");
    let mut changed = Vec::new();
    for profile in profile::built_ins() {
        let said = run(&["explain", "--profile", profile.name]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        let file = file(profile.name);
        if writes {
            fs::write(&file, &said.stdout).expect("written");
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        let lines = expected.lines().zip(said.stdout.lines());
        let first = lines.enumerate().find(|(_, (expected, said))| expected != said);
        if said.stdout != expected {
            changed.push(format!("{}: {first:?}", profile.name));
        }
    }
    assert!(
        changed.is_empty(),
        "changed; if it is meant, run `GOLDEN=write cargo test -p toolrack --test cli golden`: {changed:#?}"
    );
}

#[test]
fn no_file_is_left_of_a_profile_that_is_gone() {
    let names: Vec<_> = profile::built_ins().iter().map(|profile| file(profile.name)).collect();
    for entry in fs::read_dir(file("").parent().expect("a folder")).expect("it is there") {
        let path = entry.expect("a file").path();
        assert!(names.contains(&path), "{}", path.display());
    }
}
