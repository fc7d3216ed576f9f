//! The scanner: one pass, no values.

use std::borrow::Cow;

use super::clean::clean_run;
use super::keys::{Keys, Members};
use super::{JsonError, Kind, Limits, Raw, Span};

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

/// Reads one text from its first byte to its last.
pub(crate) struct Scanner<'t> {
    text: &'t str,
    /// What has not been read yet: the end of `text`.
    rest: &'t [u8],
    /// Objects and arrays that may still be entered.
    depth_left: u32,
    /// Values that may still come.
    nodes_left: u32,
    limits: Limits,
    /// Behind the last object or array that was left.
    closed_at: usize,
    /// Why reading halted.
    fault: JsonError,
    keys: Keys,
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
        let mut scanner = Self {
            text,
            rest: text.as_bytes(),
            depth_left: limits.depth,
            nodes_left: limits.nodes,
            limits: *limits,
            closed_at: 0,
            fault: JsonError { at: 0, what: "" },
            keys: Keys::new(),
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
        self.text.len() - self.rest.len()
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
        self.error_at(self.position(), what)
    }

    #[cold]
    fn error_at<T>(&mut self, at: usize, what: &'static str) -> Scanned<T> {
        self.fault = JsonError { at, what };
        Err(Halt)
    }

    /// The byte that the next value begins with.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Passes over `byte` if it comes next.
    #[inline]
    fn take(&mut self, byte: u8) -> bool {
        match self.rest {
            [first, rest @ ..] if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// A string, decoded if it must be.
    #[inline]
    pub(crate) fn decoded(&self, text: &Text) -> Cow<'t, str> {
        text.decoded(self.text)
    }

    #[inline]
    fn skip_space(&mut self) {
        // Programs write none.
        if let [first, ..] = self.rest
            && *first > b' '
        {
            return;
        }
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Checks that nothing but space is left.
    pub(crate) fn end(&mut self) -> Scanned<()> {
        self.skip_space();
        if self.rest.is_empty() { Ok(()) } else { self.error("trailing characters") }
    }

    /// Passes over one value and the space behind it.
    pub(crate) fn value(&mut self) -> Scanned<(Span, Kind)> {
        let start = self.position();
        let kind = match self.peek() {
            Some(b'"') => {
                self.node()?;
                let quoted = &self.rest[1..];
                let clean = clean_run(quoted);
                match &quoted[clean..] {
                    // As programs write it.
                    [b'"', rest @ ..] if rest.first().is_some_and(|next| *next > b' ') => {
                        self.rest = rest;
                        let span = Span::new(start, start + clean + 2);
                        return Ok((span, Kind::String));
                    }
                    _ => self.string()?,
                };
                Kind::String
            }
            Some(b'{') => {
                self.object()?;
                return Ok((Span::new(start, self.closed_at), Kind::Object));
            }
            Some(b'[') => {
                self.array()?;
                return Ok((Span::new(start, self.closed_at), Kind::Array));
            }
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
        let span = Span::new(start, self.position());
        self.skip_space();
        Ok((span, kind))
    }

    #[inline]
    fn node(&mut self) -> Scanned<()> {
        match self.nodes_left.checked_sub(1) {
            Some(left) => {
                self.nodes_left = left;
                Ok(())
            }
            None => self.error("too many values"),
        }
    }

    #[inline]
    fn deeper(&mut self) -> Scanned<()> {
        self.node()?;
        match self.depth_left.checked_sub(1) {
            Some(left) => {
                self.depth_left = left;
                Ok(())
            }
            None => self.error("nested too deeply"),
        }
    }

    /// Behind the end of an object or array.
    #[inline]
    fn leave(&mut self) {
        self.depth_left += 1;
        self.closed_at = self.position();
        self.skip_space();
    }

    fn word(&mut self, word: &str, kind: Kind) -> Scanned<Kind> {
        self.node()?;
        match self.rest.strip_prefix(word.as_bytes()) {
            Some(rest) => {
                self.rest = rest;
                Ok(kind)
            }
            None => self.error("expected a value"),
        }
    }

    fn object(&mut self) -> Scanned<()> {
        let mut members = self.open_object()?;
        while self.next_key(&mut members)?.is_some() {
            self.value()?;
        }
        Ok(())
    }

    fn array(&mut self) -> Scanned<()> {
        self.open_array()?;
        let mut is_first = true;
        while self.next_item(&mut is_first)? {
            self.value()?;
        }
        Ok(())
    }

    /// Enters an array.
    pub(crate) fn open_array(&mut self) -> Scanned<()> {
        if !self.take(b'[') {
            return self.error("expected an array");
        }
        self.deeper()?;
        self.skip_space();
        Ok(())
    }

    /// Goes to the next item, or leaves the array.
    #[inline]
    pub(crate) fn next_item(&mut self, is_first: &mut bool) -> Scanned<bool> {
        if self.take(b']') {
            self.leave();
            return Ok(false);
        }
        if std::mem::take(is_first) {
            return Ok(true);
        }
        if !self.take(b',') {
            let is_end = self.rest.is_empty();
            return self.error(if is_end { "unexpected end" } else { "expected , or ]" });
        }
        self.skip_space();
        if self.peek() == Some(b']') { self.error("expected a value") } else { Ok(true) }
    }

    /// Enters an object.
    pub(crate) fn open_object(&mut self) -> Scanned<Members<'t>> {
        if !self.take(b'{') {
            return self.error("expected an object");
        }
        self.deeper()?;
        self.skip_space();
        Ok(self.keys.open())
    }

    /// Goes to the next member's value and tells its key, or leaves the object.
    #[inline]
    pub(crate) fn next_key(&mut self, members: &mut Members<'t>) -> Scanned<Option<Text>> {
        // As programs write it: no space, no escape.
        let quoted = match self.rest {
            [b',', b'"', quoted @ ..] if !members.is_first => quoted,
            [b'"', quoted @ ..] if members.is_first => quoted,
            [b'}', rest @ ..] => {
                self.rest = rest;
                self.keys.close(members);
                self.leave();
                return Ok(None);
            }
            _ => return self.next_key_in_full(members).map(Some),
        };
        let (key, rest) = quoted.split_at(clean_run(quoted));
        let [b'"', b':', value @ ..] = rest else {
            return self.next_key_in_full(members).map(Some);
        };
        if value.first().is_none_or(|first| *first <= b' ') {
            return self.next_key_in_full(members).map(Some);
        }
        let start = self.text.len() - quoted.len();
        let text = Text { span: Span::new(start, start + key.len()), is_escaped: false };
        if let Err(what) = self.keys.add(text, key, members, self.text, &self.limits) {
            return self.error_at(start - 1, what);
        }
        members.is_first = false;
        self.rest = value;
        Ok(Some(text))
    }

    #[inline(never)]
    fn next_key_in_full(&mut self, members: &mut Members<'t>) -> Scanned<Text> {
        let is_first = std::mem::take(&mut members.is_first);
        if !is_first {
            if !self.take(b',') {
                let is_end = self.rest.is_empty();
                return self.error(if is_end { "unexpected end" } else { "expected , or }" });
            }
            self.skip_space();
        }
        let key_at = self.position();
        if self.peek() != Some(b'"') {
            let is_end = self.rest.is_empty() && is_first;
            return self.error(if is_end { "unexpected end" } else { "expected a key" });
        }
        let key = self.string()?;
        let written = &self.text.as_bytes()[key.span.range()];
        if let Err(what) = self.keys.add(key, written, members, self.text, &self.limits) {
            return self.error_at(key_at, what);
        }
        self.skip_space();
        if !self.take(b':') {
            return self.error("expected :");
        }
        self.skip_space();
        Ok(key)
    }

    /// Passes over a string, whose quote comes next.
    #[inline]
    fn string(&mut self) -> Scanned<Text> {
        let start = self.position() + 1;
        self.rest = &self.rest[1..];
        let mut is_escaped = false;
        loop {
            self.rest = &self.rest[clean_run(self.rest)..];
            if self.take(b'"') {
                let span = Span::new(start, self.position() - 1);
                return Ok(Text { span, is_escaped });
            }
            self.special()?;
            is_escaped = true;
        }
    }

    /// Passes over an escape; anything else that is special has no place in a string.
    #[cold]
    #[inline(never)]
    fn special(&mut self) -> Scanned<()> {
        match self.rest {
            [b'\\', ..] => self.escape(),
            [] => self.error("unterminated string"),
            _ => self.error("control character in a string"),
        }
    }

    fn escape(&mut self) -> Scanned<()> {
        let length = match self.rest {
            [_, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [_, b'u', ..] => match self.unit(0)? {
                0xD800..=0xDBFF => {
                    let follows = self.rest.get(6..8) == Some(b"\\u");
                    if !follows || !(0xDC00..=0xDFFF).contains(&self.unit(6)?) {
                        return self.error("lone surrogate");
                    }
                    12
                }
                0xDC00..=0xDFFF => return self.error("lone surrogate"),
                _ => 6,
            },
            _ => return self.error("invalid escape"),
        };
        self.rest = &self.rest[length..];
        Ok(())
    }

    /// The code unit of the `\uXXXX` that stands `ahead` bytes further on.
    fn unit(&mut self, ahead: usize) -> Scanned<u32> {
        let digits = self.rest.get(ahead + 2..ahead + 6).unwrap_or_default();
        let value = digits.iter().try_fold(0, |value, digit| {
            char::from(*digit).to_digit(16).map(|digit| value * 16 + digit)
        });
        match value {
            Some(value) if digits.len() == 4 => Ok(value),
            _ => self.error_at(self.position() + ahead, "invalid escape"),
        }
    }

    #[inline]
    fn digits(&mut self) -> Scanned<()> {
        let [b'0'..=b'9', ..] = self.rest else {
            return self.error("expected a digit");
        };
        while let [b'0'..=b'9', rest @ ..] = self.rest {
            self.rest = rest;
        }
        Ok(())
    }

    fn number(&mut self) -> Scanned<()> {
        let start = self.position();
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if let [b'e' | b'E', rest @ ..] = self.rest {
            self.rest = rest;
            if let [b'+' | b'-', rest @ ..] = self.rest {
                self.rest = rest;
            }
            self.digits()?;
        }
        if self.position() - start > self.limits.number_bytes as usize {
            return self.error_at(start, "number too long");
        }
        Ok(())
    }
}
