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
mod way;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, debug};

use self::demand::Demand;
use self::way::Way;
use super::downstream::close;
use super::meter::{Dropped, WarmMeter};
use super::protocol::{Awaiting, Imap, MailProtocol, Pop3, Submission};
use super::upstream::{Ahead, Destination, Progress, Reached, SIGN_IN_TIMEOUT, SignInError, reach};
use crate::provider::Provider;

/// How long a connection is kept that nobody wants.
///
/// Servers close one that does not sign in after a minute or more (Exchange's default is one, for
/// IMAP and POP3), so none is near its end when it is given.
const UNUSED_MAX: Duration = Duration::from_secs(10);

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

/// What is kept of one way to a server.
struct Kept<P: MailProtocol> {
    way: Way,
    demand: Demand,
    /// Oldest first.
    ready: VecDeque<Ready<P>>,
    /// How many are on their way to be ready.
    dialling: usize,
    /// Until when none is made.
    rests_until: Option<Instant>,
}

/// A connection that can be given. When it is dropped, whoever watches it lets go of it.
struct Ready<P: MailProtocol> {
    id: Arc<()>,
    berth: Arc<Berth<P>>,
    _watched: oneshot::Sender<()>,
}

/// Where a connection lies, until it is given or dropped.
struct Berth<P: MailProtocol>(Mutex<Option<Reached<Awaiting<P>>>>);

/// What a pool has for one sign-in. It counts what became of it when it is dropped.
pub(super) struct Offer<'a, P: MailProtocol> {
    pool: &'a Pool<P>,
    provider: &'a Provider,
    destination: &'a Destination<'a>,
    meter: &'a WarmMeter,
    /// Whether one was taken that is not known to be dead.
    is_taken: bool,
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
        Offer { pool: self, provider, destination, meter, is_taken: false }
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
        if self.limit == 0 || self.closed.is_cancelled() || drain.is_cancelled() {
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

impl<P: MailProtocol> Ahead<Awaiting<P>> for Offer<'_, P> {
    fn is_ready(&self) -> bool {
        if self.pool.limit == 0 || self.pool.closed.is_cancelled() {
            return false;
        }
        let is_ready = self.pool.on_way(self.provider, self.destination, |kept| {
            if kept.ready.is_empty() {
                kept.miss(self.pool.limit, self.meter);
            }
            !kept.ready.is_empty()
        });
        is_ready.unwrap_or(false)
    }

    fn take(&mut self) -> Option<Reached<Awaiting<P>>> {
        let taken = self.pool.on_way(self.provider, self.destination, |kept| {
            let taken = kept.take(self.meter);
            if taken.is_none() {
                kept.miss(self.pool.limit, self.meter);
            }
            taken
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

impl<P: MailProtocol> Kept<P> {
    fn new(way: Way) -> Self {
        let (demand, ready, rests_until) = (Demand::default(), VecDeque::new(), None);
        Self { way, demand, ready, dialling: 0, rests_until }
    }

    fn count(&self) -> usize {
        self.ready.len() + self.dialling
    }

    /// Takes the oldest that the server has not disturbed.
    fn take(&mut self, meter: &WarmMeter) -> Option<Reached<Awaiting<P>>> {
        while let Some(ready) = self.ready.pop_front() {
            meter.leaves(P::PROTOCOL);
            let Some(mut reached) = ready.berth.lock().take() else { continue };
            // Whoever watches it may not have had a turn since the server closed it.
            if reached.poll_disturbed(&mut Context::from_waker(Waker::noop())).is_ready() {
                self.disturbed(meter);
                continue;
            }
            return Some(reached);
        }
        None
    }

    /// Counts a session that found none, where so many sign in that there should be some.
    fn miss(&mut self, limit: usize, meter: &WarmMeter) {
        let now = Instant::now();
        if !self.rests(now) && self.demand.target(now, limit) > 0 {
            meter.missed(P::PROTOCOL);
        }
    }

    /// Whether the server is left alone.
    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    /// The server has closed one, or said something.
    fn disturbed(&mut self, meter: &WarmMeter) {
        meter.dropped(P::PROTOCOL, Dropped::Closed);
        self.rest(meter);
    }

    /// Lets go of those that are ready, and makes none for a while.
    fn rest(&mut self, meter: &WarmMeter) {
        self.rests_until = Some(Instant::now() + REST);
        for _ in self.ready.drain(..) {
            meter.leaves(P::PROTOCOL);
            meter.dropped(P::PROTOCOL, Dropped::GivenUp);
        }
    }
}

impl<P: MailProtocol> Berth<P> {
    fn lock(&self) -> MutexGuard<'_, Option<Reached<Awaiting<P>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the server disturbs the connection; for ever once it was taken.
    async fn disturbed(&self) {
        poll_fn(|cx| match self.lock().as_mut() {
            Some(reached) => reached.poll_disturbed(cx),
            None => Poll::Pending,
        })
        .await;
    }
}

/// Makes one connection, and keeps it until it is taken or has to be closed.
struct Keeper<P: MailProtocol> {
    pool: Pool<P>,
    way: Way,
    meter: WarmMeter,
    drain: CancellationToken,
}

/// Why a connection is kept no longer.
enum End {
    /// It was taken, or its pool has let go of it and said why.
    Gone,
    Because(Dropped),
}

impl<P: MailProtocol> Keeper<P> {
    async fn keep(self) {
        let dialled = tokio::select! {
            biased;
            () = self.is_over() => None,
            dialled = timeout(SIGN_IN_TIMEOUT, Box::pin(self.dial())) => Some(dialled),
        };
        let upstream = &self.way.host;
        let reached = match dialled {
            Some(Ok(Ok(reached))) => reached,
            Some(outcome) => {
                let error = outcome.ok().and_then(Result::err).map(|error| error.to_string());
                let error = error.as_deref().unwrap_or("no answer in time");
                debug!(%upstream, error, "no warm connection, the server is left alone for {REST:?}");
                return self.undialled(Dropped::Failed);
            }
            None => return self.undialled(Dropped::GivenUp),
        };
        let (id, berth) = (Arc::new(()), Arc::new(Berth(Mutex::new(Some(reached)))));
        let (watched, gone) = oneshot::channel();
        let ready = Ready { id: Arc::clone(&id), berth: Arc::clone(&berth), _watched: watched };
        if self.put(ready) {
            debug!(%upstream, "warm connection ready");
            let end = tokio::select! {
                biased;
                _ = gone => End::Gone,
                () = self.is_over() => End::Because(Dropped::GivenUp),
                () = berth.disturbed() => End::Because(Dropped::Closed),
                () = sleep(UNUSED_MAX) => End::Because(Dropped::Unused),
            };
            if let End::Because(why) = end {
                self.drop(&id, why);
            }
        }
        let left = berth.lock().take();
        if let Some(reached) = left {
            close(&mut reached.into_stream()).await;
        }
    }

    /// Waits until no connection is to be kept any more.
    async fn is_over(&self) {
        tokio::select! {
            () = self.pool.closed.cancelled() => {}
            () = self.drain.cancelled() => {}
        }
    }

    async fn dial(&self) -> Result<Reached<Awaiting<P>>, SignInError> {
        let machine = P::upstream(self.way.host.tls, self.way.mechanism);
        let reached = reach(self.way.server(), machine, &mut Progress::default()).await?;
        reached.begin(&self.way.host).await
    }

    /// Notes that no connection came about.
    fn undialled(&self, why: Dropped) {
        self.meter.dropped(P::PROTOCOL, why);
        let mut ways = self.pool.lock();
        let Some(kept) = ways.iter_mut().find(|kept| kept.way == self.way) else { return };
        kept.dialling = kept.dialling.saturating_sub(1);
        if why == Dropped::Failed {
            kept.rest(&self.meter);
        }
    }

    /// Makes the connection one that can be given, unless its server rests since it was begun; gives
    /// whether it is one.
    fn put(&self, ready: Ready<P>) -> bool {
        let mut ways = self.pool.lock();
        let Some(kept) = ways.iter_mut().find(|kept| kept.way == self.way) else { return false };
        kept.dialling = kept.dialling.saturating_sub(1);
        if kept.rests(Instant::now()) {
            self.meter.dropped(P::PROTOCOL, Dropped::GivenUp);
            return false;
        }
        kept.ready.push_back(ready);
        self.meter.enters(P::PROTOCOL);
        true
    }

    /// Lets go of the connection `id`, unless it was taken meanwhile.
    fn drop(&self, id: &Arc<()>, why: Dropped) {
        let mut ways = self.pool.lock();
        let Some(kept) = ways.iter_mut().find(|kept| kept.way == self.way) else { return };
        let Some(at) = kept.ready.iter().position(|ready| Arc::ptr_eq(&ready.id, id)) else {
            return;
        };
        drop(kept.ready.remove(at));
        self.meter.leaves(P::PROTOCOL);
        debug!(upstream = %self.way.host, why = why.name(), "warm connection dropped");
        match why {
            Dropped::Closed => kept.disturbed(&self.meter),
            Dropped::Unused | Dropped::Failed | Dropped::GivenUp => {
                self.meter.dropped(P::PROTOCOL, why);
            }
        }
    }
}

#[cfg(test)]
mod tests;
