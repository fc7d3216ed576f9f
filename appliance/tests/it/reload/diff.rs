//! `toolrack diff`: what would change, in words, in JSON and as an exit code.

use super::*;
use crate::program::toolrack;

/// Compares a profile with these tables, which lies in a folder of its own.
fn diff(live: &Live, tables: &[&str], more: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("next.toml");
    fs::write(&path, text(tables)).expect("written");
    let control = format!("http://{}", live.program.control);
    let mut command = toolrack();
    command.arg("diff").arg(&path).args(["--control", &control]).args(more);
    let output = command.output().expect("it runs");
    let said = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), said(output.stdout), said(output.stderr))
}

#[test]
fn each_kind_of_change_has_its_line_and_its_code() {
    let live = Live::start(&[ON_REQUEST, ECHO, &deadline(5_001)]);
    let same = diff(&live, &[ON_REQUEST, ECHO, &deadline(5_001)], &[]);
    let nothing = "Nothing would change: generation 1 serves what this profile says.\n";
    assert_eq!((same.0, &*same.1), (Some(0), nothing), "{}", same.2);
    let (code, said, _) = diff(&live, &[ON_REQUEST, ECHO, &deadline(5_002)], &[]);
    let expected = "\
key                        before  after  how it is taken over
layer.timeout.deadline_ms  5001    5002   live: calls under way keep their deadlines

1 live. Generation 1 serves on; nothing was changed.
";
    assert_eq!((code, &*said), (Some(3), expected));
    let limits = "[plugin.echo.limits]\ndeadline_ms = 20000\n";
    let (code, said, _) = diff(&live, &[ON_REQUEST, ECHO, &deadline(5_001), limits], &[]);
    assert!(code == Some(4) && said.contains("drains: the plugin is started anew"), "{said}");
    let threads = "[process]\nworker_threads = 3\n";
    let (code, said, _) = diff(&live, &[ON_REQUEST, ECHO, &deadline(5_002), threads], &[]);
    let line = "process.worker_threads     -       3      restart: threads are made at the start\n";
    assert!(code == Some(5) && said.contains(line), "{said}");
    assert_eq!((live.generation(), live.attempts().len()), (1, 0), "nothing was changed");
}

#[test]
fn json_has_what_the_appliance_said() {
    let live = Live::start(&[ON_REQUEST, ECHO, &deadline(5_001)]);
    let (code, said, _) = diff(&live, &[ON_REQUEST, ECHO, &deadline(5_002)], &["--json"]);
    let answer: Value = serde_json::from_str(&said).expect("JSON");
    let change = &answer["changes"][0];
    assert_eq!(
        (code, &change["before"], &change["after"]),
        (Some(3), &"5001".into(), &"5002".into())
    );
    assert_eq!(answer["proposed"].as_str().map(str::len), Some(64));
}

#[test]
fn a_broken_profile_is_complained_of_where_it_is() {
    let live = Live::start(&[ON_REQUEST, ECHO]);
    let (code, said, complained) = diff(&live, &["[layer.timeout]\ndeadline_ms = 0\n"], &[]);
    assert_eq!((code, &*said), (Some(78), ""));
    assert!(complained.contains("next.toml:7:1: layer.timeout.deadline_ms: "), "{complained}");
}

#[test]
fn a_base_is_read_from_beside_the_profile_that_is_compared() {
    let live = Live::start(&[ON_REQUEST, ECHO]);
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("with space");
    fs::create_dir(&inner).expect("made");
    fs::write(inner.join("base.toml"), text(&[ON_REQUEST, ECHO])).expect("written");
    let next = inner.join("next.toml");
    fs::write(&next, "format = 1\nextends = \"base.toml\"\n").expect("written");
    let control = format!("http://{}", live.program.control);
    let output = toolrack().arg("diff").arg(next).args(["--control", &control]).output();
    assert_eq!(output.expect("it runs").status.code(), Some(0));
}

#[test]
fn without_an_appliance_it_says_what_to_start_or_name() {
    let output =
        toolrack().args(["diff", "dev", "--control", "unix:/nonexistent/control"]).output();
    let output = output.expect("it runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(75), "{said}");
    assert!(said.contains("nobody listens at unix:/nonexistent/control"), "{said}");
}
