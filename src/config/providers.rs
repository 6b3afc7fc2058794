//! `[providers.NAME]`: the built-in providers, changed by the file, and those that it adds.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;

use crate::net::tls::{self, TlsError};
use crate::provider::{GrantKind, MailHost, Mechanism, PerProtocol, Provider};

use super::endpoint::{Endpoint, Endpoints};
use super::field::Field;
use super::file::Reported;
use super::grants::GrantKeys;
use super::later;
use super::listeners::At;
use super::presets::{self, Preset};
use super::table::{Table, nearest};

/// Range of `refresh_idle_days`: ten years are for ever.
const REFRESH_IDLE_DAYS: RangeInclusive<u64> = 1..=3650;

/// A provider, and what it gives to its accounts.
pub(super) struct ProviderEntry<'t> {
    pub(super) provider: Arc<Provider>,
    pub(super) endpoints: Endpoints,
    pub(super) scopes: Scopes,
    /// After how long without use it lets a refresh token die.
    pub(super) refresh_idle: Option<Duration>,
    /// Keys that its accounts may leave out.
    pub(super) defaults: GrantKeys<'t>,
}

impl ProviderEntry<'_> {
    fn preset(preset: Preset) -> Self {
        Self {
            provider: Arc::new(preset.provider),
            endpoints: preset.endpoints,
            scopes: Scopes::Preset(preset.scopes),
            refresh_idle: Some(preset.refresh_idle),
            defaults: GrantKeys::none(),
        }
    }
}

/// The scopes of a provider.
pub(super) enum Scopes {
    /// As the file has them, for every grant.
    Written(PerProtocol<Vec<String>>),
    /// As the provider wants them, by grant.
    Preset(fn(GrantKind) -> PerProtocol<Vec<String>>),
}

impl Scopes {
    /// Those that a grant of `kind` asks for.
    pub(super) fn of(&self, kind: GrantKind) -> PerProtocol<Vec<String>> {
        match self {
            Self::Written(scopes) => scopes.clone(),
            Self::Preset(scopes) => scopes(kind),
        }
    }
}

/// All providers by name, also those that something is wrong with.
pub(super) struct Providers<'t> {
    entries: BTreeMap<&'t str, Result<ProviderEntry<'t>, Reported>>,
    /// The mail servers that the file names, with their keys.
    pub(super) hosts: Vec<At<'t, MailHost>>,
}

impl<'t> Providers<'t> {
    /// Reads `[providers]`.
    pub(super) fn read(root: &mut Table<'t>) -> Self {
        let mut providers = Self { entries: BTreeMap::new(), hosts: Vec::new() };
        if let Ok(Some(mut tables)) = root.read("providers", |field| field.table()) {
            for (name, field) in tables.take_named() {
                let entry = providers.entry(name, &field);
                providers.entries.insert(name, entry);
            }
        }
        let microsoft = || Ok(ProviderEntry::preset(presets::microsoft()));
        providers.entries.entry(presets::MICROSOFT).or_insert_with(microsoft);
        providers
    }

    /// The provider that `field` names.
    pub(super) fn find(&self, field: &Field<'t>) -> Result<&ProviderEntry<'t>, Reported> {
        let name = field.text()?;
        if let Some(entry) = self.entries.get(name) {
            return entry.as_ref().map_err(|reported| *reported);
        }
        if let Some(later) = later::PROVIDERS.iter().find(|later| later.name == name) {
            let message = format!("is {name:?}, which is not in this version of mailbearer");
            return Err(field.problem(message, later.help));
        }
        let near = nearest(name, self.entries.keys().copied())
            .map_or_else(String::new, |near| format!("; the nearest is {near:?}"));
        Err(field.problem(
            format!("is {name:?}, and there is no such provider{near}"),
            "write \"microsoft\", or the name of a [providers.NAME] of this file",
        ))
    }

    fn entry(&mut self, name: &str, field: &Field<'t>) -> Result<ProviderEntry<'t>, Reported> {
        if let Some(later) = later::PROVIDERS.iter().find(|later| later.name == name) {
            return Err(field.not_in_this_version(later.help));
        }
        let preset = (name == presets::MICROSOFT).then(presets::microsoft);
        let of_preset = preset.as_ref().map(|preset| preset.provider.clone());
        let of_preset = of_preset.unwrap_or_else(|| presets::unknown(name));

        let mut table = field.table()?;
        let mut forbidden = field.check_name(name);
        let token_endpoint = table.read("token_endpoint", |field| Endpoint::read(&field));
        let revocation_endpoint = table.read("revocation_endpoint", |field| Endpoint::read(&field));
        let scopes = table.read("scopes", |field| scopes(&field));
        let submission = table.read("submission", |field| self.host(field));
        let imap = table.read("imap", |field| self.host(field));
        let mechanisms = [("xoauth2", Mechanism::Xoauth2), ("oauthbearer", Mechanism::OauthBearer)];
        let mechanism = table.read("mechanism", |field| field.choice(&mechanisms, &[]));
        let ca_file = table.read("ca_file", |field| ca_file(&field));
        let refresh_idle = table.read("refresh_idle_days", |field| days(&field));
        let defaults = GrantKeys::read(&mut table);
        for key in ["local_password", "mailbox"] {
            let help = "write it in each [accounts.\"NAME\"]: it is no default for all of them";
            forbidden = forbidden.and(table.forbid(key, "belongs to an account", help));
        }
        let finished = forbidden.and(table.finish(&[later::PROVIDER, later::DEFAULTS].concat()));

        let endpoints = preset.as_ref().map(|preset| preset.endpoints.clone());
        let (token, revocation) = endpoints.map(|own| (own.token, own.revocation)).unzip();
        let token = token_endpoint?.or(token).ok_or_else(|| {
            field.lacks("token_endpoint", "write token_endpoint = \"https://id.example/token\"")
        })?;
        let revocation = revocation_endpoint?.or(revocation.flatten());
        let endpoints = Endpoints { token, revocation };
        defaults.check(&endpoints)?;
        finished?;
        let submission = submission?;
        let provider = Provider {
            name: of_preset.name,
            mechanism: mechanism?.unwrap_or(of_preset.mechanism),
            ca_file: ca_file?.or(of_preset.ca_file),
            // What a preset declares is true of the preset's own host alone.
            declared_ehlo: if submission.is_some() { &[] } else { of_preset.declared_ehlo },
            is_untried: of_preset.is_untried,
            hosts: PerProtocol {
                submission: submission.or(of_preset.hosts.submission),
                imap: imap?.or(of_preset.hosts.imap),
            },
        };
        let scopes = match (scopes?, &preset) {
            (None, Some(preset)) => Scopes::Preset(preset.scopes),
            (scopes, _) => Scopes::Written(scopes.unwrap_or_default()),
        };
        Ok(ProviderEntry {
            provider: Arc::new(provider),
            endpoints,
            scopes,
            refresh_idle: refresh_idle?.or(preset.map(|preset| preset.refresh_idle)),
            defaults,
        })
    }

    fn host(&mut self, field: Field<'t>) -> Result<MailHost, Reported> {
        let host = field.mail_host()?;
        self.hosts.push((field, host.clone()));
        Ok(host)
    }
}

fn days(field: &Field<'_>) -> Result<Duration, Reported> {
    let days = field.number(REFRESH_IDLE_DAYS)?;
    Ok(Duration::from_secs(days * 24 * 60 * 60))
}

/// One list for all protocols, or a table with one for each.
fn scopes(field: &Field<'_>) -> Result<PerProtocol<Vec<String>>, Reported> {
    if !field.is_table() {
        let scopes = scope_list(field)?;
        return Ok(PerProtocol { submission: scopes.clone(), imap: scopes });
    }
    let mut table = field.table()?;
    let submission = table.read("submission", |field| scope_list(&field));
    let imap = table.read("imap", |field| scope_list(&field));
    table.finish(later::PER_PROTOCOL)?;
    Ok(PerProtocol { submission: submission?.unwrap_or_default(), imap: imap?.unwrap_or_default() })
}

fn scope_list(field: &Field<'_>) -> Result<Vec<String>, Reported> {
    let scopes = field.each(scope)?;
    Ok(scopes.into_iter().map(|(_, scope)| scope).collect())
}

fn scope(field: &Field<'_>) -> Result<String, Reported> {
    let text = field.text()?;
    // RFC 6749 section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ).
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if !text.is_empty() && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(field.problem(
            format!("holds {text:?}, which is no scope"),
            "write one scope in each string: scopes = [\"mail.imap\", \"mail.smtp\"]",
        ))
    }
}

/// The file of certificates that this names, which is read now to see that it holds some.
fn ca_file(field: &Field<'_>) -> Result<PathBuf, Reported> {
    let path = field.path()?;
    let shown = path.display();
    let certificates = tls::certificates(&path).map_err(|error| match error {
        TlsError::Unreadable { path, source } => field.cannot_read(&path, &source),
        TlsError::NoCertificate { problem, fix, .. } => {
            field.problem(format!("names {shown}, which {problem}"), fix)
        }
        error @ (TlsError::UnusableCertificate { .. }
        | TlsError::NoRoots { .. }
        | TlsError::Versions { .. }
        | TlsError::ServerName { .. }
        | TlsError::Handshake { .. }) => {
            field.problem(format!("names {shown}, which cannot be used"), error.to_string())
        }
    })?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate).map_err(|_| {
            let help = "write the CA's certificate in PEM: -----BEGIN CERTIFICATE-----";
            field.problem(format!("names {shown}, which holds a damaged certificate"), help)
        })?;
    }
    Ok(path)
}
