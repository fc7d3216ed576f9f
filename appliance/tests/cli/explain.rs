//! What is shown of a profile.

use super::*;

/// The lines between a title and the next empty line.
fn section<'t>(text: &'t str, title: &str) -> Vec<&'t str> {
    text.lines()
        .skip_while(|line| !line.starts_with(title))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .collect()
}

#[test]
fn layers_stand_in_the_order_in_which_they_meet_a_request() {
    let said = run(&["explain", "--set", "layer.timeout.mode=shadow"]).stdout;
    let rows: Vec<Vec<_>> =
        section(&said, "Layers").iter().map(|line| line.split_whitespace().collect()).collect();
    let expected = [
        ["accept", "connections", "enforce"],
        ["edge", "http", "enforce"],
        ["edge", "origin", "enforce"],
        ["edge", "pre_auth_limit", "off"],
        ["edge", "payload", "enforce"],
        ["edge", "memory", "enforce"],
        ["call", "memory", "enforce"],
        ["call", "rate_limit", "off"],
        ["call", "fairness", "off"],
        ["call", "concurrency", "enforce"],
        ["call", "circuit_breaker", "enforce"],
        ["call", "timeout", "shadow"],
        ["call", "bulkhead", "enforce"],
        ["answer", "payload", "enforce"],
    ];
    assert_eq!(rows, expected);
}

#[test]
fn a_layer_without_its_table_is_off() {
    // `desktop` has no [layer.origin]: there is no network in front of it.
    let said = run(&["explain", "--profile", "desktop"]).stdout;
    let origin = section(&said, "Layers").into_iter().find(|line| line.contains("origin"));
    assert!(origin.expect("a row").ends_with(" off"), "{said}");
}

#[test]
fn columns_are_aligned() {
    let said = run(&["explain"]).stdout;
    let rows = section(&said, "Values");
    assert!(rows.len() > 20, "{said}");
    let begins: Vec<_> =
        rows.iter().filter_map(|row| row.find("default").or(row.find("built-in"))).collect();
    assert!(begins.len() == rows.len() && begins.iter().all(|at| *at == begins[0]), "{said}");
}

#[test]
fn each_source_overrules_the_one_before() {
    let origin = |command: &mut Command| {
        let said = end(command.arg("layer.timeout.deadline_ms")).stdout;
        said.lines().last().expect("a row").trim().to_owned()
    };
    let key = "layer.timeout.deadline_ms  ";
    let file = profile("format = 1\nextends = \"dev\"\n[layer.timeout]\ndeadline_ms = 2\n");
    let path = file.to_str().expect("UTF-8");
    let mut base = toolrack();
    base.arg("explain");
    assert!(origin(&mut base).starts_with(&format!("{key}30000  built-in `dev`")));
    let mut own = toolrack();
    own.args(["explain", "--profile", path]);
    assert_eq!(origin(&mut own), format!("{key}2  {path}:4:1"));
    let mut variable = toolrack();
    variable.env("TOOLRACK_LAYER__TIMEOUT__DEADLINE_MS", "3").args(["explain", "--profile", path]);
    assert!(origin(&mut variable).starts_with(&format!("{key}3  ")));
    let mut set = toolrack();
    set.env("TOOLRACK_LAYER__TIMEOUT__DEADLINE_MS", "3");
    set.args(["explain", "--profile", path, "--set", "layer.timeout.deadline_ms=4"]);
    assert!(origin(&mut set).starts_with(&format!("{key}4  --set ")));
}

#[test]
fn a_key_comes_with_its_meaning_and_a_table_with_all_below_it() {
    let one = run(&["explain", "layer.timeout.deadline_ms"]).stdout;
    assert!(one.starts_with("Milliseconds from the parsed call"), "{one}");
    assert_eq!(one.lines().filter(|line| line.starts_with("  ")).count(), 1, "{one}");
    let table = run(&["explain", "layer.payload"]).stdout;
    assert_eq!(table.lines().filter(|line| line.starts_with("  layer.payload.")).count(), 3);
    assert!(!table.contains("layer.timeout"), "{table}");
}

#[test]
fn a_key_that_is_not_set_says_so() {
    let ended = run(&["explain", "server.title"]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.stdout.ends_with("server.title is not set, and has no default.\n"), "{ended:?}");
}

#[test]
fn a_key_that_does_not_exist_is_a_mistake() {
    let ended = run(&["explain", "layer.timeout.deadline"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(64), ""));
    assert!(ended.stderr.contains("there is no such key"), "{}", ended.stderr);
}

#[test]
fn the_worst_case_of_memory_stands_between_layers_and_values() {
    let said = run(&["explain", "--profile", "edge-1c1g", "--set", "tasks.bytes_max=1MiB"]).stdout;
    let rows = section(&said, "Worst case of memory");
    let row = |what: &str| {
        let row = rows.iter().find(|row| row.trim_start().starts_with(what)).expect(what);
        row.split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(row("tasks"), ["tasks", "1.0", "MiB", "1MiB", "tasks.bytes_max"]);
    let connections = row("connections");
    assert_eq!(connections[3..], ["512", "x", "428KiB", "layer.connections.connections_max"]);
    assert!(rows.last().expect("a sum").contains("% of hardware.memory_bytes, 1024.0 MiB"));
    assert!(!run(&["explain", "layer.payload"]).stdout.contains("Worst case"));
}

#[test]
fn a_key_that_does_not_exist_is_answered_with_the_one_that_was_meant() {
    for (asked, meant) in [
        ("layer.tmeout", "did you mean `layer.timeout`?"),
        ("layer.timeout.deadline", "did you mean `layer.timeout.deadline_ms`?"),
        ("zzz", "there is no such key; `toolrack explain` without a key shows all"),
    ] {
        let ended = run(&["explain", asked]);
        assert_eq!(ended.code, Some(64), "{asked}");
        assert!(ended.stderr.contains(meant), "{}", ended.stderr);
    }
}

#[test]
fn a_profile_says_the_same_in_any_folder_language_and_time_zone() {
    let said = |language: &str, zone: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let base = "format = 1\n[listen.public]\nhttp = { bind = \"127.0.0.1:0\" }\n";
        std::fs::write(folder.path().join("base.toml"), base).expect("written");
        let live = "format = 1\nextends = \"base.toml\"\n[server]\nname = \"Zo\u{eb}\"\n";
        std::fs::write(folder.path().join("live.toml"), live).expect("written");
        let mut command = toolrack();
        command.args(["explain", "--profile", "live.toml"]).current_dir(folder.path());
        let ended = end(command.env("LC_ALL", language).env("TZ", zone));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout
    };
    let one = said("C", "UTC");
    assert!(one.contains("live.toml:4:1"), "{one}");
    assert_eq!(one, said("tr_TR.UTF-8", "Pacific/Kiritimati"));
}
