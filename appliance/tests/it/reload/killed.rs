//! At whichever step of its writing it is killed, the program leaves what it said that serves.

use std::ffi::OsString;
use std::process::Command;

use super::history::{HISTORY, numbers};
use super::*;
use crate::program::{run, toolrack};
use crate::wire::until;

/// Fewer steps than the run below takes for as long as the history is written as it is meant to be.
const STEPS_AT_LEAST: usize = 20;

/// How a program ended that was killed at a step.
struct Killed {
    /// What it said last that serves.
    told: Option<u32>,
    /// What it was asked for last.
    asked: u32,
}

/// The library that kills at a step, compiled in `folder`.
fn killer(folder: &Path) -> PathBuf {
    let library = folder.join("killed.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/reload/killed.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]);
    let output = compiler.arg("-o").arg(&library).arg(source).output();
    let output = output.unwrap_or_else(|error| {
        panic!("this test needs a C compiler named `cc` (Debian: apt install gcc): {error}")
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

/// A profile of which two generations are kept, so that those before them are taken away.
fn profile(ms: u32) -> String {
    text(&[ON_REQUEST, HISTORY, "generations_max = 2\n", ECHO, &deadline(ms)])
}

/// Serves four generations one after the other, until it is killed at `step`; `None`: it takes fewer steps than that.
fn serve_until_killed(folder: &Path, library: &Path, step: usize) -> Option<Killed> {
    let path = folder.join("live.toml");
    let mut killed = Killed { told: None, asked: 5_001 };
    fs::write(&path, profile(killed.asked)).expect("written");
    let mut command = toolrack();
    command.env("LD_PRELOAD", library).env("KILL_AT", step.to_string());
    command.env("KILL_IN", folder.join("history"));
    let mut program = match Program::try_start_by(command, &path, &[]) {
        Ok(program) => program,
        Err((code, said)) => {
            assert_eq!(code, None, "it was killed: {said:#?}");
            return Some(killed);
        }
    };
    let control = format!("http://{}", program.control);
    while killed.asked < 5_004 {
        killed.asked += 1;
        fs::write(&path, profile(killed.asked)).expect("written");
        let asked = run(&["reload", "--wait", "--control", &control]);
        if !asked.status.success() {
            assert_eq!(program.wait(), None, "it was killed: {asked:?}");
            return Some(killed);
        }
        killed.told = Some(killed.asked);
    }
    None
}

/// The next start has no good profile. What was told before serves, or what was about to be told.
fn serves_again(folder: TempDir, killed: &Killed) {
    let path = folder.path().join("live.toml");
    fs::write(&path, "[wrong\n").expect("written");
    let more = ["--allow-last-good", "--set", "history.folder=history"];
    let started = Program::try_start_by(toolrack(), &path, &more);
    let program = started.unwrap_or_else(|(code, said)| {
        assert_eq!((code, killed.told), (Some(78), None), "{said:#?}");
        // It was killed before it had written anything.
        fs::write(&path, profile(killed.asked)).expect("written");
        Program::start(&path, &[])
    });
    let is_torn = program
        .said
        .iter()
        .any(|line| line["message"] == "A file in history.folder is left aside.");
    assert!(!is_torn, "{:#?}", program.said);
    let live = Live { folder, program };
    let serves: u32 = live.serves("layer.timeout.deadline_ms").parse().expect("a number");
    assert!((killed.told.unwrap_or(5_001)..=killed.asked).contains(&serves), "{serves}");
    // Whatever was left half done stands in nobody's way.
    fs::write(&path, profile(6_000)).expect("written");
    assert_eq!(live.reload()["result"], "applied");
    let kept = numbers(&live.history());
    assert!(kept.is_sorted() && kept.len() <= 2, "{kept:?}");
    until("there is nothing else", || {
        let names = fs::read_dir(live.folder.path().join("history")).expect("a folder");
        let mut names: Vec<_> = names.map(|name| name.expect("readable").file_name()).collect();
        names.sort();
        let expected = kept.iter().map(|number| format!("generation-{number:020}.toml"));
        names == expected.chain(["lock".to_owned()]).map(Into::into).collect::<Vec<OsString>>()
    });
}

#[test]
fn whichever_step_of_writing_it_is_killed_at_what_it_said_that_serves_comes_back() {
    let built = tempfile::tempdir().expect("a folder");
    let library = killer(built.path());
    // The whole promise takes a minute.
    let stride = if is_long() { 1 } else { 3 };
    let enough = (1..).step_by(stride).find(|step| {
        let folder = tempfile::tempdir().expect("a folder");
        // As the system names it, which is how the library sees it.
        let real = folder.path().canonicalize().expect("it is there");
        let killed = serve_until_killed(&real, &library, *step);
        killed.inspect(|killed| serves_again(folder, killed)).is_none()
    });
    assert!(enough > Some(STEPS_AT_LEAST), "{enough:?}");
}
