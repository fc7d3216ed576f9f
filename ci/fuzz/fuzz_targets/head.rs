//! An HTTP head and a body: which era, and whether the headers mirror the body.
#![no_main]

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use protocol::envelope::Message;
use protocol::json::Limits;
use protocol::{Envelope, Era, Revision};

fuzz_target!(|data: &[u8]| {
    let Some((headers, body)) = split(data) else { return };
    let Ok(message) = Envelope::parse(Bytes::copy_from_slice(body), &Limits::DEFAULT) else {
        return;
    };
    let Message::One(envelope) = message else { return };
    let era = transport::fuzzing::era(&headers, &envelope);
    if transport::fuzzing::era_of_body(&envelope) == Era::Modern {
        assert_eq!(era, Era::Modern, "no header turns a modern body into a legacy one");
    }
    if !headers.contains_key("mcp-protocol-version") {
        assert_eq!(era, transport::fuzzing::era_of_body(&envelope));
    }
    if transport::fuzzing::mirrors(&headers, &envelope) {
        let version = headers.get("mcp-protocol-version").and_then(|value| value.to_str().ok());
        assert_eq!(version.map(str::trim), Some(Revision::MODERN.as_str()));
        let method = headers.get("mcp-method").and_then(|value| value.to_str().ok());
        assert_eq!(method.map(str::trim), Some(&*envelope.method_name()));
    }
});

fn split(data: &[u8]) -> Option<(HeaderMap, &[u8])> {
    let mut found = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut found);
    let httparse::Status::Complete(length) = request.parse(data).ok()? else { return None };
    let mut headers = HeaderMap::new();
    for header in request.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(header.value).ok()?);
    }
    Some((headers, &data[length..]))
}
