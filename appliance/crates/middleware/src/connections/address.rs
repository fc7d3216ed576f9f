//! How many connections each client address has.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use parking_lot::Mutex;

/// Maps that are locked apart. Locks are held for one look-up, when a connection begins or ends: never in a call.
const SHARDS: usize = 16;
/// Below so many places a map is not worth shrinking.
const SHRINK_FROM: usize = 64;

/// What is taken for one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Address {
    V4(u32),
    /// The network half: a host of IPv6 has 2^64 addresses to choose from (RFC 4291, 2.5.4).
    V6(u64),
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        // An IPv4 client of a listener on `[::]` is still one address, not one of a /64 that all of them share.
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// The count of every address that has a connection. An address without one is forgotten, so there are never more
/// entries than connections.
#[derive(Debug)]
pub(super) struct Addresses {
    hasher: RandomState,
    shards: [Mutex<HashMap<Address, u32, RandomState>>; SHARDS],
}

impl Addresses {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { hasher: RandomState::default(), shards: Default::default() })
    }

    /// Counts one more connection of `address`; with how many it has now.
    pub(super) fn enter(self: &Arc<Self>, address: Address) -> (Place, usize) {
        let mut shard = self.shard(address).lock();
        let count = shard.entry(address).or_insert(0);
        *count += 1;
        (Place { addresses: Arc::clone(self), address }, *count as usize)
    }

    fn leave(&self, address: Address) {
        let mut shard = self.shard(address).lock();
        let Some(count) = shard.get_mut(&address) else { return };
        *count -= 1;
        if *count == 0 {
            shard.remove(&address);
            // What a flood of addresses took is given back when it is over.
            if shard.capacity() > SHRINK_FROM && shard.len() < shard.capacity() / 8 {
                let half = shard.capacity() / 2;
                shard.shrink_to(half);
            }
        }
    }

    fn shard(&self, address: Address) -> &Mutex<HashMap<Address, u32, RandomState>> {
        &self.shards[self.hasher.hash_one(address) as usize % SHARDS]
    }

    /// How many addresses have a connection, and how many there is room for.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        let sizes = self.shards.iter().map(|shard| {
            let shard = shard.lock();
            (shard.len(), shard.capacity())
        });
        sizes.fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1))
    }
}

/// One counted connection of an address; dropping it takes it off the count.
#[derive(Debug)]
pub(super) struct Place {
    addresses: Arc<Addresses>,
    address: Address,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.addresses.leave(self.address);
    }
}
