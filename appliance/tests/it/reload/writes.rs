//! However a file is written, what stands in it comes in by itself.

use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;

/// Waits until a deadline serves that came in through the files.
#[track_caller]
fn comes_in(live: &Live, style: &str, ms: u32) {
    let begun = Instant::now();
    while live.serves("layer.timeout.deadline_ms") != ms.to_string() {
        assert!(begun.elapsed() < PATIENCE, "{style}: {:#?}", live.attempts());
    }
    // An attempt serves first and is written down then.
    let generation = live.generation();
    let is_it =
        |attempt: &Value| attempt["generation"] == generation && attempt["result"] == "applied";
    assert_eq!(live.until(style, is_it)["trigger"], "file", "{style}");
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().expect("it runs");
    assert!(status.success(), "{program} {arguments:?}");
}

#[test]
fn every_way_to_write_a_file_is_seen() {
    let live = Live::start(&[ECHO, &deadline(5_000)]);
    let path = live.path();
    let (name, other) = (path.to_str().expect("UTF-8"), live.folder.path().join("other"));
    let next = |ms| text(&[ECHO, &deadline(ms)]);
    fs::write(&path, next(5_001)).expect("written");
    comes_in(&live, "in place", 5_001);
    fs::write(&other, next(5_002)).expect("written");
    fs::rename(&other, &path).expect("moved");
    comes_in(&live, "moved over", 5_002);
    run("sed", &["-i", "s/5002/5003/", name]);
    comes_in(&live, "sed -i", 5_003);
    fs::write(&other, next(5_004)).expect("written");
    run("cp", &[other.to_str().expect("UTF-8"), name]);
    comes_in(&live, "cp", 5_004);
    // As vim does: the old one away, a new one in its place, the old one gone.
    let backup = live.folder.path().join("live.toml~");
    fs::rename(&path, &backup).expect("moved");
    fs::write(&path, next(5_005)).expect("written");
    fs::remove_file(&backup).expect("removed");
    comes_in(&live, "by an editor", 5_005);
    fs::remove_file(&path).expect("removed");
    fs::write(&path, next(5_006)).expect("written");
    comes_in(&live, "removed and written", 5_006);
    symlink(&other, live.folder.path().join("link")).expect("linked");
    fs::write(&other, next(5_007)).expect("written");
    fs::rename(live.folder.path().join("link"), &path).expect("moved");
    comes_in(&live, "a link in its place", 5_007);
    fs::write(&other, next(5_008)).expect("written");
    comes_in(&live, "where the link leads", 5_008);
}

#[test]
fn a_config_map_is_swapped_by_its_link() {
    /// Writes a version beside the others and has the link lead to it.
    fn version(folder: &Path, name: &str, ms: u32) {
        fs::create_dir(folder.join(name)).expect("made");
        let file = folder.join(name).join("live.toml");
        fs::write(file, text(&[ECHO, &deadline(ms)])).expect("written");
        symlink(name, folder.join("..next")).expect("linked");
        fs::rename(folder.join("..next"), folder.join("..data")).expect("swapped");
    }
    let folder = tempfile::tempdir().expect("a folder");
    version(folder.path(), "..one", 5_001);
    symlink("..data/live.toml", folder.path().join("live.toml")).expect("linked");
    let live = Live::start_in(folder);
    for (before, name, ms) in [("..one", "..two", 5_002), ("..two", "..three", 5_003)] {
        version(live.folder.path(), name, ms);
        fs::remove_dir_all(live.folder.path().join(before)).expect("removed");
        comes_in(&live, name, ms);
    }
}

#[test]
fn a_folder_that_was_made_anew_is_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    /// Makes the folder of the base with the base in it.
    fn write(folder: &Path, ms: u32) {
        let inner = folder.join("inner");
        fs::create_dir(&inner).expect("made");
        fs::write(inner.join("base.toml"), text(&[ECHO, &deadline(ms)])).expect("written");
    }
    write(folder.path(), 5_001);
    fs::write(folder.path().join("live.toml"), "format = 1\nextends = \"inner/base.toml\"\n")
        .expect("written");
    let live = Live::start_in(folder);
    for ms in [5_002, 5_003] {
        fs::remove_dir_all(live.folder.path().join("inner")).expect("removed");
        write(live.folder.path(), ms);
        comes_in(&live, "the base of the profile", ms);
    }
}

#[test]
fn what_is_written_again_as_it_was_makes_no_attempt() {
    let live = Live::start(&[ECHO, &deadline(5_001)]);
    for _ in 0..50 {
        live.write(&[ECHO, &deadline(5_001)]);
    }
    live.write(&[ECHO, &deadline(5_002)]);
    comes_in(&live, "in place", 5_002);
    // It may have been looked at between two halves of a writing, but nothing else was ever applied.
    let attempts = live.attempts();
    let applied = attempts.iter().filter(|attempt| attempt["result"] == "applied");
    assert_eq!((applied.count(), live.generation()), (1, 2), "{attempts:#?}");
    assert!(attempts.iter().all(|attempt| attempt["result"] != "unchanged"), "{attempts:#?}");
}
