//! The keys and words of the documented file that this version does not have yet. They are
//! refused as such, so that nobody takes them for mistyped, or believes that they work.

use super::field::Field;
use super::file::Reported;
use super::table::{Later, Table};

const fn later(name: &'static str, help: &'static str) -> Later {
    Later { name, help }
}

const WARM: &str = "leave it out: an upstream is connected to when somebody has signed in";
const POSTGRESQL: &str = "leave it out: grants are kept in a file, which `path` names";
const PROBES: &str = "leave it out: `mailbearer healthcheck` tells whether the relay is ready";
const EGRESS: &str = "leave it out: upstreams are reached directly, and token endpoints through \
                      the proxy that the usual environment variables name";

/// Keys of `[limits]`.
pub(super) const LIMITS: &[Later] = &[later("warm_connections", WARM)];

/// Keys of `[store]`.
pub(super) const STORE: &[Later] = &[later("url", POSTGRESQL)];

/// Keys of `[web]`.
pub(super) const WEB: &[Later] = &[later("probes", PROBES)];

/// Tables of the root.
pub(super) const TABLES: &[Later] = &[later("egress", EGRESS)];

/// Keys of those tables.
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
    let table = field.table()?;
    if table.is_empty() {
        return Err(field.not_in_this_version(later.help));
    }
    let keys = TABLE_KEYS.iter().find(|(name, _)| *name == later.name);
    let keys = keys.map_or(&[][..], |(_, keys)| *keys);
    let keys: Vec<Later> = keys.iter().map(|name| Later { name, help: later.help }).collect();
    table.finish(&keys)
}
