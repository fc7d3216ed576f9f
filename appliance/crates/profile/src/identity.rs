//! What a profile says, as one number: whoever compares two of them need not read them.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Keys of the top level that say how a profile is written, not what it means.
pub(crate) const SPELLING: [&str; 1] = ["extends"];

/// SHA-256 of the effective values of a profile in their canonical form: JSON, names in the order of their bytes, without
/// what nobody set. The same on every machine, whatever the values came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity([u8; 32]);

impl Identity {
    /// Of merged values.
    pub(crate) fn of(values: &Value) -> Self {
        let mut hash = Canonical(Sha256::new());
        hash.value(values, true);
        Self(hash.0.finalize().into())
    }

    /// The first twelve digits: enough for people to tell profiles apart.
    #[must_use]
    pub fn short(&self) -> String {
        let mut digits = self.to_string();
        digits.truncate(12);
        digits
    }
}

struct Canonical(Sha256);

impl Canonical {
    fn value(&mut self, value: &Value, is_top: bool) {
        match value {
            Value::Object(members) => {
                let mut names: Vec<_> = members.keys().collect();
                names.retain(|name| !members[*name].is_null());
                names.retain(|name| !is_top || !SPELLING.contains(&name.as_str()));
                names.sort_unstable();
                self.0.update(b"{");
                for name in names {
                    self.text(&Value::from(name.as_str()));
                    self.value(&members[name], false);
                }
                self.0.update(b"}");
            }
            Value::Array(items) => {
                self.0.update(b"[");
                items.iter().for_each(|item| self.value(item, false));
                self.0.update(b"]");
            }
            _ => self.text(value),
        }
    }

    fn text(&mut self, value: &Value) {
        self.0.update(value.to_string().as_bytes());
        // Between two values, so that none can be taken for the beginning of another.
        self.0.update(b"\n");
    }
}

/// Sixty-four hexadecimal digits.
impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Identity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text is no identity: it has sixty-four hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoIdentity;

impl FromStr for Identity {
    type Err = NoIdentity;

    fn from_str(text: &str) -> Result<Self, NoIdentity> {
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(NoIdentity);
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| NoIdentity)?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_set_and_how_it_is_spelled_do_not_count() {
        let one = json!({ "extends": "dev", "a": { "b": 1, "c": null }, "d": [1, 2] });
        let same = json!({ "d": [1, 2], "a": { "b": 1 } });
        assert_eq!(Identity::of(&one), Identity::of(&same));
        // The name of a table further down is no spelling.
        let deep = |name: &str| Identity::of(&json!({ "a": { "extends": name } }));
        assert_ne!(deep("x"), deep("y"));
    }

    #[test]
    fn values_that_differ_have_identities_that_differ() {
        let all = [
            json!({ "a": 1 }),
            json!({ "a": "1" }),
            json!({ "a": [1] }),
            json!({ "a": { "1": 1 } }),
            json!({ "a": [1, 2] }),
            json!({ "a": [12] }),
            json!({ "a": [[1], 2] }),
            json!({ "a": {} }),
            json!({}),
        ];
        let mut identities: Vec<_> = all.iter().map(Identity::of).collect();
        identities.sort_unstable();
        identities.dedup();
        assert_eq!(identities.len(), all.len());
    }

    #[test]
    fn an_identity_is_read_as_it_was_written() {
        let identity = Identity::of(&json!({ "a": 1 }));
        assert_eq!(identity.to_string().parse(), Ok(identity));
        assert!(identity.to_string().starts_with(&identity.short()));
        for wrong in ["", "0", &"g".repeat(64), &"é".repeat(32), &"+1".repeat(32)] {
            assert_eq!(wrong.parse::<Identity>(), Err(NoIdentity), "{wrong}");
        }
    }
}
