//! The keys and words of the documented file that this version does not have yet. They are
//! refused as such, so that nobody takes them for mistyped, or believes that they work.

use super::field::Field;
use super::file::Reported;
use super::table::{Later, Table};

const fn later(name: &'static str, help: &'static str) -> Later {
    Later { name, help }
}

const DEVICES: &str = "leave it out: every client has to sign in, there are no [devices] yet";
const LIMIT: &str = "leave it out: sessions and messages of a mailbox are not counted yet";
const POSTGRESQL: &str = "leave it out: grants are kept in a file, which `path` names";
const PROBES: &str = "leave it out: `mailbearer healthcheck` tells whether the relay is ready";
const EGRESS: &str = "leave it out: upstreams are reached directly, and token endpoints through \
                      the proxy that the usual environment variables name";

/// Keys of a `[listeners.NAME]`.
pub(super) const LISTENER: &[Later] = &[
    later("devices", DEVICES),
    later(
        "proxy_protocol_from",
        "leave it out: every client is known by the address it connects from",
    ),
];

/// Keys of a `[providers.NAME]` alone.
pub(super) const PROVIDER: &[Later] =
    &[later("concurrent_sessions", LIMIT), later("messages_per_minute", LIMIT)];

/// Keys of an account, which may stand in its provider's table as a default.
pub(super) const DEFAULTS: &[Later] = &[later("sender", SENDER)];

const SENDER: &str = "leave it out: messages are passed on as they are (\"keep\")";

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
