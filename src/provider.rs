//! A provider: the hosts, endpoints and scopes by which one mail service is reached. Data alone;
//! what differs between providers stands here and never as a name inside a protocol machine.

mod client;
pub mod finder;
mod grant;
mod server;

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;

pub use self::client::{AssertionAlgorithm, Client, ClientAuth, ClientKey};
pub use self::grant::{
    Grant, GrantId, GrantKind, ManagedIdentity, ServiceAccount, ServiceAccountKey, Way,
};
pub use self::server::{AuthorizationServer, LoopbackRedirect};

/// A mail protocol as a listener speaks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// SMTP as a mail client speaks it (RFC 6409).
    Submission,
    /// IMAP (RFC 3501, RFC 9051).
    Imap,
    /// POP3 (RFC 1939).
    Pop3,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 3] = [Self::Submission, Self::Imap, Self::Pop3];

    /// The name that configuration and logs use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Submission => "submission",
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
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
    /// For [`Protocol::Pop3`].
    pub pop3: T,
}

impl<T> PerProtocol<T> {
    /// The value for `protocol`.
    pub fn get(&self, protocol: Protocol) -> &T {
        match protocol {
            Protocol::Submission => &self.submission,
            Protocol::Imap => &self.imap,
            Protocol::Pop3 => &self.pop3,
        }
    }
}

impl<T: Clone> PerProtocol<T> {
    /// The same value for each.
    pub fn of_each(value: T) -> Self {
        Self { submission: value.clone(), imap: value.clone(), pop3: value }
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
    /// Whether it is built in from the provider's documentation and nobody has tried it against the
    /// live service.
    pub is_untried: bool,
    /// Sessions that it allows to one XOAUTH2 user at once; `None` is any number.
    pub concurrent_sessions: PerProtocol<Option<NonZeroU32>>,
    /// Messages that one XOAUTH2 user may send in a minute; `None` is any number.
    pub messages_per_minute: Option<NonZeroU32>,
}

impl Provider {
    /// One of which nothing is known but its name.
    pub fn unknown(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            hosts: PerProtocol::default(),
            mechanism: Mechanism::Xoauth2,
            ca_file: None,
            declared_ehlo: &[],
            is_untried: false,
            concurrent_sessions: PerProtocol::default(),
            messages_per_minute: None,
        }
    }
}
