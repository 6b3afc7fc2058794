//! The composition root: makes a running relay of a configuration. The only file that knows all
//! parts.

use std::net::SocketAddr;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::time::{Duration, timeout};
use tracing::{info, warn};

use crate::config::Config;
use crate::net::listen::ListenError;
use crate::provider::Protocol;
use crate::relay::listener::Listener;
use crate::relay::{Relay, RelayError, Shutdown};

/// Descriptors that are needed besides those of sessions: listeners, token requests, files.
const DESCRIPTORS_BESIDE_SESSIONS: u64 = 256;

/// How long sessions may take to close when they are cut off.
const CUT_TIMEOUT: Duration = Duration::from_secs(5);

/// A relay whose listeners are bound.
#[derive(Debug)]
pub struct App {
    relay: Arc<Relay>,
    sockets: Vec<(Bound, Arc<Listener>, TcpListener)>,
    grace: Duration,
    shutdown: Shutdown,
}

/// A bound address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The listener's name in the file.
    pub listener: String,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Where; the port is the real one.
    pub address: SocketAddr,
}

/// Why a relay does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("listeners.{listener}.address: {source}")]
    Listen {
        /// The listener's name in the file.
        listener: String,
        /// What is wrong.
        source: ListenError,
    },
    /// The relay cannot be made.
    #[error(transparent)]
    Relay(#[from] RelayError),
}

impl App {
    /// Makes the relay and binds every address of `config`.
    ///
    /// # Errors
    /// When an address is taken or the relay cannot be made.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        let Config { listeners, accounts, mut limits, grace, .. } = config;
        limits.sessions = raise_descriptor_limit(limits.sessions);
        let shutdown = Shutdown::default();
        let relay = Arc::new(Relay::new(&accounts, limits, shutdown.clone())?);
        let mut sockets = Vec::new();
        for settings in listeners {
            let (name, protocol) = (settings.name.clone(), settings.protocol);
            let refused = |source| StartError::Listen { listener: name.clone(), source };
            let addresses = settings.addresses.clone();
            let listener = Arc::new(Listener::new(&relay, settings, &accounts));
            for address in addresses {
                for socket in address.bind().map_err(refused)? {
                    let Ok(address) = socket.local_addr() else { continue };
                    let bound = Bound { listener: name.clone(), protocol, address };
                    sockets.push((bound, Arc::clone(&listener), socket));
                }
            }
        }
        Ok(Self { relay, sockets, grace, shutdown })
    }

    /// Every bound address, in the file's order.
    pub fn bound(&self) -> impl Iterator<Item = &Bound> {
        self.sockets.iter().map(|(bound, ..)| bound)
    }

    /// How to stop it.
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Serves until [`Shutdown::drain`], then lets signed-in sessions finish for the grace time or
    /// until [`Shutdown::cut`].
    pub async fn run(self) {
        for (bound, listener, socket) in self.sockets {
            info!(
                listener = bound.listener,
                protocol = bound.protocol.name(),
                address = %bound.address,
                "listening"
            );
            tokio::spawn(listener.serve(socket));
        }
        let Shutdown { drain, cut } = self.shutdown;
        drain.cancelled().await;
        let sessions = self.relay.sessions();
        sessions.close();
        info!(sessions = sessions.len(), grace = ?self.grace, "draining");
        tokio::select! {
            () = sessions.wait() => {}
            () = tokio::time::sleep(self.grace) => {}
            () = cut.cancelled() => {}
        }
        if !sessions.is_empty() {
            warn!(sessions = sessions.len(), "sessions are cut off");
            cut.cancel();
            if timeout(CUT_TIMEOUT, sessions.wait()).await.is_err() {
                warn!(sessions = sessions.len(), "sessions did not close in time");
            }
        }
        info!("stopped");
    }
}

/// Makes room for the descriptors of all sessions, two each, as far as the system allows; gives how
/// many sessions have room. Who comes beyond them is told so, while one that is accepted without a
/// descriptor for its provider could not even be signed in.
fn raise_descriptor_limit(sessions: usize) -> usize {
    let wanted = u64::try_from(sessions)
        .unwrap_or(u64::MAX)
        .saturating_mul(2)
        .saturating_add(DESCRIPTORS_BESIDE_SESSIONS);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return sessions;
    }
    let granted = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(granted), maximum });
    let has = getrlimit(Resource::Nofile).current.unwrap_or(wanted);
    if raised.is_ok() && has >= wanted {
        return sessions;
    }
    let room = sessions_with_room(has).min(sessions);
    warn!(
        wanted,
        has,
        sessions = room,
        "too few descriptors for `limits.sessions`, so fewer are served: raise the hard limit \
         (ulimit -Hn, LimitNOFILE=) or lower `limits.sessions`"
    );
    room
}

/// How many sessions `descriptors` are enough for. Where they are very few, half are for sessions.
fn sessions_with_room(descriptors: u64) -> usize {
    let beside = DESCRIPTORS_BESIDE_SESSIONS.min(descriptors / 2);
    let sessions = (descriptors - beside) / 2;
    usize::try_from(sessions.max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_leave_descriptors_for_the_rest() {
        for (descriptors, sessions) in
            [(20_256, 10_000), (1_024, 384), (512, 128), (64, 16), (3, 1), (0, 1)]
        {
            assert_eq!(sessions_with_room(descriptors), sessions, "of {descriptors}");
        }
    }
}
