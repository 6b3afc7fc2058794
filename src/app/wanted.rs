//! Which tokens a configuration can need: what is renewed early, kept alive and told of.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::account::AccountSettings;
use crate::config::Config;
use crate::oauth::Wanted;
use crate::provider::{GrantId, Protocol};

/// The grants of a configuration, each with the scope sets that sessions will ask of it.
pub(super) fn wanted(config: &Config) -> Vec<Wanted> {
    let mut wanted: BTreeMap<&GrantId, Wanted> = BTreeMap::new();
    for account in &config.accounts {
        let grant = &account.grant;
        let of_grant = wanted
            .entry(&grant.id)
            .or_insert_with(|| Wanted { grant: Arc::clone(grant), scopes: Vec::new() });
        for protocol in account.consented_protocols() {
            let scopes = account.scopes.get(protocol);
            let has_host = account.provider.hosts.get(protocol).is_some();
            if (has_host || is_led_elsewhere(config, account, protocol))
                && !of_grant.scopes.contains(scopes)
            {
                of_grant.scopes.push(scopes.clone());
            }
        }
    }
    wanted.into_values().collect()
}

/// Whether a listener has an upstream of its own for the account.
fn is_led_elsewhere(config: &Config, account: &AccountSettings, protocol: Protocol) -> bool {
    config.listeners.iter().any(|listener| {
        let served = listener
            .accounts
            .as_ref()
            .is_none_or(|patterns| patterns.iter().any(|it| it.overlaps(&account.name)));
        listener.protocol == protocol && listener.upstream.is_some() && served
    })
}
