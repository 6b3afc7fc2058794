//! Revocation (RFC 7009): a person's consent, given back.
//!
//! Not by the `oauth2` crate, which refuses the plain http of loopback endpoints.

use super::Asker;
use super::given::error_of;
use crate::oauth::error::TokenError;
use crate::provider::Grant;
use crate::secret::{ExposeSecret as _, RefreshToken};

/// Gives `refresh_token` back.
pub(super) async fn ask(
    asker: &Asker,
    grant: &Grant,
    refresh_token: &RefreshToken,
) -> Result<(), TokenError> {
    let form = [("token", refresh_token.expose_secret()), ("token_type_hint", "refresh_token")];
    let posted = asker.post(&form).await;
    posted.map(drop).map_err(|error| error_of(asker.endpoint(), &grant.id, error))
}
