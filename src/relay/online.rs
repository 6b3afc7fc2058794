//! What a command does at an account's provider, by the way that sessions go: a walk that tells of
//! each step, and a test message.
//!
//! Every connection begins in `Online::prepare`, before anything is dialled. Waits: a walk 60 s
//! with all that belongs to it, a test message 85 s.

mod message;
mod obstacle;
mod send;
mod walk;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

pub use self::obstacle::Obstacle;
pub use self::send::{Said, Sent};
pub use self::walk::{Outcome, Step, StepName, Walk};
use super::downstream::close;
use super::gate::{Gates, Mailbox, Permit};
use super::protocol::MailProtocol;
use super::upstream::{Destination, SignInError, UpstreamStream};
use super::verdict::told_user;
use super::{Relay, Service};
use crate::account::directory::Account;
use crate::names::Username;
use crate::net::buffer::{READ_LEN, read_piece};
use crate::net::egress::Egress;
use crate::net::tls::{self, TlsError};
use crate::oauth::Tokens;
use crate::provider::{MailHost, Protocol, Provider};

/// How long a command waits for a place at the mailbox's gate. It stands in the queue of the sessions,
/// and somebody waits for its answer.
const GATE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the server is given to answer a goodbye. Nothing depends on the answer.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// The way to providers, for commands.
#[derive(Clone)]
pub struct Online {
    tokens: Tokens,
    /// What the relay serves; nothing where none runs.
    service: Option<watch::Receiver<Arc<Service>>>,
    /// The gates that its sessions pass.
    gates: Gates,
    /// How connections leave where no relay runs.
    egress: Arc<Egress>,
}

/// The way to one server for one account.
struct Way<'a> {
    account: &'a Account,
    host: &'a MailHost,
    tls: Arc<ClientConfig>,
    egress: Arc<Egress>,
    /// The user name that the provider told, where that is the one to sign in as.
    told: Option<Username>,
    /// A place among the sessions of the mailbox.
    permit: Permit,
}

impl Relay {
    /// The way to providers that this relay goes.
    pub fn online(&self) -> Online {
        let (tokens, service) = (self.tokens().clone(), Some(self.service()));
        Online { tokens, service, gates: self.gates().clone(), egress: Arc::default() }
    }
}

impl Online {
    /// The way of a command without a relay, which leaves by `egress`.
    pub fn alone(tokens: Tokens, egress: Arc<Egress>) -> Self {
        Self { tokens, service: None, gates: Gates::default(), egress }
    }

    /// What a connection needs before it is dialled.
    ///
    /// This is the one place where a connection of a command begins.
    async fn prepare<'a, P: MailProtocol>(
        &self,
        account: &'a Account,
        host: &'a MailHost,
    ) -> Result<Way<'a>, Obstacle> {
        let provider = &account.settings().provider;
        let tls = self.trust(provider).await;
        let tls = tls.map_err(|error| Obstacle::of(&error.into(), host.tls))?;
        let told = told_user::<P>(&self.tokens, account);
        let user = told.as_ref().unwrap_or_else(|| account.mailbox(P::PROTOCOL));
        let mailbox = Mailbox::new(&provider.name, user, P::PROTOCOL);
        let places = *provider.concurrent_sessions.get(P::PROTOCOL);
        let permit = self.gates.enter(mailbox, places, Instant::now() + GATE_TIMEOUT).await;
        let permit = permit.map_err(|full| Obstacle::busy(full, user))?;
        Ok(Way { account, host, tls, egress: self.egress(), told, permit })
    }

    /// How connections leave: as the relay's own, or as the command's file says.
    fn egress(&self) -> Arc<Egress> {
        match &self.service {
            Some(service) => Arc::clone(service.borrow().egress()),
            None => Arc::clone(&self.egress),
        }
    }

    /// TLS towards `provider`: the relay's own, or the same made anew.
    async fn trust(&self, provider: &Provider) -> Result<Arc<ClientConfig>, TlsError> {
        let service = self.service.as_ref().map(|service| Arc::clone(&service.borrow()));
        if let Some(known) = service.and_then(|service| service.known_tls(provider)) {
            return Ok(known);
        }
        let ca_file = provider.ca_file.clone();
        let trusting = tokio::task::spawn_blocking(move || tls::trust(ca_file.as_deref()));
        // It is cut off only when the program ends.
        trusting.await.unwrap_or_else(|_| tls::trust(provider.ca_file.as_deref()))
    }
}

impl Way<'_> {
    /// Where and as whom to sign in.
    fn destination<P: MailProtocol>(&self) -> Destination<'_> {
        Destination {
            host: self.host,
            tls: Arc::clone(&self.tls),
            egress: &self.egress,
            mailbox: self.told.as_ref().unwrap_or_else(|| self.account.mailbox(P::PROTOCOL)),
            mechanism: self.account.settings().provider.mechanism,
        }
    }

    /// What `error` on this way means. Where the mailbox has too many sessions its gate is closed, as
    /// by a session that hears so.
    fn obstacle(&self, error: &SignInError) -> Obstacle {
        if error.is_throttle() {
            self.permit.close_gate();
        }
        Obstacle::of(error, self.host.tls)
    }
}

/// The server of `account` for `protocol`.
fn host_of(account: &Account, protocol: Protocol) -> Result<&MailHost, Obstacle> {
    let provider = &account.settings().provider;
    provider.hosts.get(protocol).as_ref().ok_or_else(|| Obstacle::no_server(provider, protocol))
}

/// Says goodbye on a connection, as the protocol has it, and closes it.
async fn leave(mut stream: UpstreamStream, protocol: Protocol) {
    let goodbye: &[u8] = match protocol {
        // RFC 5321 section 4.1.1.10, RFC 1939 section 5.
        Protocol::Submission | Protocol::Pop3 => b"QUIT\r\n",
        // RFC 9051 section 6.1.3, with a tag that no sign-in uses.
        Protocol::Imap => b"bye LOGOUT\r\n",
    };
    let parting = async {
        stream.write_all(goodbye).await?;
        stream.flush().await?;
        read_piece(&mut stream, READ_LEN, |_| {}).await
    };
    // Whatever comes of it, the connection is closed next.
    let _ = timeout(GOODBYE_TIMEOUT, parting).await;
    close(&mut stream).await;
}

impl fmt::Debug for Online {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Online").finish_non_exhaustive()
    }
}
