//! Whose connections are served: how many of them an address may have.
//!
//! Limits: [`RESERVED`] of all are kept from strangers; [`PEER_CONNECTIONS_MAX`] of one address.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::CONNECTIONS_MAX;
use crate::net::network::network_of;

/// What an address may have of the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum Share {
    /// Any number: many come by it, or whoever runs the relay.
    Unlimited,
    /// [`PEER_CONNECTIONS_MAX`]; one more is closed.
    Firm,
    /// The same; one more takes the place of its oldest. For what is answered at once: whoever asks
    /// there gets in, however many at that address say nothing.
    Rolling,
}

/// What addresses may have that are no proxies.
#[derive(Debug, Clone, Copy)]
pub(in crate::web) struct Shares {
    this_machine: Share,
    others: Share,
}

impl Shares {
    /// All that this machine asks for, and a firm share for everybody else.
    pub(in crate::web) const UNLIMITED_HERE: Self =
        Self { this_machine: Share::Unlimited, others: Share::Firm };

    /// A share from which nobody is kept by others at the same address, wherever that is.
    pub(in crate::web) const ROLLING: Self =
        Self { this_machine: Share::Rolling, others: Share::Rolling };

    /// What `peer` may have.
    pub(super) fn of(self, peer: IpAddr) -> Share {
        if peer.is_loopback() { self.this_machine } else { self.others }
    }
}

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
    /// Lets a connection of `peer` in, if its `share` is not used up.
    pub(super) fn admit(&self, peer: IpAddr, share: Share) -> Option<Guest> {
        let place = Arc::new(CancellationToken::new());
        if share != Share::Unlimited {
            let network = network_of(peer);
            let mut strangers = self.lock();
            let count = |of: IpAddr| strangers.iter().filter(|it| it.network == of).count();
            let own = count(network);
            if own >= PEER_CONNECTIONS_MAX {
                if share == Share::Firm {
                    return None;
                }
                displace(&mut strangers, network)?;
            } else if strangers.len() >= CONNECTIONS_MAX - RESERVED {
                let most = strangers.iter().map(|it| it.network).max_by_key(|it| count(*it))?;
                if count(most) <= own + 1 {
                    return None;
                }
                displace(&mut strangers, most)?;
            }
            strangers.push(Stranger { network, place: Arc::clone(&place) });
        }
        Some(Guest { peers: self.clone(), place })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Stranger>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the place of the oldest of `network`.
fn displace(strangers: &mut Vec<Stranger>, network: IpAddr) -> Option<()> {
    let oldest = strangers.iter().position(|it| it.network == network)?;
    strangers.remove(oldest).place.cancel();
    Some(())
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
        std::iter::from_fn(|| peers.admit(peer, Share::Firm)).collect()
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
        assert!(
            peers.admit(one, Share::Unlimited).is_some()
                && peers.admit(other, Share::Firm).is_some()
        );
        guests.pop();
        assert!(peers.admit(one, Share::Firm).is_some());
        guests.clear();
        assert!(peers.lock().is_empty());
    }

    #[test]
    fn one_more_address_finds_a_place_until_there_are_as_many_as_places() {
        let peers = Peers::default();
        let places = CONNECTIONS_MAX - RESERVED;
        let mut guests = Vec::new();
        for number in 1..=u8::try_from(places).unwrap() {
            guests.push(peers.admit(stranger(number), Share::Firm).expect("there is a place"));
            // It comes again and again, and so do those before it.
            for peer in (1..=number).rev() {
                guests.extend(fill(&peers, stranger(peer)));
            }
            guests.retain(|guest| !guest.place.is_cancelled());
            assert!(guests.len() <= places && peers.lock().len() == guests.len());
            let has_place = |peer| peers.lock().iter().any(|it| it.network == stranger(peer));
            assert!((1..=number).all(has_place), "{number}");
        }
        assert!(peers.admit(stranger(200), Share::Firm).is_none(), "each has one");
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
        let proxied: Vec<_> =
            (0..100).map_while(|_| peers.admit(proxy, Share::Unlimited)).collect();
        assert_eq!(proxied.len(), 100, "they are held by nothing but the places");
    }

    #[test]
    fn one_more_of_a_rolling_share_takes_the_place_of_its_own_oldest() {
        // This machine, and a node of a cluster, from which the kubelet probes.
        for peer in [IpAddr::from([127, 0, 0, 1]), IpAddr::from([10, 0, 0, 1])] {
            let peers = Peers::default();
            let share = Shares::ROLLING.of(peer);
            let guests: Vec<_> =
                (0..100).map(|_| peers.admit(peer, share).expect("it gets in")).collect();
            let is_cancelled = |guest: &Guest| guest.place.is_cancelled();
            let kept = guests.len() - PEER_CONNECTIONS_MAX;
            assert!(guests[..kept].iter().all(is_cancelled));
            assert!(!guests[kept..].iter().any(is_cancelled));
            assert!(peers.admit(stranger(1), Share::Firm).is_some());
        }
    }

    #[test]
    fn this_machine_alone_has_all_that_it_asks_for_at_the_page() {
        let of = |peer: &str| Shares::UNLIMITED_HERE.of(peer.parse().unwrap());
        assert_eq!((of("127.0.0.1"), of("::1")), (Share::Unlimited, Share::Unlimited));
        assert_eq!((of("192.0.2.1"), of("10.0.0.1")), (Share::Firm, Share::Firm));
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let peers = Peers::default();
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let guests = fill(&peers, at("2001:db8:1:2::1"));
        assert_eq!(guests.len(), PEER_CONNECTIONS_MAX);
        assert!(peers.admit(at("2001:db8:1:2:ffff:ffff:ffff:ffff"), Share::Firm).is_none());
        assert!(peers.admit(at("2001:db8:1:3::1"), Share::Firm).is_some());
    }
}
