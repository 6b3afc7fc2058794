//! TLS sessions with mail servers that can be resumed, for one configuration and all its connections.
//!
//! A session of TLS 1.3 is resumed by a ticket, which is good once (RFC 8446 appendix C.4), and servers
//! give two or so with each handshake. So a burst of connections takes as many tickets as it has
//! connections, and gives back more: they are kept for `TICKETS_MAX` at once. rustls' own store keeps
//! eight for a server, whatever its size.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

/// Tickets kept for each server: a burst of sixteen sessions, and the warm connections behind it.
///
/// One takes about a kilobyte; those of one handshake share the server's certificates.
const TICKETS_MAX: usize = 32;

/// Servers of which anything is kept: the configuration names some three for each provider.
const SERVERS_MAX: usize = 128;

/// What resumes sessions, by the name of the server.
#[derive(Default)]
pub(super) struct Tickets(Mutex<HashMap<ServerName<'static>, Kept>>);

/// What is kept of one server.
#[derive(Default)]
struct Kept {
    /// The group of its last key exchange, to begin with the next time.
    group: Option<NamedGroup>,
    tls12: Option<Tls12ClientSessionValue>,
    /// Oldest first.
    tls13: VecDeque<Tls13ClientSessionValue>,
}

impl Tickets {
    fn lock(&self) -> MutexGuard<'_, HashMap<ServerName<'static>, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, server: ServerName<'static>, change: impl FnOnce(&mut Kept)) {
        let mut servers = self.lock();
        if servers.len() >= SERVERS_MAX && !servers.contains_key(&server) {
            let any = servers.keys().next().cloned();
            any.and_then(|any| servers.remove(&any));
        }
        change(servers.entry(server).or_default());
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.change(server, |kept| kept.group = Some(group));
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.lock().get(server).and_then(|kept| kept.group)
    }

    fn set_tls12_session(&self, server: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.change(server, |kept| kept.tls12 = Some(session));
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.lock().get(server).and_then(|kept| kept.tls12.clone())
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        if let Some(kept) = self.lock().get_mut(server) {
            kept.tls12 = None;
        }
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.change(server, |kept| {
            if kept.tls13.len() >= TICKETS_MAX {
                kept.tls13.pop_front();
            }
            kept.tls13.push_back(ticket);
        });
    }

    // The newest: it lives longest.
    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.lock().get_mut(server).and_then(|kept| kept.tls13.pop_back())
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").field("servers", &self.lock().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::HandshakeKind;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::sync::Barrier;
    use tokio::task::JoinSet;

    use crate::net::props::{Authority, HOST, put};
    use crate::net::tls::certificates::Certificates;
    use crate::net::tls::{connect, trust};

    /// A burst of sessions.
    const AT_ONCE: usize = 16;

    #[tokio::test]
    async fn each_of_sixteen_connections_at_once_resumes_a_session() {
        let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
        let ca_file = dir.path().join("ca.pem");
        std::fs::write(&ca_file, authority.pem()).unwrap();
        let config = trust(Some(&ca_file)).unwrap();
        let files = put(dir.path(), &authority.issue(HOST));
        let server = Certificates::default().read(&files).unwrap();
        let burst = async || {
            let (mut connections, all) = (JoinSet::new(), Arc::new(Barrier::new(AT_ONCE)));
            for _ in 0..AT_ONCE {
                let (far, near) = duplex(65_536);
                let accepting = server.acceptor().accept(far);
                let (config, all) = (Arc::clone(&config), Arc::clone(&all));
                connections.spawn(async move {
                    let connecting = connect(config, near, HOST);
                    let (near, far) = tokio::join!(connecting, accepting);
                    let (mut near, mut far) = (near.unwrap(), far.unwrap());
                    // Nobody is given the ticket that another one of them has brought.
                    all.wait().await;
                    far.write_all(b"x").await.unwrap();
                    assert_eq!(near.read_u8().await.unwrap(), b'x');
                    far.get_ref().1.handshake_kind().unwrap()
                });
            }
            connections.join_all().await
        };
        assert_eq!(burst().await, [HandshakeKind::Full; AT_ONCE]);
        for _ in 0..3 {
            assert_eq!(burst().await, [HandshakeKind::Resumed; AT_ONCE]);
        }
    }
}
