//! Places: how many requests that nobody waits for are begun in a round, and are under way at once.
//!
//! One host has as many places for one purpose as are free for everybody else, so however slow it
//! is, renewals and uses that keep a consent alive go on at the others, and each of both beside the
//! other. What a round may begin is counted by host, too: however quickly one fails, and is asked
//! again, the others have their turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Places that all hosts share. One has half of them for one purpose at most: 56 are 280 requests a
/// second at the 200 ms that an endpoint mostly takes, and not quite four at the longest, 15 s.
const SHARED: usize = 112;

/// Places besides, so 128 in all, each for a host that has none.
const FIRST: usize = 16;

/// Requests of each purpose begun at a host in one round: after a machine has slept, everything is
/// due at once.
const REQUESTS_IN_A_ROUND: usize = 16;

/// Grants looked at in one round for one reason, so that sessions never wait for it: some
/// milliseconds.
const LOOKS_IN_A_ROUND: usize = 1_000;

/// What a request is for that nobody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// A token is renewed before its end.
    Renewal,
    /// A consent is used lest it die.
    KeepingAlive,
}

/// The places of requests under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Arc<Mutex<Taken>>);

/// Those that are taken.
#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// By purpose and host; none is zero.
    own: HashMap<Purpose, HashMap<String, usize>>,
}

/// A place, which is free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    purpose: Purpose,
    host: String,
}

impl Places {
    /// Whether a request to `host` finds a place.
    fn are_open(&self, purpose: Purpose, host: &str) -> bool {
        self.taken().are_open(purpose, host)
    }

    fn take(&self, purpose: Purpose, host: &str) -> Option<Place> {
        let mut taken = self.taken();
        if !taken.are_open(purpose, host) {
            return None;
        }
        taken.all += 1;
        *taken.own.entry(purpose).or_default().entry(host.to_owned()).or_default() += 1;
        Some(Place { places: self.clone(), purpose, host: host.to_owned() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Nothing that is done under the lock leaves it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn are_open(&self, purpose: Purpose, host: &str) -> bool {
        let own = self.own.get(&purpose).and_then(|own| own.get(host)).copied().unwrap_or_default();
        own < SHARED.saturating_sub(self.all) || (own == 0 && self.all < SHARED + FIRST)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all = taken.all.saturating_sub(1);
        if let Some(own) = taken.own.get_mut(&self.purpose)
            && let Some(count) = own.get_mut(&self.host)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                own.remove(&self.host);
            }
        }
    }
}

/// How many grants may still be looked at in a round.
#[derive(Debug)]
pub(super) struct Looks(usize);

impl Default for Looks {
    fn default() -> Self {
        Self(LOOKS_IN_A_ROUND)
    }
}

impl Looks {
    /// Whether another grant may be looked at; counts it.
    pub(super) fn take(&mut self) -> bool {
        let may = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        may
    }
}

/// What one purpose may do in a round.
#[derive(Debug)]
pub(super) struct Share {
    purpose: Purpose,
    /// How many requests it may begin at one host.
    requests: usize,
    /// How many it has begun, by host: no more hosts than it may look at grants.
    begun: HashMap<String, usize>,
    pub(super) looks: Looks,
    /// Whether somebody is due who only waits for a place.
    pub(super) lacks_place: bool,
}

impl Share {
    /// For a round that should begin `due` requests at all hosts together, so no more at one.
    pub(super) fn new(purpose: Purpose, due: usize) -> Self {
        let requests = REQUESTS_IN_A_ROUND.max(due);
        let begun = HashMap::new();
        Self { purpose, requests, begun, looks: Looks::default(), lacks_place: false }
    }

    /// Whether another request to `host` may be begun, if there is a place for it.
    pub(super) fn goes_on(&self, host: &str) -> bool {
        self.begun.get(host).is_none_or(|begun| *begun < self.requests)
    }

    /// Whether a request to `host` may be begun now.
    pub(super) fn is_open(&self, places: &Places, host: &str) -> bool {
        self.goes_on(host) && places.are_open(self.purpose, host)
    }

    /// A place for a request to `host`, if the round has one left.
    pub(super) fn place(&self, places: &Places, host: &str) -> Option<Place> {
        if !self.goes_on(host) {
            return None;
        }
        places.take(self.purpose, host)
    }

    /// Says that a request to `host` has begun.
    pub(super) fn begin(&mut self, host: String) {
        *self.begun.entry(host).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes places at `host` until there are none.
    fn fill(places: &Places, purpose: Purpose, host: &str) -> Vec<Place> {
        std::iter::from_fn(|| places.take(purpose, host)).collect()
    }

    #[test]
    fn host_that_hangs_leaves_as_many_places_as_it_has_and_gives_them_back() {
        let places = Places::default();
        let hanging = fill(&places, Purpose::Renewal, "slow");
        assert_eq!(hanging.len(), 56);
        assert!(!places.are_open(Purpose::Renewal, "slow"));
        assert_eq!(fill(&places, Purpose::Renewal, "other").len(), 28);
        assert_eq!(fill(&places, Purpose::KeepingAlive, "slow").len(), 28, "another purpose");
        drop(hanging);
        assert_eq!(fill(&places, Purpose::Renewal, "other").len(), 56);
        assert!(places.taken().own.values().all(HashMap::is_empty));
    }

    #[test]
    fn many_hosts_that_hang_leave_a_place_for_another_one() {
        let places = Places::default();
        let mut taken = Vec::new();
        for host in 0..20 {
            taken.extend(fill(&places, Purpose::Renewal, &format!("slow-{host}")));
        }
        assert_eq!(taken.len(), SHARED + 13, "seven share, each of the others has one");
        assert!(places.are_open(Purpose::Renewal, "other"));
    }
}
