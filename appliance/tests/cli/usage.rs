//! Help, mistakes, and where text goes.

use std::io::{Read, Write};

use super::*;

#[test]
fn help_goes_to_stdout_and_says_how_to_begin() {
    for arguments in [&["--help"][..], &["-h"], &["help"]] {
        let ended = run(arguments);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        for part in [
            "Usage: toolrack",
            "toolrack serve ",
            "Exit codes:",
            "78  the profile, or something",
            "3-5  diff",
        ] {
            assert!(ended.stdout.contains(part), "{part} is not in {}", ended.stdout);
        }
    }
}

#[test]
fn every_command_that_takes_a_profile_names_the_default_and_the_variable() {
    for command in ["serve", "check", "explain"] {
        let help = run(&[command, "--help"]).stdout;
        for part in
            ["--profile <PATH|NAME>", "--set <KEY=VALUE>", "default: dev", "TOOLRACK_PROFILE"]
        {
            // clap breaks lines where they end.
            let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(help.contains(part), "{part} is not in {help}");
        }
        assert!(help.contains("Examples:"), "{help}");
    }
}

#[test]
fn a_wrong_command_line_ends_with_64_and_says_so_on_stderr() {
    for (arguments, part) in [
        (&[][..], "Usage: toolrack"),
        (&["srve"], "a similar subcommand exists: 'serve'"),
        (&["serve", "--porfile", "dev"], "a similar argument exists: '--profile'"),
        (&["serve", "dev"], "tip: for a profile, say '--profile dev'"),
        (&["check", "--set", "a=1", "my.toml"], "tip: for a profile, say '--profile my.toml'"),
        (&["schema", "dev"], "unexpected argument 'dev'"),
        (&["profiles", "show"], "<NAME>"),
        (&["plugin", "inspect"], "<FILE>"),
    ] {
        let ended = run(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(64), ""), "{arguments:?}");
        assert!(ended.stderr.contains(part), "{part} is not in {}", ended.stderr);
    }
}

#[test]
fn an_argument_that_is_no_text_is_a_mistake_and_no_fault() {
    use std::os::unix::ffi::OsStrExt;
    let ended =
        end(toolrack().arg("serve").arg("--profile").arg(std::ffi::OsStr::from_bytes(b"\xff")));
    assert_eq!(ended.code, Some(64), "{}", ended.stderr);
}

#[test]
fn a_variable_that_is_no_text_does_not_matter_to_others() {
    use std::os::unix::ffi::OsStrExt;
    let rubbish = std::ffi::OsStr::from_bytes(b"\xff");
    let ended = end(toolrack().arg("check").env("UNRELATED", rubbish).env(rubbish, "x"));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let ended = end(toolrack().arg("check").env("TOOLRACK_CONTROL__BIND", rubbish));
    assert_eq!(ended.code, Some(78));
    assert!(ended.stderr.contains("TOOLRACK_CONTROL__BIND"), "{}", ended.stderr);
}

#[test]
fn nothing_is_coloured_where_there_is_no_terminal() {
    for arguments in [&["--help"][..], &["srve"], &["explain"], &["check", "--set", "x=1"]] {
        let ended = run(arguments);
        assert!(!ended.stdout.contains('\x1b') && !ended.stderr.contains('\x1b'), "{ended:?}");
    }
}

#[test]
fn version_names_the_program_and_every_revision() {
    let ended = run(&["version"]);
    assert_eq!(ended.code, Some(0));
    let expected = format!("toolrack {}\n", env!("CARGO_PKG_VERSION"));
    assert!(ended.stdout.starts_with(&expected), "{}", ended.stdout);
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"] {
        assert!(ended.stdout.contains(revision), "{}", ended.stdout);
    }
    assert_eq!(run(&["--version"]).stdout, expected);
}

#[test]
fn the_schema_is_json_and_ends_in_a_line() {
    let ended = run(&["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert!(schema["properties"]["layer"]["properties"]["timeout"].is_object());
    assert!(ended.stdout.ends_with("}\n"));
}

#[test]
fn keys_that_take_a_restart_are_listed_with_their_reasons() {
    let ended = run(&["schema", "--non-reloadable"]);
    assert_eq!(ended.code, Some(0));
    let lines: Vec<_> = ended.stdout.lines().collect();
    let is_listed = |key: &str| {
        lines.iter().any(|line| {
            line.split_once("  ").is_some_and(|(known, reason)| known == key && !reason.is_empty())
        })
    };
    assert!(is_listed("process.worker_threads") && is_listed("control.bind"), "{}", ended.stdout);
    assert!(!is_listed("layer.timeout.deadline_ms"), "{}", ended.stdout);
}

#[test]
fn a_file_that_is_no_plugin_is_refused_with_its_reason() {
    let file = profile("not a library");
    let path = file.to_str().expect("UTF-8");
    let ended = run(&["plugin", "inspect", path]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(78), ""));
    let expected = format!("error: `{path}` is not a plugin");
    assert!(ended.stderr.starts_with(&expected), "{}", ended.stderr);
    let missing = run(&["plugin", "inspect", "/nothing/here.so"]);
    assert_eq!(missing.code, Some(78));
    assert!(missing.stderr.contains("/nothing/here.so"), "{}", missing.stderr);
}

#[test]
fn text_that_a_full_disk_swallows_is_a_failure() {
    for command in ["explain", "schema", "version"] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux");
        // `end` would read what is written.
        let output = toolrack().arg(command).stdout(full).output().expect("it runs");
        assert_eq!(output.status.code(), Some(75), "{command}");
        let said = String::from_utf8(output.stderr).expect("text");
        assert!(said.contains("cannot write to standard output: No space left"), "{said}");
    }
}

#[test]
fn an_order_without_an_appliance_says_what_to_start_or_name() {
    for (control, code, part) in [
        ("nonsense", 64, "--control `nonsense`: write it like http://127.0.0.1:9090 or unix:/path"),
        ("http://", 64, "--control `http://`: no URL; write it like http://127.0.0.1:8080"),
        (
            "unix:/nowhere/control",
            75,
            "nobody listens at unix:/nowhere/control; start the appliance",
        ),
    ] {
        for order in ["selftest", "reload", "rollback", "upgrade", "generations", "diff desktop"] {
            let words: Vec<_> = order.split(' ').chain(["--control", control]).collect();
            let ended = run(&words);
            assert_eq!(ended.code, Some(code), "{order}: {}", ended.stderr);
            assert!(ended.stderr.contains(part), "{order}: {}", ended.stderr);
        }
    }
}

#[test]
fn an_order_that_nobody_answers_ends_after_the_time_that_it_was_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control");
    // The kernel takes connections in, and nobody ever reads them.
    let silent = std::os::unix::net::UnixListener::bind(&path).expect("binds");
    let control = path.to_str().expect("UTF-8");
    let ended = run(&["rollback", "--timeout-secs", "1", "--control", control]);
    assert_eq!(ended.code, Some(75), "{}", ended.stderr);
    assert!(ended.stderr.contains("has not answered within 1 s"), "{}", ended.stderr);
    drop(silent);
    let ended = run(&["rollback", "--timeout-secs", "0", "--control", control]);
    assert_eq!(ended.code, Some(64), "{}", ended.stderr);
    assert!(ended.stderr.contains("0 is not in 1..=86400"), "{}", ended.stderr);
}

#[test]
fn an_order_to_something_else_than_an_appliance_says_so() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let control = format!("http://{}", other.local_addr().expect("an address"));
    let orders = ["selftest", "reload", "rollback", "upgrade", "generations", "diff desktop"];
    let answering = std::thread::spawn(move || {
        for _ in orders {
            let (mut stream, _) = other.accept().expect("a client");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a head");
                head.push(byte[0]);
            }
            // The rest of what was sent: closing on it would reset the answer.
            let length = String::from_utf8_lossy(&head)
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
            let mut body = vec![0; length.expect("a length")];
            stream.read_exact(&mut body).expect("a body");
            let answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\nnobody";
            stream.write_all(answer.as_bytes()).expect("answers");
        }
    });
    for order in orders {
        let words: Vec<_> = order.split(' ').chain(["--control", &control]).collect();
        let ended = run(&words);
        let expected = format!(
            "error: {control} is not the control listener of an appliance that knows this order (status 404); \
             name it with --control\n"
        );
        assert_eq!((ended.code, ended.stderr), (Some(75), expected), "{order}");
    }
    answering.join().expect("all came");
}
