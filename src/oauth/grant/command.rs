//! A program that prints an access token.

use std::sync::Arc;

use tokio::time::Instant;

use super::Answer;
use crate::oauth::error::TokenError;
use crate::provider::Grant;
use crate::secret::SecretCommand;

/// Runs it once.
pub(super) async fn ask(
    _grant: &Arc<Grant>,
    _program: &SecretCommand,
    _ends_at: Instant,
) -> Result<Answer, TokenError> {
    Err(TokenError::configuration("not built".to_owned(), "use another grant"))
}
