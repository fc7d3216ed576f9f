//! Ids of sessions and tasks: unguessable for everyone else, and not kept here either.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Characters of an id: 256 bits in base64url without padding.
const LENGTH: usize = 43;

/// What the client sends back to be recognized. Only the client keeps it: see [`IdDigest`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretId([u8; LENGTH]);

/// What a session or task is kept under: the BLAKE3 hash of its id. Whoever reads the map learns no id, and how long a
/// look-up takes tells nothing about the ids that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdDigest([u8; 32]);

impl SecretId {
    /// An id that was never given out.
    ///
    /// # Panics
    /// When the operating system gives no random bytes, which getrandom(2) rules out once the system has booted.
    #[must_use]
    pub fn random() -> Self {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits).expect("getrandom(2) cannot fail once the system has booted");
        let mut text = [0; LENGTH];
        let written = URL_SAFE_NO_PAD.encode_slice(bits, &mut text);
        debug_assert_eq!(written, Ok(LENGTH));
        Self(text)
    }

    /// What it is kept under.
    #[must_use]
    pub fn digest(&self) -> IdDigest {
        IdDigest(blake3::hash(&self.0).into())
    }

    /// The id as it stands in a message.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Shows no id: whoever knows it is the client.
impl std::fmt::Debug for SecretId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretId(..)")
    }
}

impl IdDigest {
    /// The digest of what a client sent; `None` for what was never an id.
    #[must_use]
    pub fn of(id: &str) -> Option<Self> {
        (id.len() == LENGTH).then(|| Self(blake3::hash(id.as_bytes()).into()))
    }

    /// The hash itself.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From [`IdDigest::bytes`].
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Which of `count` shards holds it.
    #[must_use]
    pub fn shard(&self, count: usize) -> usize {
        usize::from(self.0[0]) % count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_fit_a_header() {
        let [one, other] = [SecretId::random(), SecretId::random()];
        assert_ne!(one, other);
        assert_eq!(IdDigest::of(one.as_str()), Some(one.digest()));
        for id in [one, other] {
            assert_eq!(URL_SAFE_NO_PAD.decode(id.as_str()).unwrap().len(), 32);
        }
    }

    #[test]
    fn keeps_what_it_shows_apart_from_what_it_is() {
        let id = SecretId::random();
        assert!(!format!("{id:?}{:?}", IdDigest::of(id.as_str())).contains(id.as_str()));
    }

    #[test]
    fn takes_nothing_else_for_an_id() {
        assert_eq!(IdDigest::of(""), None);
        assert_eq!(IdDigest::of(&"a".repeat(LENGTH + 1)), None);
    }
}
