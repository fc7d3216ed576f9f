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
fn a_good_profile_is_one_line_on_stdout() {
    let ended = run(&["check"]);
    let expected = "profile `dev` is good: 1 listener, 3 plugins\n";
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(0), expected, ""));
    let file = profile(TWO_WAYS);
    let ended = run(&["check", "--profile", file.to_str().expect("UTF-8")]);
    assert!(ended.stdout.ends_with("` is good: 2 listeners, 0 plugins\n"), "{ended:?}");
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
    assert_eq!((ended.code, lines.len()), (Some(0), 2));
    for (line, name) in lines.iter().zip(["dev", "desktop"]) {
        let (first, rest) = line.split_once(' ').expect("two columns");
        assert!(first == name && rest.trim().len() > 20, "{line}");
    }
}

#[test]
fn what_is_shown_is_a_profile_that_is_good() {
    for name in ["dev", "desktop"] {
        let shown = run(&["profiles", "show", name]);
        let file = profile(&shown.stdout);
        let ended = run(&["check", "--profile", file.to_str().expect("UTF-8")]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    let ended = run(&["profiles", "show", "large"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(64), ""));
    assert!(ended.stderr.contains("`toolrack profiles list` names them"), "{}", ended.stderr);
}

#[test]
fn what_is_recommended_is_a_profile_that_is_good() {
    let said = run(&["profiles", "recommend"]).stdout;
    for part in ["  cores ", "  memory ", "has no profiles for given hardware"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let begin = said.find("  format = 1").expect("a profile");
    let ending = said.find("Then:").expect("an end");
    let file = profile(&said[begin..ending]);
    let ended = run(&["check", "--profile", file.to_str().expect("UTF-8")]);
    assert_eq!(ended.code, Some(0), "{}{said}", ended.stderr);
}

#[test]
fn a_recommendation_does_not_depend_on_the_environment() {
    let usual = run(&["profiles", "recommend"]);
    let mut command = toolrack();
    command.env("TOOLRACK_LAYER__PAYLOAD__RESPONSE_BYTES_MAX", "many");
    assert_eq!(end(command.args(["profiles", "recommend"])).stdout, usual.stdout);
}
