//! A person's consent: how it is taken in, and given back.
//!
//! Both are done in a task of its own while nobody else uses the grant, so that neither a command
//! that is broken off nor a request under way loses a refresh token.

use std::sync::Arc;

use tracing::{error, info};

use super::answer::tellable;
use super::desk::{Desk, foreign};
use super::endpoint::host_of;
use super::error::{ErrorKind, TokenError};
use super::grant::{Answer, By, Redemption};
use super::moment::Moment;
use super::slot::Key;
use super::{AuthorizeError, Authorized, Revoked, shortfall};
use crate::names::Username;
use crate::provider::Grant;
use crate::secret::{RefreshToken, SecretString};
use crate::store::StoredGrant;

/// What a person's consent is shown by.
#[derive(Debug)]
pub(super) enum Shown {
    /// A refresh token, brought from elsewhere.
    RefreshToken(RefreshToken),
    /// The code of an authorization response.
    Code(Redemption),
    /// The device code of a device flow; it may be too early to show it.
    DeviceCode(Arc<SecretString>),
}

impl Shown {
    /// What `scopes` are asked for by.
    fn by<'a>(&'a self, scopes: &'a [String]) -> By<'a> {
        match self {
            Self::RefreshToken(token) => By::RefreshToken { token, named: scopes },
            Self::Code(redemption) => By::Code(redemption),
            Self::DeviceCode(code) => By::DeviceCode(code),
        }
    }

    /// Whether what it brings came into being by it. A refresh token from elsewhere may be in use
    /// there: it is not given back, and judged by what it does bring.
    fn is_new(&self) -> bool {
        match self {
            Self::RefreshToken(_) => false,
            Self::Code(_) | Self::DeviceCode(_) => true,
        }
    }

    /// What `error` means where this was shown, told in the log.
    fn judged(&self, grant: &Grant, mut error: TokenError) -> TokenError {
        match self {
            // Whether a poll has failed is seen by who goes on polling.
            Self::DeviceCode(_) => return error,
            Self::RefreshToken(_) => {}
            Self::Code(_) => {
                if let Some(said) = error.said.as_deref().filter(|_| error.refuses_refresh_token())
                {
                    error.cause = format!(
                        "{} does not take the code ({said}): it was used before, came too late, or \
                         for another redirect URI",
                        host_of(grant.source())
                    );
                    error.fix = "begin again, and bring the answer back at once".to_owned();
                } else if error.is_temporary() {
                    // The code may be spent, and whoever shows it twice is taken for a thief (RFC
                    // 6749 section 4.1.2).
                    error.fix = format!("begin again; if that fails too, {}", error.fix);
                }
            }
        }
        error.log(&grant.id, "no token");
        error
    }
}

impl Desk {
    /// As [`super::Tokens::authorize`], by whatever is `shown`.
    pub(super) async fn authorize(
        self: &Arc<Self>,
        grant: Arc<Grant>,
        scopes: Vec<String>,
        shown: Shown,
        expected: Vec<Username>,
    ) -> Result<Authorized, AuthorizeError> {
        let host = host_of(grant.source());
        let desk = Arc::clone(self);
        let taking = self
            .requests
            .spawn(async move { desk.take_in(&grant, &scopes, shown, &expected).await });
        taking.await.unwrap_or_else(|_| Err(cut_off(&host).into()))
    }

    async fn take_in(
        self: &Arc<Self>,
        grant: &Arc<Grant>,
        scopes: &[String],
        shown: Shown,
        expected: &[Username],
    ) -> Result<Authorized, AuthorizeError> {
        let turn = self.cache.turn(&grant.id);
        // Devices poll often and mostly in vain: whoever uses the grant meanwhile does not wait for
        // that.
        let early_turn = match shown {
            Shown::DeviceCode(_) => None,
            Shown::RefreshToken(_) | Shown::Code(_) => Some(turn.lock().await),
        };
        if let Some(error) = self.ending(grant) {
            return Err(error.into());
        }
        let asked_at = Moment::now();
        let asked = self.issuer.issue(grant, scopes, shown.by(scopes)).await;
        let answer = asked.map_err(|error| shown.judged(grant, error))?;
        if let Some(user) = answer.user.clone().filter(|user| !is_among(user, expected)) {
            drop(early_turn);
            if let Some(token) = answer.refresh_token.filter(|_| shown.is_new()) {
                self.return_unkept(grant, &user, &token).await;
            }
            let expected: Vec<_> = expected.iter().map(Username::as_str).collect();
            return Err(AuthorizeError::WrongUser { user, expected: expected.join(" or ") });
        }
        let _turn = match early_turn {
            Some(turn) => turn,
            None => turn.lock().await,
        };
        self.keep_consent(grant, scopes, shown, answer, asked_at).await
    }

    /// Keeps what came for the right person's consent if it does for mail.
    async fn keep_consent(
        self: &Arc<Self>,
        grant: &Arc<Grant>,
        scopes: &[String],
        shown: Shown,
        answer: Answer,
        asked_at: Moment,
    ) -> Result<Authorized, AuthorizeError> {
        let shortfall = shortfall::after(None, scopes, scopes, &answer);
        let Answer { issued, refresh_token, refresh_token_life, user, missing, is_unnamed: _ } =
            answer;
        let missing = missing.unwrap_or_default();
        let issued = issued.map_err(|error| match shown {
            // The code is spent: to poll on would hide why.
            Shown::DeviceCode(_) => {
                let fix = "begin again, and ask the provider's administrator if it stays so".into();
                TokenError { kind: ErrorKind::Admin, fix, ..error }
            }
            Shown::RefreshToken(_) | Shown::Code(_) => shown.judged(grant, error),
        })?;
        let is_new = shown.is_new();
        let used = match shown {
            Shown::RefreshToken(token) => Some(token),
            Shown::Code(_) | Shown::DeviceCode(_) => None,
        };
        let refresh_token = refresh_token.or(used).ok_or(AuthorizeError::NoRefreshToken)?;
        if is_new && !missing.is_empty() && missing.len() == tellable(scopes) {
            return Err(AuthorizeError::NotGranted { missing: missing.join(", ") });
        }
        let now = asked_at.unix_time;
        let stored = StoredGrant {
            refresh_token,
            client_id: grant.client_id().to_owned(),
            token_endpoint: grant.source().to_owned(),
            user: user.clone(),
            consented_at: now,
            refreshed_at: now,
            ends_at: refresh_token_life.and_then(|life| now.checked_add(life)),
            refused: None,
            shortfall,
        };
        // The tokens of the consent before are another person's, maybe.
        self.cache.forget(&grant.id);
        let committed = self.commit(&grant.id, stored).await;
        // One that lacks permissions is not the token that was asked for.
        if missing.is_empty() {
            self.cache.publish(&Key::new(grant, scopes), issued, asked_at);
        }
        self.changed.notify_one();
        info!(grant = %grant.id, user = user.as_ref().map(Username::as_str), "authorized");
        let unsaved = committed.err().map(|problem| problem.to_string());
        Ok(Authorized { user, missing, unsaved })
    }

    /// Gives back the `token` of `user`, who is the wrong person, as far as that can be done.
    ///
    /// It is over before anybody hears who signed in: a consent that they give right after that,
    /// for an account of theirs, must not end with this one.
    async fn return_unkept(&self, grant: &Arc<Grant>, user: &Username, token: &RefreshToken) {
        if self.ending(grant).is_some() || self.may_keep_consent_of(grant, user).await {
            return;
        }
        if let Err(error) = self.issuer.revoke(grant, token).await {
            error.log(&grant.id, "the wrong person's consent not given back");
        }
    }

    /// Whether a consent that is kept may be one of `user` to the same provider. Then none of
    /// theirs is given back: at Google all of them end with one, those to other clients of the
    /// same project, too. The store counts and not the configuration, which may name an account
    /// again tomorrow.
    async fn may_keep_consent_of(&self, grant: &Grant, user: &Username) -> bool {
        let Ok(kept) = self.ledger.list().await else { return true };
        let is_theirs = |stored: &StoredGrant| {
            stored.user.as_ref().is_none_or(|kept| kept.folded() == user.folded())
        };
        kept.iter().any(|stored| stored.token_endpoint == grant.source() && is_theirs(stored))
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
