//! What comes back from the stack.

use std::borrow::Cow;

use bytes::Bytes;

use crate::bound::Held;
use crate::capabilities::ClientCapabilities;
use crate::codes;
use crate::json::Span;
use crate::refusal::Refusal;
use crate::revision::Era;

/// The answer of the stack to one call, and the permits it keeps until it has been sent.
#[derive(Debug)]
pub struct Reply {
    /// What to say.
    pub outcome: Outcome,
    /// What to hold until it has been said.
    pub held: Held,
}

/// How a call ended.
#[derive(Debug)]
pub enum Outcome {
    /// With a result.
    Done(Content),
    /// With questions to the client; only for methods that [`crate::Method::may_ask`].
    InputRequired(InputRequired),
    /// With a JSON-RPC error.
    Failed(Fault),
}

impl Outcome {
    /// Bytes of what a plugin made, before anything is added.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Done(content) => content.bytes(),
            Self::InputRequired(input) => input.requests.len(),
            Self::Failed(_) => 0,
        }
    }
}

/// A result, in the shape in which it was made; the one serializer adds what the revision demands.
#[derive(Debug)]
pub enum Content {
    /// A whole result object of exactly this revision: nothing is added.
    Ready(Bytes),
    /// A plugin's whole result object: checked to be one JSON object.
    Object {
        /// The text, from `{` to `}`.
        json: Bytes,
        /// Where its own `_meta` object stands, if it has one.
        meta: Option<Span>,
        /// Freshness, for methods that are cacheable.
        cache: CacheHint,
    },
    /// Text: one text block of a tool, one user message of a prompt, the text of a resource.
    Text {
        /// UTF-8, not escaped.
        text: Bytes,
        /// Whether a tool reports its own failure.
        is_error: bool,
        /// MIME type, for resources.
        mime: Option<Box<str>>,
        /// Freshness, for methods that are cacheable.
        cache: CacheHint,
    },
    /// A tool's structured result: one JSON value, checked, plus its twin as text.
    Structured {
        /// The value.
        json: Bytes,
        /// Whether it is an object: only objects may go to legacy clients.
        is_object: bool,
        /// Whether a tool reports its own failure.
        is_error: bool,
    },
    /// Bytes: base64 goes out.
    Blob {
        /// The bytes.
        data: Bytes,
        /// Their MIME type.
        mime: Box<str>,
        /// Freshness, for methods that are cacheable.
        cache: CacheHint,
    },
}

impl Content {
    /// Bytes of the result as it was made, before anything is added.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Ready(json) | Self::Object { json, .. } | Self::Structured { json, .. } => {
                json.len()
            }
            Self::Text { text, .. } => text.len(),
            Self::Blob { data, .. } => data.len(),
        }
    }
}

/// How long and for whom a result stays fresh (2026-07-28, caching).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheHint {
    /// Milliseconds; 0 is stale at once.
    pub ttl_ms: u32,
    /// Who may be handed the stored answer.
    pub scope: CacheScope,
}

impl CacheHint {
    /// Stale at once, for this caller only: right whenever nothing else is known.
    pub const NONE: Self = Self { ttl_ms: 0, scope: CacheScope::Private };
}

/// Who may be handed a stored answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheScope {
    /// Everybody.
    Public,
    /// The caller only.
    Private,
}

impl CacheScope {
    /// The value on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }
}

/// Questions to the client.
#[derive(Debug)]
pub struct InputRequired {
    /// JSON object: name to `{method, params}`. May be `{}` when only `state` is there.
    pub requests: Bytes,
    /// What the client returns with its answers. The plugin's own bytes inside the house, the sealed text
    /// once `dispatch` has let it out to a modern client.
    pub state: Option<Bytes>,
}

/// A JSON-RPC error with the HTTP status it travels on.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// See [`codes`].
    pub code: i32,
    /// For the caller: never a path, a host or a cause.
    pub message: Cow<'static, str>,
    /// One JSON value.
    pub data: Option<Box<str>>,
    /// HTTP status for a modern client; legacy clients get 200 unless the transport itself refuses.
    pub http_status: u16,
}

impl Fault {
    /// A fault of the caller: HTTP 400.
    #[must_use]
    pub fn new(code: i32, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), data: None, http_status: 400 }
    }

    /// No such method: HTTP 404.
    #[must_use]
    pub fn method_not_found(method: &str) -> Self {
        let message = format!("Method not found: {method}");
        Self { http_status: 404, ..Self::new(codes::METHOD_NOT_FOUND, message) }
    }

    /// Params that do not fit.
    #[must_use]
    pub fn invalid_params(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(codes::INVALID_PARAMS, message)
    }

    /// A fault of ours: HTTP 200, since the spec leaves it open and a retry at HTTP level is no help.
    #[must_use]
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self { http_status: 200, ..Self::new(codes::INTERNAL_ERROR, message) }
    }

    /// No such resource: the code differs by era, `data.uri` does not.
    #[must_use]
    pub fn resource_not_found(era: Era, uri: &str) -> Self {
        let code = match era {
            Era::Legacy => codes::RESOURCE_NOT_FOUND,
            Era::Modern => codes::INVALID_PARAMS,
        };
        let mut data = String::from("{\"uri\":");
        crate::json::write_string(&mut data, uri);
        data.push('}');
        Self::new(code, "Resource not found").with_data(data)
    }

    /// What a refusal says, as the error that ends a task.
    #[must_use]
    pub fn of_refusal(refusal: &Refusal, generation: u64) -> Self {
        let fault = Self::new(refusal.kind.code(), refusal.message.clone());
        Self { http_status: refusal.kind.http_status(), ..fault }
            .with_data(refusal.data(generation))
    }

    /// A capability that the client did not declare: HTTP 400.
    #[must_use]
    pub fn missing_capability(
        message: impl Into<Cow<'static, str>>,
        missing: ClientCapabilities,
    ) -> Self {
        let data = format!("{{\"requiredCapabilities\":{}}}", missing.to_json());
        Self::new(codes::MISSING_CAPABILITY, message).with_data(data)
    }

    /// The same fault with `data`, one JSON value.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Box<str>>) -> Self {
        self.data = Some(data.into());
        self
    }
}

impl From<Outcome> for Reply {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, held: Held::default() }
    }
}
