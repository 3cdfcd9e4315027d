//! Connections of each address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::network::{Network, bucket};

/// Counts connections by address. An address is in the table while it has a connection, so the table is never larger
/// than the number of connections and feeds.
pub(crate) struct Addresses {
    counts: Mutex<HashMap<IpAddr, usize>>,
    max: usize,
}

/// All places of this address are taken.
#[derive(Debug)]
pub(crate) struct Full;

impl Addresses {
    /// A table that gives `max` places to each address.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { counts: Mutex::default(), max })
    }

    /// A place for a connection of `address`; none is needed, and none given, where `network` makes an exception.
    pub(crate) fn place(
        self: &Arc<Self>,
        network: &Network,
        address: IpAddr,
    ) -> Result<Option<AddressPlace>, Full> {
        let address = address.to_canonical();
        if network.is_exempt(address) || network.is_proxy(address) {
            return Ok(None);
        }
        let bucket = bucket(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = counts.get(&bucket).copied().unwrap_or(0);
        if taken >= self.max {
            return Err(Full);
        }
        counts.insert(bucket, taken + 1);
        Ok(Some(AddressPlace { addresses: Arc::clone(self), bucket }))
    }
}

/// A place of an address, given back when dropped.
pub(crate) struct AddressPlace {
    addresses: Arc<Addresses>,
    bucket: IpAddr,
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let mut counts = self.addresses.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut taken) = counts.entry(self.bucket) {
            *taken.get_mut() -= 1;
            if *taken.get() == 0 {
                taken.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back_and_leave_nothing_behind() {
        let addresses = Addresses::new(2);
        let network =
            Network { exempt: vec!["192.0.2.0/24".parse().expect("a network")], ..Network::default() };
        let place = |text: &str| addresses.place(&network, text.parse().expect("an address"));
        let first = place("2001:db8::1").expect("a place");
        let second = place("2001:db8::2").expect("a place of the same customer");
        assert!(place("2001:db8::3").is_err());
        assert!(place("2001:db8:0:1::3").is_ok(), "another customer");
        assert!((0..9).all(|_| matches!(place("192.0.2.1"), Ok(None))), "exempt");
        drop(first);
        let third = place("2001:db8::3").expect("a place again");
        drop((second, third));
        assert!(addresses.counts.lock().expect("no panic").is_empty());
    }
}
