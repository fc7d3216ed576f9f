//! Finds the end of an HTTP/1.1 answer in the bytes that have arrived, and reads the message in it.

use serde_json::Value;

/// Most header lines of an answer; a server here sends about ten.
const HEADERS_MAX: usize = 32;

/// What the bytes so far amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The answer is not whole yet.
    Partial,
    /// The answer ends after this many bytes.
    Whole {
        /// The status.
        status: u16,
        /// Bytes of head and body.
        length: usize,
        /// Whether the server closes the connection after it.
        closes: bool,
    },
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug)]
enum Body {
    /// It ends at this place in the buffer.
    Counted(usize),
    /// It is in chunks; the next one begins at this place in the buffer.
    Chunked(usize),
}

/// What a head says.
#[derive(Clone, Copy, Debug)]
struct Head {
    status: u16,
    body: Body,
    closes: bool,
}

/// Reads one answer after the other; what it has understood of one survives until the answer is whole.
#[derive(Debug, Default)]
pub struct Parser {
    head: Option<Head>,
}

impl Parser {
    /// Looks at `buffer`, which begins with the answer and grows from call to call. Ready for the next answer once
    /// this one is whole.
    ///
    /// # Errors
    /// Why this is no HTTP/1.1 answer whose end can be found.
    pub fn advance(&mut self, buffer: &[u8]) -> Result<Progress, String> {
        let known = match self.head {
            Some(head) => head,
            None => match head(buffer)? {
                Some(head) => head,
                None => return Ok(Progress::Partial),
            },
        };
        let body = match known.body {
            Body::Chunked(at) => chunks(buffer, at)?,
            counted @ Body::Counted(_) => counted,
        };
        if let Body::Counted(end) = body
            && buffer.len() >= end
        {
            self.head = None;
            let Head { status, closes, .. } = known;
            return Ok(Progress::Whole { status, length: end, closes });
        }
        self.head = Some(Head { body, ..known });
        Ok(Progress::Partial)
    }
}

/// What the head says, once it is whole.
fn head(buffer: &[u8]) -> Result<Option<Head>, String> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(buffer).map_err(|error| format!("not HTTP: {error}"))?;
    let httparse::Status::Complete(end) = parsed else {
        return Ok(None);
    };
    let status = response.code.unwrap_or_default();
    let mut closes = response.version == Some(0);
    let mut body = matches!(status, 204 | 304).then_some(Body::Counted(end));
    for header in response.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("connection") {
            closes |= header.value.eq_ignore_ascii_case(b"close");
        } else if body.is_none() && is("content-length") {
            let text = str::from_utf8(header.value).unwrap_or_default();
            let length: usize = text.parse().map_err(|_| format!("content-length: {text}"))?;
            let whole = end.checked_add(length).ok_or("an answer larger than memory")?;
            body = Some(Body::Counted(whole));
        } else if body.is_none() && is("transfer-encoding") {
            body = Some(Body::Chunked(end));
        }
    }
    match body {
        Some(body) => Ok(Some(Head { status, body, closes })),
        None => Err(format!("the answer with status {status} does not say where it ends")),
    }
}

/// Walks over the chunks from `at`: the end of the body, or where the first chunk begins that has not arrived.
fn chunks(buffer: &[u8], mut at: usize) -> Result<Body, String> {
    loop {
        let rest = buffer.get(at..).unwrap_or_default();
        let Ok(size) = httparse::parse_chunk_size(rest) else {
            return Err("a chunk without a size".to_owned());
        };
        let httparse::Status::Complete((line_bytes, size)) = size else {
            return Ok(Body::Chunked(at));
        };
        let size = usize::try_from(size).map_err(|_| "a chunk larger than memory".to_owned())?;
        let next = size.checked_add(at + line_bytes + 2).ok_or("a chunk larger than memory")?;
        if size == 0 {
            return Ok(Body::Counted(next));
        }
        if next > buffer.len() {
            return Ok(Body::Chunked(at));
        }
        at = next;
    }
}

/// The value of a header of a whole answer.
#[must_use]
pub fn header<'a>(answer: &'a [u8], name: &str) -> Option<&'a str> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(answer).ok()?;
    let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    str::from_utf8(found.value).ok()
}

/// The body of a whole answer, without its chunks' frames.
///
/// # Errors
/// Why this is no HTTP/1.1 answer, or that it is not whole.
pub fn body(answer: &[u8]) -> Result<Vec<u8>, String> {
    match head(answer)?.map(|head| head.body) {
        Some(Body::Counted(end)) => {
            let start = memchr::memmem::find(answer, b"\r\n\r\n").map_or(end, |at| at + 4);
            Ok(answer.get(start..end).unwrap_or_default().to_vec())
        }
        Some(Body::Chunked(mut at)) => {
            let mut body = Vec::new();
            while let Ok(httparse::Status::Complete((line_bytes, size))) =
                httparse::parse_chunk_size(answer.get(at..).unwrap_or_default())
            {
                let start = at + line_bytes;
                let end = start.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
                if size == 0 {
                    break;
                }
                body.extend_from_slice(answer.get(start..end).unwrap_or_default());
                at = end.saturating_add(2);
            }
            Ok(body)
        }
        None => Err("the answer is not whole".to_owned()),
    }
}

/// The JSON-RPC answer in a body: the body itself, or the event of a stream that has a result or an error.
#[must_use]
pub fn message(body: &[u8]) -> Option<Value> {
    if let Ok(message) = serde_json::from_slice(body) {
        return Some(message);
    }
    let text = str::from_utf8(body).ok()?;
    let events = text.lines().filter_map(|line| line.strip_prefix("data:"));
    events
        .filter_map(|data| serde_json::from_str::<Value>(data.trim()).ok())
        .find(|message| message.get("result").is_some() || message.get("error").is_some())
}

/// Whether `message` is the answer to a call of `echo` with `text`.
#[must_use]
pub fn echoes(message: &Value, text: &str) -> bool {
    message.get("error").is_none()
        && message["result"]["isError"] != true
        && message["result"]["content"][0]["text"] == text
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTED: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nMcp-Session-Id: s1\r\n\r\nhello";
    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\ndata\r\n20\r\n: {\"result\":{\"isError\":false}}\n\n\r\n0\r\n\r\n";

    /// Hands over one byte more each time; the answer must be whole with the last one and not before.
    fn drip(answer: &[u8]) -> Progress {
        let mut parser = Parser::default();
        for end in 0..answer.len() {
            assert_eq!(parser.advance(&answer[..end]), Ok(Progress::Partial), "{end}");
        }
        parser.advance(answer).unwrap()
    }

    #[test]
    fn counted_body_ends_where_its_length_says() {
        assert_eq!(
            drip(COUNTED),
            Progress::Whole { status: 200, length: COUNTED.len(), closes: false }
        );
        assert_eq!(body(COUNTED).unwrap(), b"hello");
    }

    #[test]
    fn chunked_body_ends_after_its_last_chunk() {
        assert_eq!(
            drip(CHUNKED),
            Progress::Whole { status: 200, length: CHUNKED.len(), closes: false }
        );
        assert_eq!(body(CHUNKED).unwrap(), b"data: {\"result\":{\"isError\":false}}\n\n");
    }

    #[test]
    fn answer_without_content_ends_with_its_head() {
        let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(
            drip(answer),
            Progress::Whole { status: 204, length: answer.len(), closes: false }
        );
    }

    #[test]
    fn server_says_when_it_closes_the_connection() {
        let answer = b"HTTP/1.1 503 Busy\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(
            drip(answer),
            Progress::Whole { status: 503, length: answer.len(), closes: true }
        );
    }

    #[test]
    fn lengths_beyond_memory_are_refused() {
        let counted = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", usize::MAX);
        assert!(Parser::default().advance(counted.as_bytes()).is_err());
        let chunk = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n";
        assert!(Parser::default().advance(chunk).is_err());
    }

    #[test]
    fn bytes_after_the_answer_are_not_part_of_it() {
        let both = [COUNTED, COUNTED].concat();
        let progress = Parser::default().advance(&both);
        assert_eq!(
            progress,
            Ok(Progress::Whole { status: 200, length: COUNTED.len(), closes: false })
        );
    }

    #[test]
    fn parser_is_ready_for_the_next_answer() {
        let mut parser = Parser::default();
        parser.advance(CHUNKED).unwrap();
        let progress =
            parser.advance(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").unwrap();
        assert!(matches!(progress, Progress::Whole { status: 404, .. }));
    }

    #[test]
    fn refuses_what_is_not_http_or_has_no_end() {
        assert!(Parser::default().advance(b"SSH-2.0-x\r\n").is_err());
        assert!(Parser::default().advance(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        let chunk = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
        assert!(Parser::default().advance(chunk).is_err());
    }

    #[test]
    fn finds_headers_in_any_case() {
        assert_eq!(header(COUNTED, "mcp-session-id"), Some("s1"));
        assert_eq!(header(COUNTED, "x-none"), None);
    }

    #[test]
    fn finds_the_answer_among_events() {
        let stream =
            b"id: 0\nretry: 3000\ndata:\n\nid: 1\ndata: {\"method\":\"notifications/message\"}\n\n\
                       data: {\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}}\n\n";
        let message = message(stream).unwrap();
        assert!(echoes(&message, "hi"));
        assert!(!echoes(&message, "ho"));
    }

    #[test]
    fn errors_of_either_kind_are_no_echo() {
        let failed = br#"{"result":{"isError":true,"content":[{"type":"text","text":"hi"}]}}"#;
        assert!(!echoes(&message(failed).unwrap(), "hi"));
        let refused = br#"{"error":{"code":-32603,"message":"hi"}}"#;
        assert!(!echoes(&message(refused).unwrap(), "hi"));
    }
}
