//! `layer.http`: what the head of a request may be.

use serde_json::json;

use crate::layers::in_each_mode;
use crate::program::{Answer, Program, modern_call, modern_headers};
use crate::wire::{refusal, serve};

/// A call with more headers.
fn with_headers(program: &Program, headers: &str) -> Answer {
    let headers = format!("{headers}{}", modern_headers("tools/call", Some("echo")));
    program.post(&headers, &modern_call("echo", &json!({ "text": "x" })))
}

/// With the key at its lowest the headers are refused as a whole, with its default they are not.
fn refuses(key: &str, lowest: u32, headers: &str) {
    let program = serve(&[&format!("layer.http.{key}={lowest}")]);
    let answer = with_headers(&program, headers);
    assert_eq!(refusal(&answer), (431, "head_too_large".to_owned()));
    assert_eq!(answer.json()["error"]["data"]["limit"], lowest);
    assert_eq!(with_headers(&serve(&[]), headers).status, 200);
}

pub(crate) fn heads_are_refused_counted_or_let_in() {
    in_each_mode("http", &[], |program| with_headers(program, "mcp_session: 1\r\n"));
}

pub(crate) fn more_fields_than_their_cap_are_refused() {
    let headers: String = (0..20).map(|at| format!("x-{at}: 1\r\n")).collect();
    refuses("headers_max", 8, &headers);
}

pub(crate) fn a_name_above_its_cap_is_refused() {
    refuses("header_name_bytes_max", 32, &format!("{}: 1\r\n", "n".repeat(40)));
}

pub(crate) fn a_value_above_its_cap_is_refused() {
    refuses("header_value_bytes_max", 256, &format!("x: {}\r\n", "v".repeat(300)));
}

pub(crate) fn an_address_above_its_cap_is_refused() {
    for (bytes_max, status) in [(256, 414), (8_192, 404)] {
        let program = serve(&[&format!("layer.http.uri_bytes_max={bytes_max}")]);
        let head = format!("GET /{} HTTP/1.1\r\nHost: {}\r\n", "a".repeat(300), program.address);
        assert_eq!(program.request(&head, "").status, status);
    }
}

pub(crate) fn a_head_above_its_cap_is_given_up() {
    let headers = format!("x: {0}\r\ny: {0}\r\n", "v".repeat(7_000));
    for (bytes_max, status) in [("8KiB", 431), ("32KiB", 200)] {
        let program = serve(&[&format!("layer.http.head_bytes_max={bytes_max}")]);
        assert_eq!(with_headers(&program, &headers).status, status);
    }
}
