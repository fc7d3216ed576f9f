//! Values as they are shown: as TOML writes them, and never what nobody should read.

use serde_json::Value;

/// What stands in the place of a value that is hidden.
pub(crate) const HIDDEN: &str = "***";

/// Parts of names that settings of plugins give to what nobody should read.
const SECRET_NAMES: [&str; 5] = ["secret", "token", "password", "credential", "key"];

/// Whether a value is hidden. A profile has no place for secrets of its own; a plugin's settings are free-form, so their
/// names have to tell.
pub(crate) fn is_secret(path: &str) -> bool {
    let is_config = path.starts_with("plugin.") && path.contains(".config.");
    let name = path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    is_config && SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// Values with every secret in them hidden, for the path that they stand at.
pub(crate) fn hidden(path: &str, value: &Value) -> Value {
    if is_secret(path) {
        return Value::from(HIDDEN);
    }
    match value {
        Value::Array(items) => items.iter().map(|item| hidden(path, item)).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| {
                let value = hidden(&join(path, name), value);
                (name.clone(), value)
            });
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}

/// The secrets that are still hidden in values: somebody wrote down what was shown.
pub(crate) fn still_hidden(values: &Value) -> Vec<String> {
    let mut keys = Vec::new();
    find_hidden("", values, &mut keys);
    keys
}

fn find_hidden(path: &str, value: &Value, keys: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| find_hidden(path, item, keys)),
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| find_hidden(&join(path, name), value, keys));
        }
        Value::String(text) if text == HIDDEN && is_secret(path) => keys.push(path.to_owned()),
        _ => {}
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The value at `path` in one line of TOML. In tables, what nobody set is left out.
pub(crate) fn shown(path: &str, value: &Value) -> String {
    if is_secret(path) {
        return format!("\"{HIDDEN}\"");
    }
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| shown(path, item)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let is_set = |value: &Value| match value {
                Value::Null => false,
                Value::Object(members) => !members.is_empty(),
                _ => true,
            };
            let members: Vec<_> = members
                .iter()
                .filter(|(_, value)| is_set(value))
                .map(|(name, value)| {
                    format!("{} = {}", quoted(name), shown(&join(path, name), value))
                })
                .collect();
            if members.is_empty() {
                "{}".to_owned()
            } else {
                format!("{{ {} }}", members.join(", "))
            }
        }
        other => other.to_string(),
    }
}

/// A key, in quotes unless TOML does without them.
fn quoted(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !name.is_empty() && name.bytes().all(is_bare) {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_shown_as_toml_without_what_nobody_set() {
        let value = json!({ "a": [1, true], "b": null, "c": {}, "d e": { "f": "g\"h" } });
        let text = shown("layer.x", &value);
        assert_eq!(text, "{ a = [1, true], \"d e\" = { f = \"g\\\"h\" } }");
        let read: toml::Table = toml::from_str(&format!("x = {text}")).expect("TOML");
        assert_eq!(read["x"]["d e"]["f"].as_str(), Some("g\"h"));
        assert_eq!(shown("layer.x", &json!({ "b": null })), "{}");
    }

    #[test]
    fn what_nobody_should_read_is_hidden_however_deep_it_is() {
        let config =
            json!({ "servers": [{ "name": "n", "apiToken": "t1" }], "password": { "x": "t2" } });
        let text = shown("plugin.p", &json!({ "config": config }));
        assert_eq!(
            text,
            "{ config = { password = \"***\", servers = [{ apiToken = \"***\", name = \"n\" }] } }"
        );
        assert_eq!(shown("request_state.key", &json!({ "env": "K" })), "{ env = \"K\" }");
    }
}
