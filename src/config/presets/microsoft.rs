//! Exchange Online in its clouds, and Outlook.com.
//!
//! Sources: Microsoft's "Authenticate an IMAP, POP or SMTP connection using OAuth" (scopes),
//! "OAuth 2.0 authorization code flow" and "device authorization grant" (endpoints), "National
//! clouds authentication endpoints" (login hosts), "Settings for POP and IMAP access" and "SMTP AUTH
//! client submission" (hosts), the replies of Exchange Online to EHLO, "Refresh tokens in the
//! Microsoft identity platform" (their life: 90 days), "Troubleshoot issues with High Volume Email"
//! (its host), "Improvements in SMTP AUTH client submission" (three sessions of a mailbox at once, more
//! hear 432 4.3.2). Entra has no endpoint to revoke a token.
//!
//! Uncertain: the mail hosts of the government clouds and of 21Vianet are what administrators
//! write, as is the resource of the DoD cloud; that High Volume Email takes tokens for the same
//! resource as Exchange Online is inferred from its documented permission, which is one of "Office
//! 365 Exchange Online". A table in the file overrides each of them.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::provider::{GrantKind, LoopbackRedirect, PerProtocol};

use super::{DAY, Mailbox, NoGrant, Preset, PresetScopes, SUBMISSION, people_alone, provider};
use crate::config::endpoint::{Endpoint, Endpoints};

/// What Exchange Online shows to EHLO when a session begins; AUTH and STARTTLS are ours to show.
const EHLO: &[&str] = &[
    "SIZE 157286400",
    "PIPELINING",
    "DSN",
    "ENHANCEDSTATUSCODES",
    "8BITMIME",
    "BINARYMIME",
    "CHUNKING",
    "SMTPUTF8",
];

/// After how long without use Entra lets a refresh token die.
const REFRESH_IDLE: Duration = DAY.saturating_mul(90);

/// Sessions of submission that one mailbox may have at once. The 30 messages a minute of the same page
/// are no default: Exchange Online delays what goes beyond them by itself.
const SUBMISSION_SESSIONS: Option<NonZeroU32> = NonZeroU32::new(3);

/// What a person consents to besides mail: `offline_access` is what makes Entra give a refresh
/// token, the others what makes it tell who signed in.
const CONSENT: &[&str] = &["offline_access", "openid", "profile"];

/// A browser may hold several people's sessions at Entra, and the mailbox may be shared: who signs
/// in is asked and not guessed. It is no new consent, and no password again.
const AUTHORIZATION_PARAMS: &[(&str, &str)] = &[("prompt", "select_account")];

/// A cloud, as far as clouds differ.
struct Cloud {
    name: &'static str,
    login: &'static str,
    submission: &'static str,
    /// Where mailboxes are read: one host for IMAP and POP3 in each cloud.
    mailbox: Option<&'static str>,
    /// The resource that people's scopes name.
    resource: &'static str,
    /// The resource that an application's scope names.
    application_resource: &'static str,
}

/// Exchange Online, worldwide (and GCC, which uses the same hosts).
const WORLDWIDE: Cloud = Cloud {
    name: "microsoft",
    login: "login.microsoftonline.com",
    submission: "smtp.office365.com",
    mailbox: Some("outlook.office365.com"),
    resource: "outlook.office.com",
    application_resource: "outlook.office365.com",
};

const CLOUDS: [Cloud; 5] = [
    WORLDWIDE,
    // Its older name, smtp-hve.office365.com, is announced to go. It has no mailboxes to read.
    Cloud {
        name: "microsoft-hve",
        submission: "smtp.hve.mx.microsoft",
        mailbox: None,
        ..WORLDWIDE
    },
    Cloud {
        name: "microsoft-gcc-high",
        login: "login.microsoftonline.us",
        submission: "smtp.office365.us",
        mailbox: Some("outlook.office365.us"),
        resource: "outlook.office365.us",
        application_resource: "outlook.office365.us",
    },
    Cloud {
        name: "microsoft-dod",
        login: "login.microsoftonline.us",
        submission: "outlook-dod.office365.us",
        mailbox: Some("outlook-dod.office365.us"),
        resource: "outlook-dod.office365.us",
        application_resource: "outlook-dod.office365.us",
    },
    Cloud {
        name: "microsoft-21vianet",
        login: "login.partner.microsoftonline.cn",
        submission: "smtp.partner.outlook.cn",
        mailbox: Some("partner.outlook.cn"),
        resource: "partner.outlook.cn",
        application_resource: "partner.outlook.cn",
    },
];

/// The preset of this name, if it is one of Microsoft's.
pub(super) fn find(name: &str) -> Option<Preset> {
    if name == "outlook-com" {
        return Some(outlook_com());
    }
    CLOUDS.iter().find(|cloud| cloud.name == name).map(exchange_online)
}

/// What is asked for worldwide.
pub(super) fn worldwide_scopes() -> PresetScopes {
    scopes(&WORLDWIDE)
}

fn exchange_online(cloud: &Cloud) -> Preset {
    let mut provider = provider(cloud.name, (cloud.submission, SUBMISSION), mailbox(cloud));
    provider.concurrent_sessions.submission = SUBMISSION_SESSIONS;
    // High Volume Email is another service, whose replies nobody has written down.
    if cloud.mailbox.is_some() {
        provider.declared_ehlo = EHLO;
    }
    Preset {
        provider,
        endpoints: endpoints(cloud.login, "{tenant}"),
        scopes: scopes(cloud),
        authorization_params: AUTHORIZATION_PARAMS,
        loopback_redirect: LoopbackRedirect::Localhost,
        refresh_idle: Some(REFRESH_IDLE),
        no_device_flow: None,
        refused: no_service_account,
    }
}

/// Outlook.com: personal accounts, whose tenant has a name of its own and who have no applications
/// with permissions (and no resource owner password flow: "Microsoft identity platform and OAuth 2.0
/// Resource Owner Password Credentials").
fn outlook_com() -> Preset {
    let submission = ("smtp-mail.outlook.com", SUBMISSION);
    let mut provider = provider("outlook-com", submission, mailbox(&WORLDWIDE));
    provider.concurrent_sessions.submission = SUBMISSION_SESSIONS;
    let mut scopes = scopes(&WORLDWIDE);
    scopes.application.clear();
    Preset {
        provider,
        endpoints: endpoints(WORLDWIDE.login, "consumers"),
        scopes,
        refused: people_alone,
        ..exchange_online(&WORLDWIDE)
    }
}

fn mailbox(cloud: &Cloud) -> Option<Mailbox<'static>> {
    cloud.mailbox.map(|host| Mailbox { imap: host, pop3: host })
}

fn endpoints(login: &str, tenant: &str) -> Endpoints {
    let endpoint =
        |name| Some(Endpoint::preset(format!("https://{login}/{tenant}/oauth2/v2.0/{name}")));
    Endpoints {
        token: endpoint("token"),
        authorization: endpoint("authorize"),
        device_authorization: endpoint("devicecode"),
        ..Endpoints::default()
    }
}

/// App-only tokens are for one resource, the same for every protocol. A person consents to one
/// permission for each.
fn scopes(cloud: &Cloud) -> PresetScopes {
    let scope = |permission| format!("https://{}/{permission}", cloud.resource);
    PresetScopes {
        person: PerProtocol {
            submission: scope("SMTP.Send"),
            imap: scope("IMAP.AccessAsUser.All"),
            pop3: scope("POP.AccessAsUser.All"),
        },
        consent: CONSENT,
        application: format!("https://{}/.default", cloud.application_resource),
    }
}

fn no_service_account(kind: GrantKind) -> Option<NoGrant> {
    (kind == GrantKind::ServiceAccount).then_some(NoGrant {
        problem: "has grant = \"service-account\", which is Google's",
        help: "write grant = \"client-credentials\" for an application's permission at Entra",
    })
}
