//! Yahoo Mail (also of AT&T) and AOL Mail, which are one service by two names.
//!
//! Sources: Yahoo's "OAuth 2.0 Authorization Code Flow" and the metadata of
//! <https://api.login.yahoo.com> (endpoints), what Thunderbird asks for (scope: `mail-w` covers reading
//! too), Yahoo's and AOL's "IMAP server settings" and "POP server settings" (hosts). A client has to be approved for mail.
//! Not told: after how long without use a refresh token dies; whether the id_token, for which
//! `openid` asks elsewhere, is given for a client of mail, so it is not asked for.

use crate::provider::{LoopbackRedirect, PerProtocol};

use super::{Mailbox, Preset, PresetScopes, SUBMISSIONS, people_alone, provider};
use crate::config::endpoint::{Endpoint, Endpoints};

const SCOPE: &str = "mail-w";

pub(super) fn yahoo() -> Preset {
    preset("yahoo", "yahoo.com", "mail.yahoo.com")
}

pub(super) fn aol() -> Preset {
    preset("aol", "aol.com", "aol.com")
}

/// The service `name`, whose login is below `domain` and whose hosts are below `mail`.
fn preset(name: &str, domain: &str, mail: &str) -> Preset {
    let endpoint =
        |path| Some(Endpoint::preset(format!("https://api.login.{domain}/oauth2/{path}")));
    let [smtp, imap, pop3] = ["smtp", "imap", "pop"].map(|first| format!("{first}.{mail}"));
    let mailbox = Mailbox { imap: &imap, pop3: &pop3 };
    Preset {
        provider: provider(name, (&smtp, SUBMISSIONS), Some(mailbox)),
        endpoints: Endpoints {
            token: endpoint("get_token"),
            authorization: endpoint("request_auth"),
            revocation: endpoint("revoke"),
            ..Endpoints::default()
        },
        scopes: PresetScopes {
            person: PerProtocol::of_each(SCOPE.to_owned()),
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
