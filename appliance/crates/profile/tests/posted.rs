//! A text in the place of a profile's file, and a profile as a text.

use std::fs;
use std::path::Path;

use profile::{Loaded, Posted, Problems, Sources};

/// Loads `text` in the place of the profile `profile`.
fn posted(profile: &str, text: &str, set: &[&str]) -> Result<Loaded, Problems> {
    let posted = Some(Posted { text: text.to_owned(), folder: None });
    let set = set.iter().map(|&set| set.to_owned()).collect();
    profile::load(&Sources { profile: profile.to_owned(), posted, set, ..Sources::default() })
}

fn named(profile: &str) -> Loaded {
    profile::load(&Sources { profile: profile.to_owned(), ..Sources::default() }).expect("good")
}

fn problems(result: Result<Loaded, Problems>) -> Vec<String> {
    let Problems(problems) = result.expect_err("not good");
    problems.iter().map(ToString::to_string).collect()
}

/// A folder with a profile in it that extends another one beside it.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write =
        |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    write("base.toml", "format = 1\n[listen.public]\nhttp = { bind = \"127.0.0.1:0\" }\n");
    write("live.toml", "format = 1\nextends = \"base.toml\"\n[tasks]\npoll_ms = 7\n");
    folder
}

fn path(folder: &Path) -> String {
    folder.join("live.toml").to_str().expect("UTF-8").to_owned()
}

#[test]
fn every_profile_of_the_program_is_the_same_when_it_is_posted_as_it_is_shown() {
    for built_in in profile::built_ins() {
        let serves = named(built_in.name);
        let again = posted(built_in.name, &serves.to_toml(), &[]).expect(built_in.name);
        assert_eq!(serves.plan.identity, again.plan.identity, "{}", built_in.name);
        assert_eq!(serves.changes(&again), []);
    }
}

#[test]
fn what_is_posted_takes_the_place_of_the_file_and_of_nothing_else() {
    let folder = folder();
    let text = "format = 1\nextends = \"base.toml\"\n[tasks]\npoll_ms = 8\nttl_ms = 3700000\n";
    let loaded = posted(&path(folder.path()), text, &["tasks.poll_ms=9"]).expect("good");
    assert_eq!(&*loaded.plan.name, "live");
    let rows = loaded.rows(Some("tasks"));
    let of = |key: &str| rows.iter().find(|row| row.key == key).expect("a row");
    assert_eq!(of("tasks.poll_ms").value, "9", "--set stays on top");
    assert_eq!(of("tasks.ttl_ms").origin.to_string(), "posted profile:5:1");
    let relative = posted(&path(folder.path()), "format = 1\nextends = \"nowhere.toml\"\n", &[]);
    let said = problems(relative);
    assert!(said[0].starts_with("posted profile:2:1: extends: "), "{said:?}");
    assert!(said[0].contains(folder.path().to_str().expect("UTF-8")), "{said:?}");
}

#[test]
fn a_relative_base_may_be_looked_for_in_another_folder() {
    let (started, written) = (folder(), folder());
    fs::remove_file(started.path().join("base.toml")).expect("removed");
    let text = fs::read_to_string(written.path().join("live.toml")).expect("it is there");
    let folder = Some(written.path().to_owned());
    let sources = Sources {
        profile: path(started.path()),
        posted: Some(Posted { text, folder }),
        ..Sources::default()
    };
    assert_eq!(
        profile::load(&sources).expect("good").plan.identity,
        named(&path(written.path())).plan.identity
    );
}

#[test]
fn a_posted_text_is_refused_with_its_lines() {
    let said = problems(posted("dev", "format = 1\n[layer.timeout]\n  deadline_mss = 1\n", &[]));
    assert!(said[0].starts_with("posted profile:3:3: layer.timeout.deadline_mss: "), "{said:?}");
    let said = problems(posted("dev", "format = 1\n[\n", &[]));
    assert!(said[0].starts_with("posted profile:2:"), "{said:?}");
    let said = problems(posted("dev", "", &[]));
    assert!(said.iter().any(|line| line.starts_with("posted profile: format: ")), "{said:?}");
}

#[test]
fn a_secret_is_shown_hidden_and_must_be_written_again() {
    let text = |token: &str| {
        format!(
            "format = 1\nextends = \"dev\"\n[plugin.p]\nlibrary = \"x.so\"\nconfig = {{ a = [{{ token = \"{token}\" }}] }}\n"
        )
    };
    let serves = posted("dev", &text("hunter2"), &[]).expect("good");
    let shown = serves.to_toml();
    assert!(!shown.contains("hunter2") && shown.contains("token = \"***\""), "{shown}");
    let said = problems(posted("dev", &shown, &[]));
    assert!(said.len() == 1 && said[0].contains("plugin.p.config.a.token: "), "{said:?}");
    let again = posted("dev", &shown.replace("***", "hunter2"), &[]).expect("good");
    assert_eq!(again.plan.identity, serves.plan.identity);
}

#[test]
fn a_profile_says_the_same_in_whatever_folder_it_lies() {
    let (one, other) = (folder(), folder());
    let [one, other] = [one, other].map(|folder| named(&path(folder.path())));
    assert_eq!(one.plan.identity, other.plan.identity);
    assert_eq!(one.to_toml(), other.to_toml());
    assert_eq!(one.changes(&other), []);
}
