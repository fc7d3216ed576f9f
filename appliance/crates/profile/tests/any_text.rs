//! Whatever stands in a profile, loading it ends in a plan or in problems that say where they are.

use std::io::Write;
use std::path::{Path, PathBuf};

use profile::{Loaded, Origin, Place, Problems, Sources};
use proptest::prelude::*;

/// Loads `text` as a file, with arguments of `--set` and environment variables.
fn load(
    text: &[u8],
    set: Vec<String>,
    environment: Vec<(String, String)>,
) -> (PathBuf, Result<Loaded, Problems>) {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file");
    file.write_all(text).expect("written");
    let path = file.path().to_owned();
    let profile = path.to_str().expect("UTF-8").to_owned();
    let sources = Sources { profile, environment, set, ..Sources::default() };
    let loaded = profile::load(&sources);
    (path, loaded)
}

/// Every problem is a whole sentence that says where it is.
fn check_problems(
    path: &Path,
    text: &str,
    Problems(problems): &Problems,
) -> Result<(), TestCaseError> {
    prop_assert!(!problems.is_empty(), "refused for no reason");
    for problem in problems {
        prop_assert!(!problem.message.is_empty(), "{problem:?}");
        match &problem.place {
            Place::Value(Origin::File { path: named, line, column }) => {
                prop_assert_eq!(named, path);
                // Behind the last line end there is one more line.
                let lines: Vec<_> = text.split('\n').collect();
                prop_assert!((1..=lines.len()).contains(line), "{problem:?} in {text:?}");
                let characters = lines[line - 1].chars().count();
                prop_assert!((1..=characters + 1).contains(column), "{problem:?} in {text:?}");
            }
            // What nobody wrote has only its key: a value that is missing.
            Place::Value(Origin::Default) => prop_assert!(!problem.key.is_empty(), "{problem:?}"),
            Place::Source(source) => prop_assert!(!source.is_empty(), "{problem:?}"),
            Place::Value(_) => {}
        }
        prop_assert!(!problem.to_string().contains('\n'), "one line each: {problem}");
    }
    Ok(())
}

/// A key of the schema, sometimes misspelt.
fn key() -> impl Strategy<Value = String> {
    let keys: Vec<_> = profile::keys().iter().map(|key| key.replace("NAME", "it")).collect();
    prop_oneof![
        4 => proptest::sample::select(keys.clone()),
        1 => (proptest::sample::select(keys), any::<proptest::sample::Index>()).prop_map(
            |(mut key, at)| {
                key.remove(at.index(key.len()));
                key
            }
        ),
    ]
}

/// A value as TOML writes it, seldom the one that is wanted.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        (0_u32..100_000).prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:?}").to_lowercase()),
        any::<bool>().prop_map(|flag| flag.to_string()),
        proptest::sample::select(vec![
            "\"\"",
            "\"enforce\"",
            "\"4MiB\"",
            "\"127.0.0.1:0\"",
            "\"dev\"",
            "\"/mcp\"",
            "[]",
            "[1, \"x\"]",
            "{}",
            "{ a = 1 }",
            "\"é\\n\\u0000\"",
            "1979-05-27",
            "\"-1KiB\"",
        ])
        .prop_map(str::to_owned),
    ]
}

fn lines() -> impl Strategy<Value = String> {
    let line = (key(), value()).prop_map(|(key, value)| format!("{key} = {value}\n"));
    proptest::collection::vec(line, 0..12).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn any_bytes_are_a_plan_or_problems(bytes: Vec<u8>) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let (path, Err(problems)) = load(&bytes, Vec::new(), Vec::new()) {
            check_problems(&path, &text, &problems)?;
        }
    }

    #[test]
    fn any_values_of_known_keys_are_a_plan_or_problems(lines in lines(), has_format: bool) {
        let text = if has_format { format!("format = 1\n{lines}") } else { lines };
        if let (path, Err(problems)) = load(text.as_bytes(), Vec::new(), Vec::new()) {
            check_problems(&path, &text, &problems)?;
        }
    }

    #[test]
    fn a_wrong_value_is_named_by_its_line_and_column(
        before in 0..20_usize,
        number in 600_001_u64..,
    ) {
        let number = number.min(i64::MAX as u64);
        let text = format!(
            "format = 1\nextends = \"dev\"\n{}layer.timeout.deadline_ms = {number}\n",
            "\n".repeat(before)
        );
        let (path, loaded) = load(text.as_bytes(), Vec::new(), Vec::new());
        let Problems(problems) = loaded.expect_err("above the longest");
        prop_assert_eq!(problems.len(), 1);
        let column = "layer.timeout.".len() + 1;
        let place = Origin::File { path, line: before + 3, column };
        prop_assert_eq!(&problems[0].place, &Place::Value(place));
        prop_assert_eq!(&problems[0].key, "layer.timeout.deadline_ms");
    }

    #[test]
    fn any_set_and_any_variable_are_a_plan_or_problems(
        set in proptest::collection::vec(
            prop_oneof![any::<String>(), (key(), value()).prop_map(|(key, value)| format!("{key}={value}"))],
            0..4,
        ),
        variables in proptest::collection::vec(
            (prop_oneof![any::<String>(), key().prop_map(|key| key.replace('.', "__").to_uppercase())], value()),
            0..4,
        ),
    ) {
        let text = "format = 1\nextends = \"dev\"\n";
        let variables = variables
            .into_iter()
            .map(|(name, value)| (format!("TOOLRACK_{name}"), value))
            .collect();
        if let (path, Err(problems)) = load(text.as_bytes(), set, variables) {
            check_problems(&path, text, &problems)?;
        }
    }
}
