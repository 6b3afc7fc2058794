//! OAuth 2.0: how access tokens are had. [`Tokens`] is the one door.
//!
//! Source: RFC 6749. In: a grant and scopes. Out: an access token with enough life left, or why
//! there is none. Nothing that an endpoint says reaches a log, an error or a client unescaped.

mod aftermath;
mod agenda;
mod answer;
mod assertion;
mod browser;
mod cache;
mod certificate;
mod claims;
mod client_key;
mod consent;
mod desk;
mod device;
mod discovery;
mod endpoint;
mod error;
mod fault;
mod forecast;
mod grant;
mod insistence;
mod jitter;
mod keeper;
mod key_problem;
mod ledger;
mod lines;
mod meter;
mod moment;
mod outward;
mod pause;
mod pem;
mod person;
mod places;
mod route;
mod rsa_key;
mod service_account_key;
mod shortfall;
mod shown;
mod slot;
#[cfg(test)]
mod stand_in;
mod status;
#[cfg(test)]
mod tests;
mod trouble;
mod verdict;
mod vigil;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::time::Instant;

pub use aftermath::{Aftermath, Extent};
pub use answer::ProviderError;
pub use browser::{CodeRequest, RedirectError, Redirected};
use cache::Need;
pub use claims::Claims;
pub use client_key::check_client_key;
use consent::Shown;
use desk::Desk;
pub use device::DeviceRequest;
pub use error::{ErrorKind, Reach, TokenError};
pub use forecast::{CREDENTIAL_WARNED, DiesOf};
pub use key_problem::{KeyFacts, KeyPart, KeyProblem};
use ledger::Ledger;
pub use route::is_loopback;
pub use service_account_key::check_service_account;
use slot::Key;
pub use status::{GrantStatus, TokenState};

use crate::names::Username;
use crate::net::egress::Egress;
use crate::provider::{Grant, GrantId, Protocol};
use crate::secret::{AccessToken, RefreshToken};
use crate::store::Store;

/// An access token, and which one it is of those that its grant has had.
#[derive(Debug, Clone)]
pub struct Token {
    /// The token itself.
    pub access_token: AccessToken,
    /// Grows with every token of the same grant and scopes.
    pub generation: u64,
    /// When it was asked for.
    pub asked_at: Instant,
    /// How long it is good from then on.
    pub life: Duration,
}

/// A grant that the configuration names, and the scope sets that are asked of it.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The grant.
    pub grant: Arc<Grant>,
    /// The scope sets, one for each protocol that has a server.
    pub scopes: Vec<Vec<String>>,
}

/// What came of [`Tokens::authorize`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorized {
    /// Who consented, if the provider told.
    pub user: Option<Username>,
    /// Those of the scopes that were not granted, as far as the provider told: boxes that the
    /// person left unticked.
    pub missing: Vec<String>,
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
    /// The answer that came by the browser is not one to the request.
    #[error(transparent)]
    Redirect(#[from] RedirectError),
    /// The person, or the provider for them, said no; or the time ran out.
    #[error("{cause}")]
    Denied {
        /// What happened.
        cause: String,
        /// What to do.
        fix: String,
    },
    /// The provider gave no refresh token, without which the consent ends within the hour.
    #[error("the provider gives no refresh token")]
    NoRefreshToken,
    /// None of the permissions that mail needs were granted.
    #[error("the permission {missing} was not granted")]
    NotGranted {
        /// Those that lack.
        missing: String,
    },
}

impl AuthorizeError {
    /// What to do, in a clause.
    pub fn fix(&self) -> String {
        match self {
            Self::Token(error) => error.fix.clone(),
            Self::WrongUser { user, .. } => format!(
                "have the right person sign in, or repeat with --as {user} if this is the one"
            ),
            Self::Redirect(_) => {
                "begin again, and bring back the whole address that the browser was sent to".into()
            }
            Self::Denied { fix, .. } => fix.clone(),
            Self::NoRefreshToken => {
                "let it be asked for one: at Google by authorization_params = { \
                                     access_type = \"offline\", prompt = \"consent\" }, at \
                                     Microsoft and others by the scope offline_access"
                    .into()
            }
            Self::NotGranted { .. } => "begin again, and tick every box".into(),
        }
    }
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
pub struct Tokens(Arc<Desk>);

impl Tokens {
    /// Without any access token. Nothing is asked for until somebody needs it.
    pub fn new(store: Store) -> Self {
        let ledger = Ledger::new(Arc::new(store));
        Self(Arc::new(Desk::new(Arc::new(grant::Network::default()), ledger)))
    }

    /// Says how requests leave this machine from now on. Until then it is directly, or by the proxy
    /// that the usual environment variables name.
    pub fn leave_by(&self, egress: Arc<Egress>) {
        self.0.issuer.leave_by(egress);
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
        let token = self.0.token(grant, scopes, Need::Fresh, || true).await?;
        token.ok_or_else(|| {
            // Does not happen: only who may not ask gets nothing.
            TokenError::temporary(&endpoint::host_of(grant.source()), "nobody asked it")
        })
    }

    /// A newer token than `refused`, which the upstream of `protocol` did not take from `account`;
    /// `None` where no further request is made for it: five in a row were in vain, and the last one
    /// is less than a minute ago.
    ///
    /// # Errors
    /// As [`Self::access_token`].
    pub async fn renewed(
        &self,
        grant: &Arc<Grant>,
        scopes: &[String],
        refused: &Token,
        account: &Username,
        protocol: Protocol,
    ) -> Result<Option<Token>, TokenError> {
        let need = Need::NewerThan(refused.generation);
        self.0.token(grant, scopes, need, || self.0.insistence.take(account, protocol)).await
    }

    /// Says that the upstream of `protocol` took a token from `account`: those that it refused are
    /// no longer in a row.
    pub fn accepted(&self, account: &Username, protocol: Protocol) {
        self.0.insistence.forgive(account, protocol);
    }

    /// Who consented, if `grant` is a person's and the provider told the name.
    pub fn user(&self, grant: &GrantId) -> Option<Username> {
        self.0.ledger.store().load(grant)?.user
    }

    /// What a sign-in by `grant` would find. Reads no file that the configuration names, so that it
    /// may be asked where a disk that hangs must hold up nobody.
    pub fn state(&self, grant: &Grant) -> TokenState {
        self.0.state(grant)
    }

    /// What is known of `grant`. Blocks as the store does, and for the read of a certificate.
    pub fn status(&self, grant: &Grant) -> GrantStatus {
        self.0.status(grant)
    }

    /// Uses `refresh_token` once for `scopes`, and keeps what comes of it in place of what was
    /// kept of `grant`. Where the provider tells who consented, that has to be one of `expected`,
    /// ignoring case. It is carried through even if the caller gives up.
    ///
    /// # Errors
    /// When nothing was kept, and what was kept before is as it was.
    pub async fn authorize(
        &self,
        grant: &Arc<Grant>,
        scopes: &[String],
        refresh_token: RefreshToken,
        expected: &[Username],
    ) -> Result<Authorized, AuthorizeError> {
        let shown = Shown::RefreshToken(refresh_token);
        self.0.authorize(Arc::clone(grant), scopes.to_vec(), shown, expected.to_vec()).await
    }

    /// What a browser is sent to so that a person consents to `scopes` by `grant`; the answer comes
    /// to `redirect_uri`. The person is probably `login_hint`. Asks the issuer for its endpoints
    /// where the configuration does not name them.
    ///
    /// # Errors
    /// When the endpoints are not known.
    pub async fn code_request(
        &self,
        grant: &Arc<Grant>,
        scopes: &[String],
        redirect_uri: &str,
        login_hint: &Username,
    ) -> Result<CodeRequest, TokenError> {
        self.0.code_request(grant, scopes, redirect_uri, login_hint).await
    }

    /// Turns the answer to `request` into tokens, and keeps the refresh token as
    /// [`Self::authorize`] does.
    ///
    /// # Errors
    /// When nothing was kept, and what was kept before is as it was.
    pub async fn redeem(
        &self,
        grant: &Arc<Grant>,
        scopes: &[String],
        request: CodeRequest,
        redirected: Redirected,
        expected: &[Username],
    ) -> Result<Authorized, AuthorizeError> {
        self.0.redeem(grant, scopes, request, redirected, expected).await
    }

    /// Begins the device flow (RFC 8628) for `scopes`.
    ///
    /// # Errors
    /// When the provider has none, or gives no code.
    pub async fn device_request(
        &self,
        grant: &Arc<Grant>,
        scopes: &[String],
    ) -> Result<DeviceRequest, TokenError> {
        self.0.device_request(grant, scopes).await
    }

    /// Asks as often as the provider allows whether the person has entered the code of `request`,
    /// until it ends, and keeps the refresh token as [`Self::authorize`] does. Gives nothing once
    /// it is `given_up`, which counts between two questions: one that was sent may be the one that
    /// is answered with tokens.
    ///
    /// # Errors
    /// When nothing was kept, and what was kept before is as it was.
    pub async fn await_device(
        &self,
        grant: &Arc<Grant>,
        scopes: &[String],
        request: DeviceRequest,
        expected: &[Username],
        given_up: impl Future<Output = ()>,
    ) -> Result<Option<Authorized>, AuthorizeError> {
        self.0.await_device(grant, scopes, request, expected, given_up).await
    }

    /// Gives the consent of `grant` back and forgets its refresh token. It is carried through even
    /// if the caller gives up.
    ///
    /// # Errors
    /// When the provider did not take it back; then it is still kept.
    pub async fn revoke(&self, grant: &Arc<Grant>) -> Result<Revoked, TokenError> {
        self.0.revoke(Arc::clone(grant)).await
    }

    /// What ends when the consent of `grant` is given back, of those of `others` and beyond.
    /// Nobody is asked. Blocks as the store does.
    pub fn aftermath(&self, grant: &Grant, others: &[Arc<Grant>]) -> Aftermath {
        self.0.aftermath(grant, others)
    }

    /// Says which grants the configuration has now: others are forgotten (the store keeps them),
    /// and failures are, because whoever changed the file may have mended their cause.
    pub fn want(&self, mut wanted: Vec<Wanted>) {
        // By which the keeper finds one.
        wanted.sort_by(|one, other| one.grant.id.cmp(&other.grant.id));
        let keys = wanted
            .iter()
            .flat_map(|wanted| wanted.scopes.iter().map(|scopes| Key::new(&wanted.grant, scopes)))
            .collect();
        *self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner) = wanted.into();
        self.0.cache.want(&keys);
        self.0.changed.notify_one();
    }

    /// Gives what is counted of token requests to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        self.0.meter.register(registry);
    }

    /// Renews tokens before they end, keeps unused grants alive and writes what could not be
    /// written, until it is dropped.
    pub async fn keep(&self) {
        self.0.keep().await;
    }

    /// Waits until the requests under way are over and what they brought is committed, 17 seconds
    /// at most, lets none begin, and tries for the last time to write what is in memory alone. For
    /// the end of the program, which would lose a new refresh token otherwise.
    pub async fn settled(&self) {
        self.0.settled().await;
    }
}
