//! Which keys a test speaks of, and why some of them are beyond its reach.

use middleware::Mode;

use super::lane::{Begun, Lane};

/// Keys, or what keys begin with, that bound nothing a client could meet: names, places, switches, and what a host is
/// compared with.
const BOUND_NOTHING: [&str; 18] = [
    "control.allow_profile",
    "control.allow_remote",
    "control.bind",
    "control.selftest",
    "extends",
    "format",
    "hardware.",
    "history.folder",
    "log.",
    "plugin.NAME.config",
    "plugin.NAME.isolation",
    "plugin.NAME.library",
    "process.",
    "request_state.key.",
    "server.instructions",
    "server.list_ttl_ms",
    "server.name",
    "server.title",
];

const FROM_ITS_START: &str = "a plugin has it from its start, and the probe has numbers of its own; no test calls your plugins";

/// Keys, or what keys begin with, that no attack in a lane can try, and why.
const OUT_OF_REACH: [(&str, &str); 14] = [
    ("control.refusals_kept", "a lane has no control listener of its own"),
    ("history.generations_max", "a lane keeps nothing of what it served"),
    (
        "layer.bulkhead.response_bytes_max",
        "plugins have it from their start, and the probe starts without; of each answer `layer.payload` is tried",
    ),
    (
        "layer.connections.descriptors_reserve",
        "held against the descriptors of the whole process when it starts; to use them up would shut clients out",
    ),
    (
        "layer.memory.limit_bytes",
        "how much of it is used is told to the lane: to take it would leave clients without",
    ),
    (
        "listen.NAME.http.bind",
        "where it listens is nothing that a request could try; a lane listens on loopback",
    ),
    ("listen.NAME.stdio.calls_max", "there is one standard input, and its client has it"),
    ("plugin.NAME.limits.deadline_ms", FROM_ITS_START),
    ("plugin.NAME.limits.overrun", FROM_ITS_START),
    ("plugin.NAME.limits.response_bytes_max", FROM_ITS_START),
    ("plugin.NAME.limits.threads_max", FROM_ITS_START),
    ("plugin.NAME.tool.", "a lane has none of your tools: no test calls what could do something"),
    ("reload.", "a lane serves one profile from its beginning to its end"),
    ("shutdown.", "a lane ends at once, and the process is to go on"),
];

/// A key that a report must speak of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// As the profile writes it.
    pub(super) key: String,
    /// Of its layer; what no layer holds is always enforced.
    pub(super) mode: Mode,
    /// Why no attack can try it.
    pub(super) out_of_reach: Option<&'static str>,
}

/// Every key of the lane's layers with its mode, of its listeners and plugins, and of the bounds besides. A layer that is
/// off is spoken of once.
pub(super) fn turned_on(lane: &Lane, begun: &Begun) -> Vec<Known> {
    let mode = |layer: &str| lane.mode(layer);
    let http: Vec<_> = lane.listeners.iter().map(|way| &*way.name).collect();
    profile::keys().iter().flat_map(|key| of_key(key, mode, &http, begun)).collect()
}

/// What a key of the schema stands for, in which names are NAME.
fn of_key(key: &str, mode: impl Fn(&str) -> Mode, http: &[&str], begun: &Begun) -> Vec<Known> {
    let out_of_reach = out_of_reach(key);
    let known = |key: String, mode| Known { key, mode, out_of_reach };
    let named = |name: &str| key.replacen("NAME", name, 1);
    let of_names = |names: &mut dyn Iterator<Item = String>| {
        names.map(|key| known(key, Mode::Enforce)).collect()
    };
    let mut parts = key.split('.');
    match (parts.next(), parts.next()) {
        _ if bounds_nothing(key) => Vec::new(),
        (Some("layer"), Some(layer)) => {
            let mode = mode(layer);
            let is_told = mode != Mode::Off || key.ends_with(".mode");
            is_told.then(|| known(key.to_owned(), mode)).into_iter().collect()
        }
        (Some("listen"), _) if key.contains(".stdio.") => {
            of_names(&mut begun.stdio.iter().map(|name| named(name)))
        }
        (Some("listen"), _) => of_names(&mut http.iter().map(|name| named(name))),
        (Some("plugin"), _) if key.contains(".tool.") => {
            let tools = begun.tools.iter();
            of_names(&mut tools.map(|[plugin, tool]| named(plugin).replacen("NAME", tool, 1)))
        }
        (Some("plugin"), _) => {
            // The places of a plugin are held by a layer, everything else by the plugin's own house.
            let mode = if out_of_reach.is_some() { Mode::Enforce } else { mode("bulkhead") };
            let plugins = begun.plugins.iter().filter(|_| mode != Mode::Off);
            plugins.map(|name| known(named(name), mode)).collect()
        }
        _ => vec![known(key.to_owned(), Mode::Enforce)],
    }
}

fn bounds_nothing(key: &str) -> bool {
    BOUND_NOTHING.iter().any(|start| key.starts_with(start))
}

fn out_of_reach(key: &str) -> Option<&'static str> {
    let found = OUT_OF_REACH.iter().find(|(start, _)| key.starts_with(start));
    found.map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::super::checks::GROUPS;
    use super::*;

    fn is_tried(key: &str) -> bool {
        GROUPS.iter().any(|group| group.tables.iter().any(|table| key.starts_with(table)))
    }

    #[test]
    fn every_key_is_tried_or_it_is_said_why_not() {
        for key in profile::keys() {
            let is_told = is_tried(&key) || out_of_reach(&key).is_some();
            assert!(is_told || bounds_nothing(&key), "{key}");
            assert!(out_of_reach(&key).is_none() || !bounds_nothing(&key), "{key}");
        }
    }

    #[test]
    fn no_key_is_spoken_of_that_does_not_exist() {
        let keys = profile::keys();
        let starts = OUT_OF_REACH.iter().map(|(start, _)| start).chain(&BOUND_NOTHING);
        for start in starts {
            assert!(keys.iter().any(|key| key.starts_with(start)), "{start}");
        }
    }

    #[test]
    fn what_can_refuse_a_request_is_a_bound() {
        let keys = protocol::refusal::CAUSES.iter().flat_map(|cause| cause.keys);
        // Without its library a plugin is not there: nothing that a number bounds.
        for key in keys.filter(|key| **key != "plugin.NAME.library") {
            assert!(!bounds_nothing(key), "{key}");
        }
    }

    #[test]
    fn a_key_with_names_in_it_is_told_of_each() {
        let begun: Begun = serde_json::from_value(serde_json::json!({
            "test": "t", "ends_in_ms": 1, "profile": "p", "generation": 1, "connections_max": 1,
            "plugins": ["echo", "time"], "tools": [["time", "now"]], "stdio": ["pipe"],
            "probe_missing": null,
        }))
        .expect("what a test begins with");
        let told = |key: &str, mode: Mode| {
            let known = of_key(key, |_| mode, &["public"], &begun);
            known.into_iter().map(|known| known.key).collect::<Vec<_>>()
        };
        for (key, expected) in [
            ("listen.NAME.http.head_ms", &["listen.public.http.head_ms"][..]),
            ("listen.NAME.stdio.calls_max", &["listen.pipe.stdio.calls_max"]),
            ("plugin.NAME.tool.NAME.deadline_ms", &["plugin.time.tool.now.deadline_ms"]),
            (
                "plugin.NAME.limits.threads_max",
                &["plugin.echo.limits.threads_max", "plugin.time.limits.threads_max"],
            ),
            ("plugin.NAME.limits.queue_calls", &[]),
            ("plugin.NAME.library", &[]),
            ("layer.memory.mode", &["layer.memory.mode"]),
            ("layer.memory.hard_percent", &[]),
        ] {
            assert_eq!(told(key, Mode::Off), expected);
        }
        let places = ["plugin.echo.limits.queue_calls", "plugin.time.limits.queue_calls"];
        assert_eq!(told("plugin.NAME.limits.queue_calls", Mode::Shadow), places);
    }
}
