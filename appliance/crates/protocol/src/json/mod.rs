//! Strict JSON, checked once and borrowed from then on (RFC 8259, plus limits).
//!
//! One pass over the bytes checks everything (syntax, UTF-8, depth, size, duplicate keys) and builds nothing.

mod clean;
mod integer;
mod keys;
mod raw;
mod scan;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use keys::DUPLICATE_KEY;
pub use raw::Raw;
pub(crate) use scan::{Halt, Scanner};
pub use write::{write_string, write_utf8_to};

/// Where a value stands in its text: byte offsets, end exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The span of `start..end`. The scanner takes no text of 4 GiB or more.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// Bytes between the two.
    pub(crate) const fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// The offsets as a range.
    #[must_use]
    pub const fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
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

impl std::fmt::Display for JsonError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for JsonError {}

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
    let mut scanner = Scanner::new(text, limits)?;
    match scanner.value().and_then(|(span, _)| scanner.end().map(|()| span)) {
        Ok(span) => Ok(scanner.raw(span)),
        Err(Halt) => Err(scanner.fault()),
    }
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
    let mut scanner = Scanner::new(text, limits)?;
    find(&mut scanner, wanted).map_err(|Halt| scanner.fault())
}

fn find<const N: usize>(
    scanner: &mut Scanner<'_>,
    wanted: [&str; N],
) -> Result<[Option<Span>; N], Halt> {
    let mut found = [None; N];
    let mut members = scanner.open_object()?;
    while let Some(key) = scanner.next_key(&mut members)? {
        let name = scanner.decoded(&key);
        let slot = wanted.iter().position(|wanted| *wanted == name);
        let (span, _) = scanner.value()?;
        if let Some(slot) = slot {
            found[slot] = Some(span);
        }
    }
    scanner.end()?;
    Ok(found)
}
