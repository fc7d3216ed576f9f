//! What came back, byte by byte: what of it a verdict is made of, and what a client goes on with.

use load::answer;
use serde_json::Value;

use super::judge::{Refused, Seen};

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer(Vec<u8>);

impl Answer {
    pub(super) const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// What a verdict is made of.
    pub(super) fn seen(&self) -> Seen {
        let message = self.message();
        let data = &message["error"]["data"];
        let text = |key: &str| data[key].as_str().map(str::to_owned);
        let refused = text("refusal").map(|kind| Refused {
            kind,
            layer: text("layer").unwrap_or_default(),
            scope: text("scope").unwrap_or_default(),
            code: message["error"]["code"].as_i64().unwrap_or_default(),
            retry_after_ms: data["retry_after_ms"].as_u64(),
            has_retry_header: self.header("retry-after").is_some(),
        });
        Seen::Answer { status: status(&self.0), refused }
    }

    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        answer::header(&self.0, name)
    }

    /// The JSON-RPC answer in the body; null when there is none.
    pub(super) fn message(&self) -> Value {
        answer::message(&self.body()).unwrap_or(Value::Null)
    }

    /// The body as text, of a stream with all its events.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body()).into_owned()
    }

    fn body(&self) -> Vec<u8> {
        answer::body(&self.0).unwrap_or_default()
    }
}

/// The status of an answer whose first line has come.
pub(super) fn status(bytes: &[u8]) -> u16 {
    let text = bytes.get(9..12).and_then(|status| str::from_utf8(status).ok());
    text.and_then(|status| status.parse().ok()).unwrap_or_default()
}
