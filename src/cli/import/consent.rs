//! What consent an account asked for: at which page, and for which scopes. Here it is for no more.

use toml::Value;

use super::accounts::{Account, Grant, Options};
use super::document::Table;
use super::ini::shown;
use super::known::{Page, page};
use super::notes::{Notes, Of};
use super::providers::{Endpoints, Providers};
use crate::config::preset_scopes;

/// Writes whose account it is; gives the provider.
pub(super) fn write_provider(
    options: &Options<'_>,
    grant: Grant,
    providers: &mut Providers,
    table: &mut Table,
    notes: &mut Of<'_, '_>,
) -> usize {
    let token = options.get("token_url").unwrap_or_default().to_owned();
    let consent = options.get("permission_url");
    let scopes: Vec<&str> =
        options.get("oauth2_scope").unwrap_or_default().split_whitespace().collect();
    let resource = options.get("oauth2_resource").filter(|_| grant == Grant::Password);
    let mut keys: Vec<(&'static str, Value)> = Vec::new();
    match (grant, consent) {
        (Grant::AuthorizationCode, Some(url)) => {
            keys.push(("authorization_endpoint", url.into()));
            // It is sent with each request by that program.
            let offline: toml::Table =
                [("access_type".to_owned(), "offline".into())].into_iter().collect();
            keys.push(("authorization_params", offline.into()));
        }
        (Grant::DeviceCode, Some(url)) => keys.push(("device_authorization_endpoint", url.into())),
        _ => {}
    }
    if !scopes.is_empty() {
        keys.push(("scopes", scopes.clone().into()));
    }
    if let Some(resource) = resource {
        keys.push(("resource", resource.into()));
    }
    let page = consent.map(|url| page(url, &token));
    let is_special = resource.is_some() || page == Some(Page::Special);
    let found = providers.find(&Endpoints { token, keys, is_special });
    table.set("provider", providers.name(found.at));
    match (page, &found.tenant) {
        (Some(Page::BuiltIn(Some(other))), Some(tenant)) if !other.eq_ignore_ascii_case(tenant) => {
            let said = format!(
                "Its `permission_url` was that of the tenant \"{}\", and its `token_url` that of \
                 \"{}\": here both are the latter's.",
                shown(&other),
                shown(tenant)
            );
            notes.add(table, said);
        }
        (Some(Page::Special), _) => {
            let said = format!(
                "Its `permission_url` is not, or not alone, that of a built-in provider, so all of \
                 it is written in [providers.{}].",
                providers.name(found.at)
            );
            notes.add(table, said);
        }
        _ => {}
    }
    if let Some(tenant) = found.tenant {
        table.set("tenant", tenant);
    }
    if providers.is_built_in(found.at) && !scopes.iter().all(|scope| is_of_presets(scope, grant)) {
        let name = providers.name(found.at);
        notes.add(
            table,
            format!(
                "It asked for `oauth2_scope` = \"{}\". The built-in provider asks for what it \
                 documents for mail; if the registration allows nothing but those, write them as \
                 `scopes` in [providers.{name}].",
                shown(&scopes.join(" "))
            ),
        );
    }
    found.at
}

/// Whether that is what built-in providers ask for as well.
fn is_of_presets(scope: &str, grant: Grant) -> bool {
    let permission = scope.rsplit_once('/').map_or(scope, |(_, permission)| permission);
    match permission {
        "SMTP.Send" | "IMAP.AccessAsUser.All" | "POP.AccessAsUser.All" => !grant.is_of_many(),
        ".default" => grant.is_of_many(),
        "offline_access" | "openid" | "profile" | "email" | "mail-w" => true,
        "protocol-imap" | "protocol-pop" | "protocol-smtp" => true,
        _ => scope == "https://mail.google.com/",
    }
}

/// Has nobody consent to more than before: built-in providers ask for every protocol, and where an
/// administrator consented to less, that stops the person.
///
/// The scopes of a provider are for all its accounts, so they are written if all are persons who
/// asked for the same; else it is told.
pub(super) fn keep_narrow(
    accounts: &mut [Account<'_>],
    has_pop3: bool,
    providers: &mut Providers,
    notes: &mut Notes,
) {
    for at in 0..providers.len() {
        let own = || accounts.iter().filter(|account| account.provider == at);
        let Some(first) = own().next().filter(|_| providers.is_built_in(at)) else { continue };
        // Of others `check` would refuse the table, and with it what else is in it.
        let is_known = |scope: &&str| is_of_presets(scope, first.grant) && !is_of_graph(scope);
        let is_one = first.scopes.iter().all(is_known)
            && own().all(|account| {
                !account.grant.is_of_many() && is_same(&account.scopes, &first.scopes)
            });
        let (name, scopes) = (providers.name(at).to_owned(), first.scopes.clone());
        let mut is_narrow = false;
        for account in accounts.iter_mut().filter(|account| account.provider == at) {
            let more = more_of_preset(account, &name, has_pop3);
            if more.is_empty() {
                continue;
            }
            is_narrow = true;
            let said = if is_one {
                format!(
                    "It asked for less than the built-in provider does, so that is written as \
                     `scopes` in [providers.{name}]. To ask for all ({}), take it out there.",
                    more.join(" ")
                )
            } else {
                format!(
                    "Its consent is asked for {} as well, for which it did not ask. Where whoever \
                     consents may not, give it a provider of its own with the scopes that it had.",
                    more.join(" ")
                )
            };
            notes.of(account.section).add(&mut account.table, said);
        }
        if is_narrow && is_one {
            providers.narrow(at, &scopes);
        }
    }
}

/// The mail scopes of the provider `name` that the account, a person's, did not ask for.
fn more_of_preset(account: &Account<'_>, name: &str, has_pop3: bool) -> Vec<String> {
    let asked = &account.scopes;
    // What is registered, whatever it is.
    let is_all = asked.iter().any(|scope| permission(scope) == ".default");
    let preset = preset_scopes(name).filter(|_| !account.grant.is_of_many());
    let Some(preset) = preset.filter(|_| !is_all && !asked.is_empty()) else { return Vec::new() };
    let mut more = vec![preset.mail.submission, preset.mail.imap];
    // A consent is for POP3 where a listener serves it.
    more.extend(Some(preset.mail.pop3).filter(|_| has_pop3));
    more.dedup();
    more.retain(|scope| !asked.iter().any(|asked| permission(asked) == permission(scope)));
    more
}

/// A scope without the resource that it is of, which has several names.
fn permission(scope: &str) -> &str {
    let permission = scope.rsplit_once('/').map_or(scope, |(_, permission)| permission);
    if permission.is_empty() { scope } else { permission }
}

/// Whether it is of Microsoft Graph, whose tokens no mail server takes.
fn is_of_graph(scope: &str) -> bool {
    scope.starts_with("https://graph.")
}

/// Whether both ask for the same, in whatever order.
fn is_same(one: &[&str], other: &[&str]) -> bool {
    one.iter().all(|scope| other.contains(scope)) && other.iter().all(|scope| one.contains(scope))
}
