//! What differs between two profiles, and what of it a running process can take over.

use serde_json::Value;

use crate::identity::SPELLING;
use crate::load::Loaded;

/// Tables that a process takes over only at its start, each with the reason.
const AT_START: [(&str, &str); 5] = [
    ("control", "the control listener is opened at the start"),
    ("listen", "listeners are opened at the start"),
    ("log", "the log is opened at the start"),
    ("process", "threads are made at the start"),
    ("request_state", "clients have states that the present key sealed"),
];

/// Why a key is taken over only at the start of a process; `None` for one that a running process follows.
#[must_use]
pub fn at_start(key: &str) -> Option<&'static str> {
    let table = key.split('.').next().unwrap_or_default();
    AT_START.iter().find(|(known, _)| *known == table).map(|(_, reason)| *reason)
}

impl Loaded {
    /// The keys whose values `other` has otherwise, or not at all, in their order. A table that only one of the two has
    /// stands for everything in it. What only spells a profile otherwise, as `extends` does, is no change.
    #[must_use]
    pub fn changes(&self, other: &Self) -> Vec<String> {
        let mut keys = Vec::new();
        compare(&self.values, &other.values, "", &mut keys);
        keys.retain(|key| !SPELLING.contains(&key.as_str()));
        keys
    }
}

fn compare(one: &Value, other: &Value, path: &str, keys: &mut Vec<String>) {
    let (Value::Object(ones), Value::Object(others)) = (one, other) else {
        if one != other {
            keys.push(path.to_owned());
        }
        return;
    };
    let mut names: Vec<_> = ones.keys().chain(others.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let of = |values: &serde_json::Map<String, Value>| values.get(name).cloned();
        // A key that nobody set is as good as none.
        let (one, other) = (of(ones).unwrap_or_default(), of(others).unwrap_or_default());
        compare(&one, &other, &path, keys);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_are_named_by_their_keys_and_whole_tables_by_their_own() {
        let one =
            json!({ "a": 1, "b": { "c": [1], "d": null }, "plugin": { "x": { "library": "x" } } });
        let other =
            json!({ "a": 1, "b": { "c": [2], "e": null }, "plugin": { "y": { "library": "x" } } });
        let mut keys = Vec::new();
        compare(&one, &other, "", &mut keys);
        assert_eq!(keys, ["b.c", "plugin.x", "plugin.y"]);
        keys.clear();
        compare(&one, &one, "", &mut keys);
        assert!(keys.is_empty());
    }

    #[test]
    fn every_table_is_known_to_be_followed_or_not() {
        let mut tables: Vec<_> = crate::keys()
            .iter()
            .map(|key| key.split('.').next().unwrap_or_default().to_owned())
            .collect();
        tables.dedup();
        let (fixed, live): (Vec<_>, Vec<_>) =
            tables.iter().map(|table| &**table).partition(|table| at_start(table).is_some());
        assert_eq!(fixed, AT_START.map(|(table, _)| table));
        // A new table is refused by this line until somebody has seen to it that a reload reaches it.
        let followed = [
            "extends", "format", "hardware", "layer", "plugin", "reload", "server", "session",
            "shutdown", "tasks",
        ];
        assert_eq!(live, followed);
    }
}
