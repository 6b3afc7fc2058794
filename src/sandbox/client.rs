//! Who asks at the token endpoint, and what shows that it is the one client there is.

use std::borrow::Cow;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::assertion::{self, Assertion};
use super::refusal::{INVALID_CLIENT, Refusal};
use super::token::{TokenEndpoint, TokenRequest, TokenSettings};

/// Who asks, as the request says it.
pub(super) struct Client<'a> {
    id: Option<Cow<'a, str>>,
    proof: Proof<'a>,
}

/// What shows that it is the one.
enum Proof<'a> {
    Nothing,
    Secret(Cow<'a, str>),
    Assertion { of_type: &'a str, jwt: &'a str },
}

impl<'a> Client<'a> {
    /// Basic (RFC 6749 section 2.3.1) counts before the body. Ours need no form encoding.
    pub(super) fn read(headers: &HeaderMap, request: &'a TokenRequest) -> Self {
        let basic = || {
            let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
            let decoded = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
            let decoded = String::from_utf8(decoded).ok()?;
            let (id, secret) = decoded.split_once(':')?;
            let proof = Proof::Secret(Cow::Owned(secret.to_owned()));
            Some(Self { id: Some(Cow::Owned(id.to_owned())), proof })
        };
        basic().unwrap_or_else(|| {
            let of_type = request.client_assertion_type.as_deref().unwrap_or_default();
            let proof = match (&request.client_secret, &request.client_assertion) {
                (Some(secret), _) => Proof::Secret(Cow::Borrowed(secret)),
                (None, Some(jwt)) => Proof::Assertion { of_type, jwt },
                (None, None) => Proof::Nothing,
            };
            Self { id: request.client_id.as_deref().map(Cow::Borrowed), proof }
        })
    }
}

impl TokenEndpoint {
    /// The client shows its secret, or an assertion.
    pub(super) fn authenticate(&self, client: &Client<'_>) -> Result<(), Refusal> {
        if matches!(client.proof, Proof::Nothing) {
            return Err(INVALID_CLIENT);
        }
        self.identify(client)
    }

    /// The client names itself, and what it shows, if anything, is right.
    pub(super) fn identify(&self, client: &Client<'_>) -> Result<(), Refusal> {
        let TokenSettings { client_id, client_secret, .. } = &self.settings;
        let is_shown = match &client.proof {
            Proof::Nothing => true,
            Proof::Secret(secret) => secret == client_secret,
            Proof::Assertion { of_type, jwt } => {
                *of_type == assertion::TYPE
                    && Assertion::read(jwt).is_some_and(|it| it.shows(client_id, &self.url()))
            }
        };
        let is_ours = client.id.as_deref() == Some(client_id) && is_shown;
        is_ours.then_some(()).ok_or(INVALID_CLIENT)
    }
}
