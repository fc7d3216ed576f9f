use middleware::Mode;
use profile::Sources;
use profile::plan::TransportPlan;
use serde_json::{Value, json};

use super::wishes::{LanePlan, PROBE_CALLS_MAX};
use super::*;

/// The plan of the profile `dev` with one value changed.
fn live(setting: &str) -> Plan {
    let sources = Sources {
        posted: None,
        profile: "dev".to_owned(),
        environment: Vec::new(),
        set: vec![setting.to_owned()],
        library_search: Vec::new(),
    };
    profile::load(&sources).unwrap_or_else(|problems| panic!("{:?}", problems.0)).plan
}

fn wishes(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_lane_is_the_live_plan_on_ports_and_with_a_plugin_of_its_own() {
    let live = live("layer.concurrency.mode=shadow");
    let LanePlan { mut plan, changed } = LanePlan::new(&live, &[], 20_000, true).expect("a plan");
    assert!(changed.is_empty(), "{changed:?}");
    assert_eq!(plan.layers, live.layers);
    assert_eq!(plan.layers.concurrency.mode, Mode::Shadow);
    assert_eq!(plan.control, None);
    let names: Vec<_> = plan.plugins.iter().map(|plugin| &*plugin.name).collect();
    assert_eq!(names, ["probe"], "no tool of the operator is ever called");
    let TransportPlan::Http(http) = &mut plan.listeners[0].transport else { panic!("HTTP") };
    assert_eq!(http.bind, ([127, 0, 0, 1], 0).into());
    http.bind = ([127, 0, 0, 1], 8080).into();
    assert_eq!(plan.listeners, live.listeners);
}

#[test]
fn the_probe_is_looked_for_once_in_each_folder() {
    let mut live = live("layer.concurrency.mode=shadow");
    let [one, two] = ["/one", "/two"].map(PathBuf::from);
    assert!(live.plugins.len() > 1);
    for plugin in &mut live.plugins {
        plugin.search = vec![one.clone(), two.clone()];
    }
    assert_eq!(folders(&live, &[two.clone(), "/three".into()]), [one, two, "/three".into()]);
}

#[test]
fn deadlines_are_shortened_and_never_stretched() {
    let live = live("layer.timeout.deadline_ms=900");
    let wanted = wishes(&[("layer.timeout.deadline_ms", "400"), ("listen.http.head_ms", "60000")]);
    let lane = LanePlan::new(&live, &wanted, 20_000, true).expect("a plan");
    assert_eq!(lane.plan.layers.timeout.deadline_ms.get(), 400);
    assert_eq!(lane.plan.listeners[0].transport, {
        let TransportPlan::Http(mut http) = live.listeners[0].transport.clone() else {
            panic!("HTTP")
        };
        http.bind = ([127, 0, 0, 1], 0).into();
        TransportPlan::Http(http)
    });
    let key = "layer.timeout.deadline_ms";
    assert_eq!(lane.changed, [json!({ "key": key, "live": 900, "lane": 400 })]);
}

#[test]
fn bounds_are_lowered_to_what_a_test_can_reach_and_never_raised() {
    let live = live("layer.fairness.client_calls_max=4");
    let wanted = wishes(&[
        ("layer.fairness.client_calls_max", "9"),
        ("layer.fairness.queue_calls_max", "5"),
        ("layer.memory.ledger_bytes_max", "65536"),
        ("listen.http.connections_max", "40"),
    ]);
    let lane = LanePlan::new(&live, &wanted, 64, true).expect("a plan");
    let layers = &lane.plan.layers;
    assert_eq!((layers.fairness.client_calls_max, layers.fairness.queue_calls_max), (4, 5));
    assert_eq!(layers.memory.ledger_bytes_max, Some(middleware::ByteSize::kib(64)));
    let told =
        |key: &str| lane.changed.iter().filter(|told| told["key"] == key).collect::<Vec<_>>();
    assert_eq!(told("layer.fairness.client_calls_max"), Vec::<&Value>::new());
    let key = "layer.memory.ledger_bytes_max";
    let expected = json!({ "key": key, "live": "a share of the memory", "lane": "64KiB" });
    assert_eq!(told(key), [&expected]);
    let key = "listen.public.http.connections_max";
    let connections = told(key);
    assert_eq!(connections.len(), 1, "what was lowered twice is told once: {connections:?}");
    assert_eq!((&connections[0]["live"], &connections[0]["lane"]), (&json!(10_000), &json!(40)));
}

#[test]
fn what_a_client_keeps_is_lowered_in_numbers_and_in_time() {
    let live = live("tasks.count_max=3");
    let wanted = wishes(&[
        ("request_state.ttl_ms", "1000"),
        ("server.page_items_max", "4"),
        ("session.idle_ms", "1000"),
        ("session.replay_bytes_max", "1024"),
        ("session.subscriptions_max", "4"),
        ("tasks.count_max", "4"),
        ("tasks.ttl_ms", "1000"),
    ]);
    let LanePlan { plan, changed } = LanePlan::new(&live, &wanted, 20_000, true).expect("a plan");
    let second = Duration::from_secs(1);
    assert_eq!(
        (plan.request_state.ttl, plan.session.idle, plan.tasks.ttl),
        (second, second, second)
    );
    assert_eq!((plan.server.page_items_max, plan.session.subscriptions_max), (4, 4));
    assert_eq!((plan.session.replay_bytes_max, plan.tasks.count_max), (1_024, 3));
    let keys: Vec<_> = changed.iter().filter_map(|changed| changed["key"].as_str()).collect();
    assert_eq!(keys.len(), wanted.len() - 1, "what was lower is as it was: {keys:?}");
}

#[test]
fn a_test_is_told_of_tools_and_listeners_that_no_lane_has() {
    let live = live("plugin.time.tool.now.queue_calls=1");
    assert_eq!(bounded_tools(&live), [["time", "now"]]);
    assert_eq!(on_stdio(&live), [""; 0]);
    let sources = Sources {
        posted: None,
        profile: "desktop".to_owned(),
        environment: Vec::new(),
        set: Vec::new(),
        library_search: Vec::new(),
    };
    let desktop = profile::load(&sources).unwrap_or_else(|problems| panic!("{:?}", problems.0));
    assert_eq!(on_stdio(&desktop.plan).len(), 1);
}

#[test]
fn connections_are_lowered_to_what_there_is_room_for() {
    let lane =
        LanePlan::new(&live("layer.timeout.deadline_ms=900"), &[], 64, true).expect("a plan");
    let keys: Vec<_> = lane.changed.iter().map(|changed| changed["key"].clone()).collect();
    assert_eq!(keys, ["layer.connections.connections_max", "listen.public.http.connections_max"]);
    assert_eq!(lane.plan.layers.connections.connections_max, 64);
}

#[test]
fn the_probe_has_the_places_of_whom_it_stands_in_for() {
    let live = live("plugin.time.limits.concurrent_calls=7");
    let calls = |wanted: &[(&str, &str)]| {
        LanePlan::new(&live, &wishes(wanted), 64, true)
            .map(|lane| lane.plan.plugins[0].limits.concurrent_calls)
    };
    assert_eq!(calls(&[]), Ok(PROBE_CALLS_MAX));
    assert_eq!(calls(&[("like", "time")]), Ok(7));
    let of_layer = live.layers.bulkhead.concurrent_calls as usize;
    assert_eq!(calls(&[("like", "")]), Ok(of_layer), "as one without limits of its own");
    assert_eq!(calls(&[("like", "none")]), Err("there is no plugin `none`".to_owned()));
}

#[test]
fn wishes_that_nobody_knows_are_refused() {
    let live = live("layer.timeout.deadline_ms=900");
    for (key, value) in [
        ("layer.timeout.deadline_ms", "0"),
        ("layer.timeout.deadline_ms", "soon"),
        ("layer.concurrency.calls_max", "few"),
        ("layer.concurrency.read_share_percent", "1"),
        ("listen.http.path", "1"),
        ("listen.public.http.connections_max", "1"),
        ("layer.origin.mode", "1"),
    ] {
        assert!(LanePlan::new(&live, &wishes(&[(key, value)]), 64, true).is_err(), "{key}={value}");
    }
}
