use std::num::NonZeroUsize;

use super::*;
use crate::testing::{Inner, call, reply};

fn config(mode: Mode, calls_max: usize) -> Config {
    Config { mode, calls_max: NonZeroUsize::new(calls_max).expect("not zero") }
}

async fn answer(_: Call) -> Result<Reply, Refusal> {
    Ok(reply(1))
}

#[tokio::test]
async fn the_permit_lives_in_the_reply_and_not_in_the_future() {
    let config = config(Mode::Enforce, 1);
    let state = State::new(&config);
    let service = ConcurrencyLayer::new(&config, state.clone()).layer(Inner::new(answer));
    let first = (&service).call(call()).await.expect("free");
    assert_eq!(state.bound().used(), 1);
    let refusal = (&service).call(call()).await.expect_err("the reply is still held");
    assert_eq!(refusal.kind, RefusalKind::Overloaded);
    assert_eq!((refusal.limit, refusal.retry_after_secs()), (Some(1), Some(1)));
    drop(first);
    assert!((&service).call(call()).await.is_ok());
}

#[tokio::test]
async fn a_refused_call_never_reaches_the_inner_service() {
    let config = config(Mode::Enforce, 1);
    let service = ConcurrencyLayer::new(&config, State::new(&config)).layer(Inner::new(answer));
    let _held = (&service).call(call()).await.expect("free");
    assert!((&service).call(call()).await.is_err());
    assert_eq!(service.inner.calls.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_dropped_call_gives_its_permit_back() {
    let config = config(Mode::Enforce, 1);
    let state = State::new(&config);
    let layer = ConcurrencyLayer::new(&config, state.clone());
    let service = layer.layer(Inner::new(|_| std::future::pending()));
    drop((&service).call(call()));
    assert_eq!(state.bound().used(), 0);
}

#[tokio::test]
async fn shadow_mode_counts_and_lets_pass() {
    let config = config(Mode::Shadow, 1);
    let state = State::new(&config);
    let service = ConcurrencyLayer::new(&config, state.clone()).layer(Inner::new(answer));
    let _first = (&service).call(call()).await.expect("free");
    let _second = (&service).call(call()).await.expect("only counted");
    assert_eq!((state.bound().used(), state.bound().refused()), (2, 1));
}

#[tokio::test]
async fn off_takes_no_permit() {
    let config = config(Mode::Off, 1);
    let state = State::new(&config);
    let service = ConcurrencyLayer::new(&config, state.clone()).layer(Inner::new(answer));
    let _first = (&service).call(call()).await.expect("off");
    let _second = (&service).call(call()).await.expect("off");
    assert_eq!(state.bound().used(), 0);
}

#[test]
fn follows_a_lowered_bound_without_taking_permits_away() {
    let state = State::new(&config(Mode::Enforce, 2));
    let first = state.bound().try_take().expect("free");
    state.follow(&config(Mode::Enforce, 1));
    assert!(state.bound().try_take().is_none());
    drop(first);
    assert!(state.bound().try_take().is_some());
}
