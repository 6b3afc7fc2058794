//! The resource owner password grant (RFC 6749 section 4.3).

use super::{Answer, Asker};
use crate::oauth::error::TokenError;
use crate::provider::Grant;
use crate::secret::SecretSource;

/// Asks for a token once.
pub(super) async fn ask(
    _asker: &Asker,
    _grant: &Grant,
    _password: &SecretSource,
    _scopes: &[String],
) -> Result<Answer, TokenError> {
    Err(TokenError::configuration("not built".to_owned(), "use another grant"))
}
