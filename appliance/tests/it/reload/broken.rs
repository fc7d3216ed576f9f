//! Two hundred broken profiles and fifty good ones: `check`, a dry run and a reload say the same of each, word for word
//! what they said before, and never a secret.
//!
//! After a change that is meant: `GOLDEN=write cargo test -p toolrack --test it broken`, and read the difference.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use serde_json::json;

use super::*;
use crate::program::toolrack;
use crate::wire::echo;

/// Comes in through the environment, and now and then stands where it does not belong.
const SECRET: &str = "hunter2";
/// The variable that has it, as often as a key must be long.
const STATE_KEY: (&str, &str) = ("STATE_KEY", "hunter2-hunter2-hunter2-hunter2-hunter2");
const GOLDEN: &str = "tests/it/reload/broken.txt";

/// Keys with a number, each with one that is good.
const NUMBERS: [(&str, &str, &str); 30] = [
    ("layer.timeout", "deadline_ms", "5000"),
    ("layer.concurrency", "calls_max", "64"),
    ("layer.bulkhead", "concurrent_calls", "8"),
    ("layer.bulkhead", "queue_wait_ms", "100"),
    ("layer.circuit_breaker", "calls_min", "30"),
    ("layer.circuit_breaker", "failure_percent", "50"),
    ("layer.circuit_breaker", "open_ms", "1000"),
    ("layer.connections", "connections_max", "100"),
    ("layer.connections", "per_address_max", "50"),
    ("layer.fairness", "client_calls_max", "8"),
    ("layer.fairness", "queue_calls_max", "64"),
    ("layer.http", "headers_max", "50"),
    ("layer.http.http2", "streams_max", "50"),
    ("layer.memory", "high_percent", "85"),
    ("layer.pre_auth_limit", "requests_per_sec", "50"),
    ("layer.pre_auth_limit", "keys_max", "1000"),
    ("layer.rate_limit", "calls_per_sec", "50"),
    ("layer.rate_limit", "burst_calls", "200"),
    ("layer.rate_limit", "keys_max", "1000"),
    ("plugin.echo.limits", "concurrent_calls", "8"),
    ("plugin.echo.limits", "queue_calls", "8"),
    ("plugin.echo.limits", "deadline_ms", "5000"),
    ("reload", "stage_deadline_ms", "10000"),
    ("server", "page_items_max", "100"),
    ("server", "list_ttl_ms", "1000"),
    ("session", "sessions_max", "100"),
    ("session", "streams_max", "100"),
    ("shutdown", "drain_ms", "5000"),
    ("tasks", "count_max", "100"),
    ("tasks", "poll_ms", "500"),
];

/// Layers with a mode.
const LAYERS: [&str; 13] = [
    "bulkhead",
    "circuit_breaker",
    "concurrency",
    "connections",
    "fairness",
    "http",
    "memory",
    "origin",
    "payload",
    "pre_auth_limit",
    "rate_limit",
    "timeout",
    "http.http2",
];

/// Texts that are no TOML, with what the whole profile needs before them.
const SYNTAX: [&str; 16] = [
    "[layer",
    "[layer.timeout]\ndeadline_ms",
    "[layer.timeout]\ndeadline_ms =",
    "[layer.timeout]\ndeadline_ms = 5_",
    "[layer.timeout]\ndeadline_ms = 05",
    "[layer.timeout]\ndeadline_ms = 5000 6000",
    "[layer.timeout]\ndeadline_ms = 1\ndeadline_ms = 2",
    "[layer.timeout]\n[layer.timeout]",
    "[layer.timeout]\n= 5",
    "[layer.timeout]\nmode = \"enforce",
    "[layer.timeout]\nmode = 'enforce\"",
    "[layer.origin]\nallowed_hosts = [\"a\"",
    "[layer.origin]\nallowed_hosts = [\"a\" \"b\"]",
    "[plugin.echo]\nlibrary = \"libecho.so\"\nconfig = { token = \"hunter2\"",
    "[plugin.echo]\nlibrary = \"libecho.so\"\nconfig = { token = hunter2 }",
    "[server]\nname = \"\\q\"",
];

/// Values that no profile means.
const SENSE: [&str; 40] = [
    "[layer.timeout]\ndeadline_ms = 0",
    "[layer.timeout]\ndeadline_ms = 99999999999999999999",
    "[layer.timeout]\ndeadline_mss = 1\n[layer.concurrency]\ncalls_max = \"many\"\n[nonsense]",
    "[layer.concurrency]\ncalls_max = 0",
    "[layer.concurrency]\nread_share_percent = 60\nwork_share_percent = 60",
    "[layer.payload]\nrequest_bytes_max = \"1 furlong\"",
    "[layer.payload]\nrequest_bytes_max = \"\"",
    "[layer.payload]\nresponse_bytes_max = \"-1KiB\"",
    "[layer.payload]\nrequest_bytes_max = \"99999999TiB\"",
    "[layer.origin]\nallowed_origins = [\"chat.example.com\"]",
    "[layer.origin]\nallowed_origins = [\"https://chat.example.com/path\"]",
    "[layer.origin]\nallowed_hosts = \"mcp.example.com\"",
    "[layer.origin]\nallowed_hosts = [1]",
    "[layer.memory]\nsoft_percent = 90\nhigh_percent = 80",
    "[layer.circuit_breaker]\nfailure_percent = 101",
    "[layer.circuit_breaker]\nopen_ms = 5000\nopen_max_ms = 1000",
    "[layer.nothing]",
    "[layer]\ntimeout = 5",
    "[layer.timeout]\nmode = \"Enforce\"",
    "[tasks]\nttl_ms = 1000\ndeadline_ms = 1001",
    "[server]\npage_items_max = 0",
    "[server]\npage_items_max = 10001",
    "[server]\nname = 5",
    "[server]\ntitle = [\"a\"]",
    "[session]\nreplay_bytes_max = \"many\"",
    "[listen.Public]\nhttp = { bind = \"127.0.0.1:0\" }",
    "[listen.other]\nhttp = { bind = \"nowhere\" }",
    "[listen.other]\nhttp = { bind = \"0.0.0.0:0\" }",
    "[listen.other]\nhttp = { bind = \"127.0.0.1:0\", path = \"mcp\" }",
    "[listen.other]",
    "[plugin.other]",
    "[plugin.other]\nlibrary = \"\"",
    "[plugin.other]\nlibrary = 5",
    "[plugin.Other]\nlibrary = \"libecho.so\"",
    "[plugin.other]\nlibrary = \"libtime.so\"\nisolation = \"moon\"",
    "[plugin.other]\nlibrary = { token = \"hunter2\" }",
    "[plugin.echo]\nlibrary = \"libecho.so\"\nconfig = \"hunter2\"",
    "[request_state]\nkey = \"hunter2\"",
    "[request_state]\nkey = { file = \"./nokey\", env = \"NOKEY\" }",
    "[hardware]\ncores = 1\nmemory_bytes = \"1GiB\"",
];

/// Texts that are not even the rest of a profile.
const WHOLE: [&str; 8] = [
    "",
    "format = 2\n",
    "format = \"1\"\n",
    "format = 1\n",
    "[server]\nname = \"x\"\n",
    "format = 1\nextends = \"nothing\"\n",
    "format = 1\nextends = \"./live.toml\"\n",
    "format = 1\nextends = [\"dev\"]\n",
];

/// The whole text of a profile with one more table: what the table says itself is left out before it.
fn with(table: &str) -> String {
    let usual = [
        "[listen.public]\nhttp = { bind = \"127.0.0.1:0\" }\n",
        "[control]\nbind = \"127.0.0.1:0\"\n",
        "[request_state]\nkey = { env = \"STATE_KEY\" }\n",
        ON_REQUEST,
        ECHO,
    ];
    let is_said = |usual: &&&str| {
        let head = usual.lines().next().unwrap_or_default();
        // Tables below it stand for themselves.
        !table.lines().any(|line| line == head)
    };
    let watch = if table.starts_with("[reload]") { "watch = false\n" } else { "" };
    let before: String = usual.iter().filter(is_said).copied().collect();
    format!("format = 1\n{before}{table}\n{watch}")
}

/// What is broken of each, as the golden file names it, and the text of the profile.
fn broken() -> Vec<(String, String)> {
    let mut tables = Vec::new();
    for (table, key, _) in NUMBERS {
        for value in ["\"many\"", "-1", "1.5", "[]"] {
            tables.push(format!("[{table}]\n{key} = {value}"));
        }
    }
    for layer in LAYERS {
        tables.push(format!("[layer.{layer}]\nmodes = \"off\""));
        if layer != "http.http2" {
            tables.push(format!("[layer.{layer}]\nmode = \"sometimes\""));
        }
    }
    tables.extend(SYNTAX.iter().chain(&SENSE).map(|table| (*table).to_owned()));
    let whole = WHOLE.iter().map(|text| (format!("alone: {text}"), (*text).to_owned()));
    tables.into_iter().map(|table| (table.clone(), with(&table))).chain(whole).collect()
}

fn good() -> Vec<String> {
    let numbers = NUMBERS.iter().map(|(table, key, good)| format!("[{table}]\n{key} = {good}"));
    let layers = LAYERS.iter().map(|layer| format!("[layer.{layer}]"));
    let modes = LAYERS[..11].iter().map(|layer| format!("[layer.{layer}]\nmode = \"shadow\""));
    numbers.chain(layers).chain(modes).map(|table| with(&table)).collect()
}

/// What `check` says of each text, in their order: its code, and its problems without the folder.
fn checked(texts: &[String]) -> Vec<(Option<i32>, String)> {
    let (next, folder) = (AtomicUsize::new(0), tempfile::tempdir().expect("a folder"));
    let check = |number: usize| {
        let folder = folder.path().join(number.to_string());
        fs::create_dir(&folder).expect("made");
        let file = folder.join("live.toml");
        fs::write(&file, &texts[number]).expect("written");
        let mut command = toolrack();
        command.args(["check", "--profile"]).arg(&file).env(STATE_KEY.0, STATE_KEY.1);
        let output = command.output().expect("it runs");
        let said = String::from_utf8(output.stderr).expect("text");
        let problems = said.lines().filter_map(|line| line.strip_prefix("error: "));
        let problems: Vec<_> = problems.map(|problem| without(&folder, problem)).collect();
        (output.status.code(), problems.join("\n"))
    };
    let mut all = thread::scope(|scope| {
        let checkers = [(); 4].map(|()| {
            scope.spawn(|| {
                let numbers = std::iter::repeat_with(|| next.fetch_add(1, Relaxed));
                let mine = numbers.take_while(|number| *number < texts.len());
                mine.map(|number| (number, check(number))).collect::<Vec<_>>()
            })
        });
        checkers
            .into_iter()
            .flat_map(|checker| checker.join().expect("checked"))
            .collect::<Vec<_>>()
    });
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, said)| said).collect()
}

/// Where the golden file leaves off: what follows is the documentation of a key, or all that is known there.
const REST: [&str; 5] =
    ["this key means: ", "it means: ", "known here: ", "built-in profiles: ", "does not fit into "];

/// A problem without what changes with every key that is new.
fn essence(problem: &str) -> &str {
    let ends = REST.iter().filter_map(|rest| problem.find(rest).map(|at| at + rest.len()));
    ends.min().map_or(problem, |end| problem[..end].trim_end())
}

/// A problem as it reads wherever the profile is.
fn without(folder: &Path, problem: &str) -> String {
    problem.replace(&format!("{}/", folder.display()), "")
}

fn start() -> Live {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("live.toml"), with("")).expect("written");
    let mut command = toolrack();
    command.env(STATE_KEY.0, STATE_KEY.1);
    let program = Program::start_by(command, &folder.path().join("live.toml"), &[]);
    Live { folder, program }
}

/// Has the program read this text; the result, and the problems as `check` says them.
fn reloaded(live: &Live, text: &str) -> (Value, String) {
    fs::write(live.path(), text).expect("written");
    let attempt = live.reload();
    let problems = problems(live, &attempt);
    (attempt, problems)
}

/// Has the program try this text, which changes nothing; the same of it.
fn tried(live: &Live, text: &str) -> (Value, String) {
    let tried = live.program.post_control("/admin/profile?dry_run=true", "", text).json();
    // It came from nowhere.
    let problems = problems(live, &tried).replace("posted profile:", "live.toml:");
    (tried, problems)
}

fn problems(live: &Live, attempt: &Value) -> String {
    let problems = attempt["problems"].as_array().expect("a list");
    let problems = problems.iter().map(|problem| problem.as_str().expect("text"));
    let problems: Vec<_> = problems.map(|problem| without(live.folder.path(), problem)).collect();
    problems.join("\n")
}

#[test]
fn two_hundred_broken_profiles_are_refused_by_check_by_a_dry_run_and_by_a_reload_alike() {
    let broken = broken();
    assert!(broken.len() >= 200, "{}", broken.len());
    let texts: Vec<_> = broken.iter().map(|(_, text)| text.clone()).collect();
    let live = start();
    let (mut told, mut leaks) = (String::new(), Vec::new());
    for ((what, text), (code, checked)) in broken.iter().zip(checked(&texts)) {
        assert_eq!(code, Some(78), "{what}");
        let (attempt, problems) = reloaded(&live, text);
        assert_eq!(
            (&attempt["result"], &attempt["generation"]),
            (&json!("refused"), &json!(1)),
            "{what}"
        );
        assert_eq!(problems, checked, "{what}");
        let (tried, said) = tried(&live, text);
        assert_eq!((&tried["result"], &*said), (&json!("refused"), &*checked), "{what}");
        told.push_str(&format!("{}\n", what.trim_end().replace('\n', " | ")));
        problems.lines().for_each(|problem| told.push_str(&format!("  {}\n", essence(problem))));
        leaks
            .extend(problems.lines().filter(|problem| problem.contains(SECRET)).map(str::to_owned));
    }
    assert_eq!(echo(&live.program, "still here").status, 200);
    let ledger = live.program.control("/admin/reloads").body;
    assert!(leaks.is_empty() && !ledger.contains(SECRET), "{leaks:#?}");
    fs::write(live.path(), with(&deadline(6_000))).expect("written");
    assert_eq!(live.reload()["result"], "applied");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDEN);
    if std::env::var_os("GOLDEN").is_some_and(|value| value == "write") {
        fs::write(&golden, &told).expect("written");
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    let first = expected.lines().zip(told.lines()).find(|(expected, told)| expected != told);
    assert!(
        told == expected,
        "changed; if it is meant, run `GOLDEN=write cargo test -p toolrack --test it broken`: {first:#?}"
    );
}

#[test]
fn fifty_good_profiles_are_taken_by_check_by_a_dry_run_and_by_a_reload_alike() {
    let texts = good();
    assert!(texts.len() >= 50, "{}", texts.len());
    let live = start();
    for (text, (code, problems)) in texts.iter().zip(checked(&texts)) {
        assert_eq!((code, &*problems), (Some(0), ""), "{text}");
        let (tried, said) = tried(&live, text);
        assert_eq!((&tried["result"], &*said), (&json!("applied"), ""), "{text} {tried}");
        let (attempt, _) = reloaded(&live, text);
        assert_eq!(attempt["result"], "applied", "{text} {attempt}");
    }
}

#[test]
fn check_opens_no_port_and_writes_no_file() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = taken.local_addr().expect("an address").port();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("live.toml");
    let bind = format!("[listen.public]\nhttp = {{ bind = \"127.0.0.1:{port}\" }}");
    fs::write(&file, with(&bind)).expect("written");
    let mut command = toolrack();
    command.current_dir(folder.path()).args(["check", "--profile", "live.toml"]);
    let output = command.env(STATE_KEY.0, STATE_KEY.1).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let entries: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
    assert_eq!((entries.len(), fs::read_to_string(&file).expect("text")), (1, with(&bind)));
}

#[test]
fn a_profile_that_is_no_text_or_no_file_is_refused() {
    let live = start();
    fs::write(live.path(), b"format = 1\n\xff\xfe").expect("written");
    assert_eq!(live.reload()["result"], "refused");
    fs::remove_file(live.path()).expect("removed");
    fs::create_dir(live.path()).expect("made");
    assert_eq!(live.reload()["result"], "refused");
    fs::remove_dir(live.path()).expect("removed");
    fs::write(live.path(), with(&deadline(6_000))).expect("written");
    assert_eq!(live.reload()["result"], "applied");
}
