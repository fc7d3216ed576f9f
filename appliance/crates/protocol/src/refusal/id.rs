//! Tells one refusal from all others, so that an operator finds the one that a client asks about.

use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::principal::salted;

/// The number of a refusal, as 16 hexadecimal digits: `data.request_id`, `X-Request-Id` and the word to ask
/// `/admin/explain` for.
///
/// A keyed hash of a count, so that nobody reads from it how many were refused, or guesses the id of another. Never
/// taken over from a request: looking for one would cost every request that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RefusalId(u64);

/// The serial number of the next refusal. Begins again after four billion, when the first are long forgotten.
pub(super) fn next_serial() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    COUNT.fetch_add(1, Relaxed)
}

impl RefusalId {
    /// The id of the refusal with this serial number.
    pub(super) fn of(serial: u32) -> Self {
        Self(salted(("refusal", serial)))
    }

    /// As it is written: hexadecimal digits.
    #[must_use]
    pub fn digits(self) -> [u8; 16] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        std::array::from_fn(|place| HEX[(self.0 >> (60 - 4 * place) & 15) as usize])
    }

    /// The number itself.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for RefusalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digits().iter().try_for_each(|digit| f.write_char(char::from(*digit)))
    }
}

/// What is no id of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id has 16 hexadecimal digits")]
pub struct NotAnId;

impl FromStr for RefusalId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| is_hex);
        number.map(Self).ok_or(NotAnId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_as_it_was_written_and_nothing_else_is_one() {
        let (one, other) = (RefusalId::of(next_serial()), RefusalId::of(next_serial()));
        assert_ne!(one, other);
        assert_eq!(one.to_string().parse(), Ok(one));
        for text in ["", "1", "+123456789abcdef", "123456789abcdefg", "00123456789abcdef"] {
            assert_eq!(text.parse::<RefusalId>(), Err(NotAnId), "{text}");
        }
    }
}
