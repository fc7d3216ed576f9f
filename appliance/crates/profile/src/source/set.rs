//! `--set key=value`.

use std::collections::BTreeMap;

use figment::value::{Dict, Value};

use super::{Failed, Source, insert};
use crate::origin::Origin;
use crate::problem::{Place, Problem};

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
        match insert(&mut source.values, &path, read_value(value)) {
            Ok(()) => {
                source.origins.insert(key.to_owned(), origin);
            }
            Err(part) => failed.push(problem(&format!("`{part}` is a value, not a table"))),
        }
    }
    if failed.is_empty() { Ok(source) } else { Err(failed) }
}
