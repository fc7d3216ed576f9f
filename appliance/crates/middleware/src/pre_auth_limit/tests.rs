use http::Request;
use protocol::Peer;

use super::*;
use crate::edge::Admit;
use crate::testing::{ask, neighbour};

fn config(mode: Mode) -> Config {
    Config { mode, requests_per_sec: 1, burst_requests: 2, ..Config::default() }
}

fn send(service: &PreAuthLimit<Admit>, address: &str) -> Result<(), Refusal> {
    let remote = format!("{address}:4000").parse().expect("an address");
    ask(service, Request::new(()), Peer { remote, ..neighbour() }, None).map(drop)
}

fn service(config: &Config) -> PreAuthLimit<Admit> {
    PreAuthLimitLayer::new(config, State::new(config)).layer(Admit)
}

#[test]
fn an_address_that_asks_too_often_is_refused_and_others_are_not() {
    let service = service(&config(Mode::Enforce));
    assert!(send(&service, "192.0.2.1").is_ok() && send(&service, "192.0.2.1").is_ok());
    let refusal = send(&service, "192.0.2.1").expect_err("the third at once");
    assert_eq!((refusal.kind, refusal.layer), (RefusalKind::RateLimited, NAME));
    assert_eq!((refusal.limit, refusal.scope.as_ref()), (Some(1), "address"));
    assert!(refusal.wait.is_some_and(|wait| wait <= Duration::from_secs(1)));
    assert_eq!(refusal.quota.map(|quota| quota.burst.get()), Some(2));
    assert!(send(&service, "192.0.2.2").is_ok());
}

#[test]
fn shadow_mode_only_counts_and_off_keeps_nothing() {
    for (mode, keys) in [(Mode::Shadow, 1), (Mode::Off, 0)] {
        let service = service(&config(mode));
        assert!((0..10).all(|_| send(&service, "192.0.2.1").is_ok()), "{mode:?}");
        assert_eq!(service.layer().state.bounds()[0].used(), keys, "{mode:?}");
    }
}

#[test]
fn what_was_used_stays_used_when_settings_change() {
    let config = config(Mode::Enforce);
    let state = State::new(&config);
    let before = PreAuthLimitLayer::new(&config, state.clone()).layer(Admit);
    assert!((0..2).all(|_| send(&before, "192.0.2.1").is_ok()));
    state.follow(&config);
    let after = PreAuthLimitLayer::new(&config, state).layer(Admit);
    assert!(send(&after, "192.0.2.1").is_err());
}

#[test]
fn silent_addresses_are_forgotten() {
    let config = config(Mode::Enforce);
    let service = service(&config);
    send(&service, "192.0.2.1").expect("the first");
    let later = Instant::now() + Duration::from_secs(60);
    (0..crate::buckets::SWEEPS).for_each(|_| service.layer().state.sweep(later));
    assert_eq!(service.layer().state.bounds()[0].used(), 0);
}

#[test]
fn names_settings_outside_of_their_ranges() {
    let wrong = Config { requests_per_sec: 0, burst_requests: 0, keys_max: 255, mode: Mode::Off };
    let keys: Vec<_> = wrong.problems().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["requests_per_sec", "burst_requests", "keys_max"]);
    assert_eq!(Config::default().problems(), []);
}
