//! The JSON Schema of a profile, and its keys, both from the types.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::profile::Profile;

pub(crate) static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<Profile>().to_value()
});

/// The JSON Schema of a profile (2020-12), for editors.
#[must_use]
pub fn schema() -> String {
    let mut text = serde_json::to_string_pretty(&*SCHEMA).unwrap_or_default();
    text.push('\n');
    text
}

/// What stands for a name of one's own in a key path.
const NAME: &str = "NAME";

/// One key of the schema.
pub(crate) struct Key {
    /// For example `listen.NAME.http.bind`.
    pub(crate) path: String,
    pub(crate) description: String,
    pub(crate) kind: String,
    pub(crate) is_table: bool,
}

/// Every key that holds a value, by its path.
#[must_use]
pub fn keys() -> Vec<String> {
    all().into_iter().filter(|key| !key.is_table).map(|key| key.path).collect()
}

pub(crate) fn all() -> Vec<Key> {
    let mut keys = Vec::new();
    walk(&SCHEMA, "", &mut keys);
    keys
}

/// The alternative that is not null.
pub(crate) fn essence(schema: &Value) -> &Value {
    let alternatives = schema.get("anyOf").and_then(Value::as_array);
    let essence =
        alternatives.and_then(|all| all.iter().find(|one| one.get("type") != Some(&"null".into())));
    essence.unwrap_or(schema)
}

fn walk(schema: &Value, path: &str, keys: &mut Vec<Key>) {
    let join = |name: &str| {
        if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let inner = essence(property);
        let path = join(name);
        let text =
            |schema: &Value| schema.get("description").and_then(Value::as_str).map(str::to_owned);
        let is_table = inner.get("properties").is_some() || named(inner).is_some();
        let description = text(property).or_else(|| text(inner)).unwrap_or_default();
        keys.push(Key { path: path.clone(), description, kind: kind(inner), is_table });
        walk(inner, &path, keys);
    }
    if let Some(inner) = named(schema) {
        walk(essence(inner), &join(NAME), keys);
    }
}

/// The schema of the values of a table whose keys are names.
fn named(schema: &Value) -> Option<&Value> {
    schema.get("additionalProperties").filter(|inner| inner.get("properties").is_some())
}

fn kind(schema: &Value) -> String {
    let name = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(alternatives) = schema.get("oneOf").and_then(Value::as_array) {
        let constants: Vec<_> =
            alternatives.iter().filter_map(|one| one.get("const").and_then(name)).collect();
        if !constants.is_empty() {
            return constants
                .iter()
                .map(|one| format!("\"{one}\""))
                .collect::<Vec<_>>()
                .join(" \\| ");
        }
        return "size".to_owned();
    }
    match schema.get("type") {
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(name).find(|kind| kind != "null").unwrap_or_default()
        }
        Some(kind) => name(kind).unwrap_or_default(),
        None => "table".to_owned(),
    }
}
