//! A listener: turns away whom it must and starts a session for the rest.

mod accept;
mod announced;
mod turned_away;

pub use accept::serve;

use std::sync::Arc;

use tracing::{Span, error_span, field};

use self::turned_away::TurnedAway;
use super::caller::Caller;
use super::limits::Crowded;
use super::meter::TurnAwayReason;
use super::protocol::{Imap, MailProtocol, Pop3, Submission};
use super::{ListenerSettings, ListenerTls, Relay, Service, session};
use crate::account::password::{AccessEnd, Admitted, Peer, SignedIn};
use crate::account::{AccountSettings, LocalPassword, Sender};
use crate::net::listen::socket::ClientSocket;
use crate::net::networks::Networks;
use crate::net::peer::PeerAddress;
use crate::net::tls::certificates::Certificate;
use crate::proto::imap::NonSyncLiterals;
use crate::proto::smtp::{DeviceMail, Extensions};
use crate::proto::{Downstream as _, Farewell, Output, Privacy};
use crate::provider::{MailHost, Protocol};

/// Why a stranger from elsewhere is turned away, for the log.
const NOT_ALLOWED: &str = "the address is not in the listener's `allow`";

/// Why a client is turned away for whom there is no descriptor, for the log.
const NO_DESCRIPTOR: &str = "no file descriptor is left";

/// One listener of a relay, as one configuration has it.
#[derive(Debug)]
pub struct Listener {
    settings: ListenerSettings,
    /// Who may connect, by address: its `allow`.
    allowed: Networks,
    relay: Arc<Relay>,
    service: Arc<Service>,
    /// What its clients are shown; none where there is no TLS.
    certificate: Option<Arc<Certificate>>,
    /// The servers that its clients may reach.
    reachable: Vec<MailHost>,
    /// Whether it serves somebody whose messages are counted or changed, which takes DATA.
    reads_messages: bool,
    turned_away: TurnedAway,
}

impl Listener {
    /// A listener of `relay` for the accounts of `service`.
    pub fn new(relay: &Arc<Relay>, service: &Arc<Service>, settings: ListenerSettings) -> Self {
        let mut reachable = Vec::new();
        let devices = service.directory().devices().all().iter();
        let mut reads_messages = settings.devices && devices.into_iter().any(|it| it.has_rules());
        for account in service.directory().accounts() {
            let served = settings.accounts.as_ref().is_none_or(|it| it.overlaps(&account.name));
            let provider = &account.provider;
            let own = provider.hosts.get(settings.protocol).as_ref();
            if let Some(host) = settings.upstream.as_ref().or(own).filter(|_| served) {
                reads_messages |= account.sender != Sender::Keep;
                reads_messages |= provider.messages_per_minute.is_some();
                if settings.protocol == Protocol::Submission {
                    let declared = if own == Some(host) { provider.declared_ehlo } else { &[] };
                    relay.records().declare_ehlo(host, Extensions::declared(declared));
                }
                if !reachable.contains(host) {
                    reachable.push(host.clone());
                }
            }
        }
        let allowed = settings.allow.iter().collect();
        let certificate = service.certificate(&settings.name);
        let turned_away = TurnedAway::new(&settings.name);
        let (relay, service) = (Arc::clone(relay), Arc::clone(service));
        Self {
            settings,
            allowed,
            relay,
            service,
            certificate,
            reachable,
            reads_messages,
            turned_away,
        }
    }

    fn start(self: &Arc<Self>, stream: ClientSocket, peer: PeerAddress) {
        match self.settings.protocol {
            Protocol::Submission => self.start_session::<Submission>(stream, peer),
            Protocol::Imap => self.start_session::<Imap>(stream, peer),
            Protocol::Pop3 => self.start_session::<Pop3>(stream, peer),
        }
    }

    fn start_session<P: MailProtocol>(self: &Arc<Self>, stream: ClientSocket, peer: PeerAddress) {
        if self.expects_header(peer) {
            return self.start_announced::<P>(stream, peer);
        }
        let caller = Caller::of(peer);
        if !self.allows(caller) {
            return self.refuse_stranger(peer);
        }
        let place = match self.relay.admit(caller.counted_as()) {
            Ok(place) => place,
            Err(crowded) => return self.reject::<P>(stream, peer, crowded),
        };
        let span = self.span::<P>(peer, None);
        let listener = Arc::clone(self);
        let session = session::run::<P, ClientSocket>(listener, stream, caller, place, span);
        self.relay.sessions().spawn(session);
    }

    /// What all lines of a session have. `peer` is who is judged, whatever `balancer` forwards it.
    fn span<P: MailProtocol>(&self, peer: PeerAddress, balancer: Option<PeerAddress>) -> Span {
        // Of the highest level, so that a refusal names its session whatever `log.level` is.
        error_span!(
            "session",
            id = %self.relay.next_id(),
            protocol = P::PROTOCOL.name(),
            listener = self.settings.name,
            %peer,
            balancer = balancer.map(field::display),
            account = field::Empty,
        )
    }

    /// Whether `caller` is spoken to at all. Who may connect to a unix socket, its file says.
    fn allows(&self, caller: Caller) -> bool {
        match caller {
            Caller::Address(address) | Caller::Announced(address) => self.allowed.contain(address),
            Caller::UnixSocket => true,
        }
    }

    /// Turns a client away whose address is not allowed; it hears nothing.
    fn refuse_stranger(&self, peer: PeerAddress) {
        self.relay.meter().turned_away(self.settings.protocol, TurnAwayReason::NotAllowed);
        self.turned_away.tell(peer, NOT_ALLOWED);
    }

    /// Turns `peer` away, who is one too many, and says so to it, in the log and in the metrics.
    fn reject<P: MailProtocol>(&self, stream: ClientSocket, peer: PeerAddress, crowded: Crowded) {
        let farewell = Farewell::from(crowded);
        self.relay.meter().turned_away(P::PROTOCOL, crowded.into());
        self.turned_away.tell(peer, farewell.text());
        self.turn_away::<P>(stream, farewell);
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

    /// Why a client that was let in here must go by the configuration `now` in force. Where that has no such listener
    /// any more, it is let in as it was.
    pub(crate) fn access_end(&self, access: &SignedIn, now: &Service) -> Option<AccessEnd> {
        if std::ptr::eq(now, self.service()) {
            // What it was let in by still holds, so its password alone can have been taken back.
            return access.is_revoked().then_some(AccessEnd::Revoked);
        }
        let admitted = now.admitted(&self.settings.name).unwrap_or(self.admitted());
        access.ended_by(now.directory(), admitted)
    }

    /// Whether an account that may be used here takes any password.
    pub fn takes_any_password(&self) -> bool {
        let accounts = self.service.directory().accounts();
        let takes_any = |it: &&AccountSettings| matches!(it.local_password, LocalPassword::Any);
        let allowed = self.settings.accounts.as_ref();
        let mut takes_any = accounts.iter().map(AsRef::as_ref).filter(takes_any);
        takes_any.any(|it| allowed.is_none_or(|allowed| allowed.overlaps(&it.name)))
    }

    /// Whom it lets in.
    pub(crate) fn admitted(&self) -> Admitted<'_> {
        let ListenerSettings { accounts, devices, .. } = &self.settings;
        Admitted { accounts: accounts.as_deref(), devices: *devices }
    }

    pub(crate) fn upstream(&self) -> Option<&MailHost> {
        self.settings.upstream.as_ref()
    }

    /// What its clients are shown in a handshake; none where there is no TLS.
    pub(crate) fn certificate(&self) -> Option<&Arc<Certificate>> {
        self.certificate.as_ref()
    }

    /// What TLS is to a session with `peer` when its machine begins.
    ///
    /// Credentials from another machine cross a network, so they are taken under TLS alone unless
    /// `require_tls` says otherwise; those from this one do not.
    pub(crate) fn privacy(&self, peer: Peer) -> Privacy {
        let is_required = self.settings.require_tls.unwrap_or(peer != Peer::ThisMachine);
        match self.settings.tls {
            ListenerTls::None => Privacy::Clear,
            ListenerTls::StartTls(_) if is_required => Privacy::Required,
            ListenerTls::StartTls(_) => Privacy::Offered,
            ListenerTls::Implicit(_) => Privacy::Tls,
        }
    }

    /// What MAIL of a client that has not signed in is here. A device known by its network may speak
    /// in clear unless the file says that it may not. Where no devices are served it is heard and then
    /// refused, so that the log tells of it.
    pub(crate) fn device_mail(&self) -> DeviceMail {
        match (self.settings.devices, self.settings.require_tls) {
            (true, Some(true)) => DeviceMail::HeardUnderTls,
            (true, Some(false) | None) | (false, _) => DeviceMail::Heard,
        }
    }

    /// What EHLO shows here now.
    pub(crate) fn ehlo(&self) -> Extensions {
        let shown = self.relay.records().ehlo(&self.reachable);
        if self.reads_messages { shown.without_chunks() } else { shown }
    }

    /// Whether CAPABILITY shows LITERAL+ here now.
    pub(crate) fn literals(&self) -> NonSyncLiterals {
        self.relay.records().literals(&self.reachable)
    }

    /// Turns a client away for whom there is no descriptor. One that is not allowed hears nothing
    /// then, either.
    fn turn_away_from_full(&self, stream: ClientSocket, peer: PeerAddress) {
        // There is no time to hear whom a balancer announces.
        if !self.expects_header(peer) && !self.allows(Caller::of(peer)) {
            return self.refuse_stranger(peer);
        }
        self.relay.meter().turned_away(self.settings.protocol, TurnAwayReason::NoDescriptor);
        self.turned_away.tell(peer, NO_DESCRIPTOR);
        let farewell = Farewell::TooManySessions;
        match self.settings.protocol {
            Protocol::Submission => self.turn_away::<Submission>(stream, farewell),
            Protocol::Imap => self.turn_away::<Imap>(stream, farewell),
            Protocol::Pop3 => self.turn_away::<Pop3>(stream, farewell),
        }
    }

    /// Says why and closes, without waiting: a client beyond the limits gets no task of ours. Where
    /// it would have to be said under TLS it is only closed.
    fn turn_away<P: MailProtocol>(&self, stream: ClientSocket, farewell: Farewell) {
        if self.settings.tls.is_implicit() {
            return;
        }
        let mut output = Output::default();
        P::Downstream::farewell(farewell, &mut output);
        stream.dismiss(&output.take());
    }
}
