//! Its accounts, and those that stand for many: `[alice@contoso.com]`, `[@contoso.com]`, `[@]`.
//!
//! Secret: values of accounts are; they go into the table alone.

use std::path::Path;

use toml::Value;

use super::document::Table;
use super::ini::{Ini, Section, shown};
use super::notes::{Notes, Of};
use super::providers::{Endpoints, Providers, is_of_one};
use super::servers::beside;
use super::service_account;

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

/// With what the sample's own texts begin that somebody was to replace.
const SAMPLE: &str = "*** your";

/// The section of options that are not of an account.
pub(super) const GLOBALS: &str = "emailproxy";

/// An account of the file, as ours.
pub(super) struct Account {
    /// Its name: `alice@contoso.com`, `*@contoso.com`.
    pub(super) name: String,
    /// Its provider among [`Providers`].
    pub(super) provider: usize,
    pub(super) grant: Grant,
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
    fn name(self) -> &'static str {
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
    fn is_of_many(self) -> bool {
        matches!(self, Self::ClientCredentials | Self::ServiceAccount)
    }
}

/// What an account section says, and what it inherits where that is allowed.
struct Options<'i> {
    section: &'i Section,
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

    fn get(&self, key: &str) -> Option<&'i str> {
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
pub(super) fn read_all(
    ini: &Ini,
    base: &Path,
    providers: &mut Providers,
    notes: &mut Notes,
) -> Vec<Account> {
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
        accounts.push(Account { name, provider, grant, table });
    }
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

/// Writes whose account it is; gives the provider.
fn write_provider(
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
    let is_elsewhere = consent.is_some_and(|url| !is_of_one(url, &token));
    let is_special = resource.is_some() || is_elsewhere;
    let found = providers.find(&Endpoints { token, keys, is_special });
    table.set("provider", providers.name(found.at));
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

/// Writes how its tokens are had, and what its client shows.
fn write_client(
    options: &Options<'_>,
    grant: Grant,
    base: &Path,
    table: &mut Table,
    notes: &mut Of<'_, '_>,
) {
    table.set("grant", grant.name());
    if grant == Grant::ServiceAccount {
        let kind = options.get("client_id").unwrap_or_default();
        let key = options.get("client_secret").unwrap_or_default();
        return service_account::write(kind, key, base, table, notes);
    }
    let client_id = options.get("client_id").unwrap_or_default();
    let secret = options.get("client_secret");
    if client_id.contains(SAMPLE) || secret.is_some_and(|secret| secret.contains(SAMPLE)) {
        let said = "Its client still has texts of the sample: write `client_id`, and \
                    `client_secret` or no such line.";
        notes.add(table, said);
    }
    table.set("client_id", client_id);
    let files = options.get("jwt_certificate_path").zip(options.get("jwt_key_path"));
    let file = |what| {
        Value::Table([("file".to_owned(), beside_name(options, what))].into_iter().collect())
    };
    match (secret, options.get("client_secret_encrypted"), files) {
        (Some(secret), ..) => table.set("client_secret", secret),
        (None, Some(_), _) => {
            table.set("client_secret", file("client-secret"));
            let said = "`client_secret_encrypted` is sealed with the password of the mail program, \
                        and cannot be read here: write the secret into the file that is named.";
            notes.add(table, said);
        }
        (None, None, Some((certificate, key))) => {
            table.set("certificate", beside(base, certificate));
            table.set("private_key", beside(base, key));
            table.set("assertion_algorithm", "RS256");
        }
        (None, None, None) if grant == Grant::ClientCredentials => {
            table.set("client_secret", file("client-secret"));
        }
        (None, None, None) => {}
    }
    if files.is_some() && (secret.is_some() || options.get("client_secret_encrypted").is_some()) {
        let said =
            "Its certificate was not used, because there is a client secret; nor is it here.";
        notes.add(table, said);
    }
    if grant == Grant::Password {
        table.set("password", file("password"));
        let said = "The mail program's password was the person's own, and was passed on. It is kept \
                    here instead: write it into the file that is named. Better: grant = \
                    \"authorization-code\", and one consent.";
        notes.add(table, said);
    }
}

/// A file for what has to be written by hand.
fn beside_name(options: &Options<'_>, what: &str) -> Value {
    let plain = |char: char| char.is_ascii_alphanumeric() || "@.-_".contains(char);
    let name = options.section.name.trim_start_matches('@');
    let name: String = name.chars().map(|char| if plain(char) { char } else { '_' }).collect();
    format!("{name}.{what}").into()
}

fn tell_of_password_secret(options: &Options<'_>, table: &mut Table, notes: &mut Of<'_, '_>) {
    let others = ["client_secret", "client_secret_encrypted", "jwt_certificate_path"];
    if others.iter().all(|key| options.get(key).is_none()) {
        let said = "The mail program's password was the client secret \
                    (`use_login_password_as_client_credentials_secret`): write the secret into the \
                    file that is named, and make a local password.";
        notes.add(table, said);
    }
}

/// Tells of what has no key here.
fn tell_of_the_rest(
    options: &Options<'_>,
    grant: Grant,
    table: &mut Table,
    notes: &mut Of<'_, '_>,
) {
    if options.section.get("refresh_token").or(options.section.get("access_token")).is_some() {
        let said = if grant.is_consent() {
            "Its tokens are sealed with the password of the mail program and are not taken over: \
             consent once more, see above."
        } else {
            "Its tokens are not taken over, and need not be: new ones are asked for."
        };
        notes.add(table, said);
    }
    if grant != Grant::AuthorizationCode {
        return;
    }
    let redirect = options.get("redirect_uri");
    if redirect.is_some_and(|uri| uri.trim_end_matches('/') != "http://localhost") {
        let said = "`redirect_uri` has no counterpart: `mailbearer authorize` prints first which one \
                    the registration needs; with `web.public_url` it is that and /oauth/callback.";
        notes.add(table, said);
    }
    if options.get("redirect_listen_address").is_some() {
        let said = "`redirect_listen_address` has no counterpart: `mailbearer authorize --paste` \
                    needs no port, and the page ([web]) listens at its own address.";
        notes.add(table, said);
    }
}
