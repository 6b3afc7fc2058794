//! The relay: sessions from accept to close.

mod attempt;
mod caller;
pub mod diagnosis;
mod downstream;
mod first_lines;
mod gate;
mod header_advice;
mod judge;
mod limits;
pub mod listener;
pub mod meter;
mod observer;
pub mod online;
mod outcome;
mod pace;
mod protocol;
mod quota;
mod reason;
pub mod recent;
mod records;
mod rules;
mod service;
mod session;
mod splice;
mod stamp;
mod tls_advice;
pub mod troubles;
mod upstream;
mod verdict;
mod warm;
mod watched;
mod window;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::account::password::Passwords;
use crate::names::AccountPatterns;
use crate::net::listen::Door;
use crate::net::own_addresses::OwnAddresses;
use crate::net::tls::server::CertificateFiles;
use crate::oauth::Tokens;
use crate::provider::{MailHost, Protocol};
use gate::Gates;
use limits::{Crowded, Place, SessionLimits};
use meter::Meter;
use pace::Paces;
use quota::Quotas;
use recent::Recent;
use records::Records;
pub use service::{Service, ServiceError};
use troubles::Troubles;

/// One `[listeners.…]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSettings {
    /// Its name in the file.
    pub name: String,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Where it listens; at least one.
    pub addresses: Vec<Door>,
    /// Networks that may connect.
    pub allow: Vec<IpNet>,
    /// Networks of load balancers, from which a PROXY header has to come first.
    pub proxy_protocol_from: Vec<IpNet>,
    /// How TLS begins towards its clients.
    pub tls: ListenerTls,
    /// Whether credentials are taken under TLS alone. Left out, they are from this machine in
    /// clear, too.
    pub require_tls: Option<bool>,
    /// Which accounts may sign in; `None` is all.
    pub accounts: Option<Arc<AccountPatterns>>,
    /// Whether `[devices]` are served here. Submission only.
    pub devices: bool,
    /// The server to use instead of the provider's.
    pub upstream: Option<MailHost>,
}

/// How TLS begins towards a listener's clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerTls {
    /// It does not.
    None,
    /// By STARTTLS, or STLS as POP3 calls it.
    StartTls(CertificateFiles),
    /// With the first byte (RFC 8314).
    Implicit(CertificateFiles),
}

impl ListenerTls {
    /// What its clients are shown.
    pub fn files(&self) -> Option<&CertificateFiles> {
        match self {
            Self::None => None,
            Self::StartTls(files) | Self::Implicit(files) => Some(files),
        }
    }

    /// Whether TLS begins with the first byte.
    pub fn is_implicit(&self) -> bool {
        matches!(self, Self::Implicit(_))
    }
}

/// The `[limits]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The client's own time from accept to its credentials.
    pub sign_in_timeout: Duration,
    /// How long no byte may pass either way after sign-in.
    pub idle_timeout: Duration,
    /// Sessions at once.
    pub sessions: usize,
    /// Sessions of one address that have not signed in.
    pub sessions_per_peer: usize,
    /// How long a session waits for its mailbox's gate.
    pub wait_for_slot: Duration,
    /// Upstream connections that are kept ready for each provider and protocol at most; 0 is none.
    pub warm_connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sign_in_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(35 * 60),
            sessions: 10_000,
            sessions_per_peer: 100,
            wait_for_slot: Duration::from_secs(60),
            warm_connections: 8,
        }
    }
}

/// How a relay is told to stop.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Accept nobody, send away who has not signed in, let the rest finish.
    pub drain: CancellationToken,
    /// End every session now.
    pub cut: CancellationToken,
}

/// What lives as long as the process, whatever configuration is in force.
pub struct Relay {
    passwords: Arc<Passwords>,
    tokens: Tokens,
    /// The configuration in force. Sessions that have signed in watch it.
    service: watch::Sender<Arc<Service>>,
    places: SessionLimits,
    gates: Gates,
    paces: Paces,
    quotas: Quotas,
    own_addresses: OwnAddresses,
    records: Records,
    troubles: Arc<Troubles>,
    meter: Meter,
    recent: Arc<Recent>,
    sessions: TaskTracker,
    shutdown: Shutdown,
    last_id: AtomicU64,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("service", &self.service.borrow()).finish_non_exhaustive()
    }
}

impl Relay {
    /// A relay that begins with `service`.
    pub fn new(
        passwords: Arc<Passwords>,
        tokens: Tokens,
        service: Arc<Service>,
        shutdown: Shutdown,
    ) -> Self {
        let meter = Meter::default();
        meter.know_providers(service.providers());
        Self {
            passwords,
            tokens,
            places: SessionLimits::new(service.limits()),
            service: watch::Sender::new(service),
            gates: Gates::default(),
            paces: Paces::default(),
            quotas: Quotas::default(),
            own_addresses: OwnAddresses::default(),
            records: Records::default(),
            troubles: Arc::default(),
            meter,
            recent: Arc::default(),
            sessions: TaskTracker::new(),
            shutdown,
            last_id: AtomicU64::new(0),
        }
    }

    /// Puts another configuration in force. Sessions go on as they began, but those whose account
    /// or password it no longer has, which end.
    pub fn change(&self, service: Arc<Service>) {
        self.places.change(service.limits());
        self.meter.know_providers(service.providers());
        self.service.send_replace(service).warm().close();
    }

    /// The sessions that run.
    pub fn sessions(&self) -> &TaskTracker {
        &self.sessions
    }

    /// What went wrong last with each account, as its mail servers tell it.
    pub fn troubles(&self) -> &Arc<Troubles> {
        &self.troubles
    }

    /// What is counted of its sessions.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The sessions that ended last.
    pub fn recent(&self) -> &Arc<Recent> {
        &self.recent
    }

    /// The configuration in force, to be watched.
    fn service(&self) -> watch::Receiver<Arc<Service>> {
        self.service.subscribe()
    }

    fn admit(&self, peer: IpAddr) -> Result<Place, Crowded> {
        self.places.admit(peer)
    }

    fn admit_forwarded(&self) -> Result<Place, Crowded> {
        self.places.admit_forwarded()
    }

    /// A session id: short, and unique while the process runs.
    fn next_id(&self) -> String {
        format!("{:04x}", self.last_id.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The gates of all mailboxes, whatever listener a session came to.
    fn gates(&self) -> &Gates {
        &self.gates
    }

    fn paces(&self) -> &Paces {
        &self.paces
    }

    fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    fn own_addresses(&self) -> &OwnAddresses {
        &self.own_addresses
    }

    fn records(&self) -> &Records {
        &self.records
    }

    fn drain(&self) -> &CancellationToken {
        &self.shutdown.drain
    }

    fn cut(&self) -> &CancellationToken {
        &self.shutdown.cut
    }
}
