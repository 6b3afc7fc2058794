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

pub use answer::ProviderError;
use cache::{Cache, Key};
use endpoint::Endpoints;
pub use error::TokenError;

use crate::provider::Grant;
use crate::secret::AccessToken;

/// The access tokens of every grant: asked for once, kept in memory, shared by all sessions.
///
/// Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    cache: Cache,
    endpoints: Arc<Endpoints>,
}

impl Tokens {
    /// Without any token. Nothing is asked for until somebody needs it.
    pub fn new() -> Self {
        Self::default()
    }

    /// An access token by `grant` for `scopes`, from memory while more than five minutes, or half
    /// of its life, are left; otherwise from the token endpoint, within 15 seconds.
    ///
    /// However many callers need the same token at once, one request is made, and all of them get
    /// what comes of it. A caller that gives up does not end it for the others.
    ///
    /// # Errors
    /// When the token endpoint gives no token and none in memory will do. The next call asks again.
    pub async fn access_token(
        &self,
        grant: &Arc<Grant>,
        scopes: &[String],
    ) -> Result<AccessToken, TokenError> {
        let key = Key {
            token_endpoint: grant.token_endpoint.clone(),
            client_id: grant.client_id.clone(),
            scopes: scopes.iter().cloned().collect::<BTreeSet<_>>(),
        };
        self.cache
            .token(key, || {
                let endpoints = Arc::clone(&self.endpoints);
                let grant = Arc::clone(grant);
                let scopes = scopes.to_vec();
                async move { grant::client_credentials::request(&endpoints, &grant, &scopes).await }
            })
            .await
    }
}
