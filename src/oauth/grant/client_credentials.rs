//! The client-credentials grant (RFC 6749 section 4.4): an application asks in its own name.

use oauth2::Scope;

use super::Asker;
use super::given::{Answer, read};
use crate::oauth::error::TokenError;
use crate::provider::Grant;

/// Asks for a token once.
pub(super) async fn ask(
    asker: &Asker,
    grant: &Grant,
    scopes: &[String],
) -> Result<Answer, TokenError> {
    let client = asker.client();
    let request =
        client.exchange_client_credentials().add_scopes(scopes.iter().cloned().map(Scope::new));
    let request = asker
        .extras()
        .into_iter()
        .fold(request, |request, (name, value)| request.add_extra_param(name, value));
    read(asker.endpoint(), &grant.id, scopes, request.request_async(asker.endpoint()).await)
}
