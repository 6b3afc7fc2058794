//! `[providers.NAME]`: the built-in providers, changed by the file, and those that it adds.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;

use crate::account::Sender;
use crate::net::tls::{self, TlsError};
use crate::provider::{LoopbackRedirect, MailHost, Mechanism, PerProtocol, Provider};

use super::authorization_params;
use super::endpoint::{Endpoint, Endpoints};
use super::field::Field;
use super::file::Reported;
use super::grants::GrantKeys;
use super::listeners::At;
use super::mailbox_limits;
use super::presets::{self, NAMES, Preset};
use super::scopes::Scopes;
use super::sender;
use super::table::Table;

/// Range of `refresh_idle_days`: ten years are for ever.
const REFRESH_IDLE_DAYS: RangeInclusive<u64> = 1..=3650;

/// A provider, and what it gives to its accounts.
pub(super) struct ProviderEntry<'t> {
    pub(super) provider: Arc<Provider>,
    /// Its table, if the file has one.
    pub(super) field: Option<Field<'t>>,
    /// What is built in under its name.
    pub(super) preset: Option<Preset>,
    pub(super) endpoints: Endpoints,
    /// `token_endpoint` of the file.
    pub(super) token_endpoint: Option<At<'t, Endpoint>>,
    pub(super) scopes: Scopes<'t>,
    /// What authorization requests add.
    pub(super) authorization_params: Vec<(String, String)>,
    /// `resource` of each request (RFC 8707).
    pub(super) resource: Option<String>,
    /// After how long without use it lets a refresh token die.
    pub(super) refresh_idle: Option<Duration>,
    /// `sender` of its accounts that leave it out.
    pub(super) sender: Option<Sender>,
    /// Keys that its accounts may leave out.
    pub(super) defaults: GrantKeys<'t>,
}

impl ProviderEntry<'_> {
    /// A preset that the file says nothing about.
    fn preset(preset: Preset) -> Self {
        let params = preset.authorization_params;
        Self {
            provider: Arc::new(preset.provider.clone()),
            field: None,
            endpoints: preset.endpoints.clone(),
            token_endpoint: None,
            scopes: Scopes { written: PerProtocol::default(), preset: Some(preset.scopes.clone()) },
            authorization_params: authorization_params::merge(params, Vec::new()),
            resource: None,
            refresh_idle: preset.refresh_idle,
            sender: None,
            defaults: GrantKeys::none(),
            preset: Some(preset),
        }
    }

    /// What a redirect to this machine looks like there.
    pub(super) fn loopback_redirect(&self) -> LoopbackRedirect {
        match &self.preset {
            Some(preset) => preset.loopback_redirect,
            None if self.endpoints.are_of_entra() => LoopbackRedirect::Localhost,
            None => LoopbackRedirect::Address,
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
        for (name, preset) in
            NAMES.into_iter().filter_map(|name| Some((name, presets::find(name)?)))
        {
            providers.entries.entry(name).or_insert_with(|| Ok(ProviderEntry::preset(preset)));
        }
        providers
    }

    /// The provider that `field` names.
    pub(super) fn find(&self, field: &Field<'t>) -> Result<&ProviderEntry<'t>, Reported> {
        let name = field.text()?;
        if let Some(entry) = self.entries.get(name) {
            return entry.as_ref().map_err(|reported| *reported);
        }
        let near = field.file().near(name, self.entries.keys());
        Err(field.problem(
            format!("is {name:?}, and there is no such provider{near}"),
            format!(
                "write the name of a [providers.NAME] of this file, or one that is built in: {}",
                NAMES.join(", ")
            ),
        ))
    }

    fn entry(&mut self, name: &str, field: &Field<'t>) -> Result<ProviderEntry<'t>, Reported> {
        let preset = presets::find(name);
        let of_preset = preset.as_ref().map(|preset| preset.provider.clone());
        let of_preset = of_preset.unwrap_or_else(|| Provider::unknown(name));

        let mut table = field.table()?;
        let mut forbidden = field.check_name(name);
        let endpoints = WrittenEndpoints::read(&mut table);
        let params = table.read("authorization_params", |field| authorization_params::read(&field));
        let resource = table.read("resource", |field| authorization_params::resource(&field));
        let scopes = table.read("scopes", |field| Scopes::read(&field));
        let submission = table.read("submission", |field| self.host(field));
        let imap = table.read("imap", |field| self.host(field));
        let pop3 = table.read("pop3", |field| self.host(field));
        let mechanisms = [("xoauth2", Mechanism::Xoauth2), ("oauthbearer", Mechanism::OauthBearer)];
        let mechanism = table.read("mechanism", |field| field.choice(&mechanisms, &[]));
        let ca_file = table.read("ca_file", |field| ca_file(&field));
        let refresh_idle = table.read("refresh_idle_days", |field| days(&field));
        let sessions = table.read("concurrent_sessions", |field| mailbox_limits::sessions(&field));
        let messages = table.read("messages_per_minute", |field| mailbox_limits::messages(&field));
        let sender = table.read("sender", |field| sender::read(&field));
        let defaults = GrantKeys::read(&mut table);
        for key in ["local_password", "mailbox", "grant_of"] {
            let help = "write it in each [accounts.\"NAME\"]: it is no default for all of them";
            forbidden = forbidden.and(table.forbid(key, "belongs to an account", help));
        }
        let finished = forbidden.and(table.finish(&[]));

        let of_endpoints = preset.as_ref().map(|preset| &preset.endpoints);
        let (token_endpoint, endpoints) = endpoints.over(of_endpoints)?;
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
            concurrent_sessions: mailbox_limits::over(sessions?, &of_preset.concurrent_sessions),
            messages_per_minute: messages?.or(of_preset.messages_per_minute),
            hosts: PerProtocol {
                submission: submission.or(of_preset.hosts.submission),
                imap: imap?.or(of_preset.hosts.imap),
                pop3: pop3?.or(of_preset.hosts.pop3),
            },
        };
        let of_preset = preset.as_ref();
        let preset_params = of_preset.map_or(&[][..], |preset| preset.authorization_params);
        Ok(ProviderEntry {
            provider: Arc::new(provider),
            field: Some(field.clone()),
            endpoints,
            token_endpoint,
            scopes: Scopes {
                written: scopes?.unwrap_or_default(),
                preset: of_preset.map(|preset| preset.scopes.clone()),
            },
            authorization_params: authorization_params::merge(
                preset_params,
                params?.unwrap_or_default(),
            ),
            resource: resource?,
            refresh_idle: refresh_idle?.or(of_preset.and_then(|preset| preset.refresh_idle)),
            sender: sender?,
            defaults,
            preset,
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

/// The endpoints that a table of the file names.
struct WrittenEndpoints<'t> {
    issuer: Result<Option<Endpoint>, Reported>,
    /// Maybe in clear: an identity of a machine is asked so.
    token: Result<Option<At<'t, Endpoint>>, Reported>,
    authorization: Result<Option<Endpoint>, Reported>,
    device_authorization: Result<Option<Endpoint>, Reported>,
    revocation: Result<Option<Endpoint>, Reported>,
}

impl<'t> WrittenEndpoints<'t> {
    fn read(table: &mut Table<'t>) -> Self {
        let read = |field: Field<'t>| Endpoint::read(&field);
        Self {
            issuer: table.read("issuer", |field| Endpoint::read_issuer(&field)),
            token: table.read("token_endpoint", |field| {
                let endpoint = Endpoint::read_in_clear(&field)?;
                Ok((field, endpoint))
            }),
            authorization: table.read("authorization_endpoint", read),
            device_authorization: table.read("device_authorization_endpoint", read),
            revocation: table.read("revocation_endpoint", read),
        }
    }

    /// The written token endpoint, and all endpoints: the written ones, and those of `preset` where
    /// the file names no issuer that would tell them.
    fn over(
        self,
        preset: Option<&Endpoints>,
    ) -> Result<(Option<At<'t, Endpoint>>, Endpoints), Reported> {
        let issuer = self.issuer?;
        let token = self.token?;
        let preset = match (&issuer, preset) {
            (None, Some(preset)) => preset.clone(),
            (Some(_), _) | (None, None) => Endpoints::default(),
        };
        let authorization = self.authorization?;
        // Who answers at another endpoint is another issuer.
        let tells = authorization.is_none().then_some(preset.issuer).flatten();
        let endpoints = Endpoints {
            is_discovered: issuer.is_some(),
            tells_issuer: preset.tells_issuer && tells.is_some(),
            issuer: issuer.or(tells),
            token: token.as_ref().map(|(_, endpoint)| endpoint.clone()).or(preset.token),
            authorization: authorization.or(preset.authorization),
            device_authorization: self.device_authorization?.or(preset.device_authorization),
            revocation: self.revocation?.or(preset.revocation),
        };
        Ok((token, endpoints))
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
