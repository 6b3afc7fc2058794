//! Its accounts, and those that stand for many: `[alice@contoso.com]`, `[@contoso.com]`, `[@]`.
//!
//! Secret: values of accounts are; they go into the table alone.

use std::path::Path;

use super::client::{tell_of_password_secret, tell_of_the_rest, write_client};
use super::consent::{keep_narrow, write_provider};
use super::document::Table;
use super::ini::{Ini, Section};
use super::notes::Notes;
use super::providers::Providers;
use super::servers::protocol;
use crate::provider::Protocol;

/// The options that it reads of an account, and `documentation`, which is for people.
const OPTIONS: [&str; 14] = [
    "permission_url",
    "token_url",
    "oauth2_scope",
    "oauth2_resource",
    "oauth2_flow",
    "redirect_uri",
    "redirect_listen_address",
    "client_id",
    "client_secret",
    "client_secret_encrypted",
    "use_pkce",
    "jwt_certificate_path",
    "jwt_key_path",
    "documentation",
];

/// What it keeps of tokens, in the same sections.
const KEPT: [&str; 6] = [
    "token_salt",
    "token_iterations",
    "access_token",
    "access_token_expiry",
    "refresh_token",
    "last_activity",
];

/// The section of options that are not of an account.
pub(super) const GLOBALS: &str = "emailproxy";

/// An account of the file, as ours.
pub(super) struct Account<'i> {
    /// What the file says of it.
    pub(super) section: &'i Section,
    /// Its name: `alice@contoso.com`, `*@contoso.com`.
    pub(super) name: String,
    /// Its provider among [`Providers`].
    pub(super) provider: usize,
    pub(super) grant: Grant,
    /// What it asked for.
    pub(super) scopes: Vec<&'i str>,
    pub(super) table: Table,
}

/// How its tokens are had, by the word that we have for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grant {
    AuthorizationCode,
    DeviceCode,
    ClientCredentials,
    Password,
    ServiceAccount,
}

impl Grant {
    /// The word.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization-code",
            Self::DeviceCode => "device-code",
            Self::ClientCredentials => "client-credentials",
            Self::Password => "password",
            Self::ServiceAccount => "service-account",
        }
    }

    /// Whether a person consents.
    pub(super) fn is_consent(self) -> bool {
        matches!(self, Self::AuthorizationCode | Self::DeviceCode)
    }

    /// Whether one grant is good for many mailboxes.
    pub(super) fn is_of_many(self) -> bool {
        matches!(self, Self::ClientCredentials | Self::ServiceAccount)
    }
}

/// What an account section says, and what it inherits where that is allowed.
pub(super) struct Options<'i> {
    pub(super) section: &'i Section,
    inherited: Vec<&'i Section>,
}

impl<'i> Options<'i> {
    fn of(ini: &'i Ini, section: &'i Section, has_catch_all: bool) -> Self {
        let domain = section.name.rsplit_once('@').map_or("", |(_, domain)| domain);
        let above = [format!("@{domain}"), "@".to_owned()];
        let above = above.iter().filter(|name| has_catch_all && **name != section.name);
        let inherited = above.filter_map(|name| ini.section(name)).collect();
        Self { section, inherited }
    }

    /// The value of `key`, its own or inherited.
    pub(super) fn get(&self, key: &str) -> Option<&'i str> {
        let all = [self.section].into_iter().chain(self.inherited.iter().copied());
        all.into_iter().find_map(|section| section.get(key))
    }

    /// Without a page for consent there is none, and the flow says what there is; with one it is
    /// the authorization code flow unless it says `device`.
    fn grant(&self) -> Result<Grant, &'static str> {
        match (self.get("permission_url"), self.get("oauth2_flow")) {
            (Some(_), Some("device")) => Ok(Grant::DeviceCode),
            (Some(_), _) => Ok(Grant::AuthorizationCode),
            (None, Some("client_credentials")) => Ok(Grant::ClientCredentials),
            (None, Some("password")) => Ok(Grant::Password),
            (None, Some("service_account")) => Ok(Grant::ServiceAccount),
            (None, Some(_)) => Err("its `oauth2_flow` is none that is known"),
            (None, None) => Err("it lacks `permission_url`, and `oauth2_flow` in its place"),
        }
    }
}

/// Every account of `ini`; those that stand for all domains and those that are covered by a wildcard
/// are told in `notes` alone.
pub(super) fn read_all<'i>(
    ini: &'i Ini,
    base: &Path,
    providers: &mut Providers,
    notes: &mut Notes,
) -> Vec<Account<'i>> {
    let globals = ini.section(GLOBALS);
    let is_on = |key| globals.is_some_and(|globals| globals.flag(key) == Ok(Some(true)));
    let has_catch_all = is_on("allow_catch_all_accounts");
    let is_password_secret = is_on("use_login_password_as_client_credentials_secret");
    let mut accounts = Vec::new();
    for section in ini.sections().filter(|section| section.name.contains('@')) {
        let options = Options::of(ini, section, has_catch_all);
        let mut notes = notes.of(section);
        if let Some(why) = left_out(&options, has_catch_all) {
            notes.tell(section.line, &why);
            continue;
        }
        let name = match section.name.strip_prefix('@') {
            Some(domain) => format!("*@{domain}"),
            None => section.name.clone(),
        };
        let mut table = Table::new("accounts", &name);
        let known: Vec<&str> = OPTIONS.into_iter().chain(KEPT).collect();
        notes.tell_unknown(&known, &mut table);
        let grant = options.grant();
        if let Err(why) = grant {
            table.set_aside = Some(why.to_owned());
        }
        let grant = grant.unwrap_or(Grant::AuthorizationCode);
        let provider = write_provider(&options, grant, providers, &mut table, &mut notes);
        write_client(&options, grant, base, &mut table, &mut notes);
        if is_password_secret && grant == Grant::ClientCredentials {
            tell_of_password_secret(&options, &mut table, &mut notes);
        }
        tell_of_the_rest(&options, grant, &mut table, &mut notes);
        let scopes = options.get("oauth2_scope").unwrap_or_default().split_whitespace().collect();
        accounts.push(Account { section, name, provider, grant, scopes, table });
    }
    let has_pop3 = ini.sections().any(|section| protocol(section) == Some(Protocol::Pop3));
    keep_narrow(&mut accounts, has_pop3, providers, notes);
    accounts
}

/// Why no table is written for the section, if none is.
fn left_out(options: &Options<'_>, has_catch_all: bool) -> Option<String> {
    let name = options.section.name.as_str();
    if name.starts_with('@') && !has_catch_all {
        return Some("`allow_catch_all_accounts` is off, so nobody used it: left out.".to_owned());
    }
    let is_many = options.grant().is_ok_and(Grant::is_of_many);
    if name == "@" {
        let word = if is_many { "[accounts.\"*@DOMAIN\"]" } else { "[accounts.\"ADDRESS\"]" };
        return Some(format!("It stands for every domain there is: write an {word} for each."));
    }
    if name.starts_with('@') && !is_many {
        return Some(
            "A person's consent is for one mailbox: write an [accounts.\"ADDRESS\"] for each of \
             the domain, with its keys once in the provider's table."
                .to_owned(),
        );
    }
    // Made by the program itself, for a mailbox that signed in through the wildcard.
    let is_made = options.section.keys().all(|(key, _)| KEPT.contains(&key));
    let wildcard = options.inherited.first().filter(|_| is_made && is_many)?;
    (wildcard.name != "@").then(|| format!("[accounts.\"*{}\"] covers it.", wildcard.name))
}
