use http::Request;
use protocol::{Refusal, RefusalKind};
use tower_layer::Layer;
use tower_service::Service;

use super::*;
use crate::edge::Admit;
use crate::testing::{Inner, ask, call, neighbour, reply};
use crate::{ByteSize, Mode};

fn config(mode: Mode) -> Config {
    Config { mode, request_bytes_max: ByteSize(1_000), response_bytes_max: ByteSize(1_000) }
}

fn admit(mode: Mode, declared_bytes: Option<u64>) -> Result<usize, Refusal> {
    let service = PayloadRequestLayer::new(&config(mode)).layer(Admit);
    let admission = ask(&service, Request::new(()), neighbour(), declared_bytes);
    admission.map(|admission| admission.request_bytes_max)
}

#[test]
fn refuses_a_declared_length_above_the_cap() {
    assert_eq!(admit(Mode::Enforce, Some(1_000)), Ok(1_000));
    let refusal = admit(Mode::Enforce, Some(1_001)).expect_err("too large");
    assert_eq!((refusal.kind, refusal.limit), (RefusalKind::PayloadTooLarge, Some(1_000)));
    assert_eq!(refusal.retry_after(), None, "a retry cannot help");
}

#[test]
fn caps_a_body_that_declares_nothing() {
    assert_eq!(admit(Mode::Enforce, None), Ok(1_000));
}

#[test]
fn without_enforcement_only_the_hard_cap_holds() {
    let hard = Config::HARD_REQUEST_BYTES_MAX;
    for mode in [Mode::Shadow, Mode::Off] {
        assert_eq!(admit(mode, Some(1_001)), Ok(hard.bytes()), "{mode:?}");
        assert!(admit(mode, Some(hard.0 + 1)).is_err(), "{mode:?}");
    }
}

async fn answer(mode: Mode, bytes: usize) -> Result<(), RefusalKind> {
    let service = PayloadAnswerLayer::new(&config(mode))
        .layer(Inner::new(move |_| async move { Ok(reply(bytes)) }));
    (&service).call(call()).await.map(|_| ()).map_err(|refusal| refusal.kind)
}

#[tokio::test]
async fn replaces_a_result_above_the_cap() {
    assert_eq!(answer(Mode::Enforce, 1_000).await, Ok(()));
    assert_eq!(answer(Mode::Enforce, 1_001).await, Err(RefusalKind::PayloadTooLarge));
    assert_eq!(answer(Mode::Shadow, 1_001).await, Ok(()));
    assert_eq!(answer(Mode::Off, 1_001).await, Ok(()));
}

#[test]
fn names_sizes_out_of_range() {
    assert!(Config::default().problems().is_empty());
    let config = Config {
        request_bytes_max: ByteSize::mib(65),
        response_bytes_max: ByteSize(10),
        ..Config::default()
    };
    let keys: Vec<_> = config.problems().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["request_bytes_max", "response_bytes_max"]);
}
