//! What the store holds, and how each part is written down: one row for each grant, lease and local
//! password, in JSON.
//!
//! A row's key is in clear (whose it is); its value is sealed before it is written. Fields that a
//! later version added are passed over.

mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::text::{NameText, ProtocolText, TokenText, parse, text, unwritable};
pub(super) use self::text::{Text, Unreadable};
use super::{PasswordTag, StoreError, StoredGrant, StoredPassword, StoredRefusal, StoredShortfall};
use crate::provider::GrantId;

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Consents.
    pub(super) grants: BTreeMap<GrantId, StoredGrant>,
    /// Grants for which a token request is under way.
    pub(super) leases: BTreeSet<GrantId>,
    /// Grants whose request nobody saw the end of.
    pub(super) lost: BTreeSet<GrantId>,
    /// Grants whose newest refresh token is not written. No row tells of it.
    pub(super) unsaved: BTreeSet<GrantId>,
    /// Local passwords.
    pub(super) passwords: BTreeMap<PasswordTag, StoredPassword>,
}

/// What a row is about. Each has a table of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// A grant.
    Grant,
    /// A lease, or one that an earlier run left.
    Lease,
    /// A local password.
    Password,
}

/// A row that is to be written, or removed.
#[derive(Debug)]
pub(super) struct Row {
    /// What it is about.
    pub(super) subject: Subject,
    /// Its key.
    pub(super) key: Vec<u8>,
    /// Its value in clear; `None` removes the row.
    pub(super) value: Option<Text>,
}

impl Subject {
    /// One of each.
    pub(super) const ALL: [Self; 3] = [Self::Grant, Self::Lease, Self::Password];

    /// The table's name. It is part of what a record is bound to.
    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Grant => "grants",
            Self::Lease => "leases",
            Self::Password => "passwords",
        }
    }
}

impl Contents {
    /// Whether there is nothing to keep.
    pub(super) fn is_empty(&self) -> bool {
        let Self { grants, leases, lost, unsaved: _, passwords } = self;
        grants.is_empty() && leases.is_empty() && lost.is_empty() && passwords.is_empty()
    }

    /// Every row.
    pub(super) fn rows(&self) -> Result<Vec<Row>, StoreError> {
        let grants = self.grants.iter().map(|(id, grant)| Row::grant(id, Some(grant)));
        let leases = self.leases.union(&self.lost).map(|id| Row::lease(id, Held::Yes));
        let passwords = self.passwords.iter().map(|(tag, password)| Row::password(*tag, password));
        grants.chain(leases).chain(passwords).collect()
    }

    /// The request for `id` came to an end that is kept.
    pub(super) fn end_request(&mut self, id: &GrantId) {
        self.leases.remove(id);
        self.lost.remove(id);
    }

    /// Takes a row that was read.
    pub(super) fn take(
        &mut self,
        subject: Subject,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), Unreadable> {
        match subject {
            Subject::Grant => {
                let grant: GrantRow = parse(value)?;
                self.grants.insert(grant_id(key)?, grant.into());
            }
            Subject::Lease => {
                self.lost.insert(grant_id(key)?);
            }
            Subject::Password => {
                let password: PasswordRow = parse(value)?;
                let tag = key.try_into().map_err(|_| Unreadable)?;
                self.passwords.insert(tag, password.into());
            }
        }
        Ok(())
    }
}

/// Whether there is a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// There is.
    Yes,
    /// There is none.
    No,
}

impl Row {
    /// The row of a grant, or its removal.
    pub(super) fn grant(id: &GrantId, grant: Option<&StoredGrant>) -> Result<Self, StoreError> {
        let value = grant.map(|grant| text(&GrantRow::from(grant))).transpose()?;
        Ok(Self { subject: Subject::Grant, key: grant_key(id)?, value })
    }

    /// The row of a lease, or its removal.
    pub(super) fn lease(id: &GrantId, held: Held) -> Result<Self, StoreError> {
        let value = match held {
            Held::Yes => Some(text(&LeaseRow {})?),
            Held::No => None,
        };
        Ok(Self { subject: Subject::Lease, key: grant_key(id)?, value })
    }

    /// The row of a local password.
    pub(super) fn password(
        tag: PasswordTag,
        password: &StoredPassword,
    ) -> Result<Self, StoreError> {
        let value = Some(text(&PasswordRow::from(password))?);
        Ok(Self { subject: Subject::Password, key: tag.to_vec(), value })
    }

    /// The removal of a local password.
    pub(super) fn no_password(tag: PasswordTag) -> Self {
        Self { subject: Subject::Password, key: tag.to_vec(), value: None }
    }
}

#[derive(Serialize, Deserialize)]
struct GrantRow {
    refresh_token: TokenText,
    client_id: String,
    token_endpoint: String,
    user: Option<NameText>,
    consented_at: Duration,
    refreshed_at: Duration,
    #[serde(default)]
    ends_at: Option<Duration>,
    refused: Option<RefusalRow>,
    #[serde(default)]
    shortfall: Option<ShortfallRow>,
}

#[derive(Serialize, Deserialize)]
struct RefusalRow {
    at: Duration,
    error: String,
    aadsts: Option<u32>,
    after_lost_answer: bool,
}

#[derive(Serialize, Deserialize)]
struct ShortfallRow {
    missing: Option<BTreeSet<String>>,
    unnamed: BTreeSet<String>,
}

#[derive(Serialize)]
struct LeaseRow {}

#[derive(Serialize, Deserialize)]
struct PasswordRow {
    name: NameText,
    label: Option<String>,
    protocols: Vec<ProtocolText>,
    made_at: Duration,
}

impl From<&StoredGrant> for GrantRow {
    fn from(grant: &StoredGrant) -> Self {
        let StoredGrant {
            refresh_token,
            client_id,
            token_endpoint,
            user,
            consented_at,
            refreshed_at,
            ends_at,
            refused,
            shortfall,
        } = grant.clone();
        let refused = refused.map(|StoredRefusal { at, error, aadsts, after_lost_answer }| {
            RefusalRow { at, error, aadsts, after_lost_answer }
        });
        let shortfall =
            shortfall.map(|StoredShortfall { missing, unnamed }| ShortfallRow { missing, unnamed });
        let (refresh_token, user) = (TokenText(refresh_token), user.map(NameText));
        Self {
            refresh_token,
            client_id,
            token_endpoint,
            user,
            consented_at,
            refreshed_at,
            ends_at,
            refused,
            shortfall,
        }
    }
}

impl From<GrantRow> for StoredGrant {
    fn from(row: GrantRow) -> Self {
        let refused = row.refused.map(|RefusalRow { at, error, aadsts, after_lost_answer }| {
            StoredRefusal { at, error, aadsts, after_lost_answer }
        });
        let shortfall = row
            .shortfall
            .map(|ShortfallRow { missing, unnamed }| StoredShortfall { missing, unnamed });
        Self {
            refresh_token: row.refresh_token.0,
            client_id: row.client_id,
            token_endpoint: row.token_endpoint,
            user: row.user.map(|name| name.0),
            consented_at: row.consented_at,
            refreshed_at: row.refreshed_at,
            ends_at: row.ends_at,
            refused,
            shortfall,
        }
    }
}

impl From<&StoredPassword> for PasswordRow {
    fn from(password: &StoredPassword) -> Self {
        let StoredPassword { name, label, protocols, made_at } = password.clone();
        let protocols = protocols.into_iter().map(ProtocolText).collect();
        Self { name: NameText(name), label, protocols, made_at }
    }
}

impl From<PasswordRow> for StoredPassword {
    fn from(row: PasswordRow) -> Self {
        let PasswordRow { name, label, protocols, made_at } = row;
        let protocols = protocols.into_iter().map(|protocol| protocol.0).collect();
        Self { name: name.0, label, protocols, made_at }
    }
}

/// A grant's name as a row's key: JSON, so that no two names read alike.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum GrantKey {
    Account(NameText),
    Application { provider: String, tenant: Option<String>, client_id: String },
    ServiceAccount { provider: String, key: String, subject: Option<NameText> },
}

fn grant_key(id: &GrantId) -> Result<Vec<u8>, StoreError> {
    let key = match id.clone() {
        GrantId::Account(name) => GrantKey::Account(NameText(name)),
        GrantId::Application { provider, tenant, client_id } => {
            GrantKey::Application { provider, tenant, client_id }
        }
        GrantId::ServiceAccount { provider, key, subject } => {
            GrantKey::ServiceAccount { provider, key, subject: subject.map(NameText) }
        }
    };
    serde_json::to_vec(&key).map_err(|error| unwritable(&error))
}

fn grant_id(key: &[u8]) -> Result<GrantId, Unreadable> {
    Ok(match parse(key)? {
        GrantKey::Account(name) => GrantId::Account(name.0),
        GrantKey::Application { provider, tenant, client_id } => {
            GrantId::Application { provider, tenant, client_id }
        }
        GrantKey::ServiceAccount { provider, key, subject } => {
            GrantId::ServiceAccount { provider, key, subject: subject.map(|name| name.0) }
        }
    })
}
