//! The scanner: one pass, no values.

use std::borrow::Cow;
use std::collections::HashSet;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::clean::clean_run;
use super::raw::decode;
use super::{JsonError, Kind, Limits, Raw, Span};

/// Keys of one object that are compared one by one; above it a set takes over, so that time stays linear.
const FEW_KEYS: usize = 16;

/// The inside of a string as written: between its quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text {
    pub(crate) span: Span,
    /// Whether it has to be decoded to be read.
    pub(crate) is_escaped: bool,
}

/// Reading stopped at a fault, which the scanner tells. Nothing itself, so that results travel in registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Halt;

type Scanned<T> = Result<T, Halt>;

/// An open object.
pub(crate) struct Members<'t> {
    /// Where its keys begin on the scanner's stack.
    base: usize,
    is_first: bool,
    many: Option<HashSet<Cow<'t, str>, RandomState>>,
}

/// Reads one text from its first byte to its last.
pub(crate) struct Scanner<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    depth: u32,
    nodes: u32,
    limits: Limits,
    /// Behind the last object or array that was left.
    closed_at: usize,
    /// Why reading halted.
    fault: JsonError,
    /// Keys of every open object.
    keys: SmallVec<[Text; FEW_KEYS]>,
}

impl<'t> Scanner<'t> {
    /// Begins with `bytes`, which must be UTF-8 without a byte order mark.
    pub(crate) fn new(bytes: &'t [u8], limits: &Limits) -> Result<Self, JsonError> {
        let text = simdutf8::basic::from_utf8(bytes).map_err(|_| {
            let at = std::str::from_utf8(bytes).err().map_or(0, |error| error.valid_up_to());
            JsonError { at, what: "invalid UTF-8" }
        })?;
        Self::of_text(text, limits)
    }

    /// Begins with text that is known to be UTF-8.
    pub(crate) fn of_text(text: &'t str, limits: &Limits) -> Result<Self, JsonError> {
        // What a span can hold; `payload` allows far less.
        if u32::try_from(text.len()).is_err() {
            return Err(JsonError { at: 0, what: "longer than 4 GiB" });
        }
        let keys = SmallVec::new();
        let bytes = text.as_bytes();
        let fault = JsonError { at: 0, what: "" };
        let mut scanner = Self {
            text,
            bytes,
            at: 0,
            depth: 0,
            nodes: 0,
            limits: *limits,
            closed_at: 0,
            fault,
            keys,
        };
        scanner.skip_space();
        Ok(scanner)
    }

    /// The checked text of a value.
    pub(crate) fn raw(&self, span: Span) -> Raw<'t> {
        Raw::checked(&self.text[span.range()])
    }

    /// Where the scanner stands.
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// Behind the object or array that was left last.
    pub(crate) const fn closed_at(&self) -> usize {
        self.closed_at
    }

    /// Why reading halted.
    pub(crate) const fn fault(&self) -> JsonError {
        self.fault
    }

    #[cold]
    fn error<T>(&mut self, what: &'static str) -> Scanned<T> {
        self.error_at(self.at, what)
    }

    #[cold]
    fn error_at<T>(&mut self, at: usize, what: &'static str) -> Scanned<T> {
        self.fault = JsonError { at, what };
        Err(Halt)
    }

    /// The byte that the next value begins with.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Whether `text`, decoded, is `expected`.
    pub(crate) fn is(&self, text: &Text, expected: &str) -> bool {
        if text.is_escaped {
            *self.decoded(text) == *expected
        } else {
            self.written(text) == expected
        }
    }

    /// A string, decoded if it must be.
    pub(crate) fn decoded(&self, text: &Text) -> Cow<'t, str> {
        if text.is_escaped { decode(self.written(text)) } else { self.written(text).into() }
    }

    fn written(&self, text: &Text) -> &'t str {
        &self.text[text.span.range()]
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Checks that nothing but space is left.
    pub(crate) fn end(&mut self) -> Scanned<()> {
        self.skip_space();
        if self.at == self.bytes.len() { Ok(()) } else { self.error("trailing characters") }
    }

    /// Passes over one value and the space behind it.
    pub(crate) fn value(&mut self) -> Scanned<(Span, Kind)> {
        let start = self.at;
        let kind = match self.peek() {
            Some(b'"') => {
                self.node()?;
                self.string()?;
                Kind::String
            }
            Some(b'{') => {
                let mut members = self.open_object()?;
                while self.next_key(&mut members)?.is_some() {
                    self.value()?;
                }
                return Ok((Span::new(start, self.closed_at), Kind::Object));
            }
            Some(b'[') => return self.array(start),
            Some(b'-' | b'0'..=b'9') => {
                self.node()?;
                self.number()?;
                Kind::Number
            }
            Some(b't') => self.word("true", Kind::Bool)?,
            Some(b'f') => self.word("false", Kind::Bool)?,
            Some(b'n') => self.word("null", Kind::Null)?,
            Some(_) => return self.error("expected a value"),
            None => return self.error("unexpected end"),
        };
        let span = Span::new(start, self.at);
        self.skip_space();
        Ok((span, kind))
    }

    fn node(&mut self) -> Scanned<()> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes { self.error("too many values") } else { Ok(()) }
    }

    fn deeper(&mut self) -> Scanned<()> {
        self.node()?;
        self.depth += 1;
        if self.depth > self.limits.depth { self.error("nested too deeply") } else { Ok(()) }
    }

    fn word(&mut self, word: &str, kind: Kind) -> Scanned<Kind> {
        self.node()?;
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return self.error("expected a value");
        }
        self.at += word.len();
        Ok(kind)
    }

    fn array(&mut self, start: usize) -> Scanned<(Span, Kind)> {
        self.open_array()?;
        let mut is_first = true;
        while self.next_item(&mut is_first)? {
            self.value()?;
        }
        Ok((Span::new(start, self.closed_at), Kind::Array))
    }

    /// Enters an array.
    pub(crate) fn open_array(&mut self) -> Scanned<()> {
        if self.peek() != Some(b'[') {
            return self.error("expected an array");
        }
        self.deeper()?;
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    /// Goes to the next item, or leaves the array.
    pub(crate) fn next_item(&mut self, is_first: &mut bool) -> Scanned<bool> {
        match self.peek() {
            Some(b']') => {
                self.at += 1;
                self.depth -= 1;
                self.closed_at = self.at;
                self.skip_space();
                Ok(false)
            }
            Some(b',') if !*is_first => {
                self.at += 1;
                self.skip_space();
                if self.peek() == Some(b']') { self.error("expected a value") } else { Ok(true) }
            }
            Some(_) if std::mem::take(is_first) => Ok(true),
            Some(_) => self.error("expected , or ]"),
            None => self.error("unexpected end"),
        }
    }

    /// Enters an object.
    pub(crate) fn open_object(&mut self) -> Scanned<Members<'t>> {
        if self.peek() != Some(b'{') {
            return self.error("expected an object");
        }
        self.deeper()?;
        self.at += 1;
        self.skip_space();
        Ok(Members { base: self.keys.len(), is_first: true, many: None })
    }

    /// Goes to the next member's value, or leaves the object.
    pub(crate) fn next_key(&mut self, members: &mut Members<'t>) -> Scanned<Option<Text>> {
        match self.peek() {
            Some(b'}') => {
                self.at += 1;
                self.depth -= 1;
                self.closed_at = self.at;
                self.keys.truncate(members.base);
                self.skip_space();
                return Ok(None);
            }
            Some(b',') if !members.is_first => {
                self.at += 1;
                self.skip_space();
            }
            Some(_) if members.is_first => members.is_first = false,
            Some(_) => return self.error("expected , or }"),
            None => return self.error("unexpected end"),
        }
        if self.peek() != Some(b'"') {
            return self.error("expected a key");
        }
        let key_at = self.at;
        let key = self.string()?;
        if let Err(what) = self.check_key(key, members) {
            return self.error_at(key_at, what);
        }
        self.skip_space();
        if self.peek() != Some(b':') {
            return self.error("expected :");
        }
        self.at += 1;
        self.skip_space();
        Ok(Some(key))
    }

    fn check_key(&mut self, key: Text, members: &mut Members<'t>) -> Result<(), &'static str> {
        if key.span.end - key.span.start > self.limits.key_bytes {
            return Err("key too long");
        }
        if key.is_escaped && self.decoded(&key).contains('\0') {
            return Err("NUL in a key");
        }
        let count = self.keys.len() - members.base;
        if count >= self.limits.keys_per_object as usize {
            return Err("too many keys");
        }
        let is_new = if count < FEW_KEYS {
            let bytes = &self.bytes[key.span.range()];
            !self.keys[members.base..].iter().any(|other| self.same(other, &key, bytes))
        } else {
            let decoded = self.decoded(&key);
            let set = members.many.get_or_insert_with(|| {
                self.keys[members.base..].iter().map(|key| self.decoded(key)).collect()
            });
            set.insert(decoded)
        };
        if !is_new {
            return Err(DUPLICATE_KEY);
        }
        self.keys.push(key);
        Ok(())
    }

    /// Whether `other` is the same key as `key`, which is written as `bytes`.
    fn same(&self, other: &Text, key: &Text, bytes: &[u8]) -> bool {
        if other.is_escaped || key.is_escaped {
            return self.decoded(other) == self.decoded(key);
        }
        let length = (other.span.end - other.span.start) as usize;
        length == bytes.len() && &self.bytes[other.span.range()] == bytes
    }

    /// Passes over a string.
    pub(crate) fn string(&mut self) -> Scanned<Text> {
        let start = self.at + 1;
        let mut is_escaped = false;
        self.at = start;
        loop {
            self.at += clean_run(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    let span = Span::new(start, self.at);
                    self.at += 1;
                    return Ok(Text { span, is_escaped });
                }
                Some(b'\\') => {
                    is_escaped = true;
                    self.escape()?;
                }
                Some(_) => return self.error("control character in a string"),
                None => return self.error("unterminated string"),
            }
        }
    }

    fn escape(&mut self) -> Scanned<()> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => match self.unit(self.at)? {
                0xD800..=0xDBFF => {
                    let follows = self.bytes.get(self.at + 6..self.at + 8) == Some(b"\\u");
                    if !follows || !(0xDC00..=0xDFFF).contains(&self.unit(self.at + 6)?) {
                        return self.error("lone surrogate");
                    }
                    self.at += 12;
                    Ok(())
                }
                0xDC00..=0xDFFF => self.error("lone surrogate"),
                _ => {
                    self.at += 6;
                    Ok(())
                }
            },
            _ => self.error("invalid escape"),
        }
    }

    /// The code unit of the `\uXXXX` at `at`.
    fn unit(&mut self, at: usize) -> Scanned<u32> {
        let digits = self.bytes.get(at + 2..at + 6).unwrap_or_default();
        let value = digits.iter().try_fold(0, |value, digit| {
            char::from(*digit).to_digit(16).map(|digit| value * 16 + digit)
        });
        match value {
            Some(value) if digits.len() == 4 => Ok(value),
            _ => self.error_at(at, "invalid escape"),
        }
    }

    fn digits(&mut self) -> Scanned<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { self.error("expected a digit") } else { Ok(()) }
    }

    fn number(&mut self) -> Scanned<()> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        if self.at - start > self.limits.number_bytes as usize {
            return self.error_at(start, "number too long");
        }
        Ok(())
    }
}

/// What a repeated key is called in a [`JsonError`].
pub(crate) const DUPLICATE_KEY: &str = "duplicate key";
