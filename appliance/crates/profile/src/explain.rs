//! Shows a plan: each value and where it came from.

use serde_json::{Map, Value, json};

use crate::check;
use crate::load::Loaded;
use crate::origin::Origin;
use crate::schema;
use crate::shown::shown;

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

    /// The values of keys like `pattern`, in which `NAME` stands for a name: for any, or for the one that `names` has for
    /// its table (`plugin`, `tool`). A key without names that nobody set and that has no default is there with the value
    /// `not set`.
    #[must_use]
    pub fn rows_like(&self, pattern: &str, names: &[(&str, &str)]) -> Vec<Row> {
        let mut rows = self.rows(None);
        rows.retain(|row| is_like(&row.key, pattern, names));
        if rows.is_empty() && !pattern.contains("NAME") {
            let (key, value) = (pattern.to_owned(), "not set".to_owned());
            rows.push(Row { key, value, origin: Origin::Default });
        }
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
                let value = shown(path, value);
                rows.push(Row { key: path.to_owned(), value, origin: self.origin(path) });
            }
        }
    }

    /// Where a value came from: its own place, or that of an inline table or list around it.
    fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// The key that was probably meant by one that does not exist.
    #[must_use]
    pub fn nearest_key(&self, key: &str) -> Option<String> {
        let rows = self.rows(None).into_iter().map(|row| row.key);
        let known: Vec<_> = rows.chain(schema::all().into_iter().map(|key| key.path)).collect();
        // With as many parts, so that `layer.tmeout` means the table and not one of its keys.
        let parts = key.split('.').count();
        let alike = known.iter().map(String::as_str).filter(|key| key.split('.').count() == parts);
        check::nearest(key, alike).map(str::to_owned)
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
        json!({ "profile": &*self.plan.name, "identity": self.plan.identity, "values": values })
            .to_string()
    }
}

/// Whether `key` is one of `pattern` with these `names`, each with its table.
fn is_like(key: &str, pattern: &str, names: &[(&str, &str)]) -> bool {
    let (mut table, mut parts) = ("", key.split('.'));
    let fits = pattern.split('.').all(|known| {
        let Some(part) = parts.next() else { return false };
        let is_it = if known == "NAME" {
            names.iter().all(|(of, name)| *of != table || *name == part)
        } else {
            known == part
        };
        table = known;
        is_it
    });
    fits && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::is_like;

    #[test]
    fn a_pattern_has_the_keys_of_every_name_or_of_the_one_that_is_given() {
        let limit = "plugin.NAME.limits.deadline_ms";
        assert!(is_like("plugin.files.limits.deadline_ms", limit, &[]));
        assert!(is_like("plugin.files.limits.deadline_ms", limit, &[("plugin", "files")]));
        assert!(!is_like("plugin.echo.limits.deadline_ms", limit, &[("plugin", "files")]));
        assert!(!is_like("plugin.files.limits.deadline_ms.more", limit, &[]));
        assert!(!is_like("plugin.files.limits", limit, &[]));
        let of_tool = "plugin.NAME.tool.NAME.queue_calls";
        assert!(is_like("plugin.files.tool.search.queue_calls", of_tool, &[("tool", "search")]));
        assert!(!is_like("plugin.files.tool.other.queue_calls", of_tool, &[("tool", "search")]));
        let listener = "listen.NAME.http.connections_max";
        assert!(is_like("listen.public.http.connections_max", listener, &[("plugin", "files")]));
    }
}
