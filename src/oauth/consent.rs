//! A person's consent: how it is taken in, and given back.
//!
//! Both are done in a task of its own while nobody else uses the grant, so that neither a command
//! that is broken off nor a request under way loses a refresh token.

use std::sync::Arc;

use tracing::{error, info};

use super::desk::{Desk, foreign};
use super::endpoint::host_of;
use super::error::TokenError;
use super::grant::Answer;
use super::moment::Moment;
use super::slot::Key;
use super::{AuthorizeError, Authorized, Revoked};
use crate::names::Username;
use crate::provider::Grant;
use crate::secret::RefreshToken;
use crate::store::StoredGrant;

impl Desk {
    /// As [`super::Tokens::authorize`].
    pub(super) async fn authorize(
        self: &Arc<Self>,
        grant: Arc<Grant>,
        scopes: Vec<String>,
        refresh_token: RefreshToken,
        expected: Vec<Username>,
    ) -> Result<Authorized, AuthorizeError> {
        let host = host_of(grant.source());
        let desk = Arc::clone(self);
        let taking = self
            .requests
            .spawn(async move { desk.take_in(&grant, &scopes, refresh_token, &expected).await });
        taking.await.unwrap_or_else(|_| Err(cut_off(&host).into()))
    }

    async fn take_in(
        &self,
        grant: &Arc<Grant>,
        scopes: &[String],
        used: RefreshToken,
        expected: &[Username],
    ) -> Result<Authorized, AuthorizeError> {
        let turn = self.cache.turn(&grant.id);
        let _turn = turn.lock().await;
        if let Some(error) = self.ending(grant) {
            return Err(error.into());
        }
        let asked_at = Moment::now();
        let Answer { issued, refresh_token, refresh_token_life, user } =
            self.try_out(grant, scopes, &used).await?;
        let issued = issued.inspect_err(|error| error.log(&grant.id, "no token"))?;
        if let Some(user) = user.as_ref().filter(|user| !is_among(user, expected)) {
            let expected: Vec<_> = expected.iter().map(Username::as_str).collect();
            return Err(AuthorizeError::WrongUser {
                user: user.clone(),
                expected: expected.join(" or "),
            });
        }
        let now = asked_at.unix_time;
        let stored = StoredGrant {
            refresh_token: refresh_token.unwrap_or(used),
            client_id: grant.client_id().to_owned(),
            token_endpoint: grant.source().to_owned(),
            user: user.clone(),
            consented_at: now,
            refreshed_at: now,
            ends_at: refresh_token_life.and_then(|life| now.checked_add(life)),
            refused: None,
        };
        // The tokens of the consent before are another person's, maybe.
        self.cache.forget(&grant.id);
        let committed = self.commit(&grant.id, stored).await;
        self.cache.publish(&Key::new(grant, scopes), issued, asked_at);
        self.changed.notify_one();
        info!(grant = %grant.id, user = user.as_ref().map(Username::as_str), "authorized");
        Ok(Authorized {
            user,
            missing: Vec::new(),
            unsaved: committed.err().map(|problem| problem.to_string()),
        })
    }

    /// As [`super::Tokens::revoke`].
    pub(super) async fn revoke(self: &Arc<Self>, grant: Arc<Grant>) -> Result<Revoked, TokenError> {
        let host = host_of(grant.source());
        let desk = Arc::clone(self);
        let giving = self.requests.spawn(async move { desk.give_back(&grant).await });
        giving.await.unwrap_or_else(|_| Err(cut_off(&host)))
    }

    async fn give_back(&self, grant: &Arc<Grant>) -> Result<Revoked, TokenError> {
        let turn = self.cache.turn(&grant.id);
        let _turn = turn.lock().await;
        let kept = self.ledger.load(&grant.id).await.map_err(|problem| {
            TokenError::temporary(&host_of(grant.source()), &problem.to_string())
        })?;
        let Some(kept) = kept else { return Ok(Revoked::NothingKept) };
        // A refresh token of another client or endpoint is shown to none but them.
        let revoked = match foreign(grant, &kept.stored) {
            None => self.give_back_at_provider(grant, &kept.stored.refresh_token).await?,
            Some(_) => Revoked::HereAlone,
        };
        if let Err(problem) = self.ledger.remove(&grant.id).await {
            error!(
                grant = %grant.id,
                problem = %problem,
                "a consent that was given back is still written in the store"
            );
            self.changed.notify_one();
        }
        self.cache.forget(&grant.id);
        info!(grant = %grant.id, at_provider = revoked == Revoked::AtProvider, "consent given back");
        Ok(revoked)
    }

    /// RFC 7009 section 2.2: a token that is not valid any more has been given back already; a
    /// server that takes no refresh tokens back never will; whatever else goes wrong, the token has
    /// to be held for valid.
    async fn give_back_at_provider(
        &self,
        grant: &Arc<Grant>,
        refresh_token: &RefreshToken,
    ) -> Result<Revoked, TokenError> {
        let error = match self.issuer.revoke(grant, refresh_token).await {
            Ok(true) => return Ok(Revoked::AtProvider),
            Ok(false) => return Ok(Revoked::HereAlone),
            Err(error) => error,
        };
        let said = error.said.as_deref().filter(|_| !error.is_temporary());
        match said.map(super::ProviderError::error) {
            Some("invalid_token" | "invalid_grant") => Ok(Revoked::AtProvider),
            Some("unsupported_token_type") => Ok(Revoked::HereAlone),
            Some(_) | None => {
                error.log(&grant.id, "consent not given back");
                Err(error)
            }
        }
    }
}

/// Whether `user` is one of `names`, ignoring case.
fn is_among(user: &Username, names: &[Username]) -> bool {
    names.iter().any(|name| name.folded() == user.folded())
}

fn cut_off(host: &str) -> TokenError {
    TokenError::temporary(host, "the request was cut off")
}
