//! The JSON-RPC envelope, read without building values.

use bytes::Bytes;

use crate::json::{Limits, Raw};
use crate::method::Method;

/// One checked JSON-RPC message. Holds the text that arrived and where its parts stand.
#[derive(Clone, Debug)]
pub struct Envelope {}

/// What arrived: one message, or a batch (2025-03-26 only; the transport decides).
#[derive(Debug)]
pub enum Message {
    /// One message.
    One(Envelope),
    /// An array of messages, each judged for itself.
    Batch(Vec<Result<Envelope, EnvelopeError>>),
}

/// What kind of message an envelope is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `method` and `id`.
    Request,
    /// `method` without `id`.
    Notification,
    /// `id` and `result`.
    Response,
    /// `id` and `error`.
    ErrorResponse,
}

/// A request id exactly as it stood in the message, quotes included: it goes back byte for byte.
/// The default is empty: a message without id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Id(Bytes);

impl Id {
    /// JSON text of the id, or empty.
    #[must_use]
    pub fn text(&self) -> &str {
        ""
    }
}

/// Members of `params` that the house reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Param {
    Meta,
    Name,
    Uri,
    Arguments,
    Cursor,
    Level,
    Ref,
    Argument,
    Context,
    InputResponses,
    RequestState,
    Notifications,
    RequestId,
    Reason,
    ProtocolVersion,
    Capabilities,
    ClientInfo,
}

/// Members of `params._meta` that the house reads (keys under `io.modelcontextprotocol/` or bare).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum MetaKey {
    ProgressToken,
    ProtocolVersion,
    ClientCapabilities,
    ClientInfo,
    LogLevel,
    Traceparent,
    Tracestate,
    Baggage,
}

/// Why a text is not a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeError {
    /// -32700 or -32600.
    pub code: i32,
    /// For the caller.
    pub message: String,
    /// The id, when one could be read.
    pub id: Option<Id>,
}

impl Envelope {
    /// Reads what arrived.
    /// # Errors
    /// When it is not one valid message or a batch.
    pub fn parse(text: Bytes, limits: &Limits) -> Result<Message, EnvelopeError> {
        let _ = (text, limits);
        Err(EnvelopeError {
            code: 0,
            message: String::new(),
            id: None,
        })
    }
    /// What kind of message this is.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape::Request
    }
    /// The method; `Unknown` also for responses.
    #[must_use]
    pub fn method(&self) -> Method {
        Method::Unknown
    }
    /// The method as the client wrote it (decoded); empty for responses.
    #[must_use]
    pub fn method_name(&self) -> std::borrow::Cow<'_, str> {
        "".into()
    }
    /// The id.
    #[must_use]
    pub fn id(&self) -> Option<Id> {
        None
    }
    /// The whole `params`: an object, or an array that no method of MCP accepts.
    #[must_use]
    pub fn params(&self) -> Option<Raw<'_>> {
        None
    }
    /// One member of `params`.
    #[must_use]
    pub fn param(&self, param: Param) -> Option<Raw<'_>> {
        let _ = param;
        None
    }
    /// One member of `params._meta`.
    #[must_use]
    pub fn meta(&self, key: MetaKey) -> Option<Raw<'_>> {
        let _ = key;
        None
    }
    /// `result` of a response.
    #[must_use]
    pub fn result(&self) -> Option<Raw<'_>> {
        None
    }
    /// `error` of a response.
    #[must_use]
    pub fn error(&self) -> Option<Raw<'_>> {
        None
    }
    /// The bytes of a part of this very envelope, sharing its buffer.
    #[must_use]
    pub fn share(&self, part: Raw<'_>) -> Bytes {
        let _ = part;
        Bytes::new()
    }
}
