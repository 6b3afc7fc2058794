//! Consent on another device (RFC 8628): a code that a person enters there, and the polls until
//! they have.

use std::sync::Arc;
use std::time::Duration;

use super::desk::Desk;
use super::error::TokenError;
use super::{AuthorizeError, Authorized};
use crate::names::Username;
use crate::provider::Grant;

/// A device flow that has begun: what the person needs.
#[derive(Debug)]
pub struct DeviceRequest {
    /// Where the person goes.
    pub verification_uri: String,
    /// The same with the code in it.
    pub verification_uri_complete: Option<String>,
    /// What the person enters there.
    pub user_code: String,
    /// How long the code is good for.
    pub expires_in: Duration,
}

impl Desk {
    /// As [`super::Tokens::device_request`].
    pub(super) async fn device_request(
        self: &Arc<Self>,
        _grant: &Arc<Grant>,
        _scopes: &[String],
    ) -> Result<DeviceRequest, TokenError> {
        Err(TokenError::configuration("not built", "bring a refresh token"))
    }

    /// As [`super::Tokens::await_device`].
    pub(super) async fn await_device(
        self: &Arc<Self>,
        _grant: &Arc<Grant>,
        _scopes: &[String],
        _request: DeviceRequest,
        _expected: &[Username],
    ) -> Result<Authorized, AuthorizeError> {
        Err(AuthorizeError::NoRefreshToken)
    }
}
