//! A Google service account with domain-wide delegation (RFC 7523 section 2.1).

use std::sync::Arc;

use tokio::time::Instant;

use super::Answer;
use crate::oauth::endpoint::Endpoints;
use crate::oauth::error::TokenError;
use crate::provider::{Grant, ServiceAccount};

/// Asks for a token once.
pub(super) async fn ask(
    _endpoints: &Arc<Endpoints>,
    _grant: &Arc<Grant>,
    _account: &ServiceAccount,
    _scopes: &[String],
    _ends_at: Instant,
) -> Result<Answer, TokenError> {
    Err(TokenError::configuration("not built".to_owned(), "use another grant"))
}
