//! What differs between two profiles, and how a running process takes it over.

use serde_json::{Map, Value};

use crate::classes::{Class, Rule, rule_of, rule_of_coming, rule_of_going};
use crate::identity::SPELLING;
use crate::load::Loaded;
use crate::shown::shown;

/// Longest value in a change, in characters: enough to see what it is.
const VALUE_CHARS_MAX: usize = 200;

/// One key that another profile has otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// For example `layer.timeout.deadline_ms`. A table that only one of the two profiles has stands for everything in it.
    pub key: String,
    /// How a running process takes it over.
    pub class: Class,
    /// The value before, as TOML writes it, shortened when it is long; secrets are hidden. `None`: there was none.
    pub before: Option<String>,
    /// The same of the value after.
    pub after: Option<String>,
    /// What is kept or touched; for a class of `Restart`, the reason.
    pub effect: &'static str,
}

impl Change {
    /// That of a key which says the same of a file in which something else stands now.
    #[must_use]
    pub fn of_content(key: &str) -> Self {
        change(key, &Value::Null, &Value::Null)
    }
}

impl Loaded {
    /// The keys whose values `other` has otherwise, or not at all, in their order. What only spells a profile otherwise,
    /// as `extends` does, is no change.
    #[must_use]
    pub fn changes(&self, other: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        compare(&self.values, &other.values, "", &mut changes);
        changes.retain(|change| !SPELLING.contains(&change.key.as_str()));
        changes
    }
}

fn compare(one: &Value, other: &Value, path: &str, changes: &mut Vec<Change>) {
    let (Value::Object(ones), Value::Object(others)) = (one, other) else {
        if one != other {
            changes.push(change(path, one, other));
        }
        return;
    };
    let mut names: Vec<_> = ones.keys().chain(others.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        // A key that nobody set is as good as none.
        let of = |values: &Map<String, Value>| values.get(name).cloned().unwrap_or_default();
        compare(&of(ones), &of(others), &path, changes);
    }
}

fn change(path: &str, one: &Value, other: &Value) -> Change {
    let whole = match (one.is_null(), other.is_null()) {
        (true, false) => rule_of_coming(path),
        (false, true) => rule_of_going(path),
        _ => None,
    };
    let rules = [one, other].into_iter().filter_map(|value| gravest(path, value));
    let gravest = rules.max_by_key(|rule| rule.class);
    let is_live = gravest.is_none_or(|rule| rule.class < Class::Restart);
    let rule = whole.filter(|_| is_live).or(gravest);
    // A key without a rule does not exist; should it ever, a restart is what cannot be wrong.
    let (class, effect) = rule
        .map_or((Class::Restart, "nobody has said how it is taken over"), |rule| {
            (rule.class, rule.effect)
        });
    let text = |value: &Value| (!value.is_null()).then(|| shortened(shown(path, value)));
    Change { key: path.to_owned(), class, before: text(one), after: text(other), effect }
}

/// The rule of a value, or of what is in it and takes the most.
fn gravest(path: &str, value: &Value) -> Option<&'static Rule> {
    let own = rule_of(path);
    let Value::Object(members) = value else { return own };
    let is_set = |(_, value): &(&String, &Value)| !value.is_null();
    let inner = members.iter().filter(is_set);
    let inner = inner.filter_map(|(name, value)| gravest(&format!("{path}.{name}"), value));
    inner.chain(own).max_by_key(|rule| rule.class)
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(VALUE_CHARS_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changes(one: &Value, other: &Value) -> Vec<Change> {
        let mut changes = Vec::new();
        compare(one, other, "", &mut changes);
        changes
    }

    #[test]
    fn changes_are_named_by_their_keys_and_whole_tables_by_their_own() {
        let one =
            json!({ "a": 1, "b": { "c": [1], "d": null }, "plugin": { "x": { "library": "x" } } });
        let other =
            json!({ "a": 1, "b": { "c": [2], "e": null }, "plugin": { "y": { "library": "x" } } });
        let found = changes(&one, &other);
        let keys: Vec<_> = found.iter().map(|change| &*change.key).collect();
        assert_eq!(keys, ["b.c", "plugin.x", "plugin.y"]);
        assert_eq!(changes(&one, &one), []);
    }

    #[test]
    fn a_change_says_both_values_and_what_becomes_of_what_is_kept() {
        let one = json!({ "layer": { "timeout": { "deadline_ms": 5 }, "origin": null } });
        let other = json!({ "layer": { "timeout": { "deadline_ms": 6 }, "origin": { "mode": "off", "x": null } } });
        let found = changes(&one, &other);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!((&found[0].before, &found[0].after), (&None, &text("{ mode = \"off\" }")));
        assert_eq!((&found[1].before, &found[1].after), (&text("5"), &text("6")));
        assert_eq!(found[1].effect, "calls under way keep their deadlines");
    }

    #[test]
    fn a_plugin_that_comes_replaces_nothing_and_one_that_goes_drains() {
        let (none, one) =
            (json!({ "plugin": {} }), json!({ "plugin": { "x": { "library": "x" } } }));
        assert_eq!(changes(&none, &one)[0].class, Class::Live);
        let goes = &changes(&one, &none)[0];
        assert_eq!(
            (goes.class, goes.effect),
            (Class::Drains, "calls under way end in it; then it is stopped")
        );
    }

    #[test]
    fn a_listener_comes_and_goes_by_what_is_in_it() {
        let of = |listen: Value| json!({ "listen": { "x": listen } });
        let none = json!({ "listen": {} });
        let http = of(json!({ "http": { "bind": "a", "path": "b" }, "stdio": null }));
        let stdio = of(json!({ "http": null, "stdio": { "calls_max": 1 } }));
        let class = |one: &Value, other: &Value| changes(one, other)[0].class;
        assert_eq!((class(&none, &http), class(&http, &none)), (Class::Live, Class::Drains));
        assert_eq!((class(&none, &stdio), class(&stdio, &none)), (Class::Restart, Class::Restart));
    }

    #[test]
    fn a_secret_that_changes_in_its_file_has_the_class_of_its_key() {
        let change = Change::of_content("request_state.key");
        assert_eq!((change.class, change.before, change.after), (Class::Live, None, None));
    }

    #[test]
    fn a_table_takes_what_the_gravest_key_in_it_takes() {
        let tool = |tool: Value| json!({ "plugin": { "x": { "tool": tool } } });
        let none = tool(json!({}));
        let places = tool(json!({ "t": { "queue_calls": 1, "deadline_ms": null } }));
        let deadline = tool(json!({ "t": { "queue_calls": 1, "deadline_ms": 2 } }));
        assert_eq!(changes(&places, &deadline)[0].class, Class::Drains);
        assert_eq!(changes(&none, &deadline)[0].class, Class::Drains);
        let layer = json!({ "layer": { "bulkhead": { "mode": "off", "queue_calls": 1 } } });
        assert_eq!(changes(&json!({}), &layer)[0].class, Class::Drains);
    }

    #[test]
    fn no_value_is_longer_than_a_line_and_no_secret_is_said() {
        let config = |root: &str, token: &str| json!({ "plugin": { "x": { "config": { "root": root, "token": token } } } });
        let found = changes(&config("/", "one"), &config(&"ä".repeat(500), "two"));
        let after = found[0].after.as_deref().expect("a value");
        assert_eq!((after.chars().count(), after.ends_with('…')), (VALUE_CHARS_MAX + 1, true));
        assert_eq!(found[1].key, "plugin.x.config.token");
        assert_eq!(found[1].before, found[1].after, "both are hidden");
        assert!(!format!("{found:?}").contains("two"));
    }
}
