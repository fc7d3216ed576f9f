//! A profile that cannot be applied changes nothing, says why, and stands in nobody's way.

use serde_json::json;

use super::*;
use crate::wire::echo;

/// Reads a profile that is refused; what was said of it.
#[track_caller]
fn refused(live: &Live, tables: &[&str], result: &str) -> String {
    let before = live.generation();
    live.write(tables);
    let answer = live.ask("?wait=true");
    let attempt = answer.json();
    assert_eq!((answer.status, &attempt["result"]), (409, &json!(result)), "{attempt}");
    assert_eq!(attempt["generation"], json!(before));
    assert_eq!((live.generation(), echo(&live.program, "still here").status), (before, 200));
    let problems = attempt["problems"].as_array().expect("a list");
    problems.iter().map(|problem| problem.as_str().expect("text").to_owned() + "\n").collect()
}

#[test]
fn a_broken_profile_leaves_the_old_one_and_the_next_good_one_comes_in() {
    let live = Live::start(&[ON_REQUEST, ECHO, &deadline(5_000)]);
    let mut ms = 5_000;
    let two = "[layer.timeout]\ndeadline_mss = 1\n[layer.concurrency]\ncalls_max = \"many\"\n";
    let missing = "[plugin.other]\nlibrary = \"libnowhere.so\"\n";
    let same = "[plugin.twin]\nlibrary = \"libecho.so\"\n";
    let panics =
        "[plugin.misbehave]\nlibrary = \"libmisbehave.so\"\nconfig = { panics_in = \"start\" }\n";
    let no_fit = "[hardware]\ncores = 1\nmemory_bytes = \"1GiB\"\n";
    for (broken, said) in [
        ("[layer\n", vec!["live.toml:", "not TOML"]),
        (two, vec!["did you mean `deadline_ms`?", "layer.concurrency.calls_max"]),
        ("[layer.timeout]\ndeadline_ms = 0\n", vec!["live.toml:", "layer.timeout.deadline_ms"]),
        (missing, vec!["plugin.other.library", "libnowhere.so"]),
        (same, vec!["the tool `echo` is already offered by plugin.echo"]),
        (panics, vec!["plugin.misbehave"]),
        (no_fit, vec!["hardware.memory_bytes", "does not fit"]),
    ] {
        let problems = refused(&live, &[ON_REQUEST, ECHO, broken], "refused");
        assert!(said.iter().all(|part| problems.contains(part)), "{said:?} in {problems}");
        ms += 1;
        live.applies(&[ON_REQUEST, ECHO, &deadline(ms)]);
        assert_eq!(live.serves("layer.timeout.deadline_ms"), ms.to_string());
    }
    fs::write(live.path(), "").expect("written");
    let empty = live.reload();
    assert_eq!((&empty["result"], &empty["problems"][0].is_string()), (&json!("refused"), &true));
    fs::remove_file(live.path()).expect("removed");
    assert_eq!(live.reload()["result"], "refused");
    live.applies(&[ON_REQUEST, ECHO, &deadline(6_000)]);
}

#[test]
fn what_takes_a_restart_is_refused_whole_with_its_keys() {
    let live = Live::start(&[ON_REQUEST, ECHO, &deadline(5_000)]);
    let more = "[listen.second]\nstdio = {}\n[process]\nworker_threads = 3\n";
    let tables = [ON_REQUEST, ECHO, &deadline(5_001), more];
    let problems = refused(&live, &tables, "restart_required");
    let keys: Vec<_> = problems.lines().filter_map(|line| line.split_once(": ")).collect();
    let keys: Vec<_> = keys.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, ["listen.second", "process.worker_threads"], "{problems}");
    assert_eq!(live.serves("layer.timeout.deadline_ms"), "5000", "nothing of it was applied");
    let changed = &live.attempts().pop().expect("an attempt")["changed"];
    let all = ["layer.timeout.deadline_ms", "listen.second", "process.worker_threads"];
    assert_eq!(changed, &json!(all));
    live.applies(&[ON_REQUEST, ECHO, &deadline(5_001)]);
}

#[test]
fn no_secret_stands_in_the_ledger() {
    let with = |secret: &str, more: &str| {
        format!(
            "[plugin.echo]\nlibrary = \"libecho.so\"\nconfig = {{ token = \"{secret}\" }}\n{more}"
        )
    };
    let live = Live::start(&[ON_REQUEST, ECHO]);
    for more in ["", "[layer.timeout]\ndeadline_ms = 0\n", "[layer.nothing]\n"] {
        live.reload_with(&[ON_REQUEST, &with("hunter2", more)]);
    }
    let ledger = live.program.control("/admin/reloads").body;
    assert!(ledger.contains("plugin.echo") && !ledger.contains("hunter2"), "{ledger}");
    let plan = live.program.control("/admin/plan").body;
    assert!(!plan.contains("hunter2"), "{plan}");
}

#[test]
fn the_ledger_keeps_the_last_attempts() {
    let live = Live::start(&[ON_REQUEST, ECHO]);
    for _ in 0..70 {
        live.reload();
    }
    let attempts = live.attempts();
    let ends =
        [attempts.first(), attempts.last()].map(|attempt| attempt.expect("one")["attempt"].clone());
    assert_eq!((attempts.len(), ends), (64, [json!(7), json!(70)]));
}
