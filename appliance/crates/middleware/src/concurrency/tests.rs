use std::num::NonZeroUsize;

use super::*;
use crate::testing::{Inner, call, call_of_list, call_of_tool, reply};

fn config(mode: Mode, calls_max: usize) -> Config {
    Config {
        mode,
        calls_max: NonZeroUsize::new(calls_max).expect("not zero"),
        read_share_percent: 0,
        work_share_percent: 0,
        adaptive: false,
    }
}

fn refused(state: &State) -> u64 {
    state.readings().map(|(_, reading)| reading.refused).next().expect("the whole")
}

async fn answer(_: Call) -> Result<Reply, Refusal> {
    Ok(reply(1))
}

#[tokio::test]
async fn the_permit_lives_in_the_reply_and_not_in_the_future() {
    let config = config(Mode::Enforce, 1);
    let state = State::new(&config);
    let service = ConcurrencyLayer::new(&config, state.clone()).layer(Inner::new(answer));
    let first = (&service).call(call_of_tool("x")).await.expect("free");
    assert_eq!(state.bound().used(), 1);
    let refusal = (&service).call(call_of_tool("x")).await.expect_err("the reply is still held");
    assert_eq!(refusal.kind, RefusalKind::Overloaded);
    assert_eq!((refusal.limit, refusal.retry_after_secs()), (Some(1), Some(1)));
    drop(first);
    assert!((&service).call(call_of_tool("x")).await.is_ok());
}

#[tokio::test]
async fn a_refused_call_never_reaches_the_inner_service() {
    let config = config(Mode::Enforce, 1);
    let service = ConcurrencyLayer::new(&config, State::new(&config)).layer(Inner::new(answer));
    let _held = (&service).call(call_of_tool("x")).await.expect("free");
    assert!((&service).call(call_of_tool("x")).await.is_err());
    assert_eq!(service.inner.calls.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_dropped_call_gives_its_permit_back() {
    let config = config(Mode::Enforce, 1);
    let state = State::new(&config);
    let layer = ConcurrencyLayer::new(&config, state.clone());
    let service = layer.layer(Inner::new(|_| std::future::pending()));
    drop((&service).call(call_of_tool("x")));
    assert_eq!(state.bound().used(), 0);
}

#[tokio::test]
async fn shadow_mode_counts_and_lets_pass() {
    let config = config(Mode::Shadow, 1);
    let state = State::new(&config);
    let service = ConcurrencyLayer::new(&config, state.clone()).layer(Inner::new(answer));
    let _first = (&service).call(call_of_tool("x")).await.expect("free");
    let _second = (&service).call(call_of_tool("x")).await.expect("only counted");
    assert_eq!((state.bound().used(), refused(&state)), (2, 1));
}

#[tokio::test]
async fn off_takes_no_permit() {
    let config = config(Mode::Off, 1);
    let state = State::new(&config);
    let service = ConcurrencyLayer::new(&config, state.clone()).layer(Inner::new(answer));
    let _first = (&service).call(call_of_tool("x")).await.expect("off");
    let _second = (&service).call(call_of_tool("x")).await.expect("off");
    assert_eq!(state.bound().used(), 0);
}

#[test]
fn follows_a_lowered_bound_without_taking_permits_away() {
    let state = State::new(&config(Mode::Enforce, 2));
    let first = state.bound().try_take(Class::Work).expect("free");
    state.follow(&config(Mode::Enforce, 1));
    assert!(state.bound().try_take(Class::Work).is_none());
    drop(first);
    assert!(state.bound().try_take(Class::Work).is_some());
}

#[tokio::test]
async fn a_class_is_refused_when_others_are_guaranteed_the_rest() {
    let config = Config { read_share_percent: 50, ..config(Mode::Enforce, 4) };
    let state = State::new(&config);
    let service = ConcurrencyLayer::new(&config, state.clone()).layer(Inner::new(answer));
    let tool = || call_of_tool("x");
    let _work = [(&service).call(tool()).await, (&service).call(tool()).await].map(Result::unwrap);
    let refusal = (&service).call(tool()).await.expect_err("the rest is for reads");
    assert_eq!((&*refusal.scope, refusal.limit), ("work", Some(2)));
    let _read = state.bound().try_take(Class::Read).expect("guaranteed");
}

#[tokio::test]
async fn a_call_that_brings_its_permit_needs_no_other() {
    let config = config(Mode::Enforce, 1);
    let state = State::new(&config);
    let service = ConcurrencyLayer::new(&config, state.clone()).layer(Inner::new(answer));
    let mut call = call_of_tool("x");
    call.permit = state.bound().try_take(Class::Work);
    let reply = (&service).call(call).await.expect("it has a permit");
    assert_eq!(state.bound().used(), 1);
    drop(reply);
    assert_eq!(state.bound().used(), 0);
}

#[tokio::test]
async fn control_needs_no_permit() {
    let config = config(Mode::Enforce, 1);
    let state = State::new(&config);
    let service = ConcurrencyLayer::new(&config, state.clone()).layer(Inner::new(answer));
    let _held = (&service).call(call_of_tool("x")).await.expect("free");
    let _ping = (&service).call(call()).await.expect("a ping");
    assert_eq!(state.bound().used(), 1);
}

#[tokio::test]
async fn only_answered_work_moves_an_adaptive_limit() {
    let config = Config { adaptive: true, ..config(Mode::Enforce, 64) };
    for (is_work, is_answered) in [(true, true), (true, false), (false, true)] {
        let state = State::new(&config);
        let layer = ConcurrencyLayer::new(&config, state.clone());
        let answer = move |_| async move {
            let fault = Outcome::Failed(protocol::Fault::internal("no"));
            Ok(if is_answered { reply(1) } else { fault.into() })
        };
        let service = layer.layer(Inner::new(answer));
        let made = if is_work { call_of_tool("x") } else { call_of_list() };
        drop((&service).call(made).await.expect("free"));
        assert_eq!(state.gradient.has_noted(), is_work && is_answered);
    }
}

#[test]
fn shares_beyond_the_whole_and_bounds_beyond_the_most_are_problems() {
    let sum = Config { work_share_percent: 81, ..Config::default() };
    assert_eq!(sum.problems()[0].0, "work_share_percent");
    assert_eq!(config(Mode::Enforce, (1 << 20) + 1).problems()[0].0, "calls_max");
    assert!(Config { work_share_percent: 80, ..Config::default() }.problems().is_empty());
}
