//! What the schema says about the merged values: unknown keys and wrong kinds, all at once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use json_schema::{Schema, What};
use serde_json::Value;

use crate::origin::Origin;
use crate::problem::{Place, Problem};
use crate::schema::{SCHEMA, essence};

/// More than anybody mends at once.
const MISFITS_MAX: usize = 100;

// Compiled when the first profile does not fit, and kept for the next one.
static COMPILED: LazyLock<Option<Schema>> = LazyLock::new(|| Schema::compile(&SCHEMA).ok());

/// Everything that does not fit the schema.
pub(crate) fn check(values: &Value, origins: &BTreeMap<String, Origin>) -> Vec<Problem> {
    let mut problems = Vec::new();
    unknown_keys(values, &SCHEMA, "", origins, &mut problems);
    let Some(schema) = &*COMPILED else {
        return problems;
    };
    for misfit in schema.misfits(values, MISFITS_MAX) {
        let path = misfit.pointer.trim_start_matches('/').replace('/', ".");
        let (key, message) = match misfit.what {
            // Named above, with the nearest known key.
            What::Unknown => continue,
            What::Missing(member) => {
                let key = if path.is_empty() { member } else { format!("{path}.{member}") };
                let message = format!("this key is missing; it means: {}", meaning(&key));
                (key, message)
            }
            What::Shape | What::Other => {
                let value = values.pointer(&misfit.pointer).unwrap_or(values);
                let message = match (hidden(value, &path), misfit.what) {
                    (Some(kind), _) => format!("{kind} does not fit"),
                    (None, What::Shape) => format!("{value} does not fit"),
                    (None, _) => misfit.message,
                };
                (path.clone(), format!("{message}; {}", expected(&path)))
            }
        };
        problems.push(Problem { place: place(&key, origins), key, message });
    }
    problems
}

/// Where a key was set, or the nearest table around it. A table that no line opens stands where the first of its keys
/// was set.
pub(crate) fn place(key: &str, origins: &BTreeMap<String, Origin>) -> Place {
    let mut path = key;
    loop {
        let inside = format!("{path}.");
        let first =
            origins.range(inside.clone()..).next().filter(|(at, _)| at.starts_with(&inside));
        if let Some(origin) = origins.get(path).or(first.map(|(_, origin)| origin)) {
            return Place::Value(origin.clone());
        }
        match path.rsplit_once('.') {
            Some((outer, _)) => path = outer,
            None => return Place::Value(Origin::Default),
        }
    }
}

/// What the schema wants at `path`.
fn expected(path: &str) -> String {
    format!("this key means: {}", meaning(path))
}

/// What is said of a value in its place when it may be a secret: whoever writes one where a table belongs, which says
/// where a secret is, or a table where a value belongs, must not read it in the log.
fn hidden(value: &Value, path: &str) -> Option<&'static str> {
    match value {
        Value::Object(_) => Some("a table"),
        Value::Array(_) => Some("a list"),
        Value::String(_) => {
            let schema = schema_at(path);
            let is_table =
                ["properties", "additionalProperties"].iter().any(|of| schema.get(of).is_some());
            is_table.then_some("text")
        }
        _ => None,
    }
}

/// The key's own documentation.
fn meaning(path: &str) -> String {
    let description = schema_at(path).get("description").and_then(Value::as_str);
    description.unwrap_or_default().replace('\n', " ")
}

/// The part of the schema that says what stands at `path`.
fn schema_at(path: &str) -> &'static Value {
    let mut schema: &Value = &SCHEMA;
    for name in path.split('.') {
        let inner = schema
            .pointer(&format!("/properties/{name}"))
            .or_else(|| schema.get("additionalProperties"));
        match inner {
            Some(inner) if inner.is_object() => schema = essence(inner),
            _ => break,
        }
    }
    schema
}

fn unknown_keys(
    values: &Value,
    schema: &Value,
    path: &str,
    origins: &BTreeMap<String, Origin>,
    problems: &mut Vec<Problem>,
) {
    let Some(values) = values.as_object() else {
        return;
    };
    let schema = essence(schema);
    let properties = schema.get("properties").and_then(Value::as_object);
    let others = schema.get("additionalProperties");
    for (name, value) in values {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if let Some(property) = properties.and_then(|properties| properties.get(name)) {
            unknown_keys(value, property, &key, origins, problems);
        } else if let Some(other) = others.filter(|other| other.is_object()) {
            unknown_keys(value, other, &key, origins, problems);
        } else if others == Some(&Value::Bool(false)) {
            let known = properties.into_iter().flatten().map(|(name, _)| name.as_str());
            problems.push(Problem {
                place: place(&key, origins),
                message: unknown(name, known),
                key,
            });
        }
    }
}

fn unknown<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> String {
    let known: Vec<_> = known.collect();
    match nearest(name, known.iter().copied()) {
        Some(nearest) => format!("unknown key; did you mean `{nearest}`?"),
        None => format!("unknown key; known here: {}", known.join(", ")),
    }
}

/// What was probably meant by `name`, if anything known is like it.
pub(crate) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, known)| known)
}
