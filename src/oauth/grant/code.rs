//! The code of an authorization response (RFC 6749 section 4.1.3), turned into tokens once.

use super::{Answer, Asker};
use crate::oauth::error::TokenError;
use crate::provider::Grant;
use crate::secret::SecretString;

/// What a code is turned into tokens by.
#[derive(Debug)]
pub(in crate::oauth) struct Redemption {
    /// The code.
    pub(in crate::oauth) code: SecretString,
    /// The verifier of PKCE (RFC 7636).
    pub(in crate::oauth) verifier: SecretString,
    /// The redirect URI of the authorization request.
    pub(in crate::oauth) redirect_uri: String,
}

/// Asks for tokens once.
pub(super) async fn ask(
    _asker: &Asker,
    _grant: &Grant,
    _scopes: &[String],
    _redemption: &Redemption,
) -> Result<Answer, TokenError> {
    Err(TokenError::configuration("not built".to_owned(), "bring a refresh token"))
}
