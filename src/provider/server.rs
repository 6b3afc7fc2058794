//! An authorization server: where consents and tokens are had.

use std::path::PathBuf;

/// The endpoints of an authorization server, as the configuration or a preset names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthorizationServer {
    /// Its issuer identifier (RFC 8414 section 2), if it is known.
    pub issuer: Option<String>,
    /// Whether endpoints that are not named here are asked of the issuer (RFC 8414, OpenID Connect
    /// Discovery).
    pub is_discovered: bool,
    /// Whether its authorization responses must name the issuer (RFC 9207). Where one does, it is
    /// compared whatever stands here.
    pub tells_issuer: bool,
    /// Token endpoint, https (or http on loopback), the tenant filled in.
    pub token_endpoint: Option<String>,
    /// Where a person consents; it may carry a query.
    pub authorization_endpoint: Option<String>,
    /// Where the device flow begins (RFC 8628).
    pub device_authorization_endpoint: Option<String>,
    /// Why there is no device flow for mail, where the provider is known to have none.
    pub no_device_flow: Option<&'static str>,
    /// Where a consent is given back (RFC 7009).
    pub revocation_endpoint: Option<String>,
    /// Parameters added to authorization requests: `prompt`, `access_type`.
    pub authorization_params: Vec<(String, String)>,
    /// `resource` of each request (RFC 8707).
    pub resource: Option<String>,
    /// What a redirect to this machine looks like.
    pub loopback_redirect: LoopbackRedirect,
    /// Certificates (PEM) trusted besides the platform's roots at the endpoints.
    pub ca_file: Option<PathBuf>,
}

/// What a redirect URI to this machine looks like (RFC 8252 section 7.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LoopbackRedirect {
    /// `http://127.0.0.1:PORT/`, as RFC 8252 has it.
    #[default]
    Address,
    /// `http://localhost:PORT`, without a path: what Entra ignores the port of.
    Localhost,
}
