//! How a running process takes each key over, and what that does to what it keeps: the one table of it.

use crate::schema;

/// How a running process takes a changed key over. In the order of what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// It holds from the next call on.
    Live,
    /// Something is replaced; calls under way end on what was there before.
    Drains,
    /// Only a start takes it over: an attempt that changes it is refused whole.
    Restart,
}

impl Class {
    /// The name in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Drains => "drains",
            Self::Restart => "restart",
        }
    }
}

/// What is said of a key and of those below it.
#[derive(Debug)]
pub(crate) struct Rule {
    /// The path, in which `NAME` stands for any name.
    pub(crate) keys: &'static str,
    pub(crate) class: Class,
    /// What is kept or touched; for `Restart` the reason. Follows a semicolon or "since".
    pub(crate) effect: &'static str,
}

const fn live(keys: &'static str, effect: &'static str) -> Rule {
    Rule { keys, class: Class::Live, effect }
}

const fn drains(keys: &'static str, effect: &'static str) -> Rule {
    Rule { keys, class: Class::Drains, effect }
}

const fn restart(keys: &'static str, effect: &'static str) -> Rule {
    Rule { keys, class: Class::Restart, effect }
}

const BUCKETS: &str = "buckets keep their level, and fill at the new rate from now on";
const OF_PLUGINS: &str =
    "plugins without a limit of their own are started anew; calls under way end in the old ones";
const PLACES: &str =
    "calls keep their places; a smaller bound gives none until enough have come back";

/// The longest path that fits a key decides. A test demands one for every table and every layer.
const RULES: &[Rule] = &[
    restart("control", "the control listener is opened at the start"),
    live("extends", "nothing by itself"),
    live("format", "nothing by itself"),
    live("hardware", "the host is compared with it again"),
    restart("history", "its folder is opened at the start"),
    live("layer.bulkhead", PLACES),
    drains("layer.bulkhead.concurrent_calls", OF_PLUGINS),
    drains("layer.bulkhead.queue_calls", OF_PLUGINS),
    drains("layer.bulkhead.response_bytes_max", OF_PLUGINS),
    live("layer.circuit_breaker", "circuits keep their phase and what they have counted"),
    live(
        "layer.circuit_breaker.window_calls",
        "circuits begin anew, closed and with nothing counted",
    ),
    live(
        "layer.concurrency",
        "calls keep their permits; a smaller bound issues none until enough have come back",
    ),
    live(
        "layer.connections",
        "open connections stay; a smaller bound lets nobody in until enough have gone",
    ),
    live(
        "layer.fairness",
        "calls that wait keep their places; a smaller bound lets no more wait until it is met",
    ),
    live("layer.http", "from the next request on; open HTTP/2 connections keep what was agreed on"),
    live("layer.memory", "levels are judged anew; what is lent to bodies stays lent"),
    live("layer.origin", "from the next request on, also of open connections and sessions"),
    live("layer.payload", "from the next request on"),
    live("layer.pre_auth_limit", BUCKETS),
    live("layer.rate_limit", BUCKETS),
    live("layer.timeout", "calls under way keep their deadlines"),
    live(
        "listen.NAME.http",
        "from the next request on; connections stay, and deadlines and the bound on them hold for those, too",
    ),
    drains(
        "listen.NAME.http.bind",
        "the new address is opened before the old one closes; calls under way end there",
    ),
    restart("listen.NAME.stdio", "standard input is read from the start to the end"),
    live("log", "from the next line on"),
    drains("plugin.NAME", "the plugin is started anew; calls under way end in the old one"),
    live("plugin.NAME.tool.NAME.concurrent_calls", PLACES),
    live("plugin.NAME.tool.NAME.queue_calls", PLACES),
    restart("process", "threads are made at the start"),
    live("reload", "from the next change on"),
    live(
        "request_state",
        "states that clients have are opened until their time is over; others are sealed anew",
    ),
    live(
        "server",
        "from the next answer on; sessions stay, and lists that clients keep hold until they ask again",
    ),
    live(
        "session",
        "sessions and streams go on; a smaller bound begins none until enough have ended",
    ),
    live("shutdown", "when the process stops, and when the next plugin or listener goes"),
    live(
        "tasks",
        "tasks keep the times that they began with; a smaller bound begins none until enough are gone",
    ),
];

/// What is said of tables that come as a whole, where that is something else and nothing in them takes a restart.
const COMES: &[Rule] = &[
    live("listen.NAME", "it is opened beside the others, before anything else changes"),
    live("plugin.NAME", "it is started beside the others, which run on"),
];

/// The same of tables that go.
const GOES: &[Rule] = &[
    drains("listen.NAME", "nobody is let in any more; calls under way end in it"),
    drains("plugin.NAME", "calls under way end in it; then it is stopped"),
];

/// What is said of a key: of the longest path that fits.
pub(crate) fn rule_of(key: &str) -> Option<&'static Rule> {
    let fitting = RULES.iter().filter(|rule| is_at_or_below(key, rule.keys));
    fitting.max_by_key(|rule| rule.keys.split('.').count())
}

/// What is said of a table that was not there before; `None` where that is nothing else.
pub(crate) fn rule_of_coming(key: &str) -> Option<&'static Rule> {
    rule_of_whole(key, COMES)
}

/// The same of one that is there no more.
pub(crate) fn rule_of_going(key: &str) -> Option<&'static Rule> {
    rule_of_whole(key, GOES)
}

fn rule_of_whole(key: &str, rules: &'static [Rule]) -> Option<&'static Rule> {
    let parts = |path: &str| path.split('.').count();
    rules.iter().find(|rule| parts(rule.keys) == parts(key) && is_at_or_below(key, rule.keys))
}

/// Whether `key` is the key of `pattern`, in which `NAME` stands for any name, or below it.
fn is_at_or_below(key: &str, pattern: &str) -> bool {
    let mut parts = key.split('.');
    pattern
        .split('.')
        .all(|known| parts.next().is_some_and(|part| known == "NAME" || known == part))
}

/// Every key that takes a restart, with the reason, in the order of the schema.
#[must_use]
pub fn not_reloadable() -> Vec<(String, &'static str)> {
    let of = |key: String| {
        let rule = rule_of(&key).filter(|rule| rule.class == Class::Restart)?;
        Some((key, rule.effect))
    };
    schema::keys().into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_class_and_every_rule_a_key() {
        let keys = schema::keys();
        let missing: Vec<_> = keys.iter().filter(|key| rule_of(key).is_none()).collect();
        // Say of a new table or layer how a running process takes it over, once somebody has seen to it that it does.
        assert!(missing.is_empty(), "no class: {missing:?}");
        for rule in RULES {
            let is_used =
                keys.iter().any(|key| rule_of(key).is_some_and(|found| found.keys == rule.keys));
            assert!(is_used, "{} is the class of no key", rule.keys);
        }
    }

    #[test]
    fn no_rule_covers_a_layer_that_nobody_has_looked_at() {
        for broad in ["layer.new", "plugin", "new"] {
            assert!(rule_of(broad).is_none(), "{broad}");
        }
    }

    #[test]
    fn the_longest_path_that_fits_decides() {
        let class = |key| rule_of(key).map(|rule| rule.class);
        assert_eq!(class("layer.bulkhead.queue_wait_ms"), Some(Class::Live));
        assert_eq!(class("layer.bulkhead.queue_calls"), Some(Class::Drains));
        assert_eq!(class("plugin.files.config.root"), Some(Class::Drains));
        assert_eq!(class("plugin.files.tool.search.deadline_ms"), Some(Class::Drains));
        assert_eq!(class("plugin.files.tool.search.queue_calls"), Some(Class::Live));
        assert_eq!(class("process.worker_threads"), Some(Class::Restart));
        assert_eq!(class("processes"), None);
    }

    #[test]
    fn what_takes_a_restart_is_named_with_its_reason() {
        let fixed = not_reloadable();
        assert!(
            fixed.contains(&("process.worker_threads".to_owned(), "threads are made at the start"))
        );
        assert!(fixed.iter().all(|(key, _)| !key.starts_with("layer.")), "{fixed:?}");
    }
}
