//! The keys and words of the documented file that this version does not have yet. They are
//! refused as such, so that nobody takes them for mistyped, or believes that they work.

use super::field::Field;
use super::file::Reported;
use super::table::{Later, Table};

const fn later(name: &'static str, help: &'static str) -> Later {
    Later { name, help }
}

const TLS: &str = "leave it out and serve loopback: TLS towards clients is not built yet";
const DEVICES: &str = "leave it out: every client has to sign in, there are no [devices] yet";
const OTHER_GRANTS: &str = "leave it out: the only grants yet are \"client-credentials\" and \
                            \"authorization-code\", with a client_secret";
const CONSENT: &str = "leave it out: consent by browser is not built yet; bring a refresh token by \
                       `mailbearer authorize ACCOUNT --refresh-token-stdin`";
const ISSUER: &str = "write `token_endpoint`: endpoints are not discovered yet, and consent by browser \
                      is not built; bring a person's refresh token by `mailbearer authorize ACCOUNT \
                      --refresh-token-stdin`";
const LIMIT: &str = "leave it out: sessions and messages of a mailbox are not counted yet";
const POP3: &str = "leave it out: submission and imap are served, POP3 is not built yet";
const POSTGRESQL: &str = "leave it out: grants are kept in a file, which `path` names";
const PROBES: &str = "leave it out: `mailbearer healthcheck` tells whether the relay is ready";
const EGRESS: &str = "leave it out: upstreams are reached directly, and token endpoints through \
                      the proxy that the usual environment variables name";

/// Keys of a `[listeners.NAME]`.
pub(super) const LISTENER: &[Later] = &[
    later("certificate", TLS),
    later("private_key", TLS),
    later("devices", DEVICES),
    later(
        "proxy_protocol_from",
        "leave it out: every client is known by the address it connects from",
    ),
];

/// Words of `listeners.NAME.protocol`.
pub(super) const PROTOCOLS: &[Later] =
    &[later("pop3", "write \"submission\" or \"imap\": POP3 is not built yet")];

/// Words of `listeners.NAME.tls`.
pub(super) const LISTENER_TLS: &[Later] = &[
    later("starttls", "write \"none\" and serve loopback: TLS towards clients is not built yet"),
    later("implicit", "write \"none\" and serve loopback: TLS towards clients is not built yet"),
];

/// Keys of a `[providers.NAME]` alone.
pub(super) const PROVIDER: &[Later] = &[
    later("issuer", ISSUER),
    later("authorization_endpoint", CONSENT),
    later("device_authorization_endpoint", CONSENT),
    later("authorization_params", CONSENT),
    later("resource", "leave it out and name the resource by `scopes`"),
    later("pop3", POP3),
    later("concurrent_sessions", LIMIT),
    later("messages_per_minute", LIMIT),
    later("grant_of", OTHER_GRANTS),
];

/// Keys of an account, which may stand in its provider's table as a default.
pub(super) const DEFAULTS: &[Later] = &[
    later("client_secret_expires", EXPIRY),
    later("client_auth", CLIENT_AUTH),
    later("assertion_algorithm", OTHER_GRANTS),
    later("assertion_file", OTHER_GRANTS),
    later("certificate", OTHER_GRANTS),
    later("private_key", OTHER_GRANTS),
    later("private_key_id", OTHER_GRANTS),
    later("key_file", OTHER_GRANTS),
    later("client_email", OTHER_GRANTS),
    later("password", OTHER_GRANTS),
    later("command", OTHER_GRANTS),
    later("sender", SENDER),
];

const EXPIRY: &str = "leave it out, or keep it as a comment: nothing warns of it yet";
const CLIENT_AUTH: &str = "leave it out: the secret is posted with the request (\"secret-post\")";
const SENDER: &str = "leave it out: messages are passed on as they are (\"keep\")";

/// Built-in names of a provider.
pub(super) const PROVIDERS: &[Later] = &[
    later("microsoft-hve", OTHER_CLOUDS),
    later("microsoft-gcc-high", OTHER_CLOUDS),
    later("microsoft-dod", OTHER_CLOUDS),
    later("microsoft-21vianet", OTHER_CLOUDS),
    later("outlook-com", OTHER_GRANT),
    later("google", OTHER_GRANT),
    later("yahoo", OTHER_GRANT),
    later("aol", OTHER_GRANT),
    later("fastmail", OTHER_GRANT),
];

const OTHER_CLOUDS: &str = "use \"microsoft\", or describe the provider in a [providers.NAME] of \
                            another name, with its token_endpoint, scopes and hosts";
const OTHER_GRANT: &str = "describe it in a [providers.NAME] of another name, with its \
                           token_endpoint, scopes and hosts, or use \"microsoft\"";

/// Keys of an `[accounts.NAME]` alone.
pub(super) const ACCOUNT: &[Later] = &[later("grant_of", GRANT_OF)];

const GRANT_OF: &str = "leave it out and repeat `tenant` and `client_id`: accounts of one application \
                        share its token, and a person's refresh token may be brought for each";

/// Words of `grant`.
pub(super) const GRANTS: &[Later] = &[
    later("device-code", OTHER_GRANT_KINDS),
    later("service-account", OTHER_GRANT_KINDS),
    later("password", OTHER_GRANT_KINDS),
    later("workload-identity", OTHER_GRANT_KINDS),
    later("managed-identity", OTHER_GRANT_KINDS),
    later("command", OTHER_GRANT_KINDS),
];

pub(super) const OTHER_GRANT_KINDS: &str =
    "write \"client-credentials\" or \"authorization-code\": there are no others yet";

/// Keys of `mailbox`, `scopes` and other tables with one value for each protocol.
pub(super) const PER_PROTOCOL: &[Later] = &[later("pop3", POP3)];

/// Keys of `[limits]`.
pub(super) const LIMITS: &[Later] =
    &[later("wait_for_slot", LIMIT), later("warm_connections", LIMIT)];

/// Keys of `[store]`.
pub(super) const STORE: &[Later] = &[later("url", POSTGRESQL)];

/// Keys of `[web]`.
pub(super) const WEB: &[Later] = &[later("probes", PROBES)];

/// Tables of the root.
pub(super) const TABLES: &[Later] = &[later("devices", DEVICES), later("egress", EGRESS)];

/// Keys of those tables, but of `[devices]`, whose keys are names of the user's choice.
const TABLE_KEYS: &[(&str, &[&str])] = &[("egress", &["http_proxy", "mail_proxy", "bind"])];

/// Refuses the tables of the root that come later, key by key.
pub(super) fn refuse_tables(root: &mut Table<'_>) -> Result<(), Reported> {
    let mut refused = Ok(());
    for later in TABLES {
        if let Some(field) = root.take_unoffered(later.name) {
            refused = refused.and(refuse_table(&field, later));
        }
    }
    refused
}

fn refuse_table(field: &Field<'_>, later: &Later) -> Result<(), Reported> {
    let mut table = field.table()?;
    if table.is_empty() {
        return Err(field.not_in_this_version(later.help));
    }
    let Some((_, keys)) = TABLE_KEYS.iter().find(|(name, _)| *name == later.name) else {
        let named = table.take_named();
        return named
            .iter()
            .map(|(_, field)| Err(field.not_in_this_version(later.help)))
            .fold(Ok(()), Result::and);
    };
    let keys: Vec<Later> = keys.iter().map(|name| Later { name, help: later.help }).collect();
    table.finish(&keys)
}
