//! `toolrack diff`: what a profile would change in an appliance that serves. Nothing is changed.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde_json::Value;

use super::control::Control;
use super::failed;
use crate::cli::{DiffOptions, ProfileOptions};
use crate::exit;

/// How long the appliance may take to look at it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest value in the table, in characters.
const VALUE_CHARS_MAX: usize = 32;
/// What stands in a path as it is.
const OF_PATHS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// Checks the profile here, has the appliance compare it with what serves, and says by the exit code what it takes.
pub(crate) fn run(options: &DiffOptions) -> ExitCode {
    let control = match Control::named(&options.appliance) {
        Ok(control) => control,
        Err(why) => return failed(exit::USAGE, &why),
    };
    let (text, folder) = match read(&options.profile) {
        Ok(read) => read,
        Err(problems) => return super::complain_of_all(&problems),
    };
    let mut path = "/admin/profile?dry_run=true".to_owned();
    if let Some(folder) = folder {
        let folder = percent_encode(folder.as_os_str().as_encoded_bytes(), OF_PATHS);
        write!(path, "&folder={folder}").ok();
    }
    match control.send("POST", &path, &text, PATIENCE) {
        Err(why) => failed(exit::TEMPORARY, &why),
        Ok((200 | 409, answer)) if answer["dry_run"] == true => say(&answer, options.json),
        Ok((status, body)) => failed(exit::TEMPORARY, &control.why_not(status, &body)),
    }
}

/// The text of a profile that is good, and the folder that it lies in.
fn read(profile: &str) -> Result<(String, Option<PathBuf>), Vec<String>> {
    let profile = super::name_of(profile)?;
    super::load(&ProfileOptions { profile: profile.clone(), set: Vec::new() })?;
    if let Some(built_in) = profile::built_in(&profile) {
        return Ok((built_in.text.to_owned(), None));
    }
    let unreadable = |error: std::io::Error| vec![format!("{profile}: cannot read it: {error}")];
    let text = std::fs::read_to_string(&profile).map_err(unreadable)?;
    let path = std::path::absolute(&profile).map_err(unreadable)?;
    Ok((text, path.parent().map(Path::to_owned)))
}

/// Prints what the appliance has found.
fn say(answer: &Value, wants_json: bool) -> ExitCode {
    let code = code(answer);
    if wants_json {
        let text = format!("{answer:#}\n");
        return said(&text, code);
    }
    let lines = |key: &str| answer[key].as_array().into_iter().flatten().filter_map(Value::as_str);
    for warning in lines("warnings") {
        super::warn(warning);
    }
    if code == exit::CONFIG {
        for problem in lines("problems") {
            super::complain(problem);
        }
        return ExitCode::from(code);
    }
    said(&table(answer), code)
}

fn said(text: &str, code: u8) -> ExitCode {
    if super::say(text) == ExitCode::from(exit::OK) {
        ExitCode::from(code)
    } else {
        ExitCode::from(exit::TEMPORARY)
    }
}

/// The changes of an answer that have this class.
fn of_class<'a>(answer: &'a Value, class: &'a str) -> impl Iterator<Item = &'a Value> {
    let changes = answer["changes"].as_array().into_iter().flatten();
    changes.filter(move |change| change["class"] == class)
}

/// What the gravest of the changes takes.
fn code(answer: &Value) -> u8 {
    if answer["result"] == "refused" {
        return exit::CONFIG;
    }
    let codes =
        [("restart", exit::RESTARTS), ("drains", exit::DRAINS), ("live", exit::CHANGES_LIVE)];
    let gravest = codes.into_iter().find(|(class, _)| of_class(answer, class).next().is_some());
    gravest.map_or(exit::OK, |(_, code)| code)
}

/// The changes, for people.
fn table(answer: &Value) -> String {
    let generation = answer["generation"].as_u64().unwrap_or_default();
    let changes = answer["changes"].as_array().map_or(&[][..], Vec::as_slice);
    if changes.is_empty() {
        return format!(
            "Nothing would change: generation {generation} serves what this profile says.\n"
        );
    }
    let text = |change: &Value, key: &str| change[key].as_str().unwrap_or("-").to_owned();
    let row = |change: &Value| {
        let taken = format!("{}: {}", text(change, "class"), text(change, "effect"));
        let [before, after] = ["before", "after"].map(|key| shortened(&text(change, key)));
        [text(change, "key"), before, after, taken]
    };
    let head = ["key", "before", "after", "how it is taken over"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(changes.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let [key, before, after] = [0, 1, 2].map(|column| width(column).unwrap_or_default());
    let mut out = String::new();
    for [one, two, three, four] in &rows {
        writeln!(out, "{one:key$}  {two:before$}  {three:after$}  {four}").ok();
    }
    let counted = |class| match of_class(answer, class).count() {
        0 => None,
        count => Some(format!("{count} {}", in_words(class, count))),
    };
    let counts: Vec<_> = ["live", "drains", "restart"].into_iter().filter_map(counted).collect();
    writeln!(
        out,
        "\n{}. Generation {generation} serves on; nothing was changed.",
        counts.join(", ")
    )
    .ok();
    out
}

fn in_words(class: &str, count: usize) -> &'static str {
    match (class, count) {
        ("restart", 1) => "takes a restart, without which none is taken over",
        ("restart", _) => "take a restart, without which none is taken over",
        ("drains", 1) => "replaces something that drains",
        ("drains", _) => "replace something that drains",
        _ => "live",
    }
}

fn shortened(value: &str) -> String {
    match value.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(key: &str, class: &str, before: Option<&str>, after: &str) -> Value {
        json!({ "key": key, "class": class, "before": before, "after": after, "effect": "so" })
    }

    fn answer(result: &str, changes: &[Value]) -> Value {
        json!({ "dry_run": true, "result": result, "generation": 3, "changes": changes })
    }

    #[test]
    fn changes_are_a_table_and_the_gravest_is_the_code() {
        let long = "x".repeat(40);
        let changes = [
            change("layer.timeout.deadline_ms", "live", Some("5000"), "6000"),
            change("plugin.p", "drains", None, &long),
        ];
        let answer = answer("applied", &changes);
        let cut = format!("{}…", "x".repeat(32));
        let expected = format!(
            "key                        before  after                              how it is taken over\n\
             layer.timeout.deadline_ms  5000    6000                               live: so\n\
             plugin.p                   -       {cut}  drains: so\n\
             \n1 live, 1 replaces something that drains. Generation 3 serves on; nothing was changed.\n"
        );
        assert_eq!((table(&answer), code(&answer)), (expected, exit::DRAINS));
    }

    #[test]
    fn every_outcome_has_a_code_of_its_own() {
        let of = |result: &str, classes: &[&str]| {
            let changes: Vec<_> =
                classes.iter().map(|class| change("k", class, None, "v")).collect();
            code(&answer(result, &changes))
        };
        assert_eq!(of("unchanged", &[]), exit::OK);
        assert_eq!(of("applied", &["live"]), exit::CHANGES_LIVE);
        assert_eq!(of("applied", &["drains", "live"]), exit::DRAINS);
        assert_eq!(of("restart_required", &["live", "restart", "drains"]), exit::RESTARTS);
        assert_eq!(of("refused", &["live"]), exit::CONFIG);
    }

    #[test]
    fn nothing_to_change_is_said_in_a_line() {
        let text = table(&answer("unchanged", &[]));
        assert_eq!(text, "Nothing would change: generation 3 serves what this profile says.\n");
    }
}
