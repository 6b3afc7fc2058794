//! The providers that are built in.
//!
//! Sources: Microsoft's "Authenticate an IMAP, POP or SMTP connection using OAuth" (endpoint,
//! scope), "Settings for POP and IMAP access" and "SMTP AUTH client submission" (hosts), and the
//! replies of Exchange Online to EHLO; "Refresh tokens in the Microsoft identity platform" (their
//! life).

use std::time::Duration;

use crate::provider::{GrantKind, MailHost, Mechanism, PerProtocol, Provider, UpstreamTls};

use super::endpoint::{Endpoint, Endpoints};

/// The name of Exchange Online, worldwide cloud.
pub(super) const MICROSOFT: &str = "microsoft";

/// What Exchange Online shows to EHLO when a session begins; AUTH and STARTTLS are ours to show.
const MICROSOFT_EHLO: &[&str] = &[
    "SIZE 157286400",
    "PIPELINING",
    "DSN",
    "ENHANCEDSTATUSCODES",
    "8BITMIME",
    "BINARYMIME",
    "CHUNKING",
    "SMTPUTF8",
];

/// After how long without use Entra lets a refresh token die. It has no endpoint to revoke one.
const MICROSOFT_REFRESH_IDLE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// A provider that is built in.
pub(super) struct Preset {
    pub(super) provider: Provider,
    pub(super) endpoints: Endpoints,
    pub(super) scopes: fn(GrantKind) -> PerProtocol<Vec<String>>,
    pub(super) refresh_idle: Duration,
}

/// A provider of which nothing is known but its name.
pub(super) fn unknown(name: &str) -> Provider {
    Provider {
        name: name.to_owned(),
        hosts: PerProtocol::default(),
        mechanism: Mechanism::Xoauth2,
        ca_file: None,
        declared_ehlo: &[],
        is_untried: false,
    }
}

/// Exchange Online, worldwide cloud.
pub(super) fn microsoft() -> Preset {
    let host = |host: &str, port, tls| Some(MailHost { host: host.to_owned(), port, tls });
    let provider = Provider {
        name: MICROSOFT.to_owned(),
        hosts: PerProtocol {
            submission: host("smtp.office365.com", 587, UpstreamTls::StartTls),
            imap: host("outlook.office365.com", 993, UpstreamTls::Implicit),
        },
        mechanism: Mechanism::Xoauth2,
        ca_file: None,
        declared_ehlo: MICROSOFT_EHLO,
        is_untried: true,
    };
    let endpoint = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token";
    Preset {
        provider,
        endpoints: Endpoints { token: Endpoint::preset(endpoint), revocation: None },
        scopes: microsoft_scopes,
        refresh_idle: MICROSOFT_REFRESH_IDLE,
    }
}

/// The scopes to ask Exchange Online for.
///
/// App-only tokens are for one resource, the same for both protocols. A person consents to one
/// permission for each; `offline_access` is what makes Entra give a refresh token.
fn microsoft_scopes(kind: GrantKind) -> PerProtocol<Vec<String>> {
    let scopes = |scopes: &[&str]| scopes.iter().map(|&scope| scope.to_owned()).collect();
    match kind {
        GrantKind::ClientCredentials
        | GrantKind::WorkloadIdentity
        | GrantKind::ServiceAccount
        | GrantKind::ManagedIdentity
        | GrantKind::Command => {
            let all = &["https://outlook.office365.com/.default"];
            PerProtocol { submission: scopes(all), imap: scopes(all) }
        }
        GrantKind::AuthorizationCode | GrantKind::DeviceCode | GrantKind::Password => PerProtocol {
            submission: scopes(&["https://outlook.office.com/SMTP.Send", "offline_access"]),
            imap: scopes(&["https://outlook.office.com/IMAP.AccessAsUser.All", "offline_access"]),
        },
    }
}
