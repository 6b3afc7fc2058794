//! The resource owner password grant (RFC 6749 section 4.3): the person's name and password at the
//! provider, shown at each request. Nothing is kept of the answer but the access token.

use oauth2::{ResourceOwnerPassword, ResourceOwnerUsername, Scope};

use super::Asker;
use super::client::read_secret;
use super::given::{Answer, read};
use crate::oauth::error::TokenError;
use crate::provider::{Grant, GrantId};
use crate::secret::{ExposeSecret as _, SecretSource};

/// Asks for a token once.
pub(super) async fn ask(
    asker: &Asker,
    grant: &Grant,
    password: &SecretSource,
    scopes: &[String],
) -> Result<Answer, TokenError> {
    let GrantId::Account(name) = &grant.id else {
        let cause = format!("{} is no person's, so it has no name to sign in by", grant.id);
        return Err(TokenError::configuration(cause, "write an account for each person"));
    };
    let source = password.clone();
    // It may come from a file or a program, which keep no session waiting.
    let password = tokio::task::spawn_blocking(move || read_secret(&source)).await;
    let shutting_down = || TokenError::temporary(asker.host(), "the relay is shutting down");
    let password = password.unwrap_or_else(|_| Err(shutting_down()))?;
    let username = ResourceOwnerUsername::new(name.as_str().to_owned());
    let password = ResourceOwnerPassword::new(password.expose_secret().to_owned());
    let client = asker.client();
    let request = client
        .exchange_password(&username, &password)
        .add_scopes(scopes.iter().cloned().map(Scope::new));
    let request = asker
        .extras()
        .into_iter()
        .fold(request, |request, (name, value)| request.add_extra_param(name, value));
    // Which scopes were granted is not compared: there was no page with boxes to tick.
    read(asker.endpoint(), &grant.id, &[], request.request_async(asker.endpoint()).await)
}
