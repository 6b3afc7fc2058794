//! Assertions: JWTs by which a client shows who it is (RFC 7523 section 2.2), or in whose name it
//! asks (section 2.1).
//!
//! Their claims are held to the RFC. Their signatures are not looked at: the stand-in has nobody's
//! key. Whether a signature is right is for a test with an independent verifier.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::clock;

/// How `client_assertion_type` is called.
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Whom a federated assertion is for that somebody else signs, as Entra wants it.
const FEDERATED: &str = "api://AzureADTokenExchange";

/// What is read of an assertion.
#[derive(Debug, Deserialize)]
pub(super) struct Assertion {
    iss: String,
    sub: Option<String>,
    aud: String,
    exp: u64,
    scope: Option<String>,
}

impl Assertion {
    /// Reads an assertion that has not expired.
    pub(super) fn read(jwt: &str) -> Option<Self> {
        let parts = jwt.split('.').collect::<Vec<_>>();
        let [header, claims, signature] = parts.as_slice() else { return None };
        let header = URL_SAFE_NO_PAD.decode(header).ok()?;
        let header: serde_json::Value = serde_json::from_slice(&header).ok()?;
        let is_signed = matches!(header.get("alg")?.as_str()?, "RS256" | "PS256")
            && !URL_SAFE_NO_PAD.decode(signature).ok()?.is_empty();
        let claims: Self = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        (is_signed && claims.exp > clock::unix_time().as_secs()).then_some(claims)
    }

    /// Whether it shows `client` to the endpoint `audience`: by its own key, or by the word of
    /// somebody whom the server would trust.
    pub(super) fn shows(&self, client: &str, audience: &str) -> bool {
        let is_own = self.iss == client && self.sub.as_deref() == Some(client);
        (is_own && self.aud == audience) || self.aud == FEDERATED
    }

    /// In whose name it asks `audience`, and for which scopes, as Google has it.
    pub(super) fn asks(&self, audience: &str) -> Option<(&str, &str)> {
        let name = self.sub.as_deref().unwrap_or(&self.iss);
        (self.aud == audience).then_some((name, self.scope.as_deref().unwrap_or_default()))
    }
}
