//! Who a call is counted against.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::LazyLock;

/// The salt of this process: nobody outside can tell which principals fall together.
static BOOT_SALT: LazyLock<RandomState> = LazyLock::new(RandomState::new);

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
        let hash = salted(who);
        // Zero, which is one hash of 2^64, shares the place of its neighbour.
        Self(NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN))
    }

    /// The hash: the key of this principal in maps of this process. Means nothing in any other.
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
    fn families_and_standard_input_stand_apart() {
        let all = [Principal::local(), at("0.0.0.0"), at("::")];
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
        assert_eq!(Principal::local(), Principal::local());
    }
}
