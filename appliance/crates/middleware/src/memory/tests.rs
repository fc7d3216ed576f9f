use std::sync::Arc;

use http::Request;
use protocol::{Admission, Class, MemoryLevel, Principal, Refusal, RefusalKind};
use telemetry::kernel::{MemoryReading, MemoryUse};
use tower_layer::Layer;
use tower_service::Service;

use super::*;
use crate::edge::Admit;
use crate::testing::{Inner, ask, call, neighbour, reply};
use crate::{ByteSize, Mode};

const MIB: u64 = 1 << 20;

fn config(mode: Mode) -> Config {
    Config { mode, ledger_bytes_max: Some(ByteSize::mib(1)), ..Config::default() }
}

/// A reading of a process that uses so many percent of 1000 MiB.
fn used(percent: u64) -> MemoryReading {
    let process = MemoryUse { used_bytes: percent * 10 * MIB, limit_bytes: 1000 * MIB };
    MemoryReading { groups: Vec::new(), process, stalled_percent: 0.0 }
}

/// A gate at the level of so many percent.
fn gate(mode: Mode, percent: u64) -> (Gate, State) {
    let state = State::new(&config(mode));
    state.observe(&used(percent));
    (Gate::new(&config(mode), state.clone()), state)
}

fn head(method: &str, mirrored: Option<&str>) -> Request<()> {
    let mut request = Request::builder().method(method);
    if let Some(mirrored) = mirrored {
        request = request.header("mcp-method", mirrored);
    }
    request.body(()).expect("a request")
}

fn admit(
    gate: &Gate,
    head: Request<()>,
    declared_bytes: Option<u64>,
) -> Result<Admission, Refusal> {
    let service = MemoryRequestLayer::new(gate.clone()).layer(Admit);
    ask(&service, head, neighbour(), declared_bytes)
}

fn post(gate: &Gate, declared_bytes: Option<u64>) -> Result<Admission, Refusal> {
    admit(gate, head("POST", None), declared_bytes)
}

#[test]
fn a_body_is_reserved_for_as_long_as_somebody_keeps_it() {
    let (gate, state) = gate(Mode::Enforce, 10);
    let first = post(&gate, Some(800 << 10)).expect("room");
    assert_eq!(state.ledger().used(), 800 << 10);
    let refusal = post(&gate, Some(100 << 10)).expect_err("no room");
    assert_eq!((refusal.kind, refusal.layer), (RefusalKind::MemoryExhausted, "memory"));
    assert_eq!((refusal.limit, refusal.retry_after_secs()), (Some(MIB), Some(2)));
    drop(first);
    assert!(post(&gate, Some(100 << 10)).is_ok());
    assert_eq!(state.ledger().used(), 0);
}

#[test]
fn an_eighth_is_kept_for_small_bodies() {
    let (gate, state) = gate(Mode::Enforce, 10);
    let _upload = post(&gate, Some(896 << 10)).expect("seven eighths");
    assert!(post(&gate, Some((64 << 10) + 1)).is_err(), "no room for another upload");
    let _first = post(&gate, Some(64 << 10)).expect("small");
    let _second = post(&gate, None).expect("small as far as one can tell");
    assert_eq!(state.ledger().used(), 1 << 20);
    assert!(post(&gate, Some(1)).is_err(), "full is full");
}

#[test]
fn what_could_never_fit_is_too_large() {
    let (gate, _) = gate(Mode::Enforce, 10);
    for declared in [(896 << 10) + 1, u64::MAX] {
        let refusal = post(&gate, Some(declared)).expect_err("never fits");
        assert_eq!((refusal.kind, refusal.retry_after()), (RefusalKind::PayloadTooLarge, None));
    }
}

#[test]
fn a_body_that_declares_nothing_grows_while_there_is_room() {
    let (gate, state) = gate(Mode::Enforce, 10);
    let mut share = post(&gate, None).expect("room").reserved.expect("counted");
    assert_eq!(share.held(), STEP_BYTES);
    assert_eq!(gate.reserve(&mut share, 512 << 10), Ok(()));
    let _other = post(&gate, Some(300 << 10)).expect("room");
    let refusal = gate.reserve(&mut share, 768 << 10).expect_err("no room");
    assert_eq!(refusal.kind, RefusalKind::MemoryExhausted);
    drop(share);
    assert_eq!(state.ledger().used(), 300 << 10);
}

#[test]
fn shadow_counts_what_it_would_refuse_and_off_counts_nothing() {
    let (shadow, state) = gate(Mode::Shadow, 99);
    let first = post(&shadow, Some(MIB)).expect("only counted");
    let _second = post(&shadow, Some(MIB)).expect("only counted");
    assert_eq!((state.ledger().used(), state.ledger().refused()), (2 << 20, 2));
    assert!(shadow.check(Class::Work).is_ok());
    assert_eq!(state.gauge().level(), MemoryLevel::Calm, "nobody else heeds it");
    assert_eq!(state.status().expect("observed").level, MemoryLevel::Critical);
    drop(first);

    let (off, state) = gate(Mode::Off, 99);
    assert!(post(&off, Some(u64::MAX)).expect("off").reserved.is_none());
    assert!(off.check(Class::Stream).is_ok());
    assert_eq!(state.ledger().used(), 0);
}

#[test]
fn each_level_refuses_what_is_worth_least() {
    let retry_after_secs = [(50, 0), (80, 2), (85, 2), (90, 5), (95, 10)];
    let least_refused = [(50, 4), (80, 3), (85, 3), (90, 2), (95, 1)];
    for ((percent, refused_from), (_, secs)) in least_refused.into_iter().zip(retry_after_secs) {
        let (gate, _) = gate(Mode::Enforce, percent);
        for class in Class::ALL {
            let checked = gate.check(class);
            assert_eq!(checked.is_err(), class as usize >= refused_from, "{percent} {class:?}");
            if let Err(refusal) = checked {
                assert_eq!(refusal.kind, RefusalKind::MemoryExhausted);
                assert_eq!(refusal.retry_after_secs(), Some(secs));
            }
        }
    }
    let (gate, _) = gate(Mode::Enforce, 95);
    let limit = |class| gate.check(class).expect_err("short").limit;
    let limits = [Class::Read, Class::Work, Class::Stream].map(limit);
    assert_eq!(limits, [Some(95), Some(90), Some(80)], "the percent from which it is refused");
}

#[test]
fn the_head_is_enough_to_refuse() {
    let (gate, state) = gate(Mode::Enforce, 90);
    let is_admitted = |method, mirrored| admit(&gate, head(method, mirrored), Some(9)).is_ok();
    assert!(!is_admitted("POST", Some("tools/call")));
    assert!(!is_admitted("POST", Some("subscriptions/listen")));
    assert!(!is_admitted("GET", None), "a stream of a session");
    assert!(is_admitted("DELETE", None), "the end of a session frees memory");
    assert!(is_admitted("POST", Some("tools/list")));
    assert!(is_admitted("POST", None), "its body says what it is");
    assert_eq!(state.ledger().refused(), 0);
}

#[tokio::test]
async fn in_shadow_each_request_is_counted_by_one_half() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let (gate, _) = metrics::with_local_recorder(&recorder, || gate(Mode::Shadow, 99));
    for mirrored in ["tools/call", "tasks/get", "subscriptions/listen"] {
        assert!(admit(&gate, head("POST", Some(mirrored)), Some(9)).is_ok());
    }
    let service = MemoryCallLayer::new(gate).layer(Inner::new(|_| async { Ok(reply(1)) }));
    // A ping, which is never refused.
    assert!((&service).call(call()).await.is_ok());
    let rendered = recorder.handle().render();
    let counted = "layer=\"memory\",kind=\"memory_exhausted\",mode=\"shadow\"} 2\n";
    assert!(rendered.contains(counted), "those that no call comes of: {rendered}");
}

#[tokio::test]
async fn a_refused_call_never_reaches_the_inner_service() {
    let (gate, state) = gate(Mode::Enforce, 99);
    let service = MemoryCallLayer::new(gate).layer(Inner::new(|_| async { Ok(reply(1)) }));
    let text = bytes::Bytes::from_static(
        br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#,
    );
    let parsed = protocol::Envelope::parse(text, &protocol::json::Limits::DEFAULT);
    let Ok(protocol::envelope::Message::One(envelope)) = parsed else { panic!("one message") };
    let work = || {
        let client = protocol::ClientCapabilities::NONE;
        protocol::Call::new(
            envelope.clone(),
            protocol::Revision::MODERN,
            client,
            Principal::local(),
        )
    };
    let refusal = (&service).call(work()).await.expect_err("critical");
    assert_eq!(refusal.kind, RefusalKind::MemoryExhausted);
    assert!((&service).call(call()).await.is_ok(), "a ping");
    assert_eq!(service.inner().calls.load(std::sync::atomic::Ordering::Relaxed), 1);
    state.observe(&used(50));
    assert!((&service).call(work()).await.is_ok());
}

#[tokio::test]
async fn large_answers_are_counted_until_they_have_left_and_small_ones_are_not() {
    let (gate, state) = gate(Mode::Enforce, 10);
    let inner = Inner::new(|_| async { Ok(reply(3 << 20)) });
    let service = MemoryCallLayer::new(gate.clone()).layer(inner);
    let answer = (&service).call(call()).await.expect("never refused for its size");
    assert_eq!(state.ledger().used(), 3 << 20);
    assert!(post(&gate, Some(1)).is_err(), "the next body waits for it");
    drop(answer);
    assert_eq!(state.ledger().used(), 0);
    let service = MemoryCallLayer::new(gate).layer(Inner::new(|_| async { Ok(reply(100)) }));
    let _answer = (&service).call(call()).await.expect("answered");
    assert_eq!(state.ledger().used(), 0);
}

#[test]
fn the_limit_that_is_nearest_counts_and_the_smallest_makes_the_ledger() {
    let state = State::new(&Config::default());
    assert_eq!(state.ledger().limit(), 2 << 30);
    assert_eq!(state.status(), None);
    let of = |used_mib, limit_mib| MemoryUse {
        used_bytes: used_mib * MIB,
        limit_bytes: limit_mib * MIB,
    };
    let reading = MemoryReading {
        groups: vec![of(100, 512), of(930, 1000)],
        process: of(90, 4096),
        stalled_percent: 0.0,
    };
    assert_eq!(state.observe(&reading), (MemoryLevel::Calm, MemoryLevel::Hard));
    assert_eq!(state.ledger().limit(), 128 << 20);
    let status = state.status().expect("observed");
    assert_eq!((status.nearest, status.peak_bytes), (of(930, 1000), 930 * MIB));
    // The cap is of the process alone.
    state.follow(&Config { limit_bytes: Some(ByteSize::mib(91)), ..Config::default() });
    assert_eq!(state.observe(&reading), (MemoryLevel::Hard, MemoryLevel::Critical));
    assert_eq!(state.status().expect("observed").nearest, of(90, 91));
    assert_eq!((state.gauge().level(), state.gauge().idle_permille()), (MemoryLevel::Critical, 0));
}

#[test]
fn follows_new_settings_without_taking_anything_away() {
    let state = State::new(&config(Mode::Enforce));
    let mut share = protocol::Share::none(Arc::clone(state.ledger()));
    assert!(share.resize(1 << 20));
    state.observe(&used(99));
    state.follow(&Config { ledger_bytes_max: Some(ByteSize::mib(2)), ..config(Mode::Off) });
    assert_eq!((state.ledger().used(), state.ledger().limit()), (1 << 20, 2 << 20));
    assert_eq!(state.gauge().level(), MemoryLevel::Calm, "off is calm at once");
}

#[test]
fn names_settings_that_make_no_sense() {
    assert!(Config::default().problems().is_empty());
    let config = Config {
        limit_bytes: Some(ByteSize::mib(1)),
        ledger_bytes_max: Some(ByteSize::kib(1)),
        soft_percent: 5,
        high_percent: 90,
        hard_percent: 90,
        critical_percent: 101,
        ..Config::default()
    };
    let keys: Vec<_> = config.problems().into_iter().map(|(key, _)| key).collect();
    let expected =
        ["limit_bytes", "ledger_bytes_max", "soft_percent", "critical_percent", "hard_percent"];
    assert_eq!(keys, expected);
}
