//! Shows a plan: each value and where it came from.

use serde_json::{Map, Value, json};

use crate::load::Loaded;
use crate::origin::Origin;
use crate::schema;

/// One value of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// For example `layer.timeout.deadline_ms`.
    pub key: String,
    /// As TOML writes it.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

impl Loaded {
    /// Every value, or those at and below `key`, in the order of their keys. Absent tables and values that nobody set
    /// and that have no default are left out.
    #[must_use]
    pub fn rows(&self, key: Option<&str>) -> Vec<Row> {
        let mut rows = Vec::new();
        self.collect(&self.values, "", &mut rows);
        rows.retain(|row| {
            key.is_none_or(|key| {
                row.key
                    .strip_prefix(key)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        });
        rows
    }

    fn collect(&self, value: &Value, path: &str, rows: &mut Vec<Row>) {
        match value {
            Value::Null => {}
            Value::Object(members) if !members.is_empty() || path.is_empty() => {
                for (name, value) in members {
                    let path =
                        if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    self.collect(value, &path, rows);
                }
            }
            _ => {
                let value = if is_secret(path) { "\"***\"".to_owned() } else { written(value) };
                rows.push(Row { key: path.to_owned(), value, origin: self.origin(path) });
            }
        }
    }

    /// Where a value came from: its own place, or that of an inline table or list around it.
    fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// What a key means; `None` for a key that does not exist.
    #[must_use]
    pub fn meaning(&self, key: &str) -> Option<String> {
        let parts: Vec<&str> = key.split('.').collect();
        let fits = |known: &str| {
            let known: Vec<&str> = known.split('.').collect();
            known.len() == parts.len()
                && known.iter().zip(&parts).all(|(known, part)| known == part || *known == "NAME")
        };
        schema::all().into_iter().find(|known| fits(&known.path)).map(|known| known.description)
    }

    /// The whole plan with the origin of each value, as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let values: Map<String, Value> = self
            .rows(None)
            .into_iter()
            .map(|row| (row.key, json!({ "value": row.value, "origin": row.origin.to_string() })))
            .collect();
        json!({ "profile": &*self.plan.name, "values": values }).to_string()
    }
}

/// Parts of names that settings of plugins give to what nobody should read.
const SECRET_NAMES: [&str; 5] = ["secret", "token", "password", "credential", "key"];

/// Whether a value is hidden. A profile has no place for secrets of its own; a plugin's settings are free-form, so their
/// names have to tell.
fn is_secret(path: &str) -> bool {
    let is_config = path.starts_with("plugin.") && path.contains(".config.");
    let name = path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    is_config && SECRET_NAMES.iter().any(|part| name.contains(part))
}

fn written(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", "))
        }
        Value::Object(_) => "{}".to_owned(),
        other => other.to_string(),
    }
}
