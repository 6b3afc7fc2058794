//! The identity of an Azure machine or app.

use std::sync::Arc;

use tokio::time::Instant;

use super::Answer;
use crate::oauth::endpoint::Endpoints;
use crate::oauth::error::TokenError;
use crate::provider::{Grant, ManagedIdentity};

/// Asks for a token once.
pub(super) async fn ask(
    _endpoints: &Arc<Endpoints>,
    _grant: &Arc<Grant>,
    _identity: &ManagedIdentity,
    _scopes: &[String],
    _ends_at: Instant,
) -> Result<Answer, TokenError> {
    Err(TokenError::configuration("not built".to_owned(), "use another grant"))
}
