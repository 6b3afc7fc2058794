//! How many sessions there may be: `limits.sessions` in all, `limits.sessions_per_peer` that have
//! not signed in from one address, as many probes of one load balancer, and a share of all for which
//! it owes a header. A network of IPv6 counts as one: whoever has it has every address of it, and
//! could take all places.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Limits;
use crate::net::network::network_of;
use crate::proto::Farewell;

/// Which part of `limits.sessions` one load balancer may owe a header for: a tenth, or
/// `limits.sessions_per_peer` if that is more.
///
/// A balancer sends its header at once. One that sends none must not take every place.
const OWING_PART: usize = 10;

/// The counters of one relay. Cloning shares them.
#[derive(Debug, Clone)]
pub(crate) struct SessionLimits(Arc<Mutex<Counts>>);

#[derive(Debug)]
struct Counts {
    sessions_max: usize,
    per_peer_max: usize,
    sessions: usize,
    /// How many there are of each share. None stands at zero, so there are at most as many shares as
    /// sessions.
    shares: HashMap<Share, usize>,
}

/// Why there is no place for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowded {
    /// `limits.sessions` is reached.
    Relay,
    /// `limits.sessions_per_peer` is reached.
    Peer,
}

impl From<Crowded> for Farewell {
    fn from(crowded: Crowded) -> Self {
        match crowded {
            Crowded::Relay => Self::TooManySessions,
            Crowded::Peer => Self::TooManyFromPeer,
        }
    }
}

/// A session's place; dropping it frees it.
#[derive(Debug)]
pub(crate) struct Place {
    limits: SessionLimits,
    share: Share,
}

/// Among whose sessions one counts, beside all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Share {
    /// Those of this network that have not signed in.
    Stranger(IpAddr),
    /// Those in which a load balancer of this network speaks for itself.
    Probe(IpAddr),
    /// Those for which a load balancer of this network owes a header.
    Owing(IpAddr),
    /// Nobody's: it has signed in, or has just come and may still say whose it is.
    Nobody,
}

impl SessionLimits {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self(Arc::new(Mutex::new(Counts {
            sessions_max: limits.sessions,
            per_peer_max: limits.sessions_per_peer,
            sessions: 0,
            shares: HashMap::new(),
        })))
    }

    /// Keeps to other limits from now on. Sessions beyond them go on.
    pub(crate) fn change(&self, limits: &Limits) {
        let mut counts = self.lock();
        counts.sessions_max = limits.sessions;
        counts.per_peer_max = limits.sessions_per_peer;
    }

    /// A place for a session from `peer`.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn admit(&self, peer: IpAddr) -> Result<Place, Crowded> {
        self.take(Share::Stranger(network_of(peer)))
    }

    /// A place for a connection of a load balancer, which may say at once whom it forwards.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn admit_forwarded(&self) -> Result<Place, Crowded> {
        self.take(Share::Nobody)
    }

    fn take(&self, share: Share) -> Result<Place, Crowded> {
        let mut counts = self.lock();
        counts.refuse_more_of(share)?;
        if counts.sessions >= counts.sessions_max {
            return Err(Crowded::Relay);
        }
        counts.sessions += 1;
        counts.add(share);
        Ok(Place { limits: self.clone(), share })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn refuse_more_of(&self, share: Share) -> Result<(), Crowded> {
        let most = match share {
            Share::Stranger(_) | Share::Probe(_) => self.per_peer_max,
            Share::Owing(_) => self.per_peer_max.max(self.sessions_max / OWING_PART),
            Share::Nobody => return Ok(()),
        };
        let there_are = self.shares.get(&share).copied().unwrap_or_default();
        if there_are < most { Ok(()) } else { Err(Crowded::Peer) }
    }

    fn add(&mut self, share: Share) {
        if share != Share::Nobody {
            *self.shares.entry(share).or_default() += 1;
        }
    }

    fn remove(&mut self, share: Share) {
        if let Some(count) = self.shares.get_mut(&share) {
            *count -= 1;
            if *count == 0 {
                self.shares.remove(&share);
            }
        }
    }
}

impl Place {
    /// Says from where the session comes: it counts for `peer` until it has signed in.
    ///
    /// # Errors
    /// When that address has too many already.
    pub(crate) fn count_for(&mut self, peer: IpAddr) -> Result<(), Crowded> {
        self.count_as(Share::Stranger(network_of(peer)))
    }

    /// Says that `balancer` speaks for itself.
    ///
    /// # Errors
    /// When it does so too often already.
    pub(crate) fn count_as_probe(&mut self, balancer: IpAddr) -> Result<(), Crowded> {
        self.count_as(Share::Probe(network_of(balancer)))
    }

    /// Says that `balancer` has not said at once whom it forwards.
    ///
    /// # Errors
    /// When it owes too many headers already.
    pub(crate) fn count_as_owing(&mut self, balancer: IpAddr) -> Result<(), Crowded> {
        self.count_as(Share::Owing(network_of(balancer)))
    }

    fn count_as(&mut self, share: Share) -> Result<(), Crowded> {
        let mut counts = self.limits.lock();
        counts.refuse_more_of(share)?;
        counts.remove(self.share);
        counts.add(share);
        drop(counts);
        self.share = share;
        Ok(())
    }

    /// Says that the session has signed in: it no longer counts against its address.
    pub(crate) fn signed_in(&mut self) {
        self.limits.lock().remove(self.share);
        self.share = Share::Nobody;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.limits.lock();
        counts.remove(self.share);
        counts.sessions -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const BOB: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn settings(sessions: usize, sessions_per_peer: usize) -> Limits {
        Limits { sessions, sessions_per_peer, ..Limits::default() }
    }

    fn limits(sessions: usize, sessions_per_peer: usize) -> SessionLimits {
        SessionLimits::new(&settings(sessions, sessions_per_peer))
    }

    #[test]
    fn one_address_cannot_take_every_place() {
        let limits = limits(10, 2);
        let mut first = limits.admit(ALICE).unwrap();
        let second = limits.admit(ALICE).unwrap();
        assert_eq!(limits.admit(ALICE).unwrap_err(), Crowded::Peer);
        let _other = limits.admit(BOB).unwrap();
        drop(second);
        let _third = limits.admit(ALICE).unwrap();
        assert!(limits.admit(ALICE).is_err());
        first.signed_in();
        assert!(limits.admit(ALICE).is_ok(), "a signed-in session does not count");
    }

    #[test]
    fn one_ipv6_network_cannot_take_every_place_by_changing_its_address() {
        let limits = limits(10, 2);
        let admit = |peer: &str| limits.admit(peer.parse().unwrap());
        let places = [admit("2001:db8:1:2::1").unwrap(), admit("2001:db8:1:2::2").unwrap()];
        let last = "2001:db8:1:2:ffff:ffff:ffff:ffff";
        assert_eq!(admit(last).unwrap_err(), Crowded::Peer);
        let other = admit("2001:db8:1:3::1").unwrap();
        drop(places);
        let again = admit(last).unwrap();
        drop((other, again));
        assert!(limits.lock().shares.is_empty(), "no network is remembered");
    }

    #[test]
    fn ipv4_addresses_count_one_by_one_however_they_are_written() {
        let limits = limits(10, 1);
        let _alice = limits.admit(ALICE).unwrap();
        let mapped = |text: &str| limits.admit(text.parse().unwrap());
        assert_eq!(mapped("::ffff:192.0.2.1").unwrap_err(), Crowded::Peer);
        assert!(mapped("::ffff:192.0.2.2").is_ok());
    }

    #[test]
    fn a_place_is_free_again_when_its_session_ends() {
        let limits = limits(2, 10);
        let mut places = vec![limits.admit(ALICE).unwrap(), limits.admit(BOB).unwrap()];
        assert_eq!(limits.admit(BOB).unwrap_err(), Crowded::Relay);
        places.pop();
        drop(limits.admit(BOB).unwrap());
        drop(places);
        assert!(limits.lock().shares.is_empty(), "no address is remembered");
    }

    #[test]
    fn changed_limits_hold_at_once_and_end_no_session() {
        let limits = limits(2, 10);
        let places = [limits.admit(ALICE).unwrap(), limits.admit(BOB).unwrap()];
        limits.change(&settings(3, 1));
        assert_eq!(limits.admit(BOB).unwrap_err(), Crowded::Peer);
        limits.change(&settings(3, 2));
        let third = limits.admit(BOB).unwrap();
        limits.change(&settings(1, 2));
        assert_eq!(limits.admit(ALICE).unwrap_err(), Crowded::Relay);
        drop((places, third));
        assert!(limits.admit(ALICE).is_ok());
    }

    #[test]
    fn one_balancer_without_headers_cannot_take_every_place() {
        // A tenth of the sessions, or as many as may not have signed in, if that is more.
        for (sessions, per_peer, most) in [(60, 2, 6), (6, 2, 2), (6, 3, 3)] {
            let limits = limits(sessions, per_peer);
            let owing = |balancer| {
                let mut place = limits.admit_forwarded().unwrap();
                place.count_as_owing(balancer).map(|()| place)
            };
            let mut places: Vec<_> = (0..most).map(|_| owing(ALICE).unwrap()).collect();
            assert_eq!(owing(ALICE).unwrap_err(), Crowded::Peer);
            let other = owing(BOB).unwrap();
            // Once it has said whom it forwards, that one counts.
            places[0].count_for(BOB).unwrap();
            let next = owing(ALICE).unwrap();
            drop((places, other, next));
            let counts = limits.lock();
            assert!(counts.shares.is_empty());
            assert_eq!(counts.sessions, 0);
        }
    }

    #[test]
    fn a_balancer_that_says_at_once_whom_it_forwards_has_no_share() {
        let limits = limits(60, 2);
        let places: Vec<_> = (0..60).map(|_| limits.admit_forwarded().unwrap()).collect();
        assert_eq!(limits.admit_forwarded().unwrap_err(), Crowded::Relay);
        drop(places);
        assert_eq!(limits.lock().sessions, 0);
    }

    #[test]
    fn probes_find_a_place_however_many_clients_have_the_balancer_s_network() {
        let limits = limits(10, 2);
        let _clients = [limits.admit(ALICE).unwrap(), limits.admit(ALICE).unwrap()];
        let probe = || {
            let mut place = limits.admit_forwarded().unwrap();
            place.count_as_probe(ALICE).map(|()| place)
        };
        let probes = [probe().unwrap(), probe().unwrap()];
        assert_eq!(probe().unwrap_err(), Crowded::Peer);
        drop(probes);
        assert!(probe().is_ok());
    }

    #[test]
    fn a_client_that_a_balancer_announces_counts_for_its_own_address() {
        let limits = limits(10, 1);
        let mut first = limits.admit_forwarded().unwrap();
        first.count_for(BOB).unwrap();
        assert_eq!(limits.admit(BOB).unwrap_err(), Crowded::Peer);
        let mut second = limits.admit_forwarded().unwrap();
        second.count_as_owing(ALICE).unwrap();
        assert_eq!(second.count_for(BOB), Err(Crowded::Peer));
        let mut third = limits.admit_forwarded().unwrap();
        assert!(third.count_as_owing(ALICE).is_err(), "the second is still the balancer's");
        first.signed_in();
        second.count_for(BOB).unwrap();
        drop((first, second, third));
        assert!(limits.lock().shares.is_empty());
    }

    #[test]
    fn a_balancer_gets_no_place_beyond_all() {
        let limits = limits(1, 5);
        let _only = limits.admit(BOB).unwrap();
        assert_eq!(limits.admit_forwarded().unwrap_err(), Crowded::Relay);
    }
}
