use ::http::Request;

use super::*;
use crate::ByteSize;
use crate::edge::Admit;
use crate::testing::{ask, neighbour};

fn refused(config: &Config, request: ::http::request::Builder) -> Option<Refusal> {
    let service = HttpLayer::new(config).layer(Admit);
    ask(&service, request.body(()).expect("valid request"), neighbour(), None).err()
}

fn kind(config: &Config, request: ::http::request::Builder) -> Option<RefusalKind> {
    refused(config, request).map(|refusal| refusal.kind)
}

/// A request with one header.
fn with(name: &str, value: &str) -> ::http::request::Builder {
    Request::post("/mcp").header(name, value)
}

#[test]
fn refuses_an_address_above_its_cap_and_not_at_it() {
    let config = Config { uri_bytes_max: ByteSize(300), ..Config::default() };
    let long = |bytes: usize| Request::get(format!("/{}?b", "a".repeat(bytes - 3)));
    assert_eq!(kind(&config, long(300)), None);
    let refusal = refused(&config, long(301)).expect("too long");
    assert_eq!((refusal.kind, refusal.limit), (RefusalKind::UriTooLong, Some(300)));
    let absolute = format!("http://{}/{}", "h".repeat(100), "a".repeat(200));
    assert_eq!(kind(&config, Request::get(absolute)), Some(RefusalKind::UriTooLong));
}

#[test]
fn refuses_more_fields_than_its_cap_and_not_as_many() {
    let config = Config { headers_max: 8, ..Config::default() };
    let many = |count: u32| {
        (0..count).fold(Request::get("/"), |request, at| request.header(format!("x-{at}"), "1"))
    };
    assert_eq!(kind(&config, many(8)), None);
    let refusal = refused(&config, many(9)).expect("too many");
    assert_eq!((refusal.kind, refusal.limit), (RefusalKind::HeadTooLarge, Some(8)));
}

#[test]
fn refuses_a_name_and_a_value_above_their_caps_and_not_at_them() {
    let config = Config {
        header_name_bytes_max: ByteSize(32),
        header_value_bytes_max: ByteSize(256),
        ..Config::default()
    };
    assert_eq!(kind(&config, with(&"n".repeat(32), &"v".repeat(256))), None);
    let name = refused(&config, with(&"n".repeat(33), "v")).expect("too long");
    let value = refused(&config, with("n", &"v".repeat(257))).expect("too long");
    assert_eq!((name.kind, name.limit), (RefusalKind::HeadTooLarge, Some(32)));
    assert_eq!((value.kind, value.limit), (RefusalKind::HeadTooLarge, Some(256)));
}

#[test]
fn refuses_names_that_a_proxy_would_take_for_others() {
    let config = Config::default();
    for name in ["mcp_session_id", "_", "x-long-name-with-one_at-its-end"] {
        assert_eq!(kind(&config, with(name, "1")), Some(RefusalKind::HeadMalformed), "{name}");
    }
    assert_eq!(kind(&config, with("mcp-session-id", "a_value_may_have_some")), None);
}

#[test]
fn finds_an_underscore_at_every_place_of_a_name_of_any_length() {
    for length in 0..40 {
        let plain = "n-".repeat(20).as_bytes()[..length].to_vec();
        assert!(!contains_underscore(&plain));
        for at in 0..length {
            let mut name = plain.clone();
            name[at] = b'_';
            assert!(contains_underscore(&name), "{at} of {length}");
        }
    }
}

#[test]
fn refuses_transfer_codings_that_are_not_chunked_alone() {
    let config = Config::default();
    for coding in ["chunked", "Chunked"] {
        assert_eq!(kind(&config, with("transfer-encoding", coding)), None, "{coding}");
    }
    for coding in ["gzip, chunked", "identity", "xchunked", "chunked, chunked", ""] {
        let refused = kind(&config, with("transfer-encoding", coding));
        assert_eq!(refused, Some(RefusalKind::HeadMalformed), "{coding}");
    }
    let twice = with("transfer-encoding", "chunked").header("transfer-encoding", "chunked");
    assert_eq!(kind(&config, twice), Some(RefusalKind::HeadMalformed));
}

#[test]
fn refuses_nothing_in_shadow_or_off() {
    for mode in [Mode::Shadow, Mode::Off] {
        let config = Config { mode, headers_max: 0, ..Config::default() };
        assert_eq!(kind(&config, with("a_b", "1")), None);
        assert_eq!(State::new(&config).judge_flood(&config, 1), Ok(()));
    }
    let config = Config::default();
    let refusal = State::new(&config).judge_flood(&config, 7).expect_err("enforced");
    assert_eq!((refusal.kind, refusal.limit), (RefusalKind::ConnectionAbused, Some(7)));
}

#[test]
fn follows_new_settings() {
    let state = State::new(&Config::default());
    let config = Config { headers_max: 9, ..Config::default() };
    state.follow(&config);
    assert_eq!(*state.settings(), config);
}

#[test]
fn names_the_keys_that_are_out_of_range() {
    let keys =
        |config: &Config| config.problems().into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(keys(&Config::default()), [""; 0]);
    let http2 = Http2 { streams_max: 0, frame_bytes_max: ByteSize::kib(8), ..Http2::default() };
    let wrong =
        Config { head_bytes_max: ByteSize::kib(4), headers_max: 101, http2, ..Config::default() };
    let expected = ["head_bytes_max", "headers_max", "http2.frame_bytes_max", "http2.streams_max"];
    assert_eq!(keys(&wrong), expected);
}
