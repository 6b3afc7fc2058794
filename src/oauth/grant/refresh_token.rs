//! The refresh-token grant (RFC 6749 section 6): a person's consent, used once more.
//!
//! The answer may bring a new refresh token, and then the one that was used may be good for
//! nothing; or none, and then the one that was used stays.

use oauth2::Scope;

use super::{Answer, Asker, read};
use crate::oauth::error::TokenError;
use crate::provider::Grant;
use crate::secret::{ExposeSecret as _, RefreshToken};

/// Asks for a token once.
pub(super) async fn ask(
    asker: &Asker,
    grant: &Grant,
    scopes: &[String],
    refresh_token: &RefreshToken,
) -> Result<Answer, TokenError> {
    let refresh_token = oauth2::RefreshToken::new(refresh_token.expose_secret().to_owned());
    let client = asker.client();
    let request = client
        .exchange_refresh_token(&refresh_token)
        .add_scopes(scopes.iter().cloned().map(Scope::new));
    let request = asker
        .extras()
        .into_iter()
        .fold(request, |request, (name, value)| request.add_extra_param(name, value));
    read(asker.endpoint(), &grant.id, scopes, request.request_async(asker.endpoint()).await)
}
