//! `TOOLRACK_LAYER__TIMEOUT__DEADLINE_MS=5000`: two underscores between levels.

use std::collections::BTreeMap;

use figment::value::Dict;

use super::set::read_value;
use super::{Failed, Source, insert};
use crate::origin::Origin;
use crate::problem::{Place, Problem};

const PREFIX: &str = "TOOLRACK_";

/// The variables that begin with the prefix; the caller leaves out those that mean something else.
pub(crate) fn environment(variables: &[(String, String)]) -> Result<Source, Failed> {
    let mut source =
        Source { name: "environment".to_owned(), values: Dict::new(), origins: BTreeMap::new() };
    let mut failed = Vec::new();
    for (name, value) in variables {
        let Some(key) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let key = key.to_ascii_lowercase();
        let path: Vec<&str> = key.split("__").collect();
        let origin = Origin::Environment { name: name.clone() };
        let inserted = if path.iter().any(|part| part.is_empty()) {
            Err("write it like TOOLRACK_LAYER__TIMEOUT__DEADLINE_MS".to_owned())
        } else {
            insert(&mut source.values, &path, read_value(value))
                .map_err(|part| format!("`{part}` is a value, not a table"))
        };
        let key = path.join(".");
        match inserted {
            Ok(()) => {
                source.origins.insert(key, origin);
            }
            Err(message) => failed.push(Problem { place: Place::Value(origin), key, message }),
        }
    }
    if failed.is_empty() { Ok(source) } else { Err(failed) }
}
