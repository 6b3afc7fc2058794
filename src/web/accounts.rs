//! What `accounts` tells of each account: a row for people, an object for programs.
//!
//! The names of the members are relied on by scripts; times are RFC 3339, UTC, or null.

use std::collections::BTreeSet;
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::moment::Moment;
use crate::account::AccountSettings;
use crate::account::device::DeviceSettings;
use crate::account::directory::Directory;
use crate::account::password::Passwords;
use crate::names::{AccountPattern, Username};
use crate::oauth::{GrantStatus, ProviderError, TokenError};
use crate::provider::{Grant, GrantId};
use crate::relay::troubles::Trouble;
use crate::store::StoredShortfall;

/// One account of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRow {
    /// Its name in the file, folded: `alice@contoso.com`, `*@contoso.com`.
    pub account: String,
    /// The provider's name in the file.
    pub provider: String,
    /// How its tokens are had: `authorization-code`, …
    pub grant: String,
    /// What a sign-in would find: `ready`, `not asked yet`, `consent needed` or `failing`.
    pub token: String,
    /// Who consented, if the provider told.
    pub user: Option<String>,
    /// When the access token in memory ends.
    pub access_token_ends_at: Option<Moment>,
    /// When the person consented.
    pub consented_at: Option<Moment>,
    /// When the refresh token was last used.
    pub refreshed_at: Option<Moment>,
    /// When the consent dies, by what is known.
    pub dies_at: Option<Moment>,
    /// Of what it dies then: `disuse` (each use puts it off) or `age`.
    pub dies_of: Option<String>,
    /// When the application's secret or certificate ends, if that is known.
    pub credential_ends_at: Option<Moment>,
    /// What the consent lacks of the account's scopes, as far as the provider has told.
    pub not_granted: Option<NotGranted>,
    /// Whether nobody has tried the provider's preset against the live service.
    pub untried: bool,
    /// Why the newest refresh token is in memory alone and lost if the program ends, if it is.
    pub unsaved: Option<String>,
    /// What went wrong last, and has not gone right since.
    pub last_error: Option<LastError>,
    /// What a mail server said last that it did not do, and has not done since; null without a
    /// relay that runs.
    pub mail_error: Option<MailError>,
    /// The devices that send as it, in the order of their names.
    #[serde(default)]
    pub devices: Vec<DeviceRow>,
}

/// What a mail server did not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailError {
    /// For whom: the account, or one that the wildcard covers.
    pub account: String,
    /// When.
    pub at: Moment,
    /// In which protocol: `submission`, `imap` or `pop3`.
    pub protocol: String,
    /// What the server said.
    pub reply: String,
    /// Why.
    pub cause: String,
    /// What to do.
    pub fix: String,
}

/// A device of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRow {
    /// Its name in the file.
    pub device: String,
    /// By which it signs in, if it does.
    pub username: Option<String>,
    /// Where it speaks from without signing in.
    pub networks: Vec<String>,
    /// When it was last let in, since the relay started.
    pub last_used_at: Option<Moment>,
}

impl DeviceRow {
    fn new(device: &DeviceSettings, passwords: &Passwords) -> Self {
        Self {
            device: device.name.to_string(),
            username: device.username.as_ref().map(ToString::to_string),
            networks: device.networks.iter().map(|network| short(*network)).collect(),
            last_used_at: passwords.device_last_used_at(&device.name).map(Moment::new),
        }
    }

    /// By what it is known, in a clause: `at 192.168.20.17, or as scan2`.
    pub fn known_by(&self) -> String {
        let networks =
            (!self.networks.is_empty()).then(|| format!("at {}", self.networks.join(", ")));
        let username = self.username.as_ref().map(|username| format!("as {username}"));
        networks.into_iter().chain(username).collect::<Vec<_>>().join(", or ")
    }
}

/// A network as people write it: a single address without its length.
fn short(network: IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

/// The devices that send as `account`, which is one of `directory`.
pub(super) fn devices_of(
    account: &AccountSettings,
    directory: &Directory,
    passwords: &Passwords,
) -> Vec<DeviceRow> {
    let is_of_account = |device: &&Arc<DeviceSettings>| {
        let found = directory.find(&device.account, None);
        found.is_some_and(|found| found.settings().name == account.name)
    };
    let devices = directory.devices().all().iter().filter(is_of_account);
    devices.map(|device| DeviceRow::new(device, passwords)).collect()
}

/// Permissions that a consent lacks. What they are not needed for works all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotGranted {
    /// The scopes; none if the provider does not tell which.
    pub scopes: Vec<String>,
    /// What to do.
    pub fix: String,
}

/// A [`TokenError`] in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// Who has to do something: `temporary` (nobody), `consent`, `admin` or `configuration`.
    pub kind: String,
    /// What happened.
    pub cause: String,
    /// What to do.
    pub fix: String,
    /// `error` as the endpoint said it.
    pub error: Option<String>,
    /// Entra's code, the digits behind AADSTS.
    pub aadsts: Option<u32>,
    /// `trace_id`, for Microsoft's support.
    pub trace_id: Option<String>,
    /// `correlation_id`, for Microsoft's support.
    pub correlation_id: Option<String>,
}

/// The grant whose state is that of `account`: a service account asks in the name of each mailbox, so
/// one account's is that of its mailbox, for the first protocol that has one.
pub(super) fn grant_of(account: &AccountSettings) -> Arc<Grant> {
    let AccountPattern::Exact(name) = &account.name else { return Arc::clone(&account.grant) };
    let first = account.mailbox.get(account.first_protocol());
    account.grant.for_mailbox(first.as_ref().unwrap_or(name))
}

impl AccountRow {
    /// The row of `account`, whose grant is as `status` says. `unsaved` is the store's complaint,
    /// `mail_error` that of a mail server.
    pub(super) fn new(
        account: &AccountSettings,
        status: GrantStatus,
        unsaved: Option<String>,
        mail_error: Option<MailError>,
    ) -> Self {
        let not_granted = status.shortfall.as_ref();
        Self {
            account: account.name.to_string(),
            provider: account.provider.name.clone(),
            grant: account.grant.kind().name().to_owned(),
            token: status.state.name().to_owned(),
            user: status.user.map(|user| user.to_string()),
            access_token_ends_at: status.access_token_ends_at.map(Moment::new),
            consented_at: status.consented_at.map(Moment::new),
            refreshed_at: status.refreshed_at.map(Moment::new),
            dies_at: status.dies_at.map(Moment::new),
            dies_of: status.dies_of.map(|of| of.name().to_owned()),
            credential_ends_at: status.credential_ends_at.map(Moment::new),
            not_granted: not_granted.and_then(|known| NotGranted::new(account, known)),
            untried: account.provider.is_untried,
            unsaved: unsaved.filter(|_| status.is_unsaved),
            last_error: status.last_error.as_ref().map(LastError::new),
            mail_error,
            devices: Vec::new(),
        }
    }
}

impl MailError {
    /// The `trouble` of `account`.
    pub(super) fn new(account: &Username, trouble: Trouble) -> Self {
        let Trouble { at, protocol, reply, cause, fix } = trouble;
        Self {
            account: account.to_string(),
            at: Moment::new(at),
            protocol: protocol.name().to_owned(),
            reply,
            cause,
            fix,
        }
    }

    /// When, for people.
    pub(super) fn when(&self) -> String {
        self.at.into()
    }
}

impl NotGranted {
    /// What `account` lacks by what is `known` of its consent: the file may have other scopes now
    /// than the consent was asked for.
    fn new(account: &AccountSettings, known: &StoredShortfall) -> Option<Self> {
        let wanted: BTreeSet<String> = account.consent_scopes().into_iter().collect();
        let scopes = match &known.missing {
            Some(missing) => {
                let scopes = wanted.into_iter().filter(|scope| missing.contains(scope));
                Some(scopes.collect()).filter(|scopes: &Vec<_>| !scopes.is_empty())
            }
            None => {
                let is_wanted = wanted.iter().any(|scope| known.unnamed.contains(scope));
                is_wanted.then(Vec::new)
            }
        };
        let whose = match &account.grant.id {
            GrantId::Account(owner) => owner.to_string(),
            GrantId::Application { .. } | GrantId::ServiceAccount { .. } => {
                account.name.to_string()
            }
        };
        let fix = format!("run `mailbearer authorize {whose}`, and leave every box ticked");
        Some(Self { scopes: scopes?, fix })
    }

    /// What lacks, in a clause.
    pub fn cause(&self) -> String {
        match self.scopes.as_slice() {
            [] => "some permission; the provider does not tell which".to_owned(),
            scopes => scopes.join(", "),
        }
    }
}

impl LastError {
    fn new(error: &TokenError) -> Self {
        let said = error.said.as_deref();
        Self {
            kind: error.kind.name().to_owned(),
            cause: error.cause.clone(),
            fix: error.fix.clone(),
            error: said.map(|said| said.error().to_owned()),
            aadsts: said.and_then(ProviderError::aadsts),
            trace_id: said.and_then(ProviderError::trace_id).map(str::to_owned),
            correlation_id: said.and_then(ProviderError::correlation_id).map(str::to_owned),
        }
    }
}
