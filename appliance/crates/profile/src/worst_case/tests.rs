use super::costs::{GENERATION, RECORD};
use super::*;
use crate::{Sources, built_ins, load};

const MIB: u64 = 1 << 20;

/// A plan of a built-in profile with settings.
fn plan(name: &str, settings: &[&str]) -> Plan {
    let set = settings.iter().map(|setting| (*setting).to_owned()).collect();
    let sources = Sources { profile: name.to_owned(), set, ..Sources::default() };
    load(&sources).unwrap_or_else(|problems| panic!("{name}: {problems}")).plan
}

/// Bytes of one term; `None` when it is not there.
fn term(what: &str, name: &str, settings: &[&str]) -> Option<u64> {
    let sum = WorstCase::of(&plan(name, settings));
    sum.terms.iter().find(|term| term.what == what).map(|term| term.bytes)
}

#[test]
fn every_profile_for_a_box_leaves_a_quarter_of_its_memory_and_carries_four_plugins() {
    let plugins = ["a", "b", "c", "d"].map(|name| format!("plugin.{name}.library=libecho.so"));
    let plugins: Vec<_> = plugins.iter().map(String::as_str).collect();
    let mut count = 0;
    for profile in built_ins().iter().filter(|profile| profile.is_box) {
        let alone = plan(profile.name, &[]);
        let memory = alone.hardware.as_ref().expect("a box").memory_bytes;
        let sum = WorstCase::of(&alone);
        assert!(sum.bytes() <= memory / 4 * 3, "{}: {}", profile.name, sum.line());
        let sum = WorstCase::of(&plan(profile.name, &plugins));
        assert!(sum.bytes() <= memory, "{}: {}", profile.name, sum.line());
        count += 1;
    }
    assert_eq!(count, 6);
}

#[test]
fn the_sum_is_that_of_its_terms() {
    let sum = WorstCase::of(&plan("medium-4c8g", &[]));
    let (last, terms) = sum.terms.split_last().expect("terms");
    let above: u64 = terms.iter().map(|term| term.bytes).sum();
    assert_eq!((last.what.as_str(), last.bytes), ("allocator", above / ALLOCATOR_PART));
    assert_eq!(sum.bytes(), above + last.bytes);
    let table = sum.table(Some(8 << 30));
    assert_eq!(table.lines().count(), sum.terms.len() + 2);
    assert!(table.ends_with(" % of hardware.memory_bytes, 8192.0 MiB\n"), "{table}");
    assert!(sum.table(None).contains("no [hardware]"));
}

#[test]
fn bodies_are_bounded_by_the_ledger_or_by_nothing_but_connections() {
    let ledger = |settings: &[&str]| term("requests", "edge-1c1g", settings);
    assert_eq!(ledger(&[]), Some(128 * MIB));
    assert_eq!(ledger(&["layer.memory.ledger_bytes_max=64MiB"]), Some(64 * MIB));
    let of = |settings: &[&str]| term("requests", "dev", settings);
    // Without a limit that is known it is the layer's usual most; with one, a quarter.
    assert_eq!(of(&[]), Some(2_048 * MIB));
    assert_eq!(of(&["layer.memory.limit_bytes=1GiB"]), Some(256 * MIB));
    let hardware = ["hardware.cores=1", "hardware.memory_bytes=16TiB"];
    assert_eq!(of(&hardware), Some(2_048 * MIB));
    // 1,000 connections of 100 streams with 4 MiB each.
    assert_eq!(of(&["layer.memory.mode=shadow"]), Some(1_000 * 100 * 4 * MIB));
    let no_caps = ["layer.memory.mode=off", "layer.payload.mode=off"];
    assert_eq!(of(&no_caps), Some(1_000 * 100 * 64 * MIB));
}

#[test]
fn calls_are_bounded_by_concurrency_or_by_connections() {
    let calls = |settings: &[&str]| term("calls", "edge-1c1g", settings);
    let each = CALL.bytes() + MIB / 2;
    assert_eq!(calls(&[]), Some(64 * each));
    assert_eq!(calls(&["layer.concurrency.calls_max=1"]), Some(each));
    // Only that layer is looked at: such a profile would not fit its box.
    let shadow = ["layer.concurrency.mode=shadow", "hardware.memory_bytes=1TiB"];
    assert_eq!(calls(&shadow), Some(512 * 16 * each));
}

#[test]
fn connections_count_as_their_worst_protocol() {
    let connections = |settings: &[&str]| term("connections", "edge-1c1g", settings);
    let http2 = |streams: u64, window: u64| (28 + 16 + window + streams * (8 + 8)) << 10;
    assert_eq!(connections(&[]), Some(512 * http2(16, 128)));
    let few = ["layer.http.http2.streams_max=1", "layer.http.http2.connection_window_bytes=64KiB"];
    assert_eq!(connections(&few), Some(512 * http2(1, 64)));
    let heads = [few[0], few[1], "layer.http.head_bytes_max=64KiB"];
    assert_eq!(connections(&heads), Some(512 * ((14 + 2 * 64) << 10)));
    assert_eq!(term("connections", "desktop", &[]), None);
    assert_eq!(term("lines", "desktop", &[]), Some(64 * 4 * MIB));
}

#[test]
fn connections_of_listeners_count_where_the_layer_does_not_enforce() {
    let more = "listen.more.http.bind=127.0.0.1:1";
    let admitted = |settings: &[&str]| plan("dev", settings).connections_max();
    assert_eq!(admitted(&[]), 1_000);
    let off = "layer.connections.mode=off";
    assert_eq!((admitted(&[off]), admitted(&[off, more])), (10_000, 20_000));
    assert_eq!(admitted(&[more]), 1_000);
}

#[test]
fn a_stream_keeps_its_ring_or_its_newest_message_whichever_is_more() {
    let streams = |settings: &[&str]| term("streams", "edge-1c1g", settings);
    let each = |kept: u64| STREAM.bytes() + kept + 32 * SUBSCRIPTION.bytes();
    assert_eq!(streams(&[]), Some(56 * each(MIB / 2)));
    assert_eq!(streams(&["session.replay_bytes_max=2MiB"]), Some(56 * each(2 * MIB)));
    let small = ["session.replay_bytes_max=1KiB", "layer.payload.response_bytes_max=1KiB"];
    assert_eq!(streams(&small), Some(56 * each(MESSAGE.bytes())));
}

#[test]
fn a_plugin_adds_its_threads_and_what_it_is_lent() {
    let echo = "plugin.echo.library=libecho.so";
    let plugin = |settings: &[&str]| {
        term("plugin echo", "edge-1c1g", &[&[echo], settings].concat()).expect("a term")
    };
    let fixed = PLUGIN.bytes() + 8 * THREAD.bytes();
    assert_eq!(plugin(&[]), fixed + (2 * (8 + 16) + 1) * MIB / 2);
    let own = [
        "plugin.echo.limits.concurrent_calls=1",
        "plugin.echo.limits.queue_calls=0",
        "plugin.echo.limits.response_bytes_max=2MiB",
    ];
    assert_eq!(plugin(&own), fixed + 3 * 2 * MIB);
}

#[test]
fn what_is_replaced_stays_beside_what_serves_for_a_while() {
    let two = ["plugin.a.library=libecho.so", "plugin.b.library=libecho.so"];
    let of = |what: &str, settings: &[&str]| {
        term(what, "edge-1c1g", &[&two, settings].concat()).expect("a term")
    };
    // Four drain, one is built, one may come back.
    assert_eq!(of("generations", &[]), 6 * GENERATION.bytes());
    assert_eq!(of("generations", &["reload.draining_generations_max=1"]), 3 * GENERATION.bytes());
    assert_eq!(of("records", &["history.generations_max=7"]), 7 * RECORD.bytes());
    assert_eq!(of("images", &[]), (8 - 2) * PLUGIN.bytes());
    assert_eq!(of("threads of replaced", &[]), (8 - 2) * 8 * THREAD.bytes());
    // There are never more plugins than each generation has.
    let large = "hardware.memory_bytes=1TiB";
    let many = ["reload.images_max=1000", "reload.draining_generations_max=1", large];
    assert_eq!(of("threads of replaced", &many), 3 * 2 * 8 * THREAD.bytes());
    assert_eq!(of("images", &["reload.images_max=2"]), 0);
    assert_eq!(term("threads of replaced", "edge-1c1g", &[]), None, "nobody is replaced");
}

#[test]
fn an_upgrade_takes_another_process_without_its_clients() {
    let upgrade = |settings: &[&str]| term("an upgrade", "edge-1c1g", settings).expect("a term");
    let keys = (25_000 + 2 * 25_000) * LIMIT_KEY.bytes();
    let alone = PROCESS.bytes() + CONTROL.bytes() + THREAD.bytes() + 1_024 * SESSION.bytes() + keys;
    assert_eq!(upgrade(&[]), alone);
    let more = ["plugin.a.library=libecho.so", "session.sessions_max=1025"];
    assert_eq!(upgrade(&more), alone + PLUGIN.bytes() + SESSION.bytes());
}

#[test]
fn refusals_that_are_remembered_cost_as_many_as_are_kept() {
    let refusals = |settings: &[&str]| term("refusals", "edge-1c1g", settings);
    assert_eq!(refusals(&["control.refusals_kept=100"]), Some(100 * 4 * 1_024));
    assert_eq!(term("refusals", "desktop", &[]), None);
}

#[test]
fn only_limits_that_are_on_have_keys() {
    let keys = |settings: &[&str]| term("clients", "edge-1c1g", settings);
    assert_eq!(keys(&[]), Some(2 * 25_000 * 32));
    assert_eq!(keys(&["layer.rate_limit.tool_calls_per_sec=1"]), Some(3 * 25_000 * 32));
    assert_eq!((term("clients", "dev", &[]), term("addresses", "dev", &[])), (None, None));
}

#[test]
fn a_sum_beyond_all_memory_does_not_overflow() {
    let settings = [
        "layer.concurrency.mode=off",
        "listen.public.http.connections_max=1000000",
        "layer.connections.mode=off",
        "layer.http.http2.streams_max=10000",
        "layer.payload.response_bytes_max=1GiB",
        "plugin.echo.limits.response_bytes_max=1GiB",
        "session.streams_max=1000000",
        "session.replay_bytes_max=9223372036854775807",
    ];
    let sum = WorstCase::of(&plan("dev", &settings));
    assert_eq!(sum.bytes(), u64::MAX);
    assert_eq!(sum.largest().map(|term| term.key.as_str()), Some("session.streams_max"));
    assert!(sum.line().ends_with(" MiB"), "{}", sum.line());
}
