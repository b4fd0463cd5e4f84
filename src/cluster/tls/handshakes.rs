//! Whose turn it is to show a certificate.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Handshakes at the same time, and those of one address.
const HANDSHAKES: usize = 256;
const OF_ONE: usize = 32;

/// Connections of one address that have begun one, or wait for it.
const WAITING_OF_ONE: usize = 512;

/// Handshakes at the same time. Whoever never ends one keeps others of its own address waiting, not all.
pub(super) struct Handshakes {
    free: Arc<Semaphore>,
    by_address: HashMap<IpAddr, OfOne>,
}

#[derive(Clone)]
struct OfOne {
    places: Arc<Semaphore>,
    free: Arc<Semaphore>,
}

impl OfOne {
    fn new() -> Self {
        Self {
            places: Arc::new(Semaphore::new(WAITING_OF_ONE)),
            free: Arc::new(Semaphore::new(OF_ONE)),
        }
    }

    fn is_idle(&self) -> bool {
        self.places.available_permits() == WAITING_OF_ONE
    }
}

/// A place among those that wait.
pub(super) struct Place {
    of_one: OfOne,
    free: Arc<Semaphore>,
    _place: OwnedSemaphorePermit,
}

/// The handshake can begin, and has ended when this is dropped.
pub(super) struct Turn {
    _of_one: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Handshakes {
    pub(super) fn new() -> Self {
        Self {
            free: Arc::new(Semaphore::new(HANDSHAKES)),
            by_address: HashMap::new(),
        }
    }

    /// None if there is no place left for this address.
    pub(super) fn place(&mut self, address: IpAddr) -> Option<Place> {
        // Those that wait are as many as there are connections at most, and so is what is kept.
        self.by_address.retain(|_, one| !one.is_idle());
        let of_one = self.by_address.entry(of_one_owner(address));
        let of_one = of_one.or_insert_with(OfOne::new).clone();
        let place = Arc::clone(&of_one.places).try_acquire_owned().ok()?;
        Some(Place {
            of_one,
            free: Arc::clone(&self.free),
            _place: place,
        })
    }
}

impl Place {
    /// None if it does not come within `patience`.
    pub(super) async fn turn(&self, patience: Duration) -> Option<Turn> {
        let turn = async {
            Some(Turn {
                _of_one: Arc::clone(&self.of_one.free).acquire_owned().await.ok()?,
                _of_all: Arc::clone(&self.free).acquire_owned().await.ok()?,
            })
        };
        tokio::time::timeout(patience, turn).await.ok()?
    }
}

/// Of IPv6, whoever has one address has as many as they like with the same first half.
fn of_one_owner(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            IpAddr::V6(Ipv6Addr::from_bits(bits >> 64 << 64))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_never_ends_one_keeps_only_their_own_waiting() {
        let mut handshakes = Handshakes::new();
        let (silent, other): (IpAddr, IpAddr) =
            ([10, 0, 0, 1].into(), "2001:db8::1".parse().unwrap());
        let patience = Duration::from_millis(10);
        let mut places = vec![];
        while let Some(place) = handshakes.place(silent) {
            places.push(place);
        }
        assert_eq!(places.len(), WAITING_OF_ONE);
        let mut turns = vec![];
        for place in &places[..OF_ONE + 1] {
            turns.extend(place.turn(patience).await);
        }
        assert_eq!(turns.len(), OF_ONE);
        let place = handshakes.place(other).unwrap();
        assert!(place.turn(patience).await.is_some());
        turns.pop();
        assert!(places[OF_ONE].turn(patience).await.is_some());
        // Nothing is kept of those that have gone.
        drop((places, place, turns));
        drop(handshakes.place(silent));
        assert_eq!(handshakes.by_address.len(), 1);
    }

    #[test]
    fn addresses_of_the_same_owner_are_one() {
        let owner = |address: &str| of_one_owner(address.parse().unwrap());
        assert_eq!(owner("2001:db8::1"), owner("2001:db8::ffff:2"));
        assert_ne!(owner("2001:db8::1"), owner("2001:db8:0:1::1"));
        assert_eq!(owner("::ffff:10.0.0.1"), owner("10.0.0.1"));
    }
}
