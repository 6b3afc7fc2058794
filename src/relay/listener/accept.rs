//! Accepting: each connection is served or told why not, also when no descriptor is left for it.
//!
//! Waits: after a failure that nothing can be done about, [`ACCEPT_RETRY`].

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Listener;
use crate::net::listen::socket::ListenSocket;

/// How long accepting rests after it failed for good: the usual cause is that no descriptor is left,
/// and one is free when a session ends.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How often it is told at most that no connection can be accepted: strangers can make it so, and
/// end it, as often as they like.
const TELL_INTERVAL: Duration = Duration::from_secs(60);

/// Accepts connections of `socket` until `stop`, each for the listener that `current` names then.
pub async fn serve(
    current: watch::Receiver<Arc<Listener>>,
    socket: ListenSocket,
    stop: CancellationToken,
) {
    let mut spare = Spare::new();
    let mut told_at: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        let listener = Arc::clone(&current.borrow());
        match accepted {
            Ok((stream, peer)) => {
                spare.refill();
                listener.start(stream, peer);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                let exhausted = are_descriptors_exhausted(&error);
                if told_at.is_none_or(|at| at.elapsed() >= TELL_INTERVAL) {
                    told_at = Some(Instant::now());
                    let hint = "raise the descriptor limit (ulimit -n) or lower `limits.sessions`";
                    warn!(
                        listener = listener.settings.name,
                        error = error.to_string(),
                        hint = exhausted.then_some(hint),
                        "no connection can be accepted"
                    );
                }
                if !exhausted || !spare.turn_away_next(&socket, &listener).await {
                    sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }
}

/// Whether it is the trouble of the one connection that was to be accepted, and the next may be fine
/// (accept(2), "Error handling"). Strangers can cause it.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::CONNABORTED
                | Errno::PROTO
                | Errno::NOPROTOOPT
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
        )
    )
}

fn are_descriptors_exhausted(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// A descriptor in reserve. When it is the last one, it is given up for the next client, who hears
/// that there is no place instead of waiting for a greeting that does not come.
#[derive(Debug)]
struct Spare(Option<File>);

impl Spare {
    fn new() -> Self {
        let mut spare = Self(None);
        spare.refill();
        spare
    }

    /// Takes one into reserve again, if there is one.
    fn refill(&mut self) {
        if self.0.is_none() {
            self.0 = File::open("/dev/null").ok();
        }
    }

    /// Turns the next client away, if there is one; tells whether that went well.
    async fn turn_away_next(&mut self, socket: &ListenSocket, listener: &Listener) -> bool {
        self.0 = None;
        let accepted = tokio::select! {
            biased;
            accepted = socket.accept() => accepted.ok(),
            () = std::future::ready(()) => None,
        };
        let is_told = accepted.is_some();
        if let Some((stream, peer)) = accepted {
            listener.turn_away_from_full(stream, peer);
        }
        self.refill();
        // Without the reserve the next client would fare no better: somebody else has it.
        is_told && self.0.is_some()
    }
}

#[cfg(test)]
mod tests;
