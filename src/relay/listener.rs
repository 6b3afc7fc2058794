//! A listener: accepts connections, turns away whom it must and starts a session for the rest.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tracing::{Instrument as _, error_span, field, warn};

use super::protocol::{Imap, MailProtocol, Submission};
use super::{ListenerSettings, Relay, session};
use crate::account::AccountSettings;
use crate::names::AccountPattern;
use crate::proto::imap::NonSyncLiterals;
use crate::proto::smtp::Extensions;
use crate::proto::{Downstream as _, Farewell, Output};
use crate::provider::{MailHost, Protocol};

/// How long accepting rests after it failed: the usual cause is that no descriptor is left, and
/// one is free when a session ends.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// One listener of a relay.
#[derive(Debug)]
pub struct Listener {
    settings: ListenerSettings,
    relay: Arc<Relay>,
    /// The servers that its clients may reach.
    reachable: Vec<MailHost>,
}

impl Listener {
    /// A listener of `relay`, whose accounts are `accounts`.
    pub fn new(
        relay: &Arc<Relay>,
        settings: ListenerSettings,
        accounts: &[AccountSettings],
    ) -> Self {
        let mut reachable = Vec::new();
        for account in accounts {
            let served = settings.accounts.as_ref().is_none_or(|patterns| {
                patterns.iter().any(|pattern| pattern.overlaps(&account.name))
            });
            let provider = &account.provider;
            let own = provider.hosts.get(settings.protocol).as_ref();
            if let Some(host) = settings.upstream.as_ref().or(own).filter(|_| served) {
                if settings.protocol == Protocol::Submission {
                    let declared = if own == Some(host) { provider.declared_ehlo } else { &[] };
                    relay.records().declare_ehlo(host, Extensions::declared(declared));
                }
                if !reachable.contains(host) {
                    reachable.push(host.clone());
                }
            }
        }
        Self { settings, relay: Arc::clone(relay), reachable }
    }

    /// Accepts connections of `socket` until the relay drains.
    pub async fn serve(self: Arc<Self>, socket: TcpListener) {
        let mut accepts = true;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.relay.drain().cancelled() => return,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    accepts = true;
                    self.start(stream, peer);
                }
                Err(error) => {
                    // Said once, not ten times a second until it is over.
                    if std::mem::take(&mut accepts) {
                        warn!(
                            listener = self.settings.name,
                            error = error.to_string(),
                            "no connection can be accepted; raise the descriptor limit \
                             (ulimit -n) or lower `limits.sessions`"
                        );
                    }
                    sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn start(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        match self.settings.protocol {
            Protocol::Submission => self.start_session::<Submission>(stream, peer),
            Protocol::Imap => self.start_session::<Imap>(stream, peer),
        }
    }

    fn start_session<P: MailProtocol>(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let address = peer.ip().to_canonical();
        if !self.settings.allow.iter().any(|network| network.contains(&address)) {
            warn!(
                listener = self.settings.name, %peer,
                "turned away: the address is not in the listener's `allow`"
            );
            return;
        }
        // Each reply leaves at once; a delayed acknowledgement would cost 40 ms.
        stream.set_nodelay(true).ok();
        let place = match self.relay.admit(address) {
            Ok(place) => place,
            Err(farewell) => {
                warn!(listener = self.settings.name, %peer, reason = farewell.text(), "turned away");
                return turn_away::<P>(stream, farewell);
            }
        };
        // Of the highest level, so that a refusal names its session whatever `log.level` is.
        let span = error_span!(
            "session",
            id = %self.relay.next_id(),
            protocol = P::PROTOCOL.name(),
            listener = self.settings.name,
            %peer,
            account = field::Empty,
        );
        let session = session::run::<P, TcpStream>(Arc::clone(self), stream, place);
        self.relay.sessions().spawn(session.instrument(span));
    }

    pub(crate) fn relay(&self) -> &Relay {
        &self.relay
    }

    pub(crate) fn accounts(&self) -> Option<&[AccountPattern]> {
        self.settings.accounts.as_deref()
    }

    pub(crate) fn upstream(&self) -> Option<&MailHost> {
        self.settings.upstream.as_ref()
    }

    /// What EHLO shows here now.
    pub(crate) fn ehlo(&self) -> Extensions {
        self.relay.records().ehlo(&self.reachable)
    }

    /// Whether CAPABILITY shows LITERAL+ here now.
    pub(crate) fn literals(&self) -> NonSyncLiterals {
        self.relay.records().literals(&self.reachable)
    }
}

/// Says why and closes, without waiting: a client beyond the limits gets no task of ours.
fn turn_away<P: MailProtocol>(stream: TcpStream, farewell: Farewell) {
    let mut output = Output::default();
    P::Downstream::farewell(farewell, &mut output);
    if let Ok(mut stream) = stream.into_std() {
        // The send buffer of a new connection is empty; if this fails all the same, so be it.
        let _ = stream.write(&output.take());
    }
}
