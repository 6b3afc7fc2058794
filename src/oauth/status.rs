//! What is known of a grant, for `accounts`.

use std::time::Duration;

use super::cache::Memory;
use super::desk::{Desk, foreign, refusal_of, unauthorized};
use super::error::{ErrorKind, TokenError};
use super::forecast::{self, DiesOf};
use crate::names::Username;
use crate::provider::Grant;
use crate::store::{StoredGrant, StoredShortfall};

/// What is known of a grant, for `accounts`. Times are since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantStatus {
    /// In one word: see [`TokenState::name`].
    pub state: TokenState,
    /// When the access token in memory that lives longest ends.
    pub access_token_ends_at: Option<Duration>,
    /// Who consented, if the provider told.
    pub user: Option<Username>,
    /// When the person consented.
    pub consented_at: Option<Duration>,
    /// When the refresh token was last used.
    pub refreshed_at: Option<Duration>,
    /// When the refresh token dies, by what is known.
    pub dies_at: Option<Duration>,
    /// Of what it dies then.
    pub dies_of: Option<DiesOf>,
    /// What the consent lacks of what was asked for, in whatever file.
    pub shortfall: Option<StoredShortfall>,
    /// When the client's secret or certificate ends, if that is known.
    pub credential_ends_at: Option<Duration>,
    /// Whether the newest refresh token is in memory alone.
    pub is_unsaved: bool,
    /// What went wrong last, and has not gone right since.
    pub last_error: Option<TokenError>,
}

/// What a sign-in would find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenState {
    /// An access token that will do.
    Ready,
    /// Nothing yet: it is asked for when somebody signs in.
    NotAsked,
    /// The person has to consent, for the first time or again.
    ConsentNeeded,
    /// The last request failed in another way.
    Failing,
}

impl TokenState {
    /// The word that `accounts` shows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotAsked => "not asked yet",
            Self::ConsentNeeded => "consent needed",
            Self::Failing => "failing",
        }
    }
}

impl Desk {
    /// As [`super::Tokens::status`].
    pub(super) fn status(&self, grant: &Grant) -> GrantStatus {
        let Known { state, memory, stored, last_error } = self.known(grant);
        let own = stored.as_ref().filter(|stored| foreign(grant, stored).is_none());
        let death = stored.as_ref().and_then(|stored| forecast::death(grant, stored));
        GrantStatus {
            state,
            access_token_ends_at: memory.ends_at,
            user: stored.as_ref().and_then(|stored| stored.user.clone()),
            consented_at: stored.as_ref().map(|stored| stored.consented_at),
            refreshed_at: stored.as_ref().map(|stored| stored.refreshed_at),
            dies_at: death.map(|death| death.at),
            dies_of: death.map(|death| death.of),
            shortfall: own.and_then(|stored| stored.shortfall.clone()),
            credential_ends_at: forecast::credential_ends_at(grant),
            is_unsaved: self.ledger.store().is_unsaved(&grant.id),
            last_error,
        }
    }

    /// As [`super::Tokens::state`].
    pub(super) fn state(&self, grant: &Grant) -> TokenState {
        self.known(grant).state
    }

    fn known(&self, grant: &Grant) -> Known {
        let memory = self.cache.memory_of(&grant.id);
        let stored = grant.kind().is_kept().then(|| self.ledger.store().load(&grant.id));
        // What lacks now counts for more than what went wrong once.
        let lack = stored.as_ref().and_then(|stored| lack_of(grant, stored.as_ref()));
        let last_error = match &memory.last_error {
            Some(error) if error.kind == ErrorKind::Consent => Some(error.clone()),
            error => lack.or_else(|| error.clone()),
        };
        let needs_consent =
            last_error.as_ref().is_some_and(|error| error.kind == ErrorKind::Consent);
        let state = match &last_error {
            Some(_) if needs_consent => TokenState::ConsentNeeded,
            _ if memory.is_usable => TokenState::Ready,
            Some(_) => TokenState::Failing,
            None => TokenState::NotAsked,
        };
        Known { state, memory, stored: stored.flatten(), last_error }
    }
}

/// What this process knows of a grant without looking into a file that the configuration names.
struct Known {
    state: TokenState,
    memory: Memory,
    stored: Option<StoredGrant>,
    last_error: Option<TokenError>,
}

/// Why a consent is needed, by what is kept.
fn lack_of(grant: &Grant, stored: Option<&StoredGrant>) -> Option<TokenError> {
    match stored {
        None => Some(unauthorized(&grant.id)),
        Some(stored) => foreign(grant, stored).or_else(|| refusal_of(grant, stored)),
    }
}
