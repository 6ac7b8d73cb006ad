//! Connections by the address they come from, so that one address cannot have all of them.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

/// How many connections addresses have.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
    connections_max: usize,
}

/// A connection of an address, until it is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    addresses: Addresses,
    address: IpAddr,
}

impl Addresses {
    /// So many connections at once for each of them.
    pub(super) fn new(connections_max: usize) -> Self {
        Self { counts: Arc::default(), connections_max }
    }

    /// Counts a connection; nothing where an address has as many as it may.
    pub(super) fn count(&self, address: IpAddr) -> Option<Counted> {
        let address = grouped(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= self.connections_max {
            return None;
        }
        *count += 1;
        Some(Counted { addresses: self.clone(), address })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.addresses.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = counts.entry(self.address) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// What counts as one address: whoever has one of version 6 has its network of 64 bits.
fn grouped(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f72_connections_are_counted_by_address_and_by_network() {
        let addresses = Addresses::new(1);
        let count = |address: &str| address.parse().ok().and_then(|address| addresses.count(address));
        let held = [count("10.0.0.1"), count("10.0.0.2"), count("2001:db8::1")];
        assert!(held.iter().all(Option::is_some));
        for refused in ["10.0.0.1", "::ffff:10.0.0.1", "2001:db8::2"] {
            assert!(count(refused).is_none(), "{refused}");
        }
        assert!(count("2001:db8:0:1::1").is_some());
        drop(held);
        assert!(count("10.0.0.1").is_some());
        assert!(addresses.counts.lock().is_ok_and(|counts| counts.is_empty()));
    }
}
