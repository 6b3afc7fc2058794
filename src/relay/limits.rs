//! How many sessions there may be: `limits.sessions` in all, `limits.sessions_per_peer` that have
//! not signed in from one address. A network of IPv6 counts as one: whoever has it has every address
//! of it, and could take all places.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Limits;
use crate::net::network::network_of;
use crate::proto::Farewell;

/// The counters of one relay. Cloning shares them.
#[derive(Debug, Clone)]
pub(crate) struct SessionLimits(Arc<Mutex<Counts>>);

#[derive(Debug)]
struct Counts {
    sessions_max: usize,
    per_peer_max: usize,
    sessions: usize,
    /// Sessions that have not signed in, by network; none stands at zero, so there are at most as
    /// many networks as sessions.
    strangers: HashMap<IpAddr, usize>,
}

/// A session's place; dropping it frees it.
#[derive(Debug)]
pub(crate) struct Place {
    limits: SessionLimits,
    /// The network among whose sessions it counts, until it has signed in.
    stranger: Option<IpAddr>,
}

impl SessionLimits {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self(Arc::new(Mutex::new(Counts {
            sessions_max: limits.sessions,
            per_peer_max: limits.sessions_per_peer,
            sessions: 0,
            strangers: HashMap::new(),
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
    /// What to tell the client when there is none.
    pub(crate) fn admit(&self, peer: IpAddr) -> Result<Place, Farewell> {
        let peer = network_of(peer);
        let mut counts = self.lock();
        counts.refuse_more_of(peer)?;
        if counts.sessions >= counts.sessions_max {
            return Err(Farewell::TooManySessions);
        }
        counts.sessions += 1;
        counts.add_stranger(peer);
        Ok(Place { limits: self.clone(), stranger: Some(peer) })
    }

    /// A place for a session from somebody who is still to be told.
    ///
    /// # Errors
    /// What to tell the client when there is none.
    pub(crate) fn admit_unnamed(&self) -> Result<Place, Farewell> {
        let mut counts = self.lock();
        if counts.sessions >= counts.sessions_max {
            return Err(Farewell::TooManySessions);
        }
        counts.sessions += 1;
        Ok(Place { limits: self.clone(), stranger: None })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn refuse_more_of(&self, peer: IpAddr) -> Result<(), Farewell> {
        let strangers = self.strangers.get(&peer).copied().unwrap_or_default();
        if strangers < self.per_peer_max { Ok(()) } else { Err(Farewell::TooManyFromPeer) }
    }

    fn add_stranger(&mut self, peer: IpAddr) {
        *self.strangers.entry(peer).or_default() += 1;
    }

    fn remove_stranger(&mut self, peer: IpAddr) {
        if let Some(count) = self.strangers.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.strangers.remove(&peer);
            }
        }
    }
}

impl Place {
    /// Says from where the session comes: it counts for `peer` until it has signed in.
    ///
    /// # Errors
    /// What to tell the client when that address has too many already.
    pub(crate) fn count_for(&mut self, peer: IpAddr) -> Result<(), Farewell> {
        self.signed_in();
        let peer = network_of(peer);
        let mut counts = self.limits.lock();
        counts.refuse_more_of(peer)?;
        counts.add_stranger(peer);
        drop(counts);
        self.stranger = Some(peer);
        Ok(())
    }

    /// Says that the session has signed in: it no longer counts against its address.
    pub(crate) fn signed_in(&mut self) {
        if let Some(peer) = self.stranger.take() {
            self.limits.lock().remove_stranger(peer);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.signed_in();
        self.limits.lock().sessions -= 1;
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
        assert_eq!(limits.admit(ALICE).unwrap_err(), Farewell::TooManyFromPeer);
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
        assert_eq!(admit(last).unwrap_err(), Farewell::TooManyFromPeer);
        let other = admit("2001:db8:1:3::1").unwrap();
        drop(places);
        let again = admit(last).unwrap();
        drop((other, again));
        assert!(limits.lock().strangers.is_empty(), "no network is remembered");
    }

    #[test]
    fn ipv4_addresses_count_one_by_one_however_they_are_written() {
        let limits = limits(10, 1);
        let _alice = limits.admit(ALICE).unwrap();
        let mapped = |text: &str| limits.admit(text.parse().unwrap());
        assert_eq!(mapped("::ffff:192.0.2.1").unwrap_err(), Farewell::TooManyFromPeer);
        assert!(mapped("::ffff:192.0.2.2").is_ok());
    }

    #[test]
    fn a_place_is_free_again_when_its_session_ends() {
        let limits = limits(2, 10);
        let mut places = vec![limits.admit(ALICE).unwrap(), limits.admit(BOB).unwrap()];
        assert_eq!(limits.admit(BOB).unwrap_err(), Farewell::TooManySessions);
        places.pop();
        drop(limits.admit(BOB).unwrap());
        drop(places);
        assert!(limits.lock().strangers.is_empty(), "no address is remembered");
    }

    #[test]
    fn changed_limits_hold_at_once_and_end_no_session() {
        let limits = limits(2, 10);
        let places = [limits.admit(ALICE).unwrap(), limits.admit(BOB).unwrap()];
        limits.change(&settings(3, 1));
        assert_eq!(limits.admit(BOB).unwrap_err(), Farewell::TooManyFromPeer);
        limits.change(&settings(3, 2));
        let third = limits.admit(BOB).unwrap();
        limits.change(&settings(1, 2));
        assert_eq!(limits.admit(ALICE).unwrap_err(), Farewell::TooManySessions);
        drop((places, third));
        assert!(limits.admit(ALICE).is_ok());
    }
}
