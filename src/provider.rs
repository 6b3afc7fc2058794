//! A provider: the hosts, endpoints and scopes by which one mail service is reached. Data alone;
//! what differs between providers stands here and never as a name inside a protocol machine.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::names::Username;
use crate::secret::SecretSource;

/// A mail protocol as a listener speaks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// SMTP as a mail client speaks it (RFC 6409).
    Submission,
    /// IMAP (RFC 3501, RFC 9051).
    Imap,
}

impl Protocol {
    /// The name that configuration and logs use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Submission => "submission",
            Self::Imap => "imap",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One value for each protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PerProtocol<T> {
    /// For [`Protocol::Submission`].
    pub submission: T,
    /// For [`Protocol::Imap`].
    pub imap: T,
}

impl<T> PerProtocol<T> {
    /// The value for `protocol`.
    pub fn get(&self, protocol: Protocol) -> &T {
        match protocol {
            Protocol::Submission => &self.submission,
            Protocol::Imap => &self.imap,
        }
    }
}

/// How TLS begins towards the provider. There is no way to do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamTls {
    /// With the first byte (RFC 8314).
    Implicit,
    /// By STARTTLS, which is required: a server that does not offer it is not spoken to.
    StartTls,
}

/// A mail server of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MailHost {
    /// Host name or IP address; also the name that its certificate must carry.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How TLS begins.
    pub tls: UpstreamTls,
}

impl fmt::Display for MailHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The SASL mechanism by which a token is shown to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// Google's and Microsoft's (no RFC).
    Xoauth2,
    /// RFC 7628.
    OauthBearer,
}

impl Mechanism {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xoauth2 => "XOAUTH2",
            Self::OauthBearer => "OAUTHBEARER",
        }
    }
}

/// A provider, built in or from the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Its name in the file: `microsoft`, `corp`.
    pub name: String,
    /// Its mail servers; `None` where it has none for that protocol.
    pub hosts: PerProtocol<Option<MailHost>>,
    /// How its mail servers take a token.
    pub mechanism: Mechanism,
    /// Certificates (PEM) trusted besides the platform's roots.
    pub ca_file: Option<PathBuf>,
    /// EHLO keywords, with their parameters, that its submission server is known to show, as the
    /// preset declares them; empty for a provider from the file.
    pub declared_ehlo: &'static [&'static str],
}

/// A grant: the consent by which access tokens are obtained, and how they are asked for.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Which one it is.
    pub id: GrantId,
    /// Whose consent it is.
    pub kind: GrantKind,
    /// Token endpoint, https (or http on loopback), the tenant filled in.
    pub token_endpoint: String,
    /// Where a consent is given back (RFC 7009), if the provider has such an endpoint.
    pub revocation_endpoint: Option<String>,
    /// The application's client id.
    pub client_id: String,
    /// Its client secret; a public client has none.
    pub client_secret: Option<SecretSource>,
    /// Certificates (PEM) trusted besides the platform's roots at the endpoints.
    pub ca_file: Option<PathBuf>,
    /// After how long without use the provider lets a refresh token die, if that is known.
    pub refresh_idle: Option<Duration>,
}

#[cfg(test)]
impl Grant {
    /// An application's grant without anything special, for tests to change.
    pub(crate) fn of_application() -> Self {
        Self {
            id: GrantId::Application {
                provider: "corp".into(),
                tenant: None,
                client_id: "client".into(),
            },
            kind: GrantKind::ClientCredentials,
            token_endpoint: "https://login.example/token".into(),
            revocation_endpoint: None,
            client_id: "client".into(),
            client_secret: Some(SecretSource::Value("secret".into())),
            ca_file: None,
            refresh_idle: None,
        }
    }
}

/// Whose consent a grant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GrantKind {
    /// An application's own permission (RFC 6749 section 4.4), by which it signs in as any mailbox
    /// the provider's administrator allowed it. Nothing is kept.
    ClientCredentials,
    /// A person's consent (RFC 6749 section 4.1): a refresh token, which is kept.
    AuthorizationCode,
}

impl GrantKind {
    /// The word of the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client-credentials",
            Self::AuthorizationCode => "authorization-code",
        }
    }

    /// Whether it has a refresh token, which has to be kept.
    pub fn is_kept(self) -> bool {
        match self {
            Self::ClientCredentials => false,
            Self::AuthorizationCode => true,
        }
    }
}

/// Which grant: tokens are cached, and refresh tokens kept, under it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GrantId {
    /// The consent of the person who has the account of this name, folded.
    Account(Username),
    /// The permission of an application.
    Application {
        /// The provider's name in the file.
        provider: String,
        /// Where it has one: the tenant.
        tenant: Option<String>,
        /// The application's client id.
        client_id: String,
    },
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(account) => write!(f, "account {account}"),
            Self::Application { provider, tenant: Some(tenant), client_id } => {
                write!(f, "application {provider}/{tenant}/{client_id}")
            }
            Self::Application { provider, tenant: None, client_id } => {
                write!(f, "application {provider}/{client_id}")
            }
        }
    }
}
