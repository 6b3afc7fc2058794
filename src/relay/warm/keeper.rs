//! A keeper: makes one connection, and keeps it until it is taken or has to be closed.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::kept::{Berth, Kept, Ready};
use super::way::Way;
use super::{Pool, REST, UNUSED_MAX};
use crate::relay::downstream::close;
use crate::relay::meter::{Dropped, WarmMeter};
use crate::relay::protocol::{Awaiting, MailProtocol};
use crate::relay::upstream::{Progress, Reached, SIGN_IN_TIMEOUT, SignInError, reach};

/// Makes one connection, and keeps it until it is taken or has to be closed.
pub(super) struct Keeper<P: MailProtocol> {
    pub(super) pool: Pool<P>,
    pub(super) way: Way,
    pub(super) meter: WarmMeter,
    pub(super) drain: CancellationToken,
}

/// Why a connection is kept no longer.
enum End {
    /// It was taken, or its pool has let go of it and said why.
    Gone,
    Because(Dropped),
}

impl<P: MailProtocol> Keeper<P> {
    pub(super) async fn keep(self) {
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
        let berth = Arc::new(Berth::new(reached));
        let (watched, gone) = oneshot::channel();
        if self.put(Ready::new(&berth, watched)) {
            debug!(%upstream, "warm connection ready");
            let end = tokio::select! {
                biased;
                _ = gone => End::Gone,
                () = self.is_over() => End::Because(Dropped::GivenUp),
                () = berth.disturbed() => End::Because(Dropped::Closed),
                () = sleep(UNUSED_MAX) => End::Because(Dropped::Unused),
            };
            if let End::Because(why) = end {
                self.drop(&berth, why);
            }
        }
        if let Some(reached) = berth.leave() {
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

    /// Lets `look` see what is kept of its way, if that is still there.
    fn on_way<T>(&self, look: impl FnOnce(&mut Kept<P>) -> T) -> Option<T> {
        let mut ways = self.pool.lock();
        ways.iter_mut().find(|kept| kept.way == self.way).map(look)
    }

    /// Notes that no connection came about.
    fn undialled(&self, why: Dropped) {
        self.meter.dropped(P::PROTOCOL, why);
        self.on_way(|kept| {
            kept.dialling = kept.dialling.saturating_sub(1);
            if why == Dropped::Failed {
                kept.rest(&self.meter);
            }
        });
    }

    /// Makes the connection one that can be given, unless its server rests since it was begun; gives
    /// whether it is one.
    fn put(&self, ready: Ready<P>) -> bool {
        let is_put = self.on_way(|kept| {
            kept.dialling = kept.dialling.saturating_sub(1);
            kept.put(ready, &self.meter)
        });
        is_put.unwrap_or(false)
    }

    /// Lets go of the connection in `berth`, unless it was taken meanwhile.
    fn drop(&self, berth: &Arc<Berth<P>>, why: Dropped) {
        self.on_way(|kept| {
            if !kept.remove(berth, &self.meter) {
                return;
            }
            debug!(upstream = %self.way.host, why = why.name(), "warm connection dropped");
            match why {
                Dropped::Closed => kept.disturbed(&self.meter),
                Dropped::Unused | Dropped::Failed | Dropped::GivenUp => {
                    self.meter.dropped(P::PROTOCOL, why);
                }
            }
        });
    }
}
