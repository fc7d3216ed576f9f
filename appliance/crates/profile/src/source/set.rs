//! `--set key=value`.

use std::collections::BTreeMap;

use figment::value::{Dict, Value};

use super::{Failed, Source, insert};
use crate::origin::Origin;
use crate::problem::{Place, Problem};
use crate::shown;

/// Reads a value as TOML, and as plain text when it is none: `5000`, `true`, `["a"]`, `127.0.0.1:0`.
pub(crate) fn read_value(text: &str) -> Value {
    let parsed = toml::from_str::<toml::Table>(&format!("value = {text}"));
    let value = parsed.ok().and_then(|mut table| table.remove("value"));
    value.and_then(|value| Value::serialize(value).ok()).unwrap_or_else(|| Value::from(text))
}

/// All `--set` arguments together.
pub(crate) fn set(arguments: &[String]) -> Result<Source, Failed> {
    let mut source =
        Source { name: "--set".to_owned(), values: Dict::new(), origins: BTreeMap::new() };
    let mut failed = Vec::new();
    for argument in arguments {
        let origin = Origin::Set { argument: argument.clone() };
        let problem = |message: &str| Problem {
            place: Place::Value(origin.clone()),
            key: String::new(),
            message: message.to_owned(),
        };
        let is_key = |key: &str| key.split('.').all(|part| !part.is_empty());
        let Some((key, value)) = argument.split_once('=').filter(|(key, _)| is_key(key)) else {
            failed.push(problem(
                "write it as key=value, for example --set layer.timeout.deadline_ms=5000",
            ));
            continue;
        };
        let path: Vec<&str> = key.split('.').collect();
        let written = value;
        let value = read_value(written);
        let origin =
            Origin::Set { argument: format!("{key}={}", without_secrets(key, written, &value)) };
        match insert(&mut source.values, &path, value) {
            Ok(()) => {
                source.origins.insert(key.to_owned(), origin);
            }
            Err(part) => failed.push(problem(&format!("`{part}` is a value, not a table"))),
        }
    }
    if failed.is_empty() { Ok(source) } else { Err(failed) }
}

/// A value as it was written, unless there is something in it that nobody should read: where it came from is shown.
fn without_secrets(key: &str, written: &str, value: &Value) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    if shown::hidden(key, &value) == value { written.to_owned() } else { shown::shown(key, &value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_told_by_where_it_came_from() {
        let arguments = [
            "plugin.p.config.token=hunter2",
            "plugin.q.config={ a = 1, key = 'hunter3' }",
            "log.filter=info",
        ];
        let source = set(&arguments.map(str::to_owned)).expect("good");
        let origins: Vec<_> = source.origins.values().map(ToString::to_string).collect();
        let told = [
            "--set log.filter=info",
            "--set plugin.p.config.token=\"***\"",
            "--set plugin.q.config={ a = 1, key = \"***\" }",
        ];
        assert_eq!(origins, told);
    }
}
