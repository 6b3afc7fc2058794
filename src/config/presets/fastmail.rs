//! Fastmail.
//!
//! Sources: Fastmail's "OAuth at Fastmail" (endpoints; clients are public and registered by hand;
//! a redirect to this machine may be http://127.0.0.1:PORT/), what Thunderbird asks for (scopes by
//! protocol, and the issuer that each authorization response has to name), "Server names and ports".
//! Not told: after how long without use a refresh token dies, and who signed in.

use crate::provider::{LoopbackRedirect, PerProtocol};

use super::{Mailbox, Preset, PresetScopes, SUBMISSIONS, people_alone, provider};
use crate::config::endpoint::{Endpoint, Endpoints};

pub(super) fn fastmail() -> Preset {
    let endpoint = |url| Some(Endpoint::preset(url));
    let scope = |protocol| format!("https://www.fastmail.com/dev/protocol-{protocol}");
    Preset {
        provider: provider(
            "fastmail",
            ("smtp.fastmail.com", SUBMISSIONS),
            Some(Mailbox { imap: "imap.fastmail.com", pop3: "pop.fastmail.com" }),
        ),
        endpoints: Endpoints {
            issuer: endpoint("https://api.fastmail.com"),
            tells_issuer: true,
            token: endpoint("https://api.fastmail.com/oauth/refresh"),
            authorization: endpoint("https://api.fastmail.com/oauth/authorize"),
            revocation: endpoint("https://api.fastmail.com/oauth/revoke"),
            ..Endpoints::default()
        },
        scopes: PresetScopes {
            person: PerProtocol {
                submission: scope("smtp"),
                imap: scope("imap"),
                pop3: scope("pop"),
            },
            consent: &[],
            application: String::new(),
        },
        authorization_params: &[],
        loopback_redirect: LoopbackRedirect::Address,
        refresh_idle: None,
        no_device_flow: None,
        refused: people_alone,
    }
}
