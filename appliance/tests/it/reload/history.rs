//! Generations that served are kept, can be had back, and serve when the profile is no good.

use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::json;

use super::*;
use crate::program::toolrack;
use crate::wire::{echo, until, until_metric};

/// `[history]` in a folder beside the profile.
pub(super) const HISTORY: &str = "[history]\nfolder = \"history\"\n";

pub(super) fn started(tables: &[&str]) -> Live {
    Live::start(&[&[ON_REQUEST, HISTORY, ECHO], tables].concat())
}

impl Live {
    pub(super) fn history(&self) -> Vec<Value> {
        let shown = self.program.control("/admin/history").json();
        shown["generations"].as_array().expect("a list").clone()
    }

    /// Waits until so many generations are kept.
    #[track_caller]
    pub(super) fn until_kept(&self, count: usize) {
        let begun = Instant::now();
        while self.history().len() != count {
            assert!(begun.elapsed() < PATIENCE, "{count}: {:#?}", self.history());
        }
    }

    pub(super) fn roll_back(&self, query: &str) -> Answer {
        let host = &self.program.control;
        let head = format!("POST /admin/rollback{query} HTTP/1.1\r\nHost: {host}\r\n");
        self.program.request_control(&head)
    }

    /// What serves: its deadline, and where it came from.
    pub(super) fn state(&self) -> (String, Value) {
        let source = self.program.control("/readyz").json()["profile"].clone();
        (self.serves("layer.timeout.deadline_ms"), source)
    }

    /// Files of generations that are on disk.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        kept_files(self.folder.path())
    }

    /// Ends the program and starts another one in its folder.
    fn restart(mut self, more: &[&str]) -> Self {
        self.program.signal("TERM");
        assert_eq!(self.program.wait(), Some(0));
        let program = Program::start(&self.path(), more);
        Self { folder: self.folder, program }
    }
}

fn kept_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(files) = fs::read_dir(folder.join("history")) else { return Vec::new() };
    let files = files.map(|file| file.expect("readable").path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    files.sort();
    files
}

pub(super) fn numbers(generations: &[Value]) -> Vec<u64> {
    generations.iter().filter_map(|generation| generation["generation"].as_u64()).collect()
}

#[test]
fn what_served_is_kept_over_a_restart_and_the_same_again_is_the_same_generation() {
    let live = started(&[&deadline(5_001)]);
    live.applies(&[ON_REQUEST, HISTORY, ECHO, &deadline(5_002)]);
    live.until_kept(2);
    let generations = live.history();
    assert_eq!(generations[0]["trigger"], "start");
    assert_eq!(generations[1]["trigger"], "admin");
    assert_eq!(generations[1]["changed"], json!(["layer.timeout.deadline_ms"]));
    assert_eq!(generations[0]["outcome"], "replaced");
    assert_eq!(generations[1]["outcome"], "serving");
    assert_eq!(generations[1]["libraries"]["echo"].as_str().map(str::len), Some(64));
    assert_ne!(generations[0]["identity"], generations[1]["identity"]);
    let live = live.restart(&[]);
    assert_eq!((numbers(&live.history()), live.generation()), (vec![1, 2], 2));
    assert_eq!(live.files().len(), 2);
    live.write(&[ON_REQUEST, HISTORY, ECHO, &deadline(5_003)]);
    let live = live.restart(&[]);
    live.until_kept(3);
    assert_eq!((numbers(&live.history()), live.generation()), (vec![1, 2, 3], 3));
}

#[test]
fn what_is_kept_is_its_owners_and_holds_no_secret() {
    let secret = "[request_state]\nkey = { file = \"seal.key\" }\n";
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("seal.key"), "a secret of at least thirty-two bytes")
        .expect("written");
    fs::write(folder.path().join("live.toml"), text(&[ON_REQUEST, HISTORY, ECHO, secret]))
        .expect("written");
    let live = Live::start_in(folder);
    until("it is written", || live.files().len() == 1);
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&live.folder.path().join("history")), 0o700);
    let file = &live.files()[0];
    assert_eq!(mode(file), 0o600);
    let text = fs::read_to_string(file).expect("text");
    assert!(text.contains("file = \"seal.key\"") && !text.contains("a secret of"), "{text}");
    assert!(text.contains("library = \"libecho.so\""), "{text}");
}

#[test]
fn a_generation_comes_back_and_the_files_stay_as_they_are() {
    let live = Live::start(&[HISTORY, ECHO, &deadline(5_001)]);
    live.write(&[HISTORY, ECHO, &deadline(5_002)]);
    live.until("it comes in", |attempt| attempt["result"] == "applied");
    let answer = live.roll_back("");
    let attempt = answer.json();
    assert_eq!((answer.status, &attempt["result"]), (200, &json!("applied")), "{attempt}");
    assert_eq!((&attempt["trigger"], &attempt["source"]), (&json!("rollback"), &json!("rollback")));
    assert_eq!((&attempt["back_to"], &attempt["generation"]), (&json!(1), &json!(3)));
    assert_eq!(live.state(), ("5001".to_owned(), json!("rollback")));
    until_metric(&live.program, "toolrack_profile_is_stale 1");
    let outcomes: Vec<_> = live.history().iter().map(|one| one["outcome"].clone()).collect();
    assert_eq!(outcomes, ["replaced", "rolled_back", "serving"]);
    let plan = live.program.control("/admin/plan").json();
    assert_eq!(plan["values"]["layer.timeout.deadline_ms"]["origin"], "generation 1");
    // Written again as it is: the watch looks at content. What follows is seen after that was.
    live.write(&[HISTORY, ECHO, &deadline(5_002)]);
    live.write(&[HISTORY, ECHO, &deadline(5_003)]);
    live.until("other content", |attempt| {
        attempt["changed"] == json!(["layer.timeout.deadline_ms"]) && attempt["generation"] == 4
    });
    assert_eq!(live.state(), ("5003".to_owned(), json!("file")));
    until_metric(&live.program, "toolrack_profile_is_stale 0");
    let files = live.attempts().iter().filter(|attempt| attempt["trigger"] == "file").count();
    assert_eq!(files, 2, "{:#?}", live.attempts());
}

#[test]
fn whoever_reads_the_files_again_has_them_back_after_a_rollback() {
    let live = started(&[&deadline(5_001)]);
    live.applies(&[ON_REQUEST, HISTORY, ECHO, &deadline(5_002)]);
    assert_eq!(live.roll_back("?to=1").status, 200);
    assert_eq!(live.state(), ("5001".to_owned(), json!("rollback")));
    let attempt = live.reload();
    assert_eq!((&attempt["result"], &attempt["source"]), (&json!("applied"), &json!("file")));
    assert_eq!(live.state(), ("5002".to_owned(), json!("file")));
    // Back to what serves anyway: nothing is built, and nothing came from elsewhere.
    let same = live.roll_back("?to=4").json();
    assert_eq!((&same["result"], live.state().1), (&json!("unchanged"), json!("file")), "{same}");
}

#[test]
fn only_what_is_kept_comes_back() {
    let live = started(&[&deadline(5_001)]);
    live.until_kept(1);
    let nothing = live.roll_back("");
    assert_eq!(nothing.status, 404, "{nothing:?}");
    let unknown = live.roll_back("?to=7");
    assert!(unknown.status == 404 && unknown.body.contains("those that are: 1"), "{unknown:?}");
    // A change that takes a restart takes one on the way back, too.
    let live = live.restart(&["--set", "process.worker_threads=3"]);
    live.until_kept(2);
    let refused = live.roll_back("");
    assert_eq!((refused.status, &refused.json()["result"]), (409, &json!("restart_required")));
    assert_eq!(live.generation(), 2);
}

#[test]
fn the_commands_show_generations_and_go_back() {
    let live = started(&[&deadline(5_001)]);
    live.applies(&[ON_REQUEST, HISTORY, ECHO, &deadline(5_002)]);
    let control = format!("http://{}", live.program.control);
    let command = |words: &[&str]| {
        let output = toolrack().args(words).args(["--control", &control]).output();
        let Output { status, stdout, stderr } = output.expect("it runs");
        let said = String::from_utf8([stdout, stderr].concat()).expect("text");
        (status.code(), said)
    };
    let (code, said) = command(&["generations"]);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!((code, lines.len()), (Some(0), 3), "{said}");
    assert!(lines[1].starts_with("2 ") && lines[1].contains("serving"), "{said}");
    let (code, said) = command(&["generations", "--json"]);
    let shown: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &shown["kept"]), (Some(0), &json!("disk")));
    let (code, said) = command(&["rollback"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("Attempt 2: applied. Generation 3 serves."), "{said}");
    assert!(said.contains("of what generation 1 was"), "{said}");
    let (code, said) = command(&["rollback", "9"]);
    assert!(code == Some(78) && said.contains("Generation 9 is not kept"), "{code:?} {said}");
}

#[test]
fn a_generation_comes_back_with_its_library_or_says_which_file_is_wanted() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = folder.path().join("libmine.so");
    let mine = "[plugin.echo]\nlibrary = \"./libmine.so\"\n";
    copy("libecho.so", &library);
    fs::write(
        folder.path().join("live.toml"),
        text(&[ON_REQUEST, HISTORY, mine, &deadline(5_001)]),
    )
    .expect("written");
    let live = Live::start_in(folder);
    live.until_kept(1);
    let before = live.history()[0]["libraries"]["echo"].as_str().expect("a digest").to_owned();
    // The plugin that serves has the library of then, whatever its file says by now.
    live.applies(&[ON_REQUEST, HISTORY, mine, &deadline(5_002)]);
    replace(&library);
    let attempt = live.roll_back("?to=1").json();
    assert_eq!((&attempt["result"], &attempt["plugins_loaded"]), (&json!("applied"), &json!([])));
    assert_eq!(live.history()[2]["libraries"]["echo"], json!(before));
    // Nor does it matter once another one serves: what was loaded is still in memory.
    assert_eq!(live.reload()["plugins_loaded"], json!(["echo"]));
    assert_ne!(live.history()[3]["libraries"]["echo"], json!(before));
    assert_eq!(live.roll_back("?to=3").json()["result"], "applied");
    assert_eq!(live.history()[4]["libraries"]["echo"], json!(before));
    // A process that has never seen the library of then cannot have it back without its file.
    let live = live.restart(&[]);
    until("the first is kept", || numbers(&live.history()).last() == Some(&6));
    let refused = live.roll_back("?to=3");
    assert_eq!(refused.status, 409);
    let problem = refused.json()["problems"][0].as_str().expect("a problem").to_owned();
    assert!(problem.contains("libmine.so") && problem.contains(&before), "{problem}");
    assert_eq!((live.generation(), echo(&live.program, "still here").status), (6, 200));
    copy("libecho.so", &library);
    let attempt = live.roll_back("?to=3").json();
    assert_eq!(
        (&attempt["result"], &attempt["plugins_loaded"]),
        (&json!("applied"), &json!(["echo"]))
    );
}

#[test]
fn a_disk_that_fails_holds_nothing_up() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("history"), "no folder").expect("written");
    fs::write(folder.path().join("live.toml"), text(&[ON_REQUEST, HISTORY, ECHO]))
        .expect("written");
    let live = Live::start_in(folder);
    until("it fails", || {
        crate::wire::metric(&live.program, "toolrack_history_writes_total{result=\"failed\"}")
            .is_some_and(|failed| failed >= 1.0)
    });
    live.applies(&[ON_REQUEST, HISTORY, ECHO, &deadline(5_002)]);
    assert_eq!(live.roll_back("").status, 200, "what is in memory is as good");
    fs::remove_file(live.folder.path().join("history")).expect("removed");
    live.applies(&[ON_REQUEST, HISTORY, ECHO, &deadline(5_003)]);
    until("all are written", || live.files().len() == 4);
}
