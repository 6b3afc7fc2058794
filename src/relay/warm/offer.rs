//! An offer: what a pool has for one sign-in, and how that waits for its token meanwhile.

use tracing::debug;

use super::Pool;
use super::kept::Kept;
use crate::clock;
use crate::provider::Provider;
use crate::relay::meter::WarmMeter;
use crate::relay::protocol::{Awaiting, MailProtocol};
use crate::relay::upstream::{Ahead, Destination, Reached};

/// What a pool has for one sign-in. It counts what became of it when it is dropped.
pub(crate) struct Offer<'a, P: MailProtocol> {
    pool: &'a Pool<P>,
    provider: &'a Provider,
    destination: &'a Destination<'a>,
    meter: &'a WarmMeter,
    /// Whether one was taken that is not known to be dead.
    is_taken: bool,
}

impl<'a, P: MailProtocol> Offer<'a, P> {
    pub(super) fn new(
        pool: &'a Pool<P>,
        provider: &'a Provider,
        destination: &'a Destination<'a>,
        meter: &'a WarmMeter,
    ) -> Self {
        Self { pool, provider, destination, meter, is_taken: false }
    }

    /// Lets `look` see what is kept of the way, if there is anything and it may be given.
    fn on_way<T>(&self, look: impl FnOnce(&mut Kept<P>) -> T) -> Option<T> {
        if self.pool.is_shut() {
            return None;
        }
        self.pool.on_way(self.provider, self.destination, look)
    }
}

impl<P: MailProtocol> Ahead<Awaiting<P>> for Offer<'_, P> {
    async fn none_left(&mut self) {
        if let Some(promise) = self.on_way(Kept::promise).flatten() {
            promise.withdrawn().await;
        }
        self.on_way(|kept| kept.miss(self.pool.limit, self.meter));
    }

    fn take(&mut self) -> Option<Reached<Awaiting<P>>> {
        let taken = self.on_way(|kept| {
            let unix_time = clock::unix_time();
            let Some(mut taken) = kept.take(unix_time, self.meter) else {
                kept.miss(self.pool.limit, self.meter);
                return None;
            };
            if let Some(told) = kept.told.to(self.destination.mailbox, unix_time) {
                P::remember(taken.awaiting(), told);
            }
            Some(taken)
        });
        let taken = taken.flatten();
        self.is_taken = taken.is_some();
        if self.is_taken {
            debug!(upstream = %self.destination.host, "warm connection taken");
        }
        taken
    }

    fn was_dead(&mut self) {
        self.is_taken = false;
        self.pool.on_way(self.provider, self.destination, |kept| kept.disturbed(self.meter));
    }
}

impl<P: MailProtocol> Drop for Offer<'_, P> {
    fn drop(&mut self) {
        if self.is_taken {
            self.meter.taken(P::PROTOCOL);
        }
    }
}
