//! One serializer for every answer: the envelope, and what each revision demands around a result.

use bytes::Bytes;

use crate::call::ClientCapabilities;
use crate::envelope::Id;
use crate::event::LogLevel;
use crate::json::Raw;
use crate::method::Method;
use crate::refusal::Refusal;
use crate::reply::{Fault, Outcome};
use crate::revision::Revision;

/// What of a call its answer needs after the call itself has been handed on.
#[derive(Clone, Debug)]
pub struct ReplyTo {
    /// The id.
    pub id: Id,
    /// The revision that the answer is written for.
    pub revision: Revision,
    /// The method that was called.
    pub method: Method,
    /// The URI that was read, for `resources/read`: JSON text of the string.
    pub uri: Bytes,
}

/// Who answers: `Implementation` as one JSON object.
#[derive(Clone, Debug)]
pub struct ServerInfo(pub Bytes);

/// A whole JSON-RPC response.
#[must_use]
pub fn response(to: &ReplyTo, server: &ServerInfo, outcome: &Outcome) -> Bytes {
    let _ = (to, server, outcome);
    Bytes::new()
}
/// An error response; `id` is left out when empty (no schema admits null).
#[must_use]
pub fn fault(id: &Id, fault: &Fault) -> Bytes {
    let _ = (id, fault);
    Bytes::new()
}
/// A refusal as an error response.
#[must_use]
pub fn refusal(id: &Id, refusal: &Refusal, generation: u64) -> Bytes {
    let _ = (id, refusal, generation);
    Bytes::new()
}
/// `notifications/progress`.
#[must_use]
pub fn progress(
    token: Raw<'_>,
    revision: Revision,
    progress: f64,
    total: Option<f64>,
    message: Option<&str>,
) -> Bytes {
    let _ = (token, revision, progress, total, message);
    Bytes::new()
}
/// `notifications/message`.
#[must_use]
pub fn log(level: LogLevel, logger: Option<&str>, data: &str) -> Bytes {
    let _ = (level, logger, data);
    Bytes::new()
}
/// Any other notification; `params` is the text of one object, or empty.
#[must_use]
pub fn notification(method: &str, params: &str) -> Bytes {
    let _ = (method, params);
    Bytes::new()
}
/// A request of ours to a legacy client; `id` is a number.
#[must_use]
pub fn request(id: u64, method: &str, params: &str) -> Bytes {
    let _ = (id, method, params);
    Bytes::new()
}
/// Reads a `ClientCapabilities` object.
#[must_use]
pub fn capabilities(raw: Raw<'_>) -> ClientCapabilities {
    let _ = raw;
    ClientCapabilities::NONE
}
