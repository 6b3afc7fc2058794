//! The device flow at the endpoints (RFC 8628): its beginning, and one poll.

use std::time::Duration;

use super::{Answer, Asker};
use crate::oauth::error::TokenError;
use crate::provider::Grant;
use crate::secret::SecretString;

/// The answer of the device authorization endpoint (RFC 8628 section 3.2).
#[derive(Debug)]
pub(in crate::oauth) struct DeviceAnswer {
    pub(in crate::oauth) device_code: SecretString,
    pub(in crate::oauth) user_code: String,
    pub(in crate::oauth) verification_uri: String,
    pub(in crate::oauth) verification_uri_complete: Option<String>,
    pub(in crate::oauth) expires_in: Duration,
    pub(in crate::oauth) interval: Duration,
}

/// Begins the flow.
pub(super) async fn begin(
    _asker: &Asker,
    _grant: &Grant,
    _scopes: &[String],
) -> Result<DeviceAnswer, TokenError> {
    Err(TokenError::configuration("not built".to_owned(), "bring a refresh token"))
}

/// Polls once.
pub(super) async fn ask(
    _asker: &Asker,
    _grant: &Grant,
    _scopes: &[String],
    _device_code: &SecretString,
) -> Result<Answer, TokenError> {
    Err(TokenError::configuration("not built".to_owned(), "bring a refresh token"))
}
