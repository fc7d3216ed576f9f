//! Strict JSON, checked once and borrowed from then on (RFC 8259, plus limits).
//!
//! One pass over the bytes checks everything (syntax, UTF-8, depth, size, duplicate keys) and builds nothing.

use std::borrow::Cow;

/// Where a value stands in its text: byte offsets, end exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// Bounds of one JSON text. Exceeding any of them is an error of the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open arrays and objects at once.
    pub depth: u32,
    /// Values in the whole text.
    pub nodes: u32,
    /// Members of one object.
    pub keys_per_object: u32,
    /// Bytes of one key, as written.
    pub key_bytes: u32,
    /// Bytes of one number, as written.
    pub number_bytes: u32,
}

impl Limits {
    /// The house's limits, for requests and for what plugins return.
    pub const DEFAULT: Self = Self {
        depth: 64,
        nodes: 100_000,
        keys_per_object: 1_024,
        key_bytes: 256,
        number_bytes: 64,
    };
}

/// Why a text was refused, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// Byte offset.
    pub at: usize,
    /// What is wrong there, as a phrase: `expected a value`, `duplicate key`.
    pub what: &'static str,
}

/// The kind of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{}`
    Object,
    /// `[]`
    Array,
    /// `""`
    String,
    /// `0`
    Number,
    /// `true`, `false`
    Bool,
    /// `null`
    Null,
}

/// Checks that `text` is exactly one JSON value.
///
/// # Errors
/// The first thing wrong with it.
pub fn check<'a>(text: &'a [u8], limits: &Limits) -> Result<Raw<'a>, JsonError> {
    let _ = (text, limits);
    Err(JsonError { at: 0, what: "" })
}

/// Checks that `text` is exactly one JSON object, and finds the top-level members named in `wanted`.
///
/// # Errors
/// The first thing wrong with it.
pub fn check_object<const N: usize>(
    text: &[u8],
    limits: &Limits,
    wanted: [&str; N],
) -> Result<[Option<Span>; N], JsonError> {
    let _ = (text, limits, wanted);
    Err(JsonError { at: 0, what: "" })
}

/// Appends `text` as a JSON string, with its quotes.
pub fn write_string(out: &mut String, text: &str) {
    let _ = (out, text);
}

/// Appends `text` as a JSON string, with its quotes.
pub fn write_string_to(out: &mut Vec<u8>, text: &str) {
    let _ = (out, text);
}

/// One JSON value as text that has been checked already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// The text as written.
    #[must_use]
    pub const fn text(self) -> &'a str {
        self.0
    }
    /// The kind of the value.
    #[must_use]
    pub fn kind(self) -> Kind {
        Kind::Null
    }
    /// The decoded string, when this is one; borrowed unless it has escapes.
    #[must_use]
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        None
    }
    /// The integer, when this is one within `i64` (also `42.0` and `1e3`).
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        None
    }
    /// The number, when this is one.
    #[must_use]
    pub fn as_f64(self) -> Option<f64> {
        None
    }
    /// The boolean, when this is one.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        None
    }
    /// The member of an object.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Raw<'a>> {
        let _ = key;
        None
    }
    /// The members of an object, in order; none for other kinds.
    pub fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Raw<'a>)> {
        std::iter::empty()
    }
    /// The items of an array, in order; none for other kinds.
    pub fn items(self) -> impl Iterator<Item = Raw<'a>> {
        std::iter::empty()
    }
}
