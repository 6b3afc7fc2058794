//! A listener: accepts connections, turns away whom it must and starts a session for the rest.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, error_span, field, warn};

use super::protocol::{Imap, MailProtocol, Pop3, Submission};
use super::{ListenerSettings, ListenerTls, Relay, Service, session};
use crate::account::password::{AccessEnd, Peer, SignedIn};
use crate::names::AccountPattern;
use crate::proto::imap::NonSyncLiterals;
use crate::proto::smtp::Extensions;
use crate::proto::{Downstream as _, Farewell, Output, Privacy};
use crate::provider::{MailHost, Protocol};

/// How long accepting rests after it failed: the usual cause is that no descriptor is left, and
/// one is free when a session ends.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// One listener of a relay, as one configuration has it.
#[derive(Debug)]
pub struct Listener {
    settings: ListenerSettings,
    relay: Arc<Relay>,
    service: Arc<Service>,
    /// The servers that its clients may reach.
    reachable: Vec<MailHost>,
}

impl Listener {
    /// A listener of `relay` for the accounts of `service`.
    pub fn new(relay: &Arc<Relay>, service: &Arc<Service>, settings: ListenerSettings) -> Self {
        let mut reachable = Vec::new();
        for account in service.directory().accounts() {
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
        let (relay, service) = (Arc::clone(relay), Arc::clone(service));
        Self { settings, relay, service, reachable }
    }

    fn start(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        match self.settings.protocol {
            Protocol::Submission => self.start_session::<Submission>(stream, peer),
            Protocol::Imap => self.start_session::<Imap>(stream, peer),
            Protocol::Pop3 => self.start_session::<Pop3>(stream, peer),
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
        let session = session::run::<P, TcpStream>(Arc::clone(self), stream, address.into(), place);
        self.relay.sessions().spawn(session.instrument(span));
    }

    /// Its table in the file.
    pub fn settings(&self) -> &ListenerSettings {
        &self.settings
    }

    pub(crate) fn relay(&self) -> &Relay {
        &self.relay
    }

    pub(crate) fn service(&self) -> &Service {
        &self.service
    }

    /// Why the client must go by the configuration `now` in force. Where that has no such listener
    /// any more, it is let in as it was.
    pub(crate) fn access_end(&self, access: &SignedIn, now: &Service) -> Option<AccessEnd> {
        let allowed = now.allowed(&self.settings.name).unwrap_or(self.accounts());
        access.ended_by(now.directory(), allowed)
    }

    /// Whether the client is let in by the configuration that is in force.
    pub(crate) fn admits_still(&self, access: &SignedIn) -> bool {
        self.access_end(access, &self.relay.service().borrow()).is_none()
    }

    pub(crate) fn accounts(&self) -> Option<&[AccountPattern]> {
        self.settings.accounts.as_deref()
    }

    pub(crate) fn upstream(&self) -> Option<&MailHost> {
        self.settings.upstream.as_ref()
    }

    /// What TLS is to a session that was just accepted from `peer`.
    pub(crate) fn privacy(&self, _peer: Peer) -> Privacy {
        match self.settings.tls {
            ListenerTls::None => Privacy::Clear,
            ListenerTls::StartTls(_) => Privacy::Required,
            ListenerTls::Implicit(_) => Privacy::Tls,
        }
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

/// Accepts connections of `socket` until `stop`, each for the listener that `current` names then.
pub async fn serve(
    current: watch::Receiver<Arc<Listener>>,
    socket: TcpListener,
    stop: CancellationToken,
) {
    let mut accepts = true;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        let listener = Arc::clone(&current.borrow());
        match accepted {
            Ok((stream, peer)) => {
                accepts = true;
                listener.start(stream, peer);
            }
            Err(error) => {
                // Said once, not ten times a second until it is over.
                if std::mem::take(&mut accepts) {
                    warn!(
                        listener = listener.settings.name,
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

/// Says why and closes, without waiting: a client beyond the limits gets no task of ours.
fn turn_away<P: MailProtocol>(stream: TcpStream, farewell: Farewell) {
    let mut output = Output::default();
    P::Downstream::farewell(farewell, &mut output);
    if let Ok(mut stream) = stream.into_std() {
        // The send buffer of a new connection is empty; if this fails all the same, so be it.
        let _ = stream.write(&output.take());
    }
}
