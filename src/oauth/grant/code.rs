//! The code of an authorization response (RFC 6749 section 4.1.3), turned into tokens once.

use std::borrow::Cow;

use oauth2::{AuthorizationCode, PkceCodeVerifier, RedirectUrl};

use super::Asker;
use super::given::{Answer, read};
use crate::oauth::error::TokenError;
use crate::provider::Grant;
use crate::secret::{ExposeSecret as _, SecretString};

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

/// Asks for tokens once. The scopes are those of the authorization request; this one repeats none.
pub(super) async fn ask(
    asker: &Asker,
    grant: &Grant,
    scopes: &[String],
    redemption: &Redemption,
) -> Result<Answer, TokenError> {
    let Redemption { code, verifier, redirect_uri } = redemption;
    let redirect_uri = RedirectUrl::new(redirect_uri.clone()).map_err(|_| {
        let cause = format!("the redirect URI {redirect_uri:?} is no URL");
        TokenError::configuration(cause, "correct `web.public_url`")
    })?;
    let client = asker.client();
    let request = client
        .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
        .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose_secret().to_owned()))
        .set_redirect_uri(Cow::Owned(redirect_uri));
    let request = asker
        .extras()
        .into_iter()
        .fold(request, |request, (name, value)| request.add_extra_param(name, value));
    read(asker.endpoint(), &grant.id, scopes, request.request_async(asker.endpoint()).await)
}
