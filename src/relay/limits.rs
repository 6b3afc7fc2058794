//! How many sessions there may be: `limits.sessions` in all, `limits.sessions_per_peer` that have
//! not signed in from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::proto::Farewell;

/// The counters of one relay.
#[derive(Debug)]
pub(crate) struct SessionLimits {
    sessions: Arc<Semaphore>,
    peers: Arc<Peers>,
}

/// A session's place; dropping it frees it.
#[derive(Debug)]
pub(crate) struct Place {
    _session: OwnedSemaphorePermit,
    /// The place among its address' sessions, until it has signed in.
    stranger: Option<Stranger>,
}

impl SessionLimits {
    pub(crate) fn new(sessions: usize, sessions_per_peer: usize) -> Self {
        Self {
            sessions: Arc::new(Semaphore::new(sessions.min(Semaphore::MAX_PERMITS))),
            peers: Arc::new(Peers { per_peer: sessions_per_peer, counts: Mutex::default() }),
        }
    }

    /// A place for a session from `peer`.
    ///
    /// # Errors
    /// What to tell the client when there is none.
    pub(crate) fn admit(&self, peer: IpAddr) -> Result<Place, Farewell> {
        let stranger = self.peers.admit(peer.to_canonical()).ok_or(Farewell::TooManyFromPeer)?;
        let session = Arc::clone(&self.sessions)
            .try_acquire_owned()
            .map_err(|_| Farewell::TooManySessions)?;
        Ok(Place { _session: session, stranger: Some(stranger) })
    }
}

impl Place {
    /// Says that the session has signed in: it no longer counts against its address.
    pub(crate) fn signed_in(&mut self) {
        self.stranger = None;
    }
}

#[derive(Debug)]
struct Peers {
    per_peer: usize,
    /// Addresses with at least one session; bounded by the number of sessions.
    counts: Mutex<HashMap<IpAddr, usize>>,
}

impl Peers {
    fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Stranger> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(peer).or_default();
        if *count >= self.per_peer {
            return None;
        }
        *count += 1;
        Some(Stranger { peers: Arc::clone(self), peer })
    }
}

#[derive(Debug)]
struct Stranger {
    peers: Arc<Peers>,
    peer: IpAddr,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut counts = self.peers.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const BOB: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn one_address_cannot_take_every_place() {
        let limits = SessionLimits::new(10, 2);
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
    fn a_place_is_free_again_when_its_session_ends() {
        let limits = SessionLimits::new(2, 10);
        let mut places = vec![limits.admit(ALICE).unwrap(), limits.admit(BOB).unwrap()];
        assert_eq!(limits.admit(BOB).unwrap_err(), Farewell::TooManySessions);
        places.pop();
        drop(limits.admit(BOB).unwrap());
        drop(places);
        assert!(limits.peers.counts.lock().unwrap().is_empty(), "no address is remembered");
    }
}
