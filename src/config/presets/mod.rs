//! The providers that are built in, one file for each family. All of it is from what the providers
//! document; nobody has tried it against a live service.

mod fastmail;
mod google;
mod microsoft;
mod yahoo;

use std::time::Duration;

use crate::provider::{GrantKind, LoopbackRedirect, MailHost, PerProtocol, Provider, UpstreamTls};

use super::endpoint::Endpoints;

/// A provider that is built in.
pub(super) struct Preset {
    pub(super) provider: Provider,
    pub(super) endpoints: Endpoints,
    pub(super) scopes: PresetScopes,
    /// What authorization requests add.
    pub(super) authorization_params: &'static [(&'static str, &'static str)],
    pub(super) loopback_redirect: LoopbackRedirect,
    /// After how long without use it lets a refresh token die, if it says.
    pub(super) refresh_idle: Option<Duration>,
    /// Why there is no device flow for mail, if there is none.
    pub(super) no_device_flow: Option<&'static str>,
    /// The grants that it does not have.
    pub(super) refused: fn(GrantKind) -> Option<NoGrant>,
}

/// Why a provider does not have a grant, and what it has instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoGrant {
    /// The end of a sentence that begins with the account.
    pub(super) problem: &'static str,
    /// What to write.
    pub(super) help: &'static str,
}

/// What a provider is asked for, by grant.
#[derive(Debug, Clone, Default)]
pub(super) struct PresetScopes {
    /// What lets a person's token into the mail servers.
    pub(super) person: PerProtocol<String>,
    /// What a person consents to besides: that it lasts, and that it tells who it was.
    pub(super) consent: &'static [&'static str],
    /// What lets an application's token in.
    pub(super) application: String,
}

impl PresetScopes {
    /// The scopes that a grant of `kind` asks for.
    pub(super) fn of(&self, kind: GrantKind) -> PerProtocol<Vec<String>> {
        let person = |scope: &String| {
            let consent = if kind.is_kept() { self.consent } else { &[] };
            let all = [scope.as_str()].into_iter().chain(consent.iter().copied());
            all.map(str::to_owned).collect()
        };
        match kind {
            GrantKind::AuthorizationCode | GrantKind::DeviceCode | GrantKind::Password => {
                PerProtocol {
                    submission: person(&self.person.submission),
                    imap: person(&self.person.imap),
                    pop3: person(&self.person.pop3),
                }
            }
            GrantKind::ClientCredentials
            | GrantKind::WorkloadIdentity
            | GrantKind::ServiceAccount
            | GrantKind::ManagedIdentity => PerProtocol::of_each(vec![self.application.clone()]),
            GrantKind::Command => PerProtocol::default(),
        }
    }
}

/// The names of all.
pub(super) const NAMES: [&str; 10] = [
    "microsoft",
    "microsoft-hve",
    "microsoft-gcc-high",
    "microsoft-dod",
    "microsoft-21vianet",
    "outlook-com",
    "google",
    "yahoo",
    "aol",
    "fastmail",
];

/// The preset of this name.
pub(super) fn find(name: &str) -> Option<Preset> {
    match name {
        "google" => Some(google::google()),
        "yahoo" => Some(yahoo::yahoo()),
        "aol" => Some(yahoo::aol()),
        "fastmail" => Some(fastmail::fastmail()),
        name => microsoft::find(name),
    }
}

/// The mail servers of the built-in provider of this name, if it is one.
pub fn preset_hosts(name: &str) -> Option<PerProtocol<Option<MailHost>>> {
    find(name).map(|preset| preset.provider.hosts)
}

/// What the built-in provider of this name asks a person for, if it is one.
pub fn preset_scopes(name: &str) -> Option<PersonScopes> {
    let scopes = find(name)?.scopes;
    Some(PersonScopes { mail: scopes.person, besides: scopes.consent })
}

/// What a person is asked for.
#[derive(Debug, Clone)]
pub struct PersonScopes {
    /// What lets the person's token into the mail servers.
    pub mail: PerProtocol<String>,
    /// That the consent lasts, and that it tells who it was.
    pub besides: &'static [&'static str],
}

/// What Exchange Online is asked for, worldwide.
pub(super) fn entra_scopes() -> PresetScopes {
    microsoft::worldwide_scopes()
}

/// A built-in provider with these mail servers: submission by STARTTLS at port 587, or with TLS
/// from the first byte at 465; IMAP and POP3 with TLS from the first byte at 993 and 995 (RFC 8314).
fn provider(name: &str, submission: (&str, u16), mailbox: Option<Mailbox<'_>>) -> Provider {
    let (submission, port) = submission;
    let tls = if port == SUBMISSIONS { UpstreamTls::Implicit } else { UpstreamTls::StartTls };
    let host = |host: &str, port, tls| Some(MailHost { host: host.to_owned(), port, tls });
    Provider {
        hosts: PerProtocol {
            submission: host(submission, port, tls),
            imap: mailbox.and_then(|it| host(it.imap, IMAPS, UpstreamTls::Implicit)),
            pop3: mailbox.and_then(|it| host(it.pop3, POP3S, UpstreamTls::Implicit)),
        },
        is_untried: true,
        ..Provider::unknown(name)
    }
}

/// Where a built-in provider's mailboxes are read.
#[derive(Debug, Clone, Copy)]
struct Mailbox<'h> {
    imap: &'h str,
    pop3: &'h str,
}

/// The grants that are for people alone: any other is refused.
fn people_alone(kind: GrantKind) -> Option<NoGrant> {
    let refused = match kind {
        GrantKind::AuthorizationCode | GrantKind::DeviceCode | GrantKind::Command => return None,
        GrantKind::ClientCredentials
        | GrantKind::WorkloadIdentity
        | GrantKind::ManagedIdentity
        | GrantKind::ServiceAccount => {
            "has the grant of an application, and this provider lets people alone sign in"
        }
        GrantKind::Password => "has grant = \"password\", which this provider does not know",
    };
    Some(NoGrant { problem: refused, help: "write grant = \"authorization-code\"" })
}

/// Submission by STARTTLS (RFC 6409); submission, IMAP and POP3 with implicit TLS (RFC 8314 section
/// 7).
const SUBMISSION: u16 = 587;
const SUBMISSIONS: u16 = 465;
const IMAPS: u16 = 993;
const POP3S: u16 = 995;

/// A day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
