//! What is kept of one way to a server: its connections that are ready, who is to have one, and
//! whether the server is left alone.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::demand::Demand;
use super::told::Told;
use super::way::Way;
use super::{AGE_MAX, REST};
use crate::clock;
use crate::relay::meter::{Dropped, WarmMeter};
use crate::relay::protocol::{Awaiting, MailProtocol};
use crate::relay::upstream::Reached;

/// What is kept of one way to a server.
pub(super) struct Kept<P: MailProtocol> {
    pub(super) way: Way,
    pub(super) demand: Demand,
    /// What the server told who had to ask.
    pub(super) told: Told,
    /// Oldest first.
    ready: VecDeque<Ready<P>>,
    /// Sessions that will take one once they have their token, oldest first.
    promised: Vec<oneshot::Sender<Infallible>>,
    /// How many are on their way to be ready.
    pub(super) dialling: usize,
    /// Until when none is made.
    rests_until: Option<Instant>,
}

/// A connection that can be given. When it is dropped, whoever watches it lets go of it.
pub(super) struct Ready<P: MailProtocol> {
    berth: Arc<Berth<P>>,
    /// When it was made.
    unix_time: Duration,
    _watched: oneshot::Sender<Infallible>,
}

/// Where a connection lies, until it is given or dropped.
pub(super) struct Berth<P: MailProtocol>(Mutex<Option<Reached<Awaiting<P>>>>);

/// That there will be a connection for a session which awaits its token.
pub(super) struct Promise(oneshot::Receiver<Infallible>);

impl Promise {
    /// Waits until it is known that there will be none.
    pub(super) async fn withdrawn(self) {
        // Nothing is ever sent.
        let Err(_) = self.0.await;
    }
}

impl<P: MailProtocol> Kept<P> {
    pub(super) fn new(way: Way) -> Self {
        let (demand, told, ready) = (Demand::default(), Told::default(), VecDeque::new());
        Self { way, demand, told, ready, promised: Vec::new(), dialling: 0, rests_until: None }
    }

    /// How many there are and will be.
    pub(super) fn count(&self) -> usize {
        self.ready.len() + self.dialling
    }

    /// Promises one to a session that awaits its token, unless all are promised.
    pub(super) fn promise(&mut self) -> Option<Promise> {
        self.keep_promises();
        if self.promised.len() >= self.ready.len() {
            return None;
        }
        let (promised, promise) = oneshot::channel();
        self.promised.push(promised);
        Some(Promise(promise))
    }

    /// Withdraws the promises for which there are no connections any more, the latest first.
    fn keep_promises(&mut self) {
        self.promised.retain(|promised| !promised.is_closed());
        self.promised.truncate(self.ready.len());
    }

    /// Takes the oldest that the server has not disturbed, where it is `unix_time`. Whoever has its
    /// token already goes before those to whom one is promised.
    pub(super) fn take(
        &mut self,
        unix_time: Duration,
        meter: &WarmMeter,
    ) -> Option<Reached<Awaiting<P>>> {
        let taken = self.next_undisturbed(unix_time, meter);
        self.keep_promises();
        taken
    }

    fn next_undisturbed(
        &mut self,
        unix_time: Duration,
        meter: &WarmMeter,
    ) -> Option<Reached<Awaiting<P>>> {
        loop {
            let Some(mut reached) = self.next(unix_time, meter)?.berth.leave() else { continue };
            // Whoever watches it may not have had a turn since the server closed it.
            if reached.poll_disturbed(&mut Context::from_waker(Waker::noop())).is_pending() {
                return Some(reached);
            }
            self.disturbed(meter);
        }
    }

    /// The oldest, where it is `unix_time`. Those that are too old are left to be closed.
    fn next(&mut self, unix_time: Duration, meter: &WarmMeter) -> Option<Ready<P>> {
        loop {
            let ready = self.ready.pop_front()?;
            meter.leaves(P::PROTOCOL);
            if !ready.is_too_old(unix_time) {
                return Some(ready);
            }
            meter.dropped(P::PROTOCOL, Dropped::GivenUp);
        }
    }

    /// Makes a connection one that can be given, unless the server rests since it was begun; gives
    /// whether it is one.
    pub(super) fn put(&mut self, ready: Ready<P>, meter: &WarmMeter) -> bool {
        if self.rests(Instant::now()) {
            meter.dropped(P::PROTOCOL, Dropped::GivenUp);
            return false;
        }
        self.ready.push_back(ready);
        meter.enters(P::PROTOCOL);
        true
    }

    /// Removes the connection of `berth`; gives whether it was still there.
    pub(super) fn remove(&mut self, berth: &Arc<Berth<P>>, meter: &WarmMeter) -> bool {
        let at = self.ready.iter().position(|ready| Arc::ptr_eq(&ready.berth, berth));
        let Some(at) = at else { return false };
        drop(self.ready.remove(at));
        meter.leaves(P::PROTOCOL);
        self.keep_promises();
        true
    }

    /// Counts a session that found none, where so many sign in that there should be some.
    pub(super) fn miss(&mut self, limit: usize, meter: &WarmMeter) {
        let now = Instant::now();
        if !self.rests(now) && self.demand.target(now, limit) > 0 {
            meter.missed(P::PROTOCOL);
        }
    }

    /// Whether the server is left alone.
    pub(super) fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    /// The server has closed one, or said something.
    pub(super) fn disturbed(&mut self, meter: &WarmMeter) {
        meter.dropped(P::PROTOCOL, Dropped::Closed);
        self.rest(meter);
    }

    /// Lets go of those that are ready, and makes none for a while.
    pub(super) fn rest(&mut self, meter: &WarmMeter) {
        self.rests_until = Some(Instant::now() + REST);
        for _ in self.ready.drain(..) {
            meter.leaves(P::PROTOCOL);
            meter.dropped(P::PROTOCOL, Dropped::GivenUp);
        }
        self.keep_promises();
    }
}

impl<P: MailProtocol> Ready<P> {
    /// The connection in `berth`; whoever holds `watched`'s other end hears when it is gone.
    pub(super) fn new(berth: &Arc<Berth<P>>, watched: oneshot::Sender<Infallible>) -> Self {
        let unix_time = clock::unix_time();
        Self { berth: Arc::clone(berth), unix_time, _watched: watched }
    }

    /// Whether it was made longer ago than any is kept, or the clock was set back since, so that this
    /// is not known.
    fn is_too_old(&self, unix_time: Duration) -> bool {
        unix_time.checked_sub(self.unix_time).is_none_or(|age| age > AGE_MAX)
    }
}

impl<P: MailProtocol> Berth<P> {
    pub(super) fn new(reached: Reached<Awaiting<P>>) -> Self {
        Self(Mutex::new(Some(reached)))
    }

    /// Takes the connection, if it is still there.
    pub(super) fn leave(&self) -> Option<Reached<Awaiting<P>>> {
        self.lock().take()
    }

    /// Waits until the server disturbs the connection; for ever once it was taken.
    pub(super) async fn disturbed(&self) {
        poll_fn(|cx| match self.lock().as_mut() {
            Some(reached) => reached.poll_disturbed(cx),
            None => Poll::Pending,
        })
        .await;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Reached<Awaiting<P>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::protocol::Submission;
    use crate::relay::warm::tests::Scene;

    fn kept() -> Kept<Submission> {
        let scene = Scene::set();
        Kept::new(Way::of(&scene.provider, &scene.destination()))
    }

    /// Nobody's connection, made so long after 1970.
    fn made(unix_time: Duration) -> Ready<Submission> {
        let (watched, _) = oneshot::channel();
        Ready { berth: Arc::new(Berth(Mutex::new(None))), unix_time, _watched: watched }
    }

    #[test]
    fn a_connection_that_outlived_a_sleep_of_the_machine_is_given_to_nobody() {
        let (mut kept, meter) = (kept(), WarmMeter::default());
        let begun = Duration::from_secs(1_000_000);
        let second = Duration::from_secs(1);
        for unix_time in [begun, begun + second] {
            assert!(kept.put(made(unix_time), &meter));
        }
        let given = kept.next(begun + AGE_MAX + second, &meter);
        assert_eq!(
            given.map(|it| it.unix_time),
            Some(begun + second),
            "the second is just in time"
        );
        assert_eq!(kept.count(), 0);
        assert!(kept.put(made(begun), &meter));
        assert!(kept.next(begun - second, &meter).is_none(), "the clock was set back");
    }

    #[tokio::test]
    async fn as_many_are_promised_as_there_are_and_the_latest_promise_goes_first() {
        let (mut kept, meter) = (kept(), WarmMeter::default());
        let now = Duration::from_secs(1_000_000);
        assert!(kept.promise().is_none());
        for _ in 0..2 {
            assert!(kept.put(made(now), &meter));
        }
        let (first, second) = (kept.promise().unwrap(), kept.promise().unwrap());
        assert!(kept.promise().is_none(), "both are promised");
        drop(second);
        let second = kept.promise().expect("who waits no more holds nothing");
        // Somebody whose token was in memory.
        drop(kept.next(now, &meter));
        kept.keep_promises();
        assert_eq!(kept.promised.len(), 1, "the first holds");
        second.withdrawn().await;
        kept.rest(&meter);
        first.withdrawn().await;
    }
}
