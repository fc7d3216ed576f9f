//! Reading values that have been checked already.

use std::borrow::Cow;

use super::Kind;
use super::clean::clean_run;
use super::integer::integer;

/// One JSON value as text that has been checked already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    pub(crate) const fn checked(text: &'a str) -> Self {
        Self(text)
    }

    /// The text as written.
    #[must_use]
    pub const fn text(self) -> &'a str {
        self.0
    }

    /// The kind of the value.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self.0.as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    /// The decoded string, when this is one; borrowed unless it has escapes.
    #[must_use]
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        (self.kind() == Kind::String).then(|| decode(&self.0[1..self.0.len() - 1]))
    }

    /// The integer, when this is one within `i64` (also `42.0` and `1e3`): exact, never rounded.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        if self.kind() == Kind::Number { integer(self.0) } else { None }
    }

    /// The number, when this is one.
    #[must_use]
    pub fn as_f64(self) -> Option<f64> {
        (self.kind() == Kind::Number).then(|| self.0.parse().ok()).flatten()
    }

    /// The boolean, when this is one.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        match self.0 {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// The member of an object.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Self> {
        self.members().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The members of an object, in order; none for other kinds.
    pub fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Self)> {
        let mut parts = Parts::of(self, Kind::Object);
        std::iter::from_fn(move || {
            let key = parts.next()?;
            Some((key.as_str()?, parts.next()?))
        })
    }

    /// The items of an array, in order; none for other kinds.
    pub fn items(self) -> impl Iterator<Item = Self> {
        Parts::of(self, Kind::Array)
    }
}

/// The values inside an array or object, keys included.
struct Parts<'a> {
    rest: &'a str,
}

impl<'a> Parts<'a> {
    fn of(raw: Raw<'a>, kind: Kind) -> Self {
        let rest = if raw.kind() == kind { &raw.0[1..raw.0.len() - 1] } else { "" };
        Self { rest }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Raw<'a>;

    fn next(&mut self) -> Option<Raw<'a>> {
        let is_between = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b',' | b':');
        let start = self.rest.bytes().position(|byte| !is_between(&byte))?;
        let value = &self.rest[start..];
        let (value, rest) = value.split_at(length(value.as_bytes()));
        self.rest = rest;
        Some(Raw(value))
    }
}

/// Bytes of the checked value that `bytes` begins with.
fn length(bytes: &[u8]) -> usize {
    match bytes.first() {
        Some(b'"') => string_length(bytes),
        Some(b'{' | b'[') => {
            let mut depth = 0usize;
            let mut at = 0;
            while let Some(byte) = bytes.get(at) {
                match byte {
                    b'"' => {
                        at += string_length(&bytes[at..]);
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    break;
                }
            }
            at
        }
        _ => {
            let ends =
                |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
            bytes.iter().position(ends).unwrap_or(bytes.len())
        }
    }
}

fn string_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    loop {
        at += clean_run(bytes.get(at..).unwrap_or_default());
        match bytes.get(at) {
            Some(b'\\') => at += 2,
            Some(_) => return at + 1,
            None => return bytes.len(),
        }
    }
}

/// The inside of a checked string, decoded.
pub(super) fn decode(written: &str) -> Cow<'_, str> {
    // Nothing else that is special stands inside a checked string.
    let first = clean_run(written.as_bytes());
    if first == written.len() {
        return written.into();
    }
    let mut out = String::with_capacity(written.len());
    let mut rest = written;
    let mut next = Some(first);
    while let Some(at) = next {
        out.push_str(&rest[..at]);
        let (decoded, length) = escape(&rest[at..]);
        out.push(decoded);
        rest = &rest[at + length..];
        next = rest.find('\\');
    }
    out.push_str(rest);
    out.into()
}

/// The character of the checked escape that `text` begins with, and its length.
fn escape(text: &str) -> (char, usize) {
    let unit = |at: usize| {
        let digits = text.get(at + 2..at + 6).unwrap_or_default();
        u32::from_str_radix(digits, 16).unwrap_or(0xFFFD)
    };
    match text.as_bytes().get(1) {
        Some(b'u') => {
            let high = unit(0);
            if (0xD800..0xDC00).contains(&high) {
                let code =
                    0x1_0000 + ((high - 0xD800) << 10) + (unit(6).wrapping_sub(0xDC00) & 0x3FF);
                (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
            } else {
                (char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 6)
            }
        }
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(other) => (char::from(*other), 2),
        None => (char::REPLACEMENT_CHARACTER, 1),
    }
}
