//! JSON text without line breaks: messages on standard output and server-sent events end at one.

use bytes::Bytes;

/// The same JSON text on one line, at the same length. Checked text has line breaks only between its tokens, where a
/// space means the same.
pub(crate) fn one_line(json: String) -> String {
    if has_breaks(json.as_bytes()) { json.replace(['\n', '\r'], " ") } else { json }
}

/// As [`one_line`], for bytes that are copied only when they must be.
pub(crate) fn one_line_bytes(json: Bytes) -> Bytes {
    if !has_breaks(&json) {
        return json;
    }
    let unbroken = |byte: &u8| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte };
    json.iter().map(unbroken).collect()
}

fn has_breaks(json: &[u8]) -> bool {
    memchr::memchr2(b'\n', b'\r', json).is_some()
}
