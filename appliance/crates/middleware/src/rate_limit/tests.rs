use std::net::Ipv4Addr;
use std::sync::atomic::Ordering::Relaxed;

use protocol::Bound;

use super::*;
use crate::testing::{Inner, call, call_of_tool, reply};

/// Every limit off.
fn unlimited(mode: Mode) -> Config {
    Config { mode, calls_per_sec: 0, sessions_per_min: 0, ..Config::default() }
}

async fn answer(_: Call) -> Result<Reply, Refusal> {
    Ok(reply(1))
}

type Answers = fn(Call) -> std::future::Ready<Result<Reply, Refusal>>;

fn service(config: &Config) -> RateLimit<Inner<Answers>> {
    let answers: Answers = |_| std::future::ready(Ok(reply(1)));
    RateLimitLayer::new(config, State::new(config)).layer(Inner::new(answers))
}

fn client(number: u32) -> Principal {
    Principal::at(Ipv4Addr::from(number).into())
}

async fn send(
    service: &RateLimit<Inner<Answers>>,
    principal: Principal,
    mut call: Call,
) -> Result<(), Refusal> {
    call.principal = principal;
    let mut service = service;
    service.call(call).await.map(|_| ())
}

fn keys(service: &RateLimit<Inner<Answers>>) -> [usize; 4] {
    service.layer().state.bounds().map(|bound: &std::sync::Arc<Bound>| bound.used())
}

#[tokio::test]
async fn a_client_that_calls_too_often_is_refused_and_others_are_not() {
    let config = Config { calls_per_sec: 1, burst_calls: 2, ..unlimited(Mode::Enforce) };
    let service = service(&config);
    send(&service, client(1), call()).await.expect("the first");
    send(&service, client(1), call_of_tool("echo")).await.expect("the second");
    let refusal = send(&service, client(1), call()).await.expect_err("the third at once");
    assert_eq!((refusal.kind, refusal.layer), (RefusalKind::RateLimited, NAME));
    assert_eq!((refusal.limit, refusal.scope.as_ref()), (Some(1), "client"));
    assert_eq!(refusal.principal, Some(client(1)));
    assert!(refusal.retry_after().is_some_and(|after| after.as_millis() <= 1_200));
    assert_eq!(service.inner.calls.load(Relaxed), 2, "a refused call goes no further");
    send(&service, client(2), call()).await.expect("another client");
}

#[tokio::test]
async fn a_tool_is_limited_for_all_clients_together() {
    let config = Config { tool_calls_per_sec: 1, tool_burst_calls: 2, ..unlimited(Mode::Enforce) };
    let service = service(&config);
    send(&service, client(1), call_of_tool("echo")).await.expect("the first");
    send(&service, client(2), call_of_tool("echo")).await.expect("the second");
    let refusal = send(&service, client(3), call_of_tool("echo")).await.expect_err("the third");
    assert_eq!(refusal.scope, "tool:echo");
    send(&service, client(3), call_of_tool("time")).await.expect("another tool");
    send(&service, client(3), call()).await.expect("no tool");
}

#[tokio::test]
async fn a_client_is_limited_for_each_tool_and_takes_nothing_from_others() {
    let config = Config {
        tool_calls_per_sec: 1,
        tool_burst_calls: 2,
        client_tool_calls_per_sec: 1,
        client_tool_burst_calls: 1,
        ..unlimited(Mode::Enforce)
    };
    let service = service(&config);
    send(&service, client(1), call_of_tool("echo")).await.expect("the first");
    for _ in 0..10 {
        let refused = send(&service, client(1), call_of_tool("echo")).await;
        assert_eq!(refused.expect_err("its second").scope, "client_tool:echo");
    }
    send(&service, client(1), call_of_tool("time")).await.expect("another tool");
    send(&service, client(2), call_of_tool("echo")).await.expect("what the tool has left");
    assert_eq!(keys(&service), [0, 2, 3, 0]);
}

#[tokio::test]
async fn tools_that_do_not_exist_count_against_the_client_alone() {
    let config = Config {
        calls_per_sec: 1,
        burst_calls: 3,
        tool_calls_per_sec: 1,
        client_tool_calls_per_sec: 1,
        ..unlimited(Mode::Enforce)
    };
    let service = service(&config);
    for number in 0..3 {
        let mut made_up = call_of_tool(&format!("made-up-{number}"));
        made_up.target = None;
        send(&service, client(1), made_up).await.expect("good for the client");
    }
    assert_eq!(keys(&service), [1, 0, 0, 0]);
    assert!(send(&service, client(1), call_of_tool("echo")).await.is_err());
}

#[test]
fn sessions_have_a_limit_of_their_own() {
    let config = Config { sessions_per_min: 1, burst_sessions: 2, ..Config::default() };
    let layer = RateLimitLayer::new(&config, State::new(&config));
    assert!((0..2).all(|_| layer.admit_session(client(1)).is_ok()));
    let refusal = layer.admit_session(client(1)).expect_err("the third");
    assert_eq!((refusal.scope.as_ref(), refusal.limit), ("session", Some(1)));
    assert!(refusal.retry_after_secs().is_some_and(|secs| (59..=72).contains(&secs)));
    assert!(layer.admit_session(client(2)).is_ok());
}

#[tokio::test]
async fn later_rounds_of_a_call_are_the_house_s_own() {
    let config = Config { calls_per_sec: 1, burst_calls: 1, ..unlimited(Mode::Enforce) };
    let service = service(&config);
    send(&service, client(1), call()).await.expect("the first");
    let mut later = call();
    later.round = 1;
    send(&service, client(1), later).await.expect("an answer, and no new call");
}

#[tokio::test]
async fn shadow_mode_only_counts_and_off_keeps_nothing() {
    for (mode, clients) in [(Mode::Shadow, 1), (Mode::Off, 0)] {
        let config = Config {
            mode,
            calls_per_sec: 1,
            burst_calls: 1,
            tool_calls_per_sec: 1,
            tool_burst_calls: 1,
            ..Config::default()
        };
        let service = service(&config);
        for _ in 0..5 {
            send(&service, client(1), call_of_tool("echo")).await.expect("not enforced");
            service.layer().admit_session(client(1)).expect("not enforced");
        }
        assert_eq!(keys(&service), [clients, clients, 0, clients], "{mode:?}");
    }
}

#[tokio::test]
async fn what_was_used_stays_used_when_settings_change() {
    let config = Config { calls_per_sec: 1, burst_calls: 1, ..unlimited(Mode::Enforce) };
    let state = State::new(&config);
    let before = RateLimitLayer::new(&config, state.clone()).layer(Inner::new(answer));
    assert!((&before).call(call()).await.is_ok());
    state.follow(&config);
    let after = RateLimitLayer::new(&config, state).layer(Inner::new(answer));
    assert!((&after).call(call()).await.is_err());
}

#[test]
fn names_settings_outside_of_their_ranges() {
    let wrong = Config {
        mode: Mode::Off,
        calls_per_sec: 1_000_001,
        burst_calls: 0,
        tool_calls_per_sec: 1_000_001,
        tool_burst_calls: 0,
        client_tool_calls_per_sec: 1_000_001,
        client_tool_burst_calls: 0,
        sessions_per_min: 1_000_001,
        burst_sessions: 0,
        keys_max: 255,
    };
    assert_eq!(wrong.problems().len(), 9);
    assert_eq!(Config::default().problems(), []);
}
