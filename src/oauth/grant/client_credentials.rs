//! The client-credentials grant (RFC 6749 section 4.4): an application asks in its own name.

use oauth2::Scope;

use super::{Answer, Client, read};
use crate::oauth::endpoint::Endpoint;
use crate::oauth::error::TokenError;
use crate::provider::Grant;

/// Asks for a token once.
pub(super) async fn ask(
    endpoint: &Endpoint,
    client: &Client,
    grant: &Grant,
    scopes: &[String],
) -> Result<Answer, TokenError> {
    let asked = client
        .exchange_client_credentials()
        .add_scopes(scopes.iter().cloned().map(Scope::new))
        .request_async(endpoint);
    read(endpoint, &grant.id, scopes, asked.await)
}
