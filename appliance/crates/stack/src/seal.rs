//! Seals what a plugin wants back from a modern client between two rounds (`requestState`).
//!
//! The client carries it, so it is attacker input: XChaCha20-Poly1305 with a random nonce, bound to the method, the
//! name, a digest of the arguments, the round and an expiry. Any node with the same key opens it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use protocol::json::Raw;
use protocol::{Call, Param};
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

/// Keys that still open what they sealed, after so many others came; more changes than these within the time that a
/// state is good for end the oldest.
const FORMER_MAX: usize = 4;

/// Seals and opens `requestState`, with a key that may be followed by another while it serves.
pub struct Seal(ArcSwap<Ring>);

/// The keys at one moment.
#[derive(Clone)]
struct Ring {
    key: Key,
    ttl: Duration,
    /// When everything is over that `key` sealed under another `ttl` before, in seconds of the wall clock.
    sealed_until_secs: u64,
    former: Vec<Former>,
}

/// A key that seals no more.
#[derive(Clone)]
struct Former {
    key: Key,
    /// When everything is over that it sealed.
    until_secs: u64,
}

#[derive(Clone)]
struct Key {
    cipher: XChaCha20Poly1305,
    bytes: [u8; 32],
    origin: Origin,
}

/// A key as the process that takes over is told of it.
#[derive(Clone, PartialEq, Eq)]
pub struct CarriedKey {
    /// The key itself: a secret.
    pub key: [u8; 32],
    /// Whether it is from the operating system, and not from a secret that the profile names.
    pub is_random: bool,
    /// When everything is over that it sealed, in seconds of the wall clock.
    pub until_secs: u64,
}

/// What tells one key from another.
#[derive(Clone, PartialEq, Eq)]
enum Origin {
    /// From the operating system. Whoever asks for any key is content with the one that there is.
    Random,
    /// From a secret, of which this is a digest.
    Secret([u8; 32]),
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
    /// That of a state which `call` brings, or may be given.
    pub(crate) fn of(call: &Call) -> Self {
        let share =
            |raw: Option<Raw<'_>>| raw.map(|raw| call.envelope.share(raw)).unwrap_or_default();
        let name = call.envelope.param(Param::Name).or_else(|| call.envelope.param(Param::Uri));
        Self {
            method: call.method().as_str(),
            name: share(name),
            arguments: share(call.envelope.param(Param::Arguments)),
        }
    }

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

impl Key {
    fn new(key: [u8; 32], origin: Origin) -> Self {
        Self { cipher: XChaCha20Poly1305::new(&key.into()), bytes: key, origin }
    }

    fn open(&self, aad: &[u8], nonce: [u8; NONCE_BYTES], sealed: &[u8]) -> Option<Bytes> {
        let payload = Payload { msg: sealed, aad };
        self.cipher.decrypt(&XNonce::from(nonce), payload).ok().map(Bytes::from)
    }
}

impl CarriedKey {
    fn to_key(&self) -> Key {
        let of_secret = || Origin::Secret(Sha256::digest(self.key).into());
        Key::new(self.key, if self.is_random { Origin::Random } else { of_secret() })
    }
}

impl Ring {
    /// When everything will be over that was sealed up to now.
    fn over_secs(&self) -> u64 {
        self.sealed_until_secs.max(expiry_secs(self.ttl))
    }

    /// What follows it with the key and the time of `next`.
    fn followed_by(&self, next: &Self) -> Self {
        let now_secs = now_secs();
        let mut former = self.former.clone();
        former.retain(|former| former.until_secs >= now_secs);
        if self.key.origin == next.key.origin {
            let (key, sealed_until_secs) = (self.key.clone(), self.over_secs());
            return Self { key, ttl: next.ttl, sealed_until_secs, former };
        }
        former.push(Former { key: self.key.clone(), until_secs: self.over_secs() });
        // It may be one that was there before.
        let again = former.iter().position(|former| former.key.origin == next.key.origin);
        let again = again.map(|at| former.remove(at));
        if former.len() > FORMER_MAX {
            former.remove(0);
        }
        Self {
            sealed_until_secs: again.as_ref().map_or(0, |again| again.until_secs),
            key: again.map_or_else(|| next.key.clone(), |again| again.key),
            ttl: next.ttl,
            former,
        }
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
        Ok(Self::new(Key::new(key, Origin::Random), ttl))
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
        let key: [u8; 32] = Sha256::digest(secret).into();
        Ok(Self::new(Key::new(key, Origin::Secret(Sha256::digest(key).into())), ttl))
    }

    fn new(key: Key, ttl: Duration) -> Self {
        Self(ArcSwap::from_pointee(Ring { key, ttl, sealed_until_secs: 0, former: Vec::new() }))
    }

    /// Whether following `next` would change the key.
    #[must_use]
    pub fn differs(&self, next: &Self) -> bool {
        self.0.load().key.origin != next.0.load().key.origin
    }

    /// Seals as `next` does from now on. What was sealed before is opened until its own time is over.
    pub fn follow(&self, next: &Self) {
        let next = next.0.load();
        self.0.rcu(|ring| ring.followed_by(&next));
    }

    /// Every key that opens something, the one that seals first.
    #[must_use]
    pub fn carried(&self) -> Vec<CarriedKey> {
        let ring = self.0.load();
        let carried = |key: &Key, until_secs| CarriedKey {
            key: key.bytes,
            is_random: key.origin == Origin::Random,
            until_secs,
        };
        let former = ring.former.iter().map(|former| carried(&former.key, former.until_secs));
        [carried(&ring.key, ring.over_secs())].into_iter().chain(former).collect()
    }

    /// Opens what the process before sealed, until its own time is over; a random key is that one's.
    pub fn restore(&self, carried: &[CarriedKey]) {
        self.0.rcu(|ring| {
            let Ring { mut key, ttl, mut sealed_until_secs, .. } = Ring::clone(ring);
            let mut former = Vec::new();
            for carried in carried.iter().take(FORMER_MAX + 1) {
                let before = carried.to_key();
                if before.origin == key.origin {
                    key = before;
                    sealed_until_secs = sealed_until_secs.max(carried.until_secs);
                } else {
                    former.push(Former { key: before, until_secs: carried.until_secs });
                }
            }
            former.truncate(FORMER_MAX);
            Ring { key, ttl, sealed_until_secs, former }
        });
    }

    /// Seals `state`, given with the questions of `round`. `None` when the operating system gives no random bytes.
    pub(crate) fn seal(&self, binding: &Binding, round: u16, state: &[u8]) -> Option<String> {
        let ring = self.0.load();
        let expiry = expiry_secs(ring.ttl);
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).ok()?;
        let aad = binding.digest(expiry, round);
        let payload = Payload { msg: state, aad: &aad };
        let sealed = ring.key.cipher.encrypt(&XNonce::from(nonce), payload).ok()?;
        let mut bytes = Vec::with_capacity(HEAD_BYTES + sealed.len());
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&expiry.to_be_bytes());
        bytes.extend_from_slice(&round.to_be_bytes());
        bytes.extend_from_slice(&sealed);
        Some(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Opens what a client returned: the plugin's bytes and the round they were given in. `None` for anything that
    /// no key of this seal sealed for this very call, or that is too old.
    pub(crate) fn open(&self, binding: &Binding, text: &str) -> Option<(Bytes, u16)> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (head, sealed) = bytes.split_at_checked(HEAD_BYTES)?;
        let nonce: [u8; NONCE_BYTES] = head[..NONCE_BYTES].try_into().ok()?;
        let expiry = u64::from_be_bytes(head[NONCE_BYTES..NONCE_BYTES + 8].try_into().ok()?);
        let round = u16::from_be_bytes(head[NONCE_BYTES + 8..].try_into().ok()?);
        let now_secs = now_secs();
        if expiry < now_secs {
            return None;
        }
        let aad = binding.digest(expiry, round);
        let ring = self.0.load();
        // By its own word a state ends when its key does, or before.
        let former = ring.former.iter().filter(|former| expiry <= former.until_secs);
        let mut keys = former.map(|former| &former.key);
        let opened = ring.key.open(&aad, nonce, sealed);
        let opened = opened.or_else(|| keys.find_map(|key| key.open(&aad, nonce, sealed)));
        Some((opened?, round))
    }
}

/// When a state ends that is sealed now.
fn expiry_secs(ttl: Duration) -> u64 {
    // Up: nothing may end before its time.
    let ttl_secs = ttl.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX);
    now_secs().saturating_add(ttl_secs)
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

    fn of_secret(secret: u8, ttl_secs: u64) -> Seal {
        let ttl = Duration::from_secs(ttl_secs);
        Seal::from_secret(&[secret; 32], ttl).expect("long enough")
    }

    #[test]
    fn opens_what_former_keys_sealed_and_seals_with_the_latest() {
        let seal = of_secret(1, 60);
        let given = seal.seal(&binding("{}"), 1, b"state").expect("random");
        for (secret, is_opened) in [(2, true), (3, true), (4, true), (5, true), (6, false)] {
            let next = of_secret(secret, 60);
            assert!(seal.differs(&next));
            seal.follow(&next);
            assert_eq!(seal.open(&binding("{}"), &given).is_some(), is_opened, "{secret}");
            let text = seal.seal(&binding("{}"), 1, b"state").expect("random");
            assert!(next.open(&binding("{}"), &text).is_some());
        }
    }

    #[test]
    fn a_key_that_comes_back_is_one_key() {
        let seal = of_secret(1, 60);
        let given = seal.seal(&binding("{}"), 1, b"state").expect("random");
        for _ in 0..10 {
            seal.follow(&of_secret(2, 60));
            seal.follow(&of_secret(1, 60));
        }
        assert!(seal.open(&binding("{}"), &given).is_some());
        assert_eq!(seal.0.load().former.len(), 1);
    }

    #[test]
    fn a_random_key_stays_until_another_is_chosen() {
        let any = || Seal::random(Duration::from_secs(60)).expect("random");
        let seal = any();
        let given = seal.seal(&binding("{}"), 1, b"state").expect("random");
        assert!(!seal.differs(&any()));
        seal.follow(&any());
        assert!(seal.0.load().former.is_empty());
        seal.follow(&of_secret(1, 60));
        assert!(seal.open(&binding("{}"), &given).is_some());
    }

    #[test]
    fn the_process_that_takes_over_opens_what_was_sealed_before() {
        let any = || Seal::random(Duration::from_secs(60)).expect("random");
        let before = any();
        let of_random = before.seal(&binding("{}"), 1, b"state").expect("random");
        before.follow(&of_secret(1, 60));
        let of_one = before.seal(&binding("{}"), 1, b"state").expect("random");
        for after in [any(), of_secret(1, 60), of_secret(2, 60)] {
            assert!(after.open(&binding("{}"), &of_random).is_none());
            after.restore(&before.carried());
            for text in [&of_random, &of_one] {
                assert!(after.open(&binding("{}"), text).is_some());
            }
            let text = after.seal(&binding("{}"), 1, b"state").expect("random");
            assert!(after.open(&binding("{}"), &text).is_some());
        }
        let seals_alike = any();
        seals_alike.restore(&any().carried());
        assert_eq!(seals_alike.carried().len(), 1, "a random key is that of the process before");
    }

    #[test]
    fn a_former_key_lasts_as_long_as_the_longest_time_that_it_gave() {
        let seal = of_secret(1, 60);
        let begun = now_secs();
        seal.follow(&of_secret(1, 5));
        assert_eq!(seal.0.load().ttl, Duration::from_secs(5));
        seal.follow(&of_secret(2, 5));
        assert!(seal.0.load().former[0].until_secs >= begun + 60);
        // Nothing that says it lasts longer was sealed by it.
        let forged = of_secret(1, 3_600).seal(&binding("{}"), 1, b"state").expect("random");
        assert_eq!(seal.open(&binding("{}"), &forged), None);
    }

    #[test]
    fn refuses_short_secrets() {
        assert!(matches!(
            Seal::from_secret(b" short \n", Duration::ZERO),
            Err(KeyError::TooShort(5))
        ));
    }
}
