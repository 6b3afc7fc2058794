//! Revocation (RFC 7009): a person's consent, given back.
//!
//! Not by the `oauth2` crate, which refuses the plain http of loopback endpoints.

use super::error_of;
use crate::oauth::endpoint::Endpoint;
use crate::oauth::error::TokenError;
use crate::provider::Grant;
use crate::secret::{ExposeSecret as _, RefreshToken, SecretString};

/// Gives `refresh_token` back.
pub(super) async fn ask(
    endpoint: &Endpoint,
    grant: &Grant,
    secret: Option<&SecretString>,
    refresh_token: &RefreshToken,
) -> Result<(), TokenError> {
    let mut form = vec![
        ("token", refresh_token.expose_secret()),
        ("token_type_hint", "refresh_token"),
        ("client_id", &grant.client_id),
    ];
    form.extend(secret.map(|secret| ("client_secret", secret.expose_secret())));
    let posted = endpoint.post(&form).await;
    posted.map_err(|error| error_of(endpoint, &grant.id, error))
}
