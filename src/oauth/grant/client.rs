//! Who asks: a client with its endpoint and what shows the server that it is the one.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oauth2::basic::{BasicRevocationErrorResponse, BasicTokenIntrospectionResponse};
use oauth2::http::HeaderValue;
use oauth2::url::form_urlencoded::byte_serialize;
use oauth2::{
    AuthType, ClientId, ClientSecret, EndpointNotSet, EndpointSet, StandardRevocableToken, TokenUrl,
};
use zeroize::Zeroizing;

use crate::clock;
use crate::oauth::answer::{ProviderError, TokenAnswer};
use crate::oauth::assertion;
use crate::oauth::client_key::SigningKey;
use crate::oauth::endpoint::Endpoint;
use crate::oauth::error::{ErrorKind, TokenError};
use crate::oauth::fault::EndpointError;
use crate::oauth::key_problem::may_pass;
use crate::provider::{Client, ClientAuth, Grant};
use crate::secret::{ExposeSecret as _, SecretSource, SecretString};

/// The `oauth2` crate's client with our own answer types, its token endpoint set.
pub(super) type OauthClient = oauth2::Client<
    ProviderError,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// What shows that a client is the one, read for one request.
#[derive(Debug)]
pub(super) enum Proof {
    /// Nothing: a public client.
    None,
    /// The secret, in the form.
    Post(SecretString),
    /// The secret, in the Authorization header.
    Basic(SecretString),
    /// An assertion, in the form (RFC 7521 section 4.2).
    Assertion(SecretString),
}

impl Proof {
    /// Reads the proof of `client` for the server whose token endpoint is `audience`. May block.
    ///
    /// # Errors
    /// When what it takes cannot be read or is unfit.
    pub(super) fn read(client: &Client, audience: &str) -> Result<Self, TokenError> {
        match &client.auth {
            ClientAuth::None => Ok(Self::None),
            ClientAuth::SecretPost(secret) => read_secret(secret).map(Self::Post),
            ClientAuth::SecretBasic(secret) => read_secret(secret).map(Self::Basic),
            ClientAuth::PrivateKeyJwt(key) => {
                let key = SigningKey::read(key)?;
                assertion::of_client(&client.id, audience, &key, clock::unix_time())
                    .map(Self::Assertion)
                    .map_err(|reason| {
                        let cause = format!("no assertion can be signed: {reason}");
                        TokenError::configuration(cause, "check `private_key`")
                    })
            }
            ClientAuth::AssertionFile(path) => read_assertion(path).map(Self::Assertion),
        }
    }
}

/// Reads an assertion that somebody else signs and replaces before it ends: whatever is wrong with
/// the file may be mended at the next use.
fn read_assertion(path: &Path) -> Result<SecretString, TokenError> {
    let assertion = read_secret(&SecretSource::File(path.to_owned()))?;
    if is_jwt(assertion.expose_secret()) {
        return Ok(assertion);
    }
    let cause = format!("assertion_file {path:?} holds no JWT in one line");
    let fix = "look at what writes it: in Kubernetes, the projected volume of the service account";
    Err(TokenError { kind: ErrorKind::Temporary, ..TokenError::configuration(cause, fix) })
}

/// Whether `text` has the form of a signed JWT (RFC 7515 section 7.1): three parts in base64url.
fn is_jwt(text: &str) -> bool {
    let is_part = |part: &str| {
        let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !part.is_empty() && part.bytes().all(is_base64url)
    };
    text.split('.').count() == 3 && text.split('.').all(is_part)
}

/// Reads a secret of the configuration.
///
/// # Errors
/// When it cannot be had.
pub(super) fn read_secret(source: &SecretSource) -> Result<SecretString, TokenError> {
    source.read().map_err(|error| {
        let kind = if may_pass(&error) { ErrorKind::Temporary } else { ErrorKind::Configuration };
        TokenError { kind, ..TokenError::configuration(error.to_string(), error.fix()) }
    })
}

/// Who asks one endpoint once.
pub(super) struct Asker {
    endpoint: Endpoint,
    client_id: String,
    proof: Proof,
    resource: Option<String>,
}

impl Asker {
    pub(super) fn new(endpoint: Endpoint, grant: &Grant, proof: Proof) -> Self {
        let client_id = grant.client_id().to_owned();
        Self { endpoint, client_id, proof, resource: grant.server.resource.clone() }
    }

    /// The endpoint.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Its host, for logs and errors.
    pub(super) fn host(&self) -> &str {
        self.endpoint.host()
    }

    /// The `oauth2` crate's client, with the proof that it knows how to show.
    pub(super) fn client(&self) -> OauthClient {
        let client = oauth2::Client::new(ClientId::new(self.client_id.clone()))
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(TokenUrl::from_url(self.endpoint.url().clone()));
        match &self.proof {
            Proof::Post(secret) => client.set_client_secret(client_secret(secret)),
            Proof::Basic(secret) => {
                client.set_auth_type(AuthType::BasicAuth).set_client_secret(client_secret(secret))
            }
            Proof::None | Proof::Assertion(_) => client,
        }
    }

    /// Parameters that the `oauth2` crate does not know of: an assertion and `resource`. Each
    /// request made by [`Self::client`] takes them.
    pub(super) fn extras(&self) -> Vec<(String, String)> {
        let mut extras = Vec::new();
        if let Proof::Assertion(assertion) = &self.proof {
            let assertion = assertion.expose_secret();
            extras.push(("client_assertion_type".to_owned(), ASSERTION_TYPE.to_owned()));
            extras.push(("client_assertion".to_owned(), assertion.to_owned()));
        }
        extras.extend(self.resource.iter().map(|it| ("resource".to_owned(), it.clone())));
        extras
    }

    /// Posts `form` with the client id and all that shows that it is the one, for requests that the
    /// `oauth2` crate cannot make; gives the answer's body.
    pub(super) async fn post(&self, form: &[(&str, &str)]) -> Result<Vec<u8>, EndpointError> {
        let mut form = form.to_vec();
        let mut authorization = None;
        match &self.proof {
            Proof::None => form.push(("client_id", &self.client_id)),
            Proof::Post(secret) => {
                form.push(("client_id", &self.client_id));
                form.push(("client_secret", secret.expose_secret()));
            }
            Proof::Basic(secret) => authorization = basic(&self.client_id, secret),
            Proof::Assertion(assertion) => {
                form.push(("client_id", &self.client_id));
                form.push(("client_assertion_type", ASSERTION_TYPE));
                form.push(("client_assertion", assertion.expose_secret()));
            }
        }
        self.endpoint.post_as(&form, authorization).await
    }
}

/// `client_assertion_type` of a JWT (RFC 7523 section 2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn client_secret(secret: &SecretString) -> ClientSecret {
    ClientSecret::new(secret.expose_secret().to_owned())
}

/// The value of `Authorization` by which a client shows its secret: both parts are form-urlencoded
/// first (RFC 6749 section 2.3.1). There always is one, as base64 fits into a header.
fn basic(client_id: &str, secret: &SecretString) -> Option<HeaderValue> {
    let encoded = |text: &str| -> String { byte_serialize(text.as_bytes()).collect() };
    let secret = Zeroizing::new(encoded(secret.expose_secret()));
    let pair = Zeroizing::new(format!("{}:{}", encoded(client_id), *secret));
    let value = Zeroizing::new(format!("Basic {}", *Zeroizing::new(STANDARD.encode(&*pair))));
    let mut value = HeaderValue::from_str(&value).ok()?;
    value.set_sensitive(true);
    Some(value)
}
