//! The sandbox: a stand-in provider on loopback, with an authorization server that asks nobody and
//! issues JWTs, and with submission, IMAP and POP3 servers that take nothing else. `demo` shows it; for
//! the tests it is the provider that does what a script says.
//!
//! It holds to the protocols more strictly than real servers do, keeps everything in memory within
//! bounds, and is no server to put on a network.

mod assertion;
mod authorize;
mod certificates;
mod client;
mod codes;
mod conduct;
mod consents;
mod conversation;
mod data;
mod date;
mod devices;
mod fault;
mod grants;
mod imap;
mod issuer;
mod mailboxes;
mod pop3;
mod record;
mod refusal;
mod script;
mod server;
mod sign_in;
mod smtp;
mod throttle;
mod token;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::conduct::{Conduct, Told};
pub use self::consents::Rotation;
pub use self::fault::Fault;
pub use self::issuer::{AUDIENCE, DEFAULT_SCOPE, TokenFlaw};
pub use self::mailboxes::{Full, MESSAGE_LEN_MAX, TOTAL_LEN_MAX};
pub use self::record::{CONNECTIONS_KEPT, ENTRIES_MAX, Entry, LINE_LEN_MAX, Speaker, Transcript};
pub use self::script::{Action, Script, Step, Times};
pub use self::server::CONNECTIONS_MAX;
pub use self::sign_in::{SignIn, SignInRefusal};
pub use self::throttle::{MAILBOXES_KEPT, MESSAGES_KEPT, Throttle, TurnsAway};

use self::certificates::Certificates;
use self::consents::Consents;
use self::issuer::Issuer;
use self::mailboxes::{Flags, Mailboxes};
use self::record::Record;
use self::server::Shared;
use self::throttle::Gauge;
use self::token::{TokenEndpoint, TokenSettings};
use crate::names::{AccountPattern, Username};
use crate::provider::{
    AuthorizationServer, Client, ClientAuth, Grant, GrantId, MailHost, Mechanism, PerProtocol,
    Protocol, Provider, UpstreamTls, Way,
};
use crate::secret::{SecretSource, SecretString};

/// What a stand-in provider is like.
#[derive(Debug, Clone)]
pub struct SandboxSettings {
    /// Who has a mailbox, and so may sign in.
    pub mailboxes: Vec<AccountPattern>,
    /// How TLS begins at its servers.
    pub tls: PerProtocol<UpstreamTls>,
    /// How long its tokens live; zero for tokens that have expired when they are issued.
    pub token_life: Duration,
    /// Claim `sub` of an application's tokens; the client if left out.
    pub subject: Option<String>,
    /// What becomes of a refresh token when it is used.
    pub rotation: Rotation,
    /// Whether answers to a refresh token have an `id_token` that names who consented. Answers to a
    /// code have one wherever `openid` was asked for.
    pub tells_user: bool,
    /// The password of every mailbox at the token endpoint (RFC 6749 section 4.3), if they have one.
    pub password: Option<String>,
    /// A redirect URI that is registered besides those of loopback addresses, which all are.
    pub redirect_uri: Option<String>,
    /// How often a device may poll (RFC 8628 section 3.2), in whole seconds.
    pub device_interval: Duration,
    /// What its IMAP server says to an accepted sign-in.
    pub imap_welcome: ImapWelcome,
    /// What it does to bursts at first; [`Sandbox::set_throttle`] changes it.
    pub throttle: Throttle,
}

/// Where the IMAP server puts its capabilities when a sign-in is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImapWelcome {
    /// Nowhere, as Exchange Online.
    Bare,
    /// Into an untagged response before the OK, as Gmail.
    Untagged,
    /// Into the code of the OK, as Dovecot.
    Code,
}

impl SandboxSettings {
    /// Submission with STARTTLS, implicit TLS for IMAP and POP3, tokens for an hour, refresh tokens that
    /// rotate and leave time for it, a bare welcome: as Exchange Online is.
    pub fn new(mailboxes: Vec<AccountPattern>) -> Self {
        Self {
            mailboxes,
            tls: PerProtocol {
                submission: UpstreamTls::StartTls,
                imap: UpstreamTls::Implicit,
                pop3: UpstreamTls::Implicit,
            },
            token_life: Duration::from_secs(3600),
            subject: None,
            rotation: Rotation::Lenient,
            tells_user: false,
            password: None,
            redirect_uri: None,
            device_interval: DEVICE_INTERVAL,
            imap_welcome: ImapWelcome::Bare,
            throttle: Throttle::default(),
        }
    }
}

/// How often a device may poll where nothing else is set: RFC 8628 section 3.2's default.
const DEVICE_INTERVAL: Duration = Duration::from_secs(5);

/// A stand-in provider that runs. Dropping it ends it with all its connections.
pub struct Sandbox {
    hosts: PerProtocol<MailHost>,
    token_address: SocketAddr,
    ca_pem: String,
    endpoint: Arc<TokenEndpoint>,
    shared: Arc<Shared>,
    _servers: JoinSet<()>,
    _stop: DropGuard,
}

impl Sandbox {
    /// Starts one on free ports of 127.0.0.1. Makes three keys, which takes some tenths of a
    /// second of processor time.
    ///
    /// # Errors
    /// When no port can be had, or no key.
    pub async fn start(settings: SandboxSettings) -> io::Result<Self> {
        let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (submission, imap, pop3, token) =
            (bind().await?, bind().await?, bind().await?, bind().await?);
        let token_address = token.local_addr()?;
        let hosts = PerProtocol {
            submission: mail_host(&submission, settings.tls.submission)?,
            imap: mail_host(&imap, settings.tls.imap)?,
            pop3: mail_host(&pop3, settings.tls.pop3)?,
        };

        let keys = tokio::task::spawn_blocking(move || {
            let issuer =
                Issuer::new(format!("http://{token_address}")).map_err(io::Error::other)?;
            let certificates = Certificates::make().map_err(io::Error::other)?;
            Ok::<_, io::Error>((Arc::new(issuer), certificates))
        });
        let (issuer, certificates) = keys.await.map_err(io::Error::other)??;

        let stop = CancellationToken::new();
        let changes = watch::Sender::new(());
        let endpoint = Arc::new(TokenEndpoint::new(TokenSettings {
            client_id: random_hex::<16>()?,
            client_secret: random_hex::<32>()?,
            subject: settings.subject,
            life: settings.token_life,
            password: settings.password,
            redirect_uri: settings.redirect_uri,
            device_interval: settings.device_interval,
            tells_user: settings.tells_user,
            consents: Consents::new(settings.rotation).map_err(io::Error::other)?,
            issuer: Arc::clone(&issuer),
            stop: stop.clone(),
            changes: changes.clone(),
        }));
        let shared = Arc::new(Shared {
            covered: settings.mailboxes,
            mailboxes: Mailboxes::new(changes.clone()),
            issuer,
            record: Record::new(changes.clone()),
            gauge: Gauge::new(settings.throttle, changes.clone()),
            script: Script::default(),
            tls: certificates.server,
            begin_tls: settings.tls,
            imap_welcome: settings.imap_welcome,
            changes,
            queue_ids: AtomicU64::new(0),
        });

        let mut servers = JoinSet::new();
        servers.spawn(server::serve(submission, Protocol::Submission, Arc::clone(&shared)));
        servers.spawn(server::serve(imap, Protocol::Imap, Arc::clone(&shared)));
        servers.spawn(server::serve(pop3, Protocol::Pop3, Arc::clone(&shared)));
        // It ends by itself when `stop` is dropped, so that what hangs there ends, too.
        tokio::spawn(Arc::clone(&endpoint).serve(token));
        let ca_pem = certificates.ca_pem;
        let (_servers, _stop) = (servers, stop.drop_guard());
        Ok(Self { hosts, token_address, ca_pem, endpoint, shared, _servers, _stop })
    }

    /// Its submission server.
    pub fn smtp(&self) -> MailHost {
        self.hosts.submission.clone()
    }

    /// Its IMAP server.
    pub fn imap(&self) -> MailHost {
        self.hosts.imap.clone()
    }

    /// Its POP3 server.
    pub fn pop3(&self) -> MailHost {
        self.hosts.pop3.clone()
    }

    /// The URL of its token endpoint.
    pub fn token_endpoint(&self) -> String {
        format!("http://{}/token", self.token_address)
    }

    /// The URL where refresh tokens are given back (RFC 7009).
    pub fn revocation_endpoint(&self) -> String {
        format!("http://{}/revoke", self.token_address)
    }

    /// The certificate of its authority, for `ca_file`.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The key that verifies its tokens (RS256): PEM, `SubjectPublicKeyInfo`.
    pub fn public_key_pem(&self) -> &str {
        self.shared.issuer.public_key_pem()
    }

    /// The name of that key: `kid` in the header of a token.
    pub fn key_id(&self) -> &'static str {
        issuer::KEY_ID
    }

    /// The one client that it grants tokens to; drawn at each start.
    pub fn client_id(&self) -> &str {
        self.endpoint.client_id()
    }

    /// Its secret. It guards nothing but this sandbox, so it may be shown.
    pub fn client_secret(&self) -> &str {
        self.endpoint.client_secret()
    }

    /// It as a provider of a configuration, with its authority's certificate in `ca_file`, where
    /// the caller writes [`Self::ca_pem`].
    pub fn provider(&self, ca_file: &Path) -> Provider {
        Provider {
            name: "sandbox".to_owned(),
            hosts: PerProtocol {
                submission: Some(self.smtp()),
                imap: Some(self.imap()),
                pop3: Some(self.pop3()),
            },
            mechanism: Mechanism::Xoauth2,
            ca_file: Some(ca_file.to_owned()),
            declared_ehlo: &[],
            is_untried: false,
            concurrent_sessions: PerProtocol::default(),
            messages_per_minute: None,
        }
    }

    /// The grant of its application, by which it gives tokens for every mailbox.
    pub fn grant(&self) -> Grant {
        Grant {
            id: GrantId::Application {
                provider: "sandbox".to_owned(),
                tenant: None,
                client_id: self.client_id().to_owned(),
            },
            way: Way::ClientCredentials(Client {
                id: self.client_id().to_owned(),
                auth: ClientAuth::SecretPost(SecretSource::Value(SecretString::from(
                    self.client_secret(),
                ))),
                secret_ends_at: None,
            }),
            server: AuthorizationServer {
                token_endpoint: Some(self.token_endpoint()),
                ..AuthorizationServer::default()
            },
            refresh_idle: None,
        }
    }

    /// `user` consents that the client uses the mailboxes: gives the first refresh token.
    pub fn issue_refresh_token(&self, user: &Username) -> String {
        let everything = Protocol::ALL.to_vec();
        self.endpoint.consents().give(user.clone(), everything)
    }

    /// Every consent of `user` ends, as when a password is changed.
    pub fn end_consents(&self, user: &Username) {
        self.endpoint.consents().end_all_of(user);
    }

    /// The scopes that ask for tokens good for everything.
    pub fn scopes(&self) -> PerProtocol<Vec<String>> {
        let scopes = vec![DEFAULT_SCOPE.to_owned()];
        PerProtocol::of_each(scopes)
    }

    /// The scope that asks for tokens good for `protocol` alone; [`DEFAULT_SCOPE`] asks for both.
    pub fn scope(protocol: Protocol) -> String {
        issuer::scope(protocol)
    }

    /// What its mail servers do by order.
    pub fn script(&self) -> &Script {
        &self.shared.script
    }

    /// Lets something go wrong at the token endpoint, after what waits already.
    pub fn token_fault(&self, fault: Fault, times: Times) {
        self.endpoint.faults.add(fault, times);
    }

    /// Lets nothing more go wrong there.
    pub fn clear_token_faults(&self) {
        self.endpoint.faults.clear();
    }

    /// Lets the answers go that [`Fault::Hold`] holds.
    pub fn release_answers(&self) {
        self.endpoint.faults.release();
    }

    /// Tokens that are issued from now on live so long.
    pub fn set_token_life(&self, life: Duration) {
        self.endpoint.set_life(life);
    }

    /// How many refresh tokens were taken.
    pub fn refreshes(&self) -> u64 {
        self.endpoint.refreshes()
    }

    /// How often a refresh token was shown that is spent, as only somebody does who lost an answer
    /// or stole the token. Never with [`Rotation::Keep`].
    pub fn reuses(&self) -> u64 {
        self.endpoint.consents().reuses()
    }

    /// How many requests with refresh tokens of one consent were ever being answered at once.
    pub fn most_refreshes_at_once(&self) -> usize {
        self.endpoint.consents().most_at_once()
    }

    /// How many requests the token endpoint had, those for revocation and device codes included.
    pub fn token_requests(&self) -> u64 {
        self.endpoint.requests()
    }

    /// How many connections the submission server accepted.
    pub fn smtp_connections(&self) -> u64 {
        self.shared.record.connections(Protocol::Submission)
    }

    /// How many connections the IMAP server accepted.
    pub fn imap_connections(&self) -> u64 {
        self.shared.record.connections(Protocol::Imap)
    }

    /// How many connections the POP3 server accepted.
    pub fn pop3_connections(&self) -> u64 {
        self.shared.record.connections(Protocol::Pop3)
    }

    /// What was said on the last [`CONNECTIONS_KEPT`] connections, oldest first.
    pub fn transcripts(&self) -> Vec<Transcript> {
        self.shared.record.transcripts()
    }

    /// The last sign-in that anyone tried.
    pub fn last_sign_in(&self) -> Option<SignIn> {
        self.shared.record.last_sign_in()
    }

    /// Puts a message into the INBOX of `mailbox`, whatever case that is written in.
    ///
    /// # Errors
    /// When the mailboxes are full.
    pub fn deliver(&self, mailbox: &Username, message: Bytes) -> Result<(), Full> {
        self.shared.mailboxes.add(mailbox, message, Flags::NONE, None).map(drop)
    }

    /// The messages in the INBOX of `mailbox`, oldest first; of any address that was ever a
    /// recipient.
    pub fn messages(&self, mailbox: &Username) -> Vec<Bytes> {
        self.shared.mailboxes.messages(mailbox).into_iter().map(|it| it.bytes).collect()
    }

    /// Waits until `holds`, which is asked again whenever a token is requested, something is said,
    /// or a message comes or goes.
    pub async fn until(&self, mut holds: impl FnMut(&Self) -> bool) {
        let mut changes = self.shared.changes.subscribe();
        while !holds(self) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

fn mail_host(listener: &TcpListener, tls: UpstreamTls) -> io::Result<MailHost> {
    let address = listener.local_addr()?;
    Ok(MailHost { host: address.ip().to_string(), port: address.port(), tls })
}

/// `LEN` random bytes in hexadecimal.
fn random_hex<const LEN: usize>() -> io::Result<String> {
    let mut bytes = [0; LEN];
    aws_lc_rs::rand::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A code for a person to type: eight consonants, which make no words (RFC 8628 section 6.1).
fn user_code() -> io::Result<String> {
    const LETTERS: &[u8] = b"BCDFGHJKLMNPQRST";
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(io::Error::other)?;
    let letters = bytes.iter().filter_map(|&byte| LETTERS.get(usize::from(byte % 16)));
    let mut code: String = letters.map(|&letter| char::from(letter)).collect();
    code.insert(4, '-');
    Ok(code)
}
