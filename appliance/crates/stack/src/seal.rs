//! Seals what a plugin wants back from a modern client between two rounds (`requestState`).
//!
//! The client carries it, so it is attacker input: XChaCha20-Poly1305 with a random nonce, bound to the method, the
//! name, a digest of the arguments, the round and an expiry. Any node with the same key opens it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};

const NONCE_BYTES: usize = 24;
/// Nonce, expiry in seconds, round.
const HEAD_BYTES: usize = NONCE_BYTES + 8 + 2;
/// Rounds that one call may take: a plugin that asks for ever is a fault.
pub(crate) const ROUNDS_MAX: u16 = 10;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Too short to be a secret.
    #[error(
        "the key has {0} bytes; at least 32 are needed, for example from `openssl rand -hex 32`"
    )]
    TooShort(usize),
    /// The operating system gave no random bytes.
    #[error("no random bytes from the operating system: {0}")]
    NoRandom(getrandom::Error),
}

/// Seals and opens `requestState`.
pub struct Seal {
    cipher: XChaCha20Poly1305,
    ttl: Duration,
}

/// What a sealed state is bound to.
#[derive(Debug)]
pub(crate) struct Binding {
    /// Method on the wire.
    pub(crate) method: &'static str,
    /// Tool, prompt or URI: JSON text.
    pub(crate) name: Bytes,
    /// Arguments: JSON text, or empty.
    pub(crate) arguments: Bytes,
}

impl Binding {
    fn digest(&self, expiry_secs: u64, round: u16) -> [u8; 32] {
        let mut hash = Sha256::new();
        // A retry may come re-serialized: equal values must give equal digests.
        for part in [&self.name, &self.arguments] {
            let value: serde_json::Value = serde_json::from_slice(part).unwrap_or_default();
            hash.update(value.to_string().as_bytes());
            hash.update([0]);
        }
        hash.update(self.method.as_bytes());
        hash.update(expiry_secs.to_be_bytes());
        hash.update(round.to_be_bytes());
        hash.finalize().into()
    }
}

impl Seal {
    /// A seal whose key ends with the process: states do not survive a restart or reach another node.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn random(ttl: Duration) -> Result<Self, KeyError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(KeyError::NoRandom)?;
        Ok(Self::from_key(key, ttl))
    }

    fn from_key(key: [u8; 32], ttl: Duration) -> Self {
        Self { cipher: XChaCha20Poly1305::new(&key.into()), ttl }
    }

    /// A seal from a shared secret of any form, at least 32 bytes long. Space around it does not count: files end in
    /// line ends.
    ///
    /// # Errors
    /// When the secret is too short.
    pub fn from_secret(secret: &[u8], ttl: Duration) -> Result<Self, KeyError> {
        let secret = secret.trim_ascii();
        if secret.len() < 32 {
            return Err(KeyError::TooShort(secret.len()));
        }
        Ok(Self::from_key(Sha256::digest(secret).into(), ttl))
    }

    /// Seals `state`, given with the questions of `round`. `None` when the operating system gives no random bytes.
    pub(crate) fn seal(&self, binding: &Binding, round: u16, state: &[u8]) -> Option<String> {
        // Up: nothing may end before its time.
        let ttl_secs = self.ttl.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX);
        let expiry = now_secs().saturating_add(ttl_secs);
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).ok()?;
        let aad = binding.digest(expiry, round);
        let payload = Payload { msg: state, aad: &aad };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).ok()?;
        let mut bytes = Vec::with_capacity(HEAD_BYTES + sealed.len());
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&expiry.to_be_bytes());
        bytes.extend_from_slice(&round.to_be_bytes());
        bytes.extend_from_slice(&sealed);
        Some(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Opens what a client returned: the plugin's bytes and the round they were given in. `None` for anything that
    /// this key did not seal for this very call, or that is too old.
    pub(crate) fn open(&self, binding: &Binding, text: &str) -> Option<(Bytes, u16)> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (head, sealed) = bytes.split_at_checked(HEAD_BYTES)?;
        let nonce: [u8; NONCE_BYTES] = head[..NONCE_BYTES].try_into().ok()?;
        let expiry = u64::from_be_bytes(head[NONCE_BYTES..NONCE_BYTES + 8].try_into().ok()?);
        let round = u16::from_be_bytes(head[NONCE_BYTES + 8..].try_into().ok()?);
        if expiry < now_secs() {
            return None;
        }
        let aad = binding.digest(expiry, round);
        let state =
            self.cipher.decrypt(&XNonce::from(nonce), Payload { msg: sealed, aad: &aad }).ok()?;
        Some((state.into(), round))
    }
}

/// Seconds of the wall clock: other nodes must agree.
fn now_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(arguments: &'static str) -> Binding {
        Binding {
            method: "tools/call",
            name: Bytes::from_static(b"\"deploy\""),
            arguments: Bytes::from_static(arguments.as_bytes()),
        }
    }

    fn seal(ttl_secs: u64) -> Seal {
        Seal::from_secret(&[7; 32], Duration::from_secs(ttl_secs)).expect("long enough")
    }

    #[test]
    fn opens_what_it_sealed_also_on_another_node_and_reserialized() {
        let text = seal(60).seal(&binding(r#"{"a":1,"b":2}"#), 3, b"state").expect("random");
        let opened = seal(60).open(&binding(r#"{ "b": 2, "a": 1 }"#), &text);
        assert_eq!(opened, Some((Bytes::from_static(b"state"), 3)));
    }

    #[test]
    fn refuses_other_calls_other_keys_and_every_changed_character() {
        let text = seal(60).seal(&binding("{}"), 1, b"state").expect("random");
        assert_eq!(seal(60).open(&binding(r#"{"x":1}"#), &text), None);
        let other = Seal::random(Duration::from_secs(60)).expect("random");
        assert_eq!(other.open(&binding("{}"), &text), None);
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert_eq!(seal(60).open(&binding("{}"), &changed), None, "{at}");
        }
        assert_eq!(seal(60).open(&binding("{}"), &format!("{text}-TAMPERED")), None);
        assert_eq!(seal(60).open(&binding("{}"), ""), None);
    }

    #[test]
    fn a_part_of_a_second_is_not_taken_from_a_state() {
        let seal = Seal::from_secret(&[7; 32], Duration::from_millis(1_001)).expect("long enough");
        let begun = now_secs();
        let text = seal.seal(&binding("{}"), 1, b"state").expect("random");
        let bytes = URL_SAFE_NO_PAD.decode(text).expect("its own text");
        let expiry = bytes[NONCE_BYTES..NONCE_BYTES + 8].try_into().map(u64::from_be_bytes);
        assert!(expiry.expect("eight bytes") >= begun + 2);
    }

    #[test]
    fn refuses_short_secrets() {
        assert!(matches!(
            Seal::from_secret(b" short \n", Duration::ZERO),
            Err(KeyError::TooShort(5))
        ));
    }
}
