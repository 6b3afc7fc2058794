//! Whose connections are served: how many of them an address may have.
//!
//! Limits: [`RESERVED`] of all are kept from strangers; [`PEER_CONNECTIONS_MAX`] of one address.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::CONNECTIONS_MAX;
use crate::net::network::network_of;

/// How many connections are kept for this machine and for proxies, behind which there are many: an
/// operator who opens the page through a tunnel gets in whatever strangers do.
const RESERVED: usize = 8;

/// How many connections one address may have at most: a browser opens six.
const PEER_CONNECTIONS_MAX: usize = 16;

/// The connections of strangers, in the order in which they came: this machine and proxies are none.
///
/// Once they have all the places that they may have, an address takes the place of the oldest of
/// the one that has most, if it has fewer itself. So one more address finds a place until there are
/// as many as places.
#[derive(Debug, Clone, Default)]
pub(super) struct Peers(Arc<Mutex<Vec<Stranger>>>);

/// A connection that counts.
#[derive(Debug)]
struct Stranger {
    network: IpAddr,
    place: Arc<CancellationToken>,
}

/// A connection that was let in; dropping it ends that.
#[derive(Debug)]
pub(super) struct Guest {
    peers: Peers,
    /// Cancelled when another one takes its place.
    pub(super) place: Arc<CancellationToken>,
}

impl Peers {
    /// Lets a connection of `peer` in, if it has not too many; who `shares` an address with others
    /// is not counted.
    pub(super) fn admit(&self, peer: IpAddr, shares: bool) -> Option<Guest> {
        let place = Arc::new(CancellationToken::new());
        if !shares {
            let network = network_of(peer);
            let mut strangers = self.lock();
            let count = |of: IpAddr| strangers.iter().filter(|it| it.network == of).count();
            let own = count(network);
            if own >= PEER_CONNECTIONS_MAX {
                return None;
            }
            if strangers.len() >= CONNECTIONS_MAX - RESERVED {
                let most = strangers.iter().map(|it| it.network).max_by_key(|it| count(*it))?;
                if count(most) <= own + 1 {
                    return None;
                }
                let oldest = strangers.iter().position(|it| it.network == most)?;
                strangers.remove(oldest).place.cancel();
            }
            strangers.push(Stranger { network, place: Arc::clone(&place) });
        }
        Some(Guest { peers: self.clone(), place })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Stranger>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.peers.lock().retain(|it| !Arc::ptr_eq(&it.place, &self.place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Connects as `peer` until it is not let in.
    fn fill(peers: &Peers, peer: IpAddr) -> Vec<Guest> {
        std::iter::from_fn(|| peers.admit(peer, false)).collect()
    }

    /// One address of many.
    fn stranger(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    #[test]
    fn one_address_has_its_share_and_no_more_of_the_connections() {
        let peers = Peers::default();
        let [one, other] = [stranger(1), stranger(2)];
        let mut guests = fill(&peers, one);
        assert_eq!(guests.len(), PEER_CONNECTIONS_MAX);
        assert!(peers.admit(one, true).is_some() && peers.admit(other, false).is_some());
        guests.pop();
        assert!(peers.admit(one, false).is_some());
        guests.clear();
        assert!(peers.lock().is_empty());
    }

    #[test]
    fn one_more_address_finds_a_place_until_there_are_as_many_as_places() {
        let peers = Peers::default();
        let places = CONNECTIONS_MAX - RESERVED;
        let mut guests = Vec::new();
        for number in 1..=u8::try_from(places).unwrap() {
            guests.push(peers.admit(stranger(number), false).expect("there is a place"));
            // It comes again and again, and so do those before it.
            for peer in (1..=number).rev() {
                guests.extend(fill(&peers, stranger(peer)));
            }
            guests.retain(|guest| !guest.place.is_cancelled());
            assert!(guests.len() <= places && peers.lock().len() == guests.len());
            let has_place = |peer| peers.lock().iter().any(|it| it.network == stranger(peer));
            assert!((1..=number).all(has_place), "{number}");
        }
        assert!(peers.admit(stranger(200), false).is_none(), "each has one");
        guests.clear();
        assert!(peers.lock().is_empty());
    }

    #[test]
    fn place_is_taken_from_the_oldest_of_whoever_has_most() {
        let peers = Peers::default();
        let many: Vec<_> = (1..=4).map(|number| fill(&peers, stranger(number))).collect();
        let counts: Vec<_> = many.iter().map(Vec::len).collect();
        assert_eq!(counts, [16, 16, 16, 14], "the fourth takes places until all have as many");
        let displaced =
            |of: &Vec<Guest>| of.iter().take_while(|it| it.place.is_cancelled()).count();
        let first: Vec<_> = many.iter().map(displaced).collect();
        assert_eq!(first, [2, 2, 2, 0]);
        let all = many.iter().flatten().filter(|it| it.place.is_cancelled()).count();
        assert_eq!(all, 6, "the oldest and no others");
    }

    #[test]
    fn this_machine_and_proxies_are_let_in_when_strangers_have_all_else() {
        let peers = Peers::default();
        let _guests: Vec<_> = (0..=255).flat_map(|number| fill(&peers, stranger(number))).collect();
        assert_eq!(peers.lock().len(), CONNECTIONS_MAX - RESERVED);
        let proxy = IpAddr::from([10, 0, 0, 1]);
        let proxied: Vec<_> = (0..100).map_while(|_| peers.admit(proxy, true)).collect();
        assert_eq!(proxied.len(), 100, "they are held by nothing but the places");
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let peers = Peers::default();
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let guests = fill(&peers, at("2001:db8:1:2::1"));
        assert_eq!(guests.len(), PEER_CONNECTIONS_MAX);
        assert!(peers.admit(at("2001:db8:1:2:ffff:ffff:ffff:ffff"), false).is_none());
        assert!(peers.admit(at("2001:db8:1:3::1"), false).is_some());
    }
}
