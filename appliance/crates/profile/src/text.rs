//! A profile as it serves, as a text that could be served again.

use serde_json::Value;

use crate::load::Loaded;
use crate::shown::hidden;

impl Loaded {
    /// Every effective value as TOML, whatever it came from, without what nobody set. Secrets are hidden: a text with one
    /// in it is refused until somebody writes it.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let values = toml_of(&hidden("", &self.values));
        let table = values.as_ref().and_then(toml::Value::as_table);
        table.and_then(|table| toml::to_string(table).ok()).unwrap_or_default()
    }
}

/// The same value; `None` for what nobody set.
pub(crate) fn toml_of(value: &Value) -> Option<toml::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) => toml::Value::Boolean(*value),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => toml::Value::Integer(integer),
            None => toml::Value::Float(number.as_f64()?),
        },
        Value::String(text) => toml::Value::String(text.clone()),
        Value::Array(items) => toml::Value::Array(items.iter().filter_map(toml_of).collect()),
        Value::Object(members) => {
            let members = members.iter();
            let set = members.filter_map(|(name, value)| Some((name.clone(), toml_of(value)?)));
            toml::Value::Table(set.collect())
        }
    })
}
