//! Consent by browser (RFC 6749 section 4.1, with PKCE): what a browser is sent to, and the answer
//! that it brings back.

use std::fmt;
use std::sync::Arc;

use super::desk::Desk;
use super::error::TokenError;
use super::{AuthorizeError, Authorized};
use crate::names::Username;
use crate::provider::Grant;
use crate::secret::SecretString;

/// A request for a person's consent.
#[derive(Debug)]
pub struct CodeRequest {
    url: String,
    redirect_uri: String,
    /// What its answer has to repeat.
    state: String,
    /// The verifier of PKCE (RFC 7636).
    #[expect(dead_code, reason = "skeleton")]
    verifier: SecretString,
}

impl CodeRequest {
    /// What the browser is sent to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the answer comes.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// The `state` by which the answer is found.
    pub fn state(&self) -> &str {
        &self.state
    }
}

/// An authorization response (RFC 6749 section 4.1.2), as a browser brings it.
pub struct Redirected {
    state: Option<String>,
}

impl fmt::Debug for Redirected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redirected").finish_non_exhaustive() // the code is secret
    }
}

impl Redirected {
    /// Reads the query of a redirect, without the question mark.
    ///
    /// # Errors
    /// When it is no authorization response.
    pub fn parse(_query: &str) -> Result<Self, RedirectError> {
        Err(RedirectError::NoAnswer)
    }

    /// The `state` in it.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

/// Why an answer that came by the browser is not one to the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// It has neither a code nor an error.
    #[error("this is no answer of a provider: it has neither a code nor an error")]
    NoAnswer,
    /// It has no `state`, or that of no request that waits.
    #[error("this answer belongs to no request that waits")]
    Foreign,
    /// It names another issuer, or none where one is due (RFC 9207).
    #[error("this answer does not come from the provider that was asked")]
    Issuer,
}

impl Desk {
    /// As [`super::Tokens::code_request`].
    pub(super) async fn code_request(
        self: &Arc<Self>,
        _grant: &Arc<Grant>,
        _scopes: &[String],
        _redirect_uri: &str,
        _login_hint: &Username,
    ) -> Result<CodeRequest, TokenError> {
        Err(TokenError::configuration("not built", "bring a refresh token"))
    }

    /// As [`super::Tokens::redeem`].
    pub(super) async fn redeem(
        self: &Arc<Self>,
        _grant: &Arc<Grant>,
        _scopes: &[String],
        _request: CodeRequest,
        _redirected: Redirected,
        _expected: &[Username],
    ) -> Result<Authorized, AuthorizeError> {
        Err(AuthorizeError::NoRefreshToken)
    }
}
