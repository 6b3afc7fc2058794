//! Places: how many requests that nobody waits for are begun in a round, and are under way at once.
//!
//! Renewals and uses that keep a consent alive share most of the places, and each of both has some
//! of its own: however slow one endpoint is for the ones, the others go on.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places that both purposes share; with [`OWN`] of each, 64 requests are under way at once.
const SHARED: usize = 48;

/// Those of each purpose alone. One purpose has 56 in all: 280 requests a second at the 200 ms that
/// an endpoint mostly takes, and not quite four at the longest, 15 s.
const OWN: usize = 8;

/// Requests of each purpose begun in one round: after a machine has slept, everything is due at once.
const REQUESTS_IN_A_ROUND: usize = 16;

/// Grants looked at in one round for one reason, so that sessions never wait for it: some
/// milliseconds.
const LOOKS_IN_A_ROUND: usize = 1_000;

/// What a request is for that nobody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A token is renewed before its end.
    Renewal,
    /// A consent is used lest it die.
    KeepingAlive,
}

/// The places of requests under way.
#[derive(Debug)]
pub(super) struct Places {
    shared: Arc<Semaphore>,
    of_renewals: Arc<Semaphore>,
    of_keeping_alive: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self { shared: places(SHARED), of_renewals: places(OWN), of_keeping_alive: places(OWN) }
    }
}

impl Places {
    /// A place, which is free again when it is dropped; `None` where there is none.
    fn take(&self, purpose: Purpose) -> Option<OwnedSemaphorePermit> {
        let own = match purpose {
            Purpose::Renewal => &self.of_renewals,
            Purpose::KeepingAlive => &self.of_keeping_alive,
        };
        [own, &self.shared].into_iter().find_map(|it| Arc::clone(it).try_acquire_owned().ok())
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
    /// How many requests it may still begin.
    requests: usize,
    pub(super) looks: Looks,
    /// Whether it has to go on without a place that it needs.
    pub(super) lacks_place: bool,
}

impl Share {
    /// For a round that should begin `due` requests.
    pub(super) fn new(purpose: Purpose, due: usize) -> Self {
        let requests = REQUESTS_IN_A_ROUND.max(due);
        Self { purpose, requests, looks: Looks::default(), lacks_place: false }
    }

    /// Whether another request may be begun, as far as is known.
    pub(super) fn goes_on(&self) -> bool {
        self.requests > 0 && !self.lacks_place
    }

    /// A place for a request, if the round has one left.
    pub(super) fn place(&mut self, places: &Places) -> Option<OwnedSemaphorePermit> {
        if !self.goes_on() {
            return None;
        }
        let place = places.take(self.purpose);
        self.lacks_place = place.is_none();
        place
    }

    /// Says that a request has begun.
    pub(super) fn begin(&mut self) {
        self.requests = self.requests.saturating_sub(1);
    }
}
