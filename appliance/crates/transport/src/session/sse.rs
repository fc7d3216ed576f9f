//! The text of server-sent events (WHATWG HTML, 9.2), as the protocol uses them: one message, one `data` line.

use bytes::Bytes;

/// A line that clients skip: keeps a silent stream open, and finds out whether anybody is still there.
pub const COMMENT: &[u8] = b": \n\n";

/// One event. `data` is one JSON message; line ends in it, which are only white space there, are written as spaces.
#[must_use]
pub fn event(id: Option<&str>, retry_ms: Option<u32>, data: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(data.len() + id.map_or(0, str::len) + 64);
    fields(&mut out, id, retry_ms);
    out.extend_from_slice(b"data: ");
    let start = out.len();
    out.extend_from_slice(data);
    for byte in &mut out[start..] {
        if matches!(*byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\n\n");
    out.into()
}

/// The event that opens a stream to a client of 2025-11-25 or later: a place to come back to, and no message.
#[must_use]
pub fn priming(id: &str, retry_ms: Option<u32>) -> Bytes {
    let mut out = Vec::with_capacity(id.len() + 40);
    fields(&mut out, Some(id), retry_ms);
    out.extend_from_slice(b"data: \n\n");
    out.into()
}

fn fields(out: &mut Vec<u8>, id: Option<&str>, retry_ms: Option<u32>) {
    if let Some(id) = id {
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(id.as_bytes());
        out.push(b'\n');
    }
    if let Some(retry_ms) = retry_ms {
        out.extend_from_slice(format!("retry: {retry_ms}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_is_given_and_nothing_else() {
        assert_eq!(event(None, None, b"{}"), "data: {}\n\n");
        assert_eq!(event(Some("1_2"), None, b"{}"), "id: 1_2\ndata: {}\n\n");
        assert_eq!(event(Some("1_2"), Some(500), b"{}"), "id: 1_2\nretry: 500\ndata: {}\n\n");
        assert_eq!(event(None, Some(500), b"{}"), "retry: 500\ndata: {}\n\n");
    }

    #[test]
    fn keeps_a_message_on_one_line() {
        assert_eq!(event(None, None, b"{\r\n\"a\":\n1}"), "data: {  \"a\": 1}\n\n");
    }

    #[test]
    fn primes_with_empty_data() {
        assert_eq!(priming("1_0", Some(500)), "id: 1_0\nretry: 500\ndata: \n\n");
        assert_eq!(priming("1_0", None), "id: 1_0\ndata: \n\n");
    }

    #[test]
    fn comments_end_their_block() {
        assert!(COMMENT.starts_with(b":") && COMMENT.ends_with(b"\n\n"));
    }
}
