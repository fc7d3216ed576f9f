//! One serializer for every answer: the envelope, and what each revision demands around a result.

mod notification;
mod result;
mod task;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::capabilities::ClientCapabilities;
use crate::envelope::Id;
use crate::json::{Kind, Raw, write_utf8_to};
use crate::method::Method;
use crate::refusal::Refusal;
use crate::reply::{Content, Fault, Outcome};
use crate::revision::Revision;

pub use notification::{log, notification, progress, request};
pub use task::{task_created, task_members};

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

const HEAD: &[u8] = b"{\"jsonrpc\":\"2.0\"";

/// A whole JSON-RPC response.
#[must_use]
pub fn response(to: &ReplyTo, server: &ServerInfo, outcome: &Outcome) -> Bytes {
    let mut out = Vec::new();
    write_response(&mut out, to, server, outcome);
    out.into()
}

/// Appends a whole JSON-RPC response.
pub fn write_response(out: &mut Vec<u8>, to: &ReplyTo, server: &ServerInfo, outcome: &Outcome) {
    let content = match outcome {
        Outcome::Failed(fault) => return write_fault(out, &to.id, fault),
        Outcome::InputRequired(input) => result::Shape::Questions(input),
        Outcome::Done(content) => result::Shape::Content(content),
    };
    let begin = out.len();
    out.reserve(content.bytes_at_least() + server.0.len() + 256);
    open(out, &to.id);
    out.extend_from_slice(b",\"result\":");
    if result::write(out, to, server, content).is_err() {
        out.truncate(begin);
        let fault = Fault::internal("This answer has no form in this revision.");
        return write_fault(out, &to.id, &fault);
    }
    out.push(b'}');
}

/// The result object alone, for answers that carry it inside of another; `None` when the revision has no form for it.
#[must_use]
pub fn result(to: &ReplyTo, server: &ServerInfo, content: &Content) -> Option<Bytes> {
    let shape = result::Shape::Content(content);
    let mut out = Vec::with_capacity(shape.bytes_at_least() + server.0.len() + 128);
    result::write(&mut out, to, server, shape).ok()?;
    Some(out.into())
}

/// The error object alone, for answers that carry it inside of another.
#[must_use]
pub fn error_object(fault: &Fault) -> Bytes {
    let mut out = Vec::with_capacity(64 + fault.message.len());
    write_error(&mut out, fault.code, &fault.message, fault.data.as_deref());
    out.into()
}

/// An error response; `id` is left out when empty (no schema admits null).
#[must_use]
pub fn fault(id: &Id, fault: &Fault) -> Bytes {
    let mut out = Vec::new();
    write_fault(&mut out, id, fault);
    out.into()
}

fn write_fault(out: &mut Vec<u8>, id: &Id, fault: &Fault) {
    error(out, id, fault.code, &fault.message, fault.data.as_deref());
}

/// A refusal as an error response.
#[must_use]
pub fn refusal(id: &Id, refusal: &Refusal, generation: u64) -> Bytes {
    let mut out = Vec::new();
    write_refusal(&mut out, id, refusal, generation);
    out.into()
}

/// Appends a refusal as an error response.
pub fn write_refusal(out: &mut Vec<u8>, id: &Id, refusal: &Refusal, generation: u64) {
    let data = refusal.data(generation);
    error(out, id, refusal.kind.code(), &refusal.message, Some(&data));
}

fn open(out: &mut Vec<u8>, id: &Id) {
    out.extend_from_slice(HEAD);
    if !id.text().is_empty() {
        out.extend_from_slice(b",\"id\":");
        out.extend_from_slice(id.text().as_bytes());
    }
}

fn error(out: &mut Vec<u8>, id: &Id, code: i32, message: &str, data: Option<&str>) {
    out.reserve(128 + message.len() + data.map_or(0, str::len));
    open(out, id);
    out.extend_from_slice(b",\"error\":");
    write_error(out, code, message, data);
    out.push(b'}');
}

fn write_error(out: &mut Vec<u8>, code: i32, message: &str, data: Option<&str>) {
    out.extend_from_slice(b"{\"code\":");
    out.extend_from_slice(itoa::Buffer::new().format(code).as_bytes());
    out.extend_from_slice(b",\"message\":");
    write_utf8_to(out, message.as_bytes());
    if let Some(data) = data {
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(data.as_bytes());
    }
    out.push(b'}');
}

/// Reads a `ClientCapabilities` object.
#[must_use]
pub fn capabilities(raw: Raw<'_>) -> ClientCapabilities {
    type Set = ClientCapabilities;
    let is_object = |raw: &Raw<'_>| raw.kind() == Kind::Object;
    let mut all = Set::NONE;
    for (name, value) in raw.members().filter(|(_, value)| is_object(value)) {
        let has = |key: &str| value.get(key).filter(is_object).is_some();
        let add = |declared: bool, set: Set| if declared { set } else { Set::NONE };
        let set = match &*name {
            // The empty object means forms only, as it did before there was a choice.
            "elicitation" => add(has("form") || !has("url"), Set::ELICITATION_FORM)
                .with(add(has("url"), Set::ELICITATION_URL)),
            "sampling" => Set::SAMPLING
                .with(add(has("tools"), Set::SAMPLING_TOOLS))
                .with(add(has("context"), Set::SAMPLING_CONTEXT)),
            "roots" => Set::ROOTS,
            "extensions" => add(has("io.modelcontextprotocol/tasks"), Set::TASKS),
            _ => Set::NONE,
        };
        all = all.with(set);
    }
    all
}
