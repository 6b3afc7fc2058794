//! Warm connections: upstream connections that are made ahead of the sessions that will want them, by
//! the rate of those that have just signed in.
//!
//! Made:   behind an accepted sign-in alone, so never for a stranger, and as many as the sign-ins of
//!         the last seconds call for (`demand`), up to `limits.warm_connections` for each provider
//!         and protocol. TLS is up, greeting and capabilities are read, and AUTH is sent where the
//!         token has a line of its own. Nobody is signed in on them, and they hold no credentials.
//! Given:  to a session with a place at its mailbox's gate, whose own dial would lead to the same
//!         server in the same way. Each once.
//! Closed: when nobody wants one for `UNUSED_MAX`, when the server closes it or says anything, by a
//!         reload, in a drain. A server that refuses is left alone for `REST`.

mod demand;
mod keeper;
mod kept;
mod offer;
mod told;
mod way;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use self::keeper::Keeper;
use self::kept::Kept;
use self::offer::Offer;
pub(crate) use self::told::Lesson;
use self::way::Way;
use super::meter::WarmMeter;
use super::protocol::{Imap, MailProtocol, Pop3, Submission, Welcome};
use super::upstream::{Destination, SignInError};
use crate::clock;
use crate::provider::Provider;

/// How long a connection is kept that nobody wants.
///
/// Servers close one that does not sign in after a minute or more (Exchange's default is one, for
/// IMAP and POP3), so none is near its end when it is given.
const UNUSED_MAX: Duration = Duration::from_secs(10);

/// How old a connection may be by the wall clock when it is given: `UNUSED_MAX`, with some seconds for
/// whoever closes it. What is older outlived a machine that was suspended, whose timers stood still.
const AGE_MAX: Duration = Duration::from_secs(15);

/// How long no connection is made ahead to a server that has refused one, or a session.
const REST: Duration = Duration::from_secs(60);

/// The warm connections of one service.
pub(crate) struct Warm {
    submission: Pool<Submission>,
    imap: Pool<Imap>,
    pop3: Pool<Pop3>,
    closed: CancellationToken,
}

impl Warm {
    /// None yet, and at most `limit` for each provider and protocol.
    pub(super) fn new(limit: usize) -> Self {
        let closed = CancellationToken::new();
        Self {
            submission: Pool::new(limit, closed.clone()),
            imap: Pool::new(limit, closed.clone()),
            pop3: Pool::new(limit, closed.clone()),
            closed,
        }
    }

    pub(super) fn submission(&self) -> &Pool<Submission> {
        &self.submission
    }

    pub(super) fn imap(&self) -> &Pool<Imap> {
        &self.imap
    }

    pub(super) fn pop3(&self) -> &Pool<Pop3> {
        &self.pop3
    }

    /// Closes all, and makes no more: another configuration is in force.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }
}

/// The warm connections of one protocol.
pub(crate) struct Pool<P: MailProtocol> {
    limit: usize,
    closed: CancellationToken,
    ways: Arc<Mutex<Vec<Kept<P>>>>,
}

impl<P: MailProtocol> Pool<P> {
    fn new(limit: usize, closed: CancellationToken) -> Self {
        Self { limit, closed, ways: Arc::default() }
    }

    /// The connections to where `destination` leads. To be called with a place at the gate.
    pub(super) fn offer<'a>(
        &'a self,
        provider: &'a Provider,
        destination: &'a Destination<'a>,
        meter: &'a WarmMeter,
    ) -> Offer<'a, P> {
        Offer::new(self, provider, destination, meter)
    }

    /// Whether nothing is given any more, or never was.
    fn is_shut(&self) -> bool {
        self.limit == 0 || self.closed.is_cancelled()
    }

    /// Lets `look` see what is kept of the way to `destination`, if there is anything.
    fn on_way<T>(
        &self,
        provider: &Provider,
        destination: &Destination<'_>,
        look: impl FnOnce(&mut Kept<P>) -> T,
    ) -> Option<T> {
        let mut ways = self.lock();
        ways.iter_mut().find(|kept| kept.way.leads(provider, destination)).map(look)
    }

    /// Notes that a session has signed in at `destination`, and makes as many connections there as
    /// that calls for, until `drain`.
    pub(super) fn signed_in(
        &self,
        provider: &Provider,
        destination: &Destination<'_>,
        meter: &WarmMeter,
        drain: &CancellationToken,
    ) {
        if self.is_shut() || drain.is_cancelled() {
            return;
        }
        let now = Instant::now();
        let mut ways = self.lock();
        let of_provider = |kept: &&Kept<P>| kept.way.is_of(provider);
        let all: usize = ways.iter().filter(of_provider).map(Kept::count).sum();
        let at = ways.iter().position(|kept| kept.way.leads(provider, destination));
        let kept = match at.and_then(|at| ways.get_mut(at)) {
            Some(kept) => kept,
            None => {
                // Those that a new `ca_file` has made useless are over by themselves.
                ways.retain(|kept| {
                    kept.count() > 0 || !kept.demand.is_over(now) || kept.rests(now)
                });
                ways.push(Kept::new(Way::of(provider, destination)));
                let Some(kept) = ways.last_mut() else { return };
                kept
            }
        };
        kept.demand.signed_in(now, self.limit);
        if kept.rests(now) {
            return;
        }
        let wanted = kept.demand.target(now, self.limit).saturating_sub(kept.count());
        let wanted = wanted.min(self.limit.saturating_sub(all));
        kept.dialling += wanted;
        let way = kept.way.clone();
        drop(ways);
        for _ in 0..wanted {
            let keeper = Keeper {
                pool: Self { ways: Arc::clone(&self.ways), closed: self.closed.clone(), ..*self },
                way: way.clone(),
                meter: meter.clone(),
                drain: drain.clone(),
            };
            // It is nobody's session.
            tokio::spawn(keeper.keep().instrument(Span::none()));
        }
    }

    /// Learns from the `welcome` of the server of `destination` what it tells who asks, for those who
    /// sign in there by the same way as the same mailbox.
    pub(super) fn learn(
        &self,
        provider: &Provider,
        destination: &Destination<'_>,
        welcome: &Welcome<P>,
    ) {
        if self.is_shut() {
            return;
        }
        let (mailbox, lesson) = (destination.mailbox, P::told(welcome));
        self.on_way(provider, destination, |kept| {
            kept.told.learn(mailbox, &lesson, clock::unix_time());
        });
    }

    /// Lets the server of `destination` alone for a while: it has refused a session because of
    /// `error`.
    pub(super) fn failed(
        &self,
        provider: &Provider,
        destination: &Destination<'_>,
        error: &SignInError,
        meter: &WarmMeter,
    ) {
        if error.is_of_server() {
            self.on_way(provider, destination, |kept| kept.rest(meter));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Kept<P>>> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
