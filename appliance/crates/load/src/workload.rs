//! What is asked of a server.

use std::net::{IpAddr, Ipv4Addr};

use crate::tally::Expected;
use crate::target::Target;
use crate::wire::{Era, Tool};

/// What is asked of a server.
#[derive(Clone, Copy, Debug)]
pub struct Workload<'a> {
    /// How the clients speak.
    pub era: Era,
    /// What they call.
    pub tool: &'a Tool,
    /// What a good answer is.
    pub expected: Expected<'a>,
    /// Connections, each with one call under way at most.
    pub connections: usize,
    /// Addresses that they come from, `first_address` onwards. 1 from 127.0.0.1: whatever the kernel takes, as is every
    /// other target's.
    pub addresses: usize,
    /// The first of those, of 127.0.0.0/8: loads that run beside each other are different clients by it.
    pub first_address: Ipv4Addr,
    /// One call in so many is the last on its connection.
    pub calls_per_connection: Option<u64>,
}

impl Workload<'_> {
    /// Whether clients shake hands.
    #[must_use]
    pub fn speaks_mcp(&self) -> bool {
        !matches!(self.expected, Expected::Status)
    }

    /// The address that the client at this place comes from; `None`: whatever the kernel takes.
    pub(crate) fn source(&self, target: &Target, index: usize) -> Option<IpAddr> {
        let number = u32::try_from(index % self.addresses.max(1)).ok()?;
        let first = self.first_address;
        let is_chosen = self.addresses > 1 || first != Ipv4Addr::LOCALHOST;
        (is_chosen && target.is_loopback())
            .then(|| Ipv4Addr::from(u32::from(first).saturating_add(number)).into())
    }
}
