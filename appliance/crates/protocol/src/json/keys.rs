//! Which keys an object has had, so that none comes twice.

use std::borrow::Cow;
use std::collections::HashSet;

use foldhash::fast::RandomState;

use super::Limits;
use super::raw::decode;
use super::scan::Text;

/// Keys of one object that are compared one by one; above it a set takes over, so that time stays linear.
const FEW_KEYS: usize = 16;
/// Keys for which there is room from the start: those of an ordinary message.
const KEYS: usize = 24;

/// What a repeated key is called in a [`super::JsonError`].
pub(crate) const DUPLICATE_KEY: &str = "duplicate key";

/// Keys of every open object, innermost last.
pub(super) struct Keys(Vec<Text>);

/// An open object.
pub(crate) struct Members<'t> {
    /// Where its keys begin among [`Keys`].
    base: usize,
    pub(super) is_first: bool,
    /// A bit for each [`mark`] among its keys: a new one needs no comparison.
    marks: u64,
    many: Option<HashSet<Cow<'t, str>, RandomState>>,
}

impl Keys {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(KEYS))
    }

    /// Enters an object.
    pub(super) fn open<'t>(&self) -> Members<'t> {
        Members { base: self.0.len(), is_first: true, marks: 0, many: None }
    }

    /// Leaves an object.
    pub(super) fn close(&mut self, members: &Members<'_>) {
        self.0.truncate(members.base);
    }

    /// Adds a key of the innermost object, `written` in `text`, unless it is too long, one too many, or there already.
    #[inline(always)]
    pub(super) fn add<'t>(
        &mut self,
        key: Text,
        written: &[u8],
        members: &mut Members<'t>,
        text: &'t str,
        limits: &Limits,
    ) -> Result<(), &'static str> {
        let count = self.0.len() - members.base;
        let is_plain = !key.is_escaped && written.len() <= limits.key_bytes as usize;
        let mark = mark(written);
        let is_new = is_plain && members.marks & mark == 0 && count < FEW_KEYS;
        if !is_new {
            self.compare(key, members, text, limits)?;
        }
        members.marks |= mark;
        self.0.push(key);
        Ok(())
    }

    /// What [`Keys::add`] does when its quick look does not settle it.
    #[cold]
    #[inline(never)]
    fn compare<'t>(
        &self,
        key: Text,
        members: &mut Members<'t>,
        text: &'t str,
        limits: &Limits,
    ) -> Result<(), &'static str> {
        if key.span.len() > limits.key_bytes as usize {
            return Err("key too long");
        }
        let decoded = key.decoded(text);
        if key.is_escaped {
            if decoded.contains('\0') {
                return Err("NUL in a key");
            }
            // Its mark says nothing of what it means: from here on every key is compared.
            members.marks = u64::MAX;
        }
        let others = &self.0[members.base..];
        if others.len() >= limits.keys_per_object as usize {
            return Err("too many keys");
        }
        let is_new = if others.len() < FEW_KEYS {
            !others.iter().any(|other| other.decoded(text) == decoded)
        } else {
            let many = members
                .many
                .get_or_insert_with(|| others.iter().map(|other| other.decoded(text)).collect());
            many.insert(decoded)
        };
        if is_new { Ok(()) } else { Err(DUPLICATE_KEY) }
    }
}

/// One of 64 bits, by what tells keys of one object apart at a glance.
#[inline]
fn mark(written: &[u8]) -> u64 {
    let byte = |byte: Option<&u8>| byte.map_or(0, |byte| u32::from(*byte));
    let glance = byte(written.first()) | byte(written.last()) << 8 | (written.len() as u32) << 16;
    // The top bits of a product depend on all bits below. The factor is one of MurmurHash3's, and keeps the members of
    // every message of the protocol apart.
    1 << (glance.wrapping_mul(0xC2B2_AE35) >> 26)
}

impl Text {
    /// The string in `text`, decoded if it must be.
    #[inline]
    pub(crate) fn decoded<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let written = &text[self.span.range()];
        if self.is_escaped { decode(written) } else { Cow::Borrowed(written) }
    }
}
