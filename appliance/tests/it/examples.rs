//! The examples do what their pages say.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::program::{Program, profile, run};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// Builds the example in C, with the compiler's strictest eye.
fn crc32() -> tempfile::TempPath {
    let builder = tempfile::Builder::new().suffix(".so").tempfile_in(env!("CARGO_TARGET_TMPDIR"));
    let library = builder.expect("a file").into_temp_path();
    let output = Command::new("cc")
        .args(["-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
        .args(["-fPIC", "-fvisibility=hidden", "-shared", "-I"])
        .arg(examples().join("../schemas"))
        .arg("-o")
        .args([&*library, &examples().join("plugin-c/crc32.c")])
        .output();
    let output = output.unwrap_or_else(|error| {
        panic!("this test needs a C compiler named `cc` (Debian: apt install gcc): {error}")
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&library, mode).expect("it is ours");
    library
}

/// Text and failure of a tool's result.
fn said(answer: &Value) -> (String, bool) {
    let result = &answer["result"];
    let text = result["content"][0]["text"].as_str();
    (text.unwrap_or_else(|| panic!("{answer}")).to_owned(), result["isError"] == true)
}

#[test]
fn the_plugin_in_c_answers_in_both_eras() {
    let library = crc32();
    let more = format!("[plugin.crc32]\nlibrary = {:?}\n", library.display().to_string());
    let program = Program::start(&profile(&more), &[]);
    let session = program.session("2025-11-25", json!({}));
    let legacy = |arguments: &Value| {
        let params = json!({"name": "crc32", "arguments": arguments});
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        program.post(&session, &call).json()
    };
    let modern = |arguments: &Value| program.call("crc32", arguments).json();
    let eras: [&dyn Fn(&Value) -> Value; 2] = [&legacy, &modern];
    for call in eras {
        for (text, checksum) in [
            ("", "00000000"),
            ("hello", "3610a686"),
            ("123456789", "cbf43926"),
            ("a\"\\/\u{8}\u{c}\n\r\t\u{1}é\u{20ac}\u{1f600}", "cffc3ef6"),
        ] {
            assert_eq!(
                said(&call(&json!({ "text": text }))),
                (checksum.to_owned(), false),
                "{text:?}"
            );
        }
        let right = call(&json!({"expected": "3610A686", "text": "hello"}));
        assert_eq!(said(&right), ("3610a686".to_owned(), false));
        let wrong = call(&json!({"text": "hello", "expected": "00000000"}));
        assert_eq!(said(&wrong), ("The checksum is 3610a686, not 00000000.".to_owned(), true));
        let (_, is_error) = said(&call(&json!({"text": 5})));
        assert!(is_error, "the host checks arguments by the schema");
    }
}

#[test]
fn escapes_in_arguments_are_read_as_the_characters_they_mean() {
    let library = crc32();
    let more = format!("[plugin.crc32]\nlibrary = {:?}\n", library.display().to_string());
    let program = Program::start(&profile(&more), &[]);
    let session = program.session("2025-11-25", json!({}));
    let call = |text: &str| {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"crc32","arguments":{{ "\u0074ext" : "{text}" }}}}}}"#
        );
        program.post_text(&session, &body).json()
    };
    for (written, plain) in [
        (r"\u0068\u0065llo", "hello"),
        (r"\uD83D\ude00\u20AC\u00e9", "\u{1f600}\u{20ac}é"),
        (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
    ] {
        let expected = said(&program.call("crc32", &json!({ "text": plain })).json());
        assert_eq!(said(&call(written)), expected, "{written}");
    }
}

#[test]
fn profiles_of_the_examples_are_good() {
    for example in ["plugin-c", "plugin-rust"] {
        let profile = examples().join(example).join("profile.toml");
        let output = run(&["check", "--profile", profile.to_str().expect("UTF-8")]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{example}: {stderr}");
    }
}

#[test]
fn the_units_start_a_command_that_there_is_and_say_nothing_that_systemd_does_not_know() {
    let folder = tempfile::tempdir().expect("a folder");
    let units = ["toolrack.service", "toolrack.socket"].map(|name| {
        let text = std::fs::read_to_string(examples().join("systemd").join(name)).expect("a unit");
        let program = crate::program::toolrack().get_program().display().to_string();
        let unit = folder.path().join(name);
        std::fs::write(&unit, text.replace("/usr/local/bin/toolrack", &program)).expect("written");
        (unit, text)
    });
    let command = units[0].1.lines().find_map(|line| line.strip_prefix("ExecStart="));
    let words: Vec<_> = command.expect("a command").split(' ').collect();
    assert_eq!(words[..2], ["/usr/local/bin/toolrack", "serve"]);
    let mut arguments = vec!["check"];
    arguments.extend(&words[2..]);
    let profile = arguments.iter().position(|word| *word == "/etc/toolrack/profile.toml");
    arguments[profile.expect("a profile")] = "dev";
    let output = run(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let verify = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(units.iter().map(|(unit, _)| unit))
        .output();
    // Where there is no systemd, its own tests are somebody else's.
    let Ok(output) = verify else { return };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // Versions before 253 do not know this type.
    let wrong: Vec<_> = said.lines().filter(|line| !line.contains("notify-reload")).collect();
    assert!(output.status.success() && wrong.is_empty(), "{said}");
}
