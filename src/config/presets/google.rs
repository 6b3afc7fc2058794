//! Gmail and Google Workspace.
//!
//! Sources: Google's "Using OAuth 2.0 for Mobile and Desktop Apps" and "… for Web Server
//! Applications" (endpoints, parameters), "… to Access Google APIs" (refresh tokens end after six
//! months without use), "… for TV and Limited-Input Device Applications" (allowed scopes, none of
//! them of mail), "… for Server to Server Applications", "OAuth 2.0 Mechanism" of Gmail (scope,
//! hosts), Gmail Help's "Add Gmail to another email client" (15 sessions of IMAP at once). How long a client in testing lasts is told by the token endpoint.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::provider::{GrantKind, LoopbackRedirect, PerProtocol};

use super::{DAY, Mailbox, NoGrant, Preset, PresetScopes, SUBMISSIONS, provider};
use crate::config::endpoint::{Endpoint, Endpoints};

/// Good for every protocol.
const SCOPE: &str = "https://mail.google.com/";

/// Sessions of IMAP that one account may have at once.
const IMAP_SESSIONS: Option<NonZeroU32> = NonZeroU32::new(15);

/// Six months.
const REFRESH_IDLE: Duration = DAY.saturating_mul(180);

pub(super) fn google() -> Preset {
    let endpoint = |url| Some(Endpoint::preset(url));
    let mailbox = Mailbox { imap: "imap.gmail.com", pop3: "pop.gmail.com" };
    let mut provider = provider("google", ("smtp.gmail.com", SUBMISSIONS), Some(mailbox));
    provider.concurrent_sessions.imap = IMAP_SESSIONS;
    Preset {
        provider,
        endpoints: Endpoints {
            issuer: endpoint("https://accounts.google.com"),
            token: endpoint("https://oauth2.googleapis.com/token"),
            authorization: endpoint("https://accounts.google.com/o/oauth2/v2/auth"),
            revocation: endpoint("https://oauth2.googleapis.com/revoke"),
            ..Endpoints::default()
        },
        scopes: PresetScopes {
            person: PerProtocol::of_each(SCOPE.to_owned()),
            consent: &["openid", "email"],
            application: SCOPE.to_owned(),
        },
        // Without them Google gives no refresh token, or none but the first time.
        authorization_params: &[("access_type", "offline"), ("prompt", "consent")],
        loopback_redirect: LoopbackRedirect::Address,
        refresh_idle: Some(REFRESH_IDLE),
        no_device_flow: Some("Google's device flow gives no token for mail (invalid_scope)"),
        refused,
    }
}

fn refused(kind: GrantKind) -> Option<NoGrant> {
    const APPLICATION: &str = "write grant = \"service-account\", with domain-wide delegation, or \
                               \"authorization-code\" for a person's consent";
    match kind {
        GrantKind::AuthorizationCode | GrantKind::ServiceAccount | GrantKind::Command => None,
        GrantKind::DeviceCode => Some(NoGrant {
            problem: "has grant = \"device-code\", but Google's device flow gives no token for mail \
                      (invalid_scope)",
            help: "write grant = \"authorization-code\": `authorize ACCOUNT --paste` needs no \
                   browser on this machine",
        }),
        GrantKind::ClientCredentials => Some(NoGrant {
            problem: "has grant = \"client-credentials\", which Google does not have",
            help: APPLICATION,
        }),
        GrantKind::WorkloadIdentity | GrantKind::ManagedIdentity => Some(NoGrant {
            problem: "has the grant of an identity of Azure, which Google does not know",
            help: APPLICATION,
        }),
        GrantKind::Password => Some(NoGrant {
            problem: "has grant = \"password\", which Google does not have",
            help: "write grant = \"authorization-code\"",
        }),
    }
}
