use std::fs;
use std::os::unix::fs::symlink;

use plugin_sdk::testing::{Harness, Told};
use serde_json::json;

use super::*;

struct Folder {
    _outside: tempfile::TempDir,
    root: tempfile::TempDir,
}

fn folder() -> Folder {
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("secret.txt"), "secret").expect("written");
    let root = tempfile::tempdir().expect("a folder");
    fs::create_dir(root.path().join("docs")).expect("made");
    fs::write(root.path().join("a.txt"), "one\ntwo\nthree\n").expect("written");
    fs::write(root.path().join("docs/guide.md"), "# Guide\nneedle here\n").expect("written");
    fs::write(root.path().join("image.png"), [0x89, b'P', 0xff, 0]).expect("written");
    symlink(outside.path(), root.path().join("way_out")).expect("linked");
    symlink("a.txt", root.path().join("inside")).expect("linked");
    Folder { _outside: outside, root }
}

fn harness(folder: &Folder, writable: bool) -> Harness<Filesystem> {
    let config = json!({ "root": folder.root.path(), "writable": writable });
    Harness::new(&config.to_string()).expect("starts")
}

fn call(harness: &Harness<Filesystem>, tool: &str, arguments: serde_json::Value) -> (i32, String) {
    let answer = harness.call_tool(tool, &arguments.to_string());
    (answer.status, answer.text())
}

#[test]
fn reads_files_and_parts_of_them() {
    let folder = folder();
    let harness = harness(&folder, false);
    assert_eq!(
        call(&harness, "read_file", json!({"path": "a.txt"})),
        (0, "one\ntwo\nthree\n".into())
    );
    let part = json!({"path": "a.txt", "first_line": 2, "lines_max": 1});
    assert_eq!(call(&harness, "read_file", part), (0, "two".into()));
    assert_eq!(call(&harness, "read_file", json!({"path": "inside"})).0, 0);
    assert_eq!(
        call(&harness, "read_file", json!({"path": "docs"})),
        (1, "`docs` is a folder.".into())
    );
    assert_eq!(call(&harness, "read_file", json!({"path": "image.png"})).0, 1);
}

#[test]
fn nothing_leads_out_of_the_root() {
    let folder = folder();
    let harness = harness(&folder, true);
    for path in [
        "../secret.txt",
        "way_out/secret.txt",
        "docs/../../x",
        "/etc/passwd",
        "docs/../way_out/secret.txt",
        "..",
    ] {
        let (status, text) = call(&harness, "read_file", json!({"path": path}));
        assert!(
            status == 1 && !text.contains("secret\n") && !text.contains("root:"),
            "{path}: {text}"
        );
        // A leading slash means the root, so that path is a new one inside of it.
        if !path.starts_with('/') {
            let write = json!({"path": format!("{path}/new"), "text": ""});
            assert_eq!(call(&harness, "write_file", write).0, 1, "{path}");
        }
        let read = harness.read_template(
            "file:///{+path}",
            "file:///x",
            &json!({"path": path}).to_string(),
        );
        assert_eq!(read.status, 3, "{path}");
    }
    assert_eq!(call(&harness, "list_folder", json!({"path": "way_out"})).0, 1);
}

#[test]
fn lists_and_searches() {
    let folder = folder();
    let harness = harness(&folder, false);
    let (_, listed) = call(&harness, "list_folder", json!({}));
    assert!(listed.contains("a.txt (14 bytes)") && listed.contains("docs/"), "{listed}");
    let (_, found) = call(&harness, "search", json!({"text": "needle"}));
    assert_eq!(found, "docs/guide.md:2: needle here");
    assert_eq!(
        call(&harness, "search", json!({"text": "guide", "path": "docs"})).1,
        "docs/guide.md"
    );
    assert!(call(&harness, "search", json!({"text": "absent"})).1.starts_with("Nothing"));
}

#[test]
fn writes_only_when_allowed() {
    let folder = folder();
    let write = json!({"path": "new/file.txt", "text": "hello"});
    assert_eq!(call(&harness(&folder, false), "write_file", write.clone()).0, 1);
    assert!(!folder.root.path().join("new").exists());
    assert_eq!(call(&harness(&folder, true), "write_file", write).0, 0);
    assert_eq!(
        fs::read_to_string(folder.root.path().join("new/file.txt")).expect("there"),
        "hello"
    );
}

#[test]
fn offers_files_as_resources() {
    let folder = folder();
    let harness = harness(&folder, false);
    let listed = harness.description()["resources"].to_string();
    assert!(listed.contains("file:///a.txt") && listed.contains("image/png"), "{listed}");
    let text = harness.read("file:///a.txt");
    assert_eq!((text.status, text.mime.as_str()), (0, "text/plain"));
    let image =
        harness.read_template("file:///{+path}", "file:///image.png", r#"{"path":"image.png"}"#);
    assert_eq!((image.format, image.body.len()), (3, 4));
}

#[test]
fn tells_when_a_followed_file_changes() {
    let folder = folder();
    let harness = harness(&folder, true);
    harness.watch("file:///a.txt", true);
    assert_eq!(call(&harness, "write_file", json!({"path": "a.txt", "text": "changed"})).0, 0);
    let told = Told::Notified(4, "file:///a.txt".into());
    // The kernel tells in its own time; a test that hangs here is a test that failed.
    while !harness.told().contains(&told) {
        std::thread::yield_now();
    }
    harness.watch("file:///a.txt", false);
}

#[test]
fn refuses_a_root_that_is_not_there() {
    assert!(Harness::<Filesystem>::new(r#"{"root":"/nowhere/at/all"}"#).is_err());
    assert!(Harness::<Filesystem>::new("{}").is_err());
}
