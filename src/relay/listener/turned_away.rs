//! Clients that are turned away, as the log tells of them. Strangers decide how many there are, and a
//! line for each would let them fill the disk.
//!
//! Out:    for each cause a line for the first, then at most one in [`QUIET`], which tells how many
//!         it stands for.
//! Waits:  who is not told at once is told when that time is over, by one task for each cause.

use std::collections::HashMap;
use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::warn;

use crate::net::peer::PeerAddress;

/// How long nothing is told of a cause after a line about it.
const QUIET: Duration = Duration::from_secs(60);

/// Those whom one listener turned away. Cloning shares them.
#[derive(Debug, Clone)]
pub(super) struct TurnedAway {
    listener: Arc<str>,
    /// By the cause, of which there are a handful.
    tallies: Arc<Mutex<HashMap<&'static str, Tally>>>,
}

#[derive(Debug)]
struct Tally {
    quiet_until: Instant,
    untold: u64,
    /// The last one.
    peer: PeerAddress,
}

impl TurnedAway {
    /// Nobody yet, of the listener of that name.
    pub(super) fn new(listener: &str) -> Self {
        Self { listener: listener.into(), tallies: Arc::default() }
    }

    /// Tells of `peer`, who is turned away because of `reason`, now or later.
    pub(super) fn tell(&self, peer: impl Into<PeerAddress>, reason: &'static str) {
        let (now, peer) = (Instant::now(), peer.into());
        let mut tallies = self.tallies();
        let tally = tallies.entry(reason).or_insert(Tally { quiet_until: now, untold: 0, peer });
        tally.peer = peer;
        let is_told_later = tally.untold > 0;
        if is_told_later || now < tally.quiet_until {
            tally.untold += 1;
            if !is_told_later {
                tokio::spawn(self.clone().tell_of_rest(reason, tally.quiet_until));
            }
            return;
        }
        tally.quiet_until = now + QUIET;
        drop(tallies);
        warn!(listener = &*self.listener, %peer, reason, "turned away");
    }

    /// Tells at `due` of those who were turned away because of `reason` until then.
    async fn tell_of_rest(self, reason: &'static str, due: Instant) {
        sleep_until(due).await;
        let (peer, turned_away) = {
            let mut tallies = self.tallies();
            let Some(tally) = tallies.get_mut(reason) else { return };
            tally.quiet_until = Instant::now() + QUIET;
            (tally.peer, take(&mut tally.untold))
        };
        warn!(listener = &*self.listener, %peer, reason, turned_away, "turned away");
    }

    fn tallies(&self) -> MutexGuard<'_, HashMap<&'static str, Tally>> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::slice;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::watch;
    use tokio::time::sleep;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::account::LocalPassword;
    use crate::net::props::Log;
    use crate::provider::Protocol;
    use crate::relay::session::{listener_of, settings};
    use crate::relay::{ListenerSettings, Shutdown};

    const SECOND: Duration = Duration::from_secs(1);

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_told_by_its_first_client_and_a_line_a_minute_with_their_number() {
        let (log, _collecting) = Log::collect();
        let turned_away = TurnedAway::new("imap");
        turned_away.tell(peer(1), "full");
        let told = log.take();
        assert!(
            told[0]
                .ends_with("WARN turned away listener=\"imap\" peer=192.0.2.1:1 reason=\"full\"")
        );
        for _ in 0..10_000 {
            turned_away.tell(peer(2), "full");
        }
        turned_away.tell(peer(3), "full");
        sleep(QUIET - SECOND).await;
        assert_eq!((told.len(), log.take()), (1, vec![]));

        sleep(2 * SECOND).await;
        let told = log.take();
        assert!(told[0].contains("peer=192.0.2.1:3 reason=\"full\" turned_away=10001"), "{told:?}");
        // A minute of quiet follows that line, too.
        turned_away.tell(peer(4), "full");
        sleep(QUIET - 2 * SECOND).await;
        assert_eq!((told.len(), log.take()), (1, vec![]));
        sleep(2 * SECOND).await;
        let told = log.take();
        assert!(told[0].contains("peer=192.0.2.1:4 reason=\"full\" turned_away=1"), "{told:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_after_a_quiet_minute_is_told_at_once_and_one_before_its_end_is_not() {
        let (log, _collecting) = Log::collect();
        let turned_away = TurnedAway::new("imap");
        turned_away.tell(peer(1), "full");
        sleep(QUIET).await;
        turned_away.tell(peer(2), "full");
        assert_eq!(log.take().len(), 2);
        sleep(QUIET - SECOND).await;
        turned_away.tell(peer(3), "full");
        assert_eq!(log.take(), Vec::<String>::new());
        sleep(2 * SECOND).await;
        assert!(log.take()[0].contains("turned_away=1"));
        sleep(100 * QUIET).await;
        assert_eq!(log.take(), Vec::<String>::new(), "nobody came");
    }

    #[tokio::test(start_paused = true)]
    async fn each_cause_and_each_listener_has_lines_of_its_own() {
        let (log, _collecting) = Log::collect();
        let (imap, pop3) = (TurnedAway::new("imap"), TurnedAway::new("pop3"));
        for turned_away in [&imap, &pop3] {
            turned_away.tell(peer(1), "full");
            turned_away.tell(peer(2), "foreign");
            turned_away.tell(peer(3), "foreign");
        }
        assert_eq!(log.take().len(), 4);
        sleep(QUIET + SECOND).await;
        let mut told = log.take();
        told.sort();
        for (line, listener) in told.iter().zip(["imap", "pop3"]) {
            assert!(line.contains(&format!("listener=\"{listener}\"")), "{told:?}");
            assert!(line.contains("reason=\"foreign\" turned_away=1"), "{told:?}");
        }
        assert_eq!(told.len(), 2);
    }

    #[tokio::test]
    async fn clients_that_a_listener_does_not_allow_are_told_once() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let allow = vec!["192.0.2.0/24".parse().unwrap()];
        let settings = ListenerSettings { allow, ..settings(Protocol::Imap) };
        let listener = listener_of(settings, Shutdown::default(), LocalPassword::None);
        let (log, _collecting) = Log::collect();
        let (_current, watched) = watch::channel(listener);
        tokio::spawn(super::super::serve(watched, socket.into(), CancellationToken::new()));
        for _ in 0..3 {
            let mut client = TcpStream::connect(address).await.unwrap();
            let mut byte = 0;
            // Closed or reset: nothing is said to it.
            let read = client.read(slice::from_mut(&mut byte)).await;
            assert!(!matches!(read, Ok(1)), "{read:?}");
        }
        let told = log.take();
        assert!(told[0].contains("reason=\"the address is not in the listener's `allow`\""));
        assert_eq!(told.len(), 1, "{told:?}");
    }
}
