//! Who a call is counted against.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::{LazyLock, OnceLock};

use siphasher::sip::SipHasher13;

/// The salt of this process: nobody outside can tell what was hashed with it.
static BOOT_SALT: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The salt of whoever is counted.
static SALT: OnceLock<Salt> = OnceLock::new();

/// The key that principals, and what is counted beside them, are hashed with. It is the process's own, unless it was
/// taken over from the process before: then what that one counted is still known by the same keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u64; 2]);

impl Salt {
    /// The salt of this process, made at random when nothing was hashed yet.
    #[must_use]
    pub fn of_this_process() -> Self {
        *SALT.get_or_init(|| {
            let random = RandomState::new();
            Self([random.hash_one(0_u8), random.hash_one(1_u8)])
        })
    }

    /// Takes over the salt of another process. `false`, and nothing changes, when something was hashed already.
    #[must_use]
    pub fn adopt(self) -> bool {
        SALT.set(self).is_ok()
    }

    /// As numbers. A secret: whoever has them can tell who is behind a key.
    #[must_use]
    pub const fn words(self) -> [u64; 2] {
        self.0
    }

    /// From [`Salt::words`].
    #[must_use]
    pub const fn from_words(words: [u64; 2]) -> Self {
        Self(words)
    }

    fn hash(self, value: impl Hash) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.0[0], self.0[1]);
        value.hash(&mut hasher);
        hasher.finish()
    }
}

/// Shows no salt.
impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// A key to count `value` by: a keyed hash of [`Salt::of_this_process`], from which nobody outside can tell the value.
#[must_use]
pub fn counted(value: impl Hash) -> u64 {
    Salt::of_this_process().hash(value)
}

/// A keyed hash, from which nobody outside can tell what was hashed.
pub(crate) fn salted(value: impl Hash) -> u64 {
    BOOT_SALT.hash_one(value)
}

/// Who a call is counted against: never something that the client chooses, such as a session or a name.
///
/// A keyed 64-bit hash (SipHash with a salt of the process), so that it is small, fits as a key of a map and tells
/// nobody's address. Good for counting and not for granting: two principals may, once in 2^64, be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Principal(NonZeroU64);

impl Principal {
    /// The one client on standard input: whoever started the process.
    #[must_use]
    pub fn local() -> Self {
        Self::hashed(u64::MAX)
    }

    /// Whoever speaks from `address`: an IPv4 address by itself, IPv6 by its first 64 bits, since a single host
    /// commonly owns all the rest. An IPv4 address written as IPv6 is the IPv4 address.
    #[must_use]
    pub fn at(address: IpAddr) -> Self {
        Self::hashed(match address.to_canonical() {
            // Beginnings of IPv6 multicast, which nobody speaks from: one number for both families hashes fastest.
            IpAddr::V4(address) => 0xff << 56 | u64::from(u32::from(address)),
            IpAddr::V6(address) => (u128::from(address) >> 64) as u64,
        })
    }

    fn hashed(who: u64) -> Self {
        let hash = counted(who);
        // Zero, which is one hash of 2^64, shares the place of its neighbour.
        Self(NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN))
    }

    /// The hash: the key of this principal in maps of this process, and of one that has its [`Salt`].
    #[must_use]
    pub const fn key(self) -> u64 {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> Principal {
        Principal::at(address.parse().expect("an address"))
    }

    #[test]
    fn an_ipv4_address_is_one_principal_however_it_is_written() {
        assert_eq!(at("192.0.2.1"), at("::ffff:192.0.2.1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
    }

    #[test]
    fn ipv6_addresses_of_one_host_are_one_principal() {
        assert_eq!(at("2001:db8:0:1::1"), at("2001:db8:0:1:ffff:ffff:ffff:ffff"));
        assert_ne!(at("2001:db8:0:1::1"), at("2001:db8:0:2::1"));
    }

    #[test]
    fn one_salt_gives_one_key_and_shows_nothing_of_itself() {
        let salt = Salt::of_this_process();
        let same = Salt::from_words(salt.words());
        let other = Salt::from_words([salt.words()[0], salt.words()[1] ^ 1]);
        assert_eq!(same.hash("echo"), counted("echo"));
        assert_ne!(other.hash("echo"), counted("echo"));
        assert!(!other.adopt(), "it has hashed already");
        assert_eq!(format!("{salt:?}"), "Salt(..)");
    }

    #[test]
    fn families_and_standard_input_stand_apart() {
        let all = [Principal::local(), at("0.0.0.0"), at("::")];
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
        assert_eq!(Principal::local(), Principal::local());
    }
}
