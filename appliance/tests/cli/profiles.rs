//! Which profile is meant, whether it is good, and which to begin with.

use super::*;

/// A profile that needs no plugin, for two kinds of clients.
const TWO_WAYS: &str = "\
format = 1
[listen.public]
http = { bind = \"127.0.0.1:0\" }
[listen.desktop]
stdio = {}
[layer.origin]
";

#[test]
fn a_good_profile_is_one_line_on_stdout_and_what_it_takes() {
    let ended = run(&["check"]);
    let expected = "profile `dev` is good: 1 listener, 3 plugins\n\nWorst case of memory, ";
    assert!(ended.stdout.starts_with(expected), "{ended:?}");
    assert!(ended.stdout.ends_with("there is no [hardware] to compare it with\n"), "{ended:?}");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let file = profile(TWO_WAYS);
    let ended = run(&["check", "--profile", file.to_str().expect("UTF-8")]);
    assert!(ended.stdout.contains("` is good: 2 listeners, 0 plugins\n"), "{ended:?}");
}

#[test]
fn the_profile_comes_from_the_option_then_the_variable_then_is_dev() {
    let named = |command: &mut Command| {
        let said = end(command.arg("check")).stdout;
        said.split('`').nth(1).expect("a name").to_owned()
    };
    assert_eq!(named(&mut toolrack()), "dev");
    assert_eq!(named(toolrack().env("TOOLRACK_PROFILE", "desktop")), "desktop");
    let mut both = toolrack();
    both.env("TOOLRACK_PROFILE", "desktop").args(["check", "--profile", "dev"]);
    assert!(end(&mut both).stdout.contains("`dev`"));
}

#[test]
fn every_problem_goes_to_stderr_and_nothing_to_stdout() {
    let ended = run(&["check", "--set", "listn.x=1", "--set", "layer.timeout.deadline_ms=0"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(78), ""));
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert!(lines.iter().all(|line| line.starts_with("error: ")), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("listn: unknown key; did you mean `listen`?"),
        "{}",
        ended.stderr
    );
    assert_eq!(run(&["explain", "--set", "listn.x=1"]).code, Some(78));
}

#[test]
fn a_table_that_is_wrong_is_named_where_it_was_written() {
    let argument = "layer.concurency.calls_max=3";
    let ended = run(&["check", "--set", argument]);
    let told = "layer.concurency: unknown key; did you mean `concurrency`?\n";
    assert_eq!(ended.stderr, format!("error: --set {argument}: {told}"));
    let mut command = toolrack();
    command.arg("check").env("TOOLRACK_LAYER__CONCURENCY__CALLS_MAX", "3");
    let wanted = format!("error: environment TOOLRACK_LAYER__CONCURENCY__CALLS_MAX: {told}");
    assert_eq!(end(&mut command).stderr, wanted);
    let file = profile("extends = \"dev\"\n\n[layer]\nconcurency.calls_max = 3\n");
    let path = file.to_str().expect("UTF-8");
    let ended = run(&["check", "--profile", path]);
    assert_eq!(ended.stderr, format!("error: {path}:4:1: {told}"));
}

#[test]
fn a_warning_goes_to_stderr_and_the_profile_stays_good() {
    let more = ["--set", "control.bind=0.0.0.0:1", "--set", "control.allow_remote=true"];
    let ended = run(&[&["check"][..], &more].concat());
    assert_eq!(ended.code, Some(0));
    assert!(ended.stderr.starts_with("warning: "), "{}", ended.stderr);
    assert!(ended.stdout.starts_with("profile `dev` is good"), "{}", ended.stdout);
}

#[test]
fn a_set_that_is_no_assignment_says_how_to_write_it() {
    let ended = run(&["check", "--set", "layer.timeout.deadline_ms"]);
    assert_eq!(ended.code, Some(78));
    assert!(ended.stderr.contains("write it as key=value"), "{}", ended.stderr);
}

#[test]
fn lists_each_profile_with_what_it_is_for() {
    let ended = run(&["profiles", "list"]);
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert_eq!((ended.code, lines.len()), (Some(0), NAMES.len()));
    for (line, name) in lines.iter().zip(NAMES) {
        let (first, rest) = line.split_once(' ').expect("two columns");
        assert!(first == name && rest.trim().len() > 20, "{line}");
    }
    let small = "2 cores, 4 GiB of memory. Up to 10000 calls/s, 2048 connections, 4096 sessions";
    assert!(lines[3].contains(small), "{}", lines[3]);
}

/// The profiles of the program, in their order.
const NAMES: [&str; 10] = [
    "dev",
    "desktop",
    "edge-1c1g",
    "small-2c4g",
    "medium-4c8g",
    "large-8c16g",
    "reference-16c32g",
    "xlarge-32c64g",
    "production",
    "seed",
];

#[test]
fn what_is_shown_is_a_profile_that_is_good() {
    for name in NAMES {
        let shown = run(&["profiles", "show", name]);
        let file = profile(&shown.stdout);
        let ended = run(&["check", "--profile", file.to_str().expect("UTF-8")]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        // Those for a box name no plugin; theirs are the operator's.
        let is_known = |line: &str| line.starts_with("warning: plugin: there is none");
        assert!(ended.stderr.lines().all(is_known), "{}", ended.stderr);
    }
    let ended = run(&["profiles", "show", "large"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(64), ""));
    assert!(ended.stderr.contains("choose of dev, desktop, edge-1c1g"), "{}", ended.stderr);
}

#[test]
fn what_is_recommended_is_a_profile_that_is_good() {
    let said = run(&["profiles", "recommend"]).stdout;
    for part in ["  cores ", "  memory ", "  open files ", "Recommended: "] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let begin = said.find("  format = 1").expect("a profile");
    let ending = said.find("Then:").expect("an end");
    let file = profile(&said[begin..ending]);
    let ended = run(&["check", "--profile", file.to_str().expect("UTF-8")]);
    assert_eq!(ended.code, Some(0), "{}{said}", ended.stderr);
}

#[test]
fn another_machine_is_recommended_for_by_its_cores_and_memory() {
    let said = |more: &[&str]| run(&[&["profiles", "recommend"][..], more].concat()).stdout;
    let medium = said(&["--cores", "6", "--memory", "8GiB"]);
    for part in [
        "cores       6 (as given)",
        "memory      8192 MiB (as given)",
        "Recommended: medium-4c8g, the largest profile that fits. Up to 20000 calls/s",
        "The next, large-8c16g, is made for 8 cores; here are 6 (as given).",
        "is made for 16GiB of memory; here are 8192 MiB (as given).",
        "toolrack serve --profile medium-4c8g --set plugin.echo.library=libecho.so",
    ] {
        assert!(medium.contains(part), "{part} is not in {medium}");
    }
    assert!(!medium.contains("open files  "), "{medium}");
    let tiny = said(&["--cores", "1", "--memory", "536870912"]);
    assert!(tiny.contains("Recommended: edge-1c1g, the smallest profile."), "{tiny}");
    assert!(tiny.contains("It is made for 1GiB of memory; here are 512 MiB"), "{tiny}");
    let wrong = run(&["profiles", "recommend", "--memory", "much"]);
    assert!(wrong.code == Some(64) && wrong.stderr.contains("a size such as"), "{wrong:?}");
}

#[test]
fn auto_is_what_is_recommended() {
    let recommended = run(&["profiles", "recommend"]).stdout;
    let line = recommended.lines().find(|line| line.starts_with("Recommended: "));
    let name = line.and_then(|line| line.split([' ', ',']).nth(1)).expect("a name");
    let checked = run(&["check", "--profile", "auto"]);
    let expected = format!("profile `{name}`, chosen for this machine, is good: ");
    assert!(checked.stdout.starts_with(&expected), "{checked:?}");
    let explained = run(&["explain", "--profile", "auto"]);
    assert_eq!(explained.stdout, run(&["explain", "--profile", name]).stdout);
}

#[test]
fn a_profile_that_does_not_fit_its_box_is_refused_with_the_sum() {
    let ended = run(&["check", "--profile", "edge-1c1g", "--set", "session.streams_max=1000"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(78), ""));
    for part in [
        "hardware.memory_bytes: the worst case does not fit into 1GiB: process 16.0 MiB + ",
        " + streams 572.3 MiB + ",
        " MiB; the most is saved by session.streams_max",
    ] {
        assert!(ended.stderr.contains(part), "{part} is not in {}", ended.stderr);
    }
}

#[test]
fn a_recommendation_does_not_depend_on_the_environment() {
    let usual = run(&["profiles", "recommend"]);
    let mut command = toolrack();
    command.env("TOOLRACK_LAYER__PAYLOAD__RESPONSE_BYTES_MAX", "many");
    assert_eq!(end(command.args(["profiles", "recommend"])).stdout, usual.stdout);
}
