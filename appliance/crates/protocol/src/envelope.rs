//! The JSON-RPC envelope, read without building values.

use std::borrow::Cow;

use bytes::Bytes;
use bytestring::ByteString;

use crate::codes;
use crate::json::{DUPLICATE_KEY, Halt, JsonError, Kind, Limits, Raw, Scanner, Span};
use crate::method::Method;

/// Most bytes of an id that is a string.
const ID_BYTES_MAX: usize = 128;
/// Largest integer that every client reads back exactly (RFC 8259, section 6).
const SAFE_INTEGER: u64 = 9_007_199_254_740_991;
/// Most messages of one batch: each is judged and charged for itself.
const BATCH_MESSAGES_MAX: usize = 100;

/// One checked JSON-RPC message. Holds the text that arrived and where its parts stand.
#[derive(Clone, Debug)]
pub struct Envelope {
    text: ByteString,
    shape: Shape,
    method: Method,
    // Boxed: a call is handed on by value a dozen times.
    places: Box<Places>,
}

/// Where the parts of a message stand.
#[derive(Clone, Debug)]
struct Places {
    id: Slot,
    method: Slot,
    params: Slot,
    result: Slot,
    error: Slot,
    param: [Slot; Param::COUNT],
    meta: [Slot; MetaKey::COUNT],
}

impl Places {
    const NOWHERE: Self = Self {
        id: Slot::ABSENT,
        method: Slot::ABSENT,
        params: Slot::ABSENT,
        result: Slot::ABSENT,
        error: Slot::ABSENT,
        param: [Slot::ABSENT; Param::COUNT],
        meta: [Slot::ABSENT; MetaKey::COUNT],
    };

    /// The id that stands in `text`.
    fn id(&self, text: &ByteString) -> Option<Id> {
        self.id.get().map(|span| Id(text.slice_ref(&text[span.range()])))
    }
}

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
    /// `error`, and `id` when the other side could read one.
    ErrorResponse,
}

/// A request id exactly as it stood in the message, quotes included: it goes back byte for byte.
/// The default is empty: a message without id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Id(ByteString);

impl Id {
    /// JSON text of the id, or empty.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// A span that may be absent, in eight bytes.
#[derive(Clone, Copy, Debug)]
struct Slot(Span);

impl Slot {
    const ABSENT: Self = Self(Span { start: u32::MAX, end: 0 });

    fn get(self) -> Option<Span> {
        (self.0.start != u32::MAX).then_some(self.0)
    }
}

macro_rules! members {
    ($(#[$doc:meta])* $name:ident { $($(#[$member_doc:meta])* $variant:ident = $key:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = concat!("`", $key, "`")] $variant,)*
        }

        impl $name {
            const COUNT: usize = [$($key,)*].len();

            fn parse(key: &str) -> Option<Self> {
                match key {
                    $($key => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

members! {
    /// Members of `params` that the house reads.
    Param {
        Meta = "_meta",
        Name = "name",
        Uri = "uri",
        Arguments = "arguments",
        Cursor = "cursor",
        Level = "level",
        Ref = "ref",
        Argument = "argument",
        Context = "context",
        InputResponses = "inputResponses",
        RequestState = "requestState",
        TaskId = "taskId",
        Notifications = "notifications",
        RequestId = "requestId",
        Reason = "reason",
        ProtocolVersion = "protocolVersion",
        Capabilities = "capabilities",
        ClientInfo = "clientInfo",
    }
}

members! {
    /// Members of `params._meta` that the house reads.
    MetaKey {
        ProgressToken = "progressToken",
        ProtocolVersion = "io.modelcontextprotocol/protocolVersion",
        ClientCapabilities = "io.modelcontextprotocol/clientCapabilities",
        ClientInfo = "io.modelcontextprotocol/clientInfo",
        LogLevel = "io.modelcontextprotocol/logLevel",
        Traceparent = "traceparent",
        Tracestate = "tracestate",
        Baggage = "baggage",
    }
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

impl EnvelopeError {
    fn invalid(message: &str, id: Option<Id>) -> Self {
        Self { code: codes::INVALID_REQUEST, message: format!("Invalid request: {message}"), id }
    }

    fn of_json(error: JsonError, id: Option<Id>) -> Self {
        let (code, label) = match error.what {
            // Well-formed to some readers, and of another meaning to others: not a message.
            DUPLICATE_KEY => (codes::INVALID_REQUEST, "Invalid request"),
            _ => (codes::PARSE_ERROR, "Parse error"),
        };
        Self { code, message: format!("{label}: {error}"), id }
    }
}

impl Envelope {
    /// Reads what arrived: one message or a batch.
    ///
    /// # Errors
    /// -32700 when it is not JSON within `limits`, -32600 when it is not a message.
    pub fn parse(text: Bytes, limits: &Limits) -> Result<Message, EnvelopeError> {
        let text = checked(text).map_err(|error| EnvelopeError::of_json(error, None))?;
        let mut scanner =
            Scanner::of_text(&text, limits).map_err(|error| EnvelopeError::of_json(error, None))?;
        if scanner.peek() == Some(b'[') {
            let batch = parse_batch(&mut scanner, &text);
            let batch = batch.map_err(|Halt| EnvelopeError::of_json(scanner.fault(), None))?;
            return batch.map(Message::Batch);
        }
        let read = Reader::new(&mut scanner).read(&text);
        let parts = read.map_err(|id| EnvelopeError::of_json(scanner.fault(), id))?;
        if let Err(Halt) = scanner.end() {
            let id = match &parts {
                Ok(parts) => parts.places.id(&text),
                Err(error) => error.id.clone(),
            };
            return Err(EnvelopeError::of_json(scanner.fault(), id));
        }
        parts.map(|parts| Message::One(parts.of(text)))
    }

    /// What kind of message this is.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// The method; `Unknown` also for responses.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The method as the client wrote it, decoded; empty for responses.
    #[must_use]
    pub fn method_name(&self) -> Cow<'_, str> {
        self.raw(self.places.method).and_then(Raw::as_str).unwrap_or_default()
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> Option<Id> {
        self.places.id(&self.text)
    }

    /// The whole `params`: an object.
    #[must_use]
    pub fn params(&self) -> Option<Raw<'_>> {
        self.raw(self.places.params)
    }

    /// One member of `params`.
    #[must_use]
    pub fn param(&self, param: Param) -> Option<Raw<'_>> {
        self.raw(self.places.param[param as usize])
    }

    /// One member of `params._meta`; none when `_meta` is not an object.
    #[must_use]
    pub fn meta(&self, key: MetaKey) -> Option<Raw<'_>> {
        self.raw(self.places.meta[key as usize])
    }

    /// `result` of a response.
    #[must_use]
    pub fn result(&self) -> Option<Raw<'_>> {
        self.raw(self.places.result)
    }

    /// `error` of a response.
    #[must_use]
    pub fn error(&self) -> Option<Raw<'_>> {
        self.raw(self.places.error)
    }

    /// The bytes of a part of this very envelope, sharing its buffer.
    #[must_use]
    pub fn share(&self, part: Raw<'_>) -> Bytes {
        self.text.as_bytes().slice_ref(part.text().as_bytes())
    }

    /// The same message in a buffer of its own: what is kept for long must not keep a connection's buffer with it.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { text: ByteString::from(String::from(&*self.text)), ..self.clone() }
    }

    /// Bytes of the whole message.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    fn raw(&self, slot: Slot) -> Option<Raw<'_>> {
        Some(Raw::checked(&self.text[slot.get()?.range()]))
    }
}

/// The text of a message, if it is UTF-8. Only the standard library's check makes an owned text of bytes without a
/// copy, and it is fast for ASCII alone: for everything else a faster check and a copy cost a fifth of it.
fn checked(bytes: Bytes) -> Result<ByteString, JsonError> {
    if bytes.is_ascii() {
        return ByteString::try_from(bytes).map_err(|error| not_utf8(error.valid_up_to()));
    }
    match simdutf8::basic::from_utf8(&bytes) {
        Ok(text) => Ok(ByteString::from(text)),
        Err(_) => {
            let error = std::str::from_utf8(&bytes).err();
            Err(not_utf8(error.map_or(0, |error| error.valid_up_to())))
        }
    }
}

const fn not_utf8(at: usize) -> JsonError {
    JsonError { at, what: "invalid UTF-8" }
}

/// The outer error is about the JSON, the inner about the batch.
fn parse_batch(
    scanner: &mut Scanner<'_>,
    text: &ByteString,
) -> Result<Result<Vec<Result<Envelope, EnvelopeError>>, EnvelopeError>, Halt> {
    let mut items = Vec::new();
    let mut is_first = true;
    scanner.open_array()?;
    while scanner.next_item(&mut is_first)? {
        if items.len() == BATCH_MESSAGES_MAX {
            let message = format!("a batch of more than {BATCH_MESSAGES_MAX} messages");
            return Ok(Err(EnvelopeError::invalid(&message, None)));
        }
        let parts = Reader::new(scanner).read(text).map_err(|_| Halt)?;
        items.push(parts.map(|parts| parts.of(text.clone())));
    }
    scanner.end()?;
    if items.is_empty() {
        return Ok(Err(EnvelopeError::invalid("an empty batch", None)));
    }
    Ok(Ok(items))
}

/// An envelope without its text.
struct Parts {
    shape: Shape,
    method: Method,
    places: Box<Places>,
}

impl Parts {
    /// The envelope, with the text that it was read from.
    fn of(self, text: ByteString) -> Envelope {
        let Self { shape, method, places } = self;
        Envelope { text, shape, method, places }
    }
}

/// Reads one message and notes where its parts stand.
struct Reader<'s, 't> {
    scanner: &'s mut Scanner<'t>,
    version: Slot,
    places: Box<Places>,
    /// The first thing that makes well-formed JSON not a message. Reading goes on, to find the id.
    fault: Option<&'static str>,
}

impl<'s, 't> Reader<'s, 't> {
    fn new(scanner: &'s mut Scanner<'t>) -> Self {
        Self { scanner, version: Slot::ABSENT, places: Box::new(Places::NOWHERE), fault: None }
    }

    /// The outer error is about the JSON, with the id if it was read before; the inner one is about the message.
    fn read(mut self, text: &ByteString) -> Result<Result<Parts, EnvelopeError>, Option<Id>> {
        match self.read_members() {
            Ok(()) => Ok(self.finish(text)),
            Err(Halt) => Err(self.places.id(text)),
        }
    }

    fn read_members(&mut self) -> Result<(), Halt> {
        if self.scanner.peek() != Some(b'{') {
            self.fault = Some("a message is an object");
            self.scanner.value()?;
            return Ok(());
        }
        let mut members = self.scanner.open_object()?;
        while let Some(key) = self.scanner.next_key(&mut members)? {
            let name = self.scanner.decoded(&key);
            if name == "params" {
                self.read_params()?;
                continue;
            }
            let (span, kind) = self.scanner.value()?;
            let slot = match (&*name, kind) {
                ("jsonrpc", Kind::String) => &mut self.version,
                ("id", Kind::String | Kind::Number) if self.is_fit_for_id(span) => {
                    &mut self.places.id
                }
                ("method", Kind::String) => &mut self.places.method,
                ("result", _) => &mut self.places.result,
                ("error", Kind::Object) => &mut self.places.error,
                ("jsonrpc" | "method" | "error", _) => {
                    self.fault.get_or_insert("a member is of the wrong kind");
                    continue;
                }
                ("id", _) => {
                    self.fault.get_or_insert("id must be a short string or a safe integer");
                    continue;
                }
                _ => {
                    self.fault.get_or_insert("unknown member");
                    continue;
                }
            };
            *slot = Slot(span);
        }
        Ok(())
    }

    fn read_params(&mut self) -> Result<(), Halt> {
        if self.scanner.peek() != Some(b'{') {
            self.fault.get_or_insert("params must be an object");
            self.scanner.value()?;
            return Ok(());
        }
        let start = self.scanner.position();
        let mut members = self.scanner.open_object()?;
        while let Some(key) = self.scanner.next_key(&mut members)? {
            match Param::parse(&self.scanner.decoded(&key)) {
                Some(Param::Meta) if self.scanner.peek() == Some(b'{') => self.read_meta()?,
                Some(param) => self.places.param[param as usize] = Slot(self.scanner.value()?.0),
                None => {
                    self.scanner.value()?;
                }
            }
        }
        self.places.params = Slot(Span::new(start, self.scanner.closed_at()));
        Ok(())
    }

    fn read_meta(&mut self) -> Result<(), Halt> {
        let start = self.scanner.position();
        let mut members = self.scanner.open_object()?;
        while let Some(key) = self.scanner.next_key(&mut members)? {
            let meta = MetaKey::parse(&self.scanner.decoded(&key));
            let (span, _) = self.scanner.value()?;
            if let Some(meta) = meta {
                self.places.meta[meta as usize] = Slot(span);
            }
        }
        self.places.param[Param::Meta as usize] = Slot(Span::new(start, self.scanner.closed_at()));
        Ok(())
    }

    fn raw(&self, slot: Slot) -> Option<Raw<'t>> {
        slot.get().map(|span| self.scanner.raw(span))
    }

    /// Judged as soon as it is read: an id that is echoed beside a later syntax error is a checked one too.
    fn is_fit_for_id(&self, span: Span) -> bool {
        let id = self.scanner.raw(span);
        match id.kind() {
            Kind::String => id.text().len() <= ID_BYTES_MAX + 2,
            // Only plain integers: `1.0` would have to come back as `1.0`, and no client sends it.
            _ => id.text().parse::<i64>().is_ok_and(|value| value.unsigned_abs() <= SAFE_INTEGER),
        }
    }

    fn shape(&self) -> Result<Shape, &'static str> {
        let has = |slot: Slot| slot.get().is_some();
        let Places { id, method, result, error, .. } = *self.places;
        match (has(method), has(result), has(error), has(id)) {
            (true, false, false, true) => Ok(Shape::Request),
            (true, false, false, false) => Ok(Shape::Notification),
            (false, true, false, true) => Ok(Shape::Response),
            (false, false, true, _) => Ok(Shape::ErrorResponse),
            (false, true, false, false) => Err("a response needs an id"),
            (false, false, false, _) => Err("neither method nor result nor error"),
            _ => Err("more than one of method, result and error"),
        }
    }

    fn finish(self, text: &ByteString) -> Result<Parts, EnvelopeError> {
        let refuse = |what: &str| EnvelopeError::invalid(what, self.places.id(text));
        if let Some(fault) = self.fault {
            return Err(refuse(fault));
        }
        let version = self.raw(self.version).and_then(Raw::as_str);
        if version.as_deref() != Some("2.0") {
            return Err(refuse("jsonrpc must be \"2.0\""));
        }
        let shape = self.shape().map_err(refuse)?;
        let name = self.raw(self.places.method).and_then(Raw::as_str);
        let method = name.map_or(Method::Unknown, |name| Method::parse(&name));
        Ok(Parts { shape, method, places: self.places })
    }
}

#[cfg(test)]
mod tests;
