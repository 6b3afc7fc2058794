//! Who asks: a client with its endpoint and what shows the server that it is the one.

use oauth2::basic::{BasicRevocationErrorResponse, BasicTokenIntrospectionResponse};
use oauth2::{
    AuthType, ClientId, ClientSecret, EndpointNotSet, EndpointSet, StandardRevocableToken, TokenUrl,
};

use crate::oauth::answer::{ProviderError, TokenAnswer};
use crate::oauth::endpoint::Endpoint;
use crate::oauth::error::{ErrorKind, TokenError};
use crate::provider::{Client, ClientAuth, Grant};
use crate::secret::{ExposeSecret as _, SecretError, SecretSource, SecretString};

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
}

impl Proof {
    /// Reads the proof of `client` for the server whose token endpoint is `audience`. May block.
    ///
    /// # Errors
    /// When what it takes cannot be read or is unfit.
    pub(super) fn read(client: &Client, _audience: &str) -> Result<Self, TokenError> {
        match &client.auth {
            ClientAuth::None => Ok(Self::None),
            ClientAuth::SecretPost(secret) => read_secret(secret).map(Self::Post),
            ClientAuth::SecretBasic(_)
            | ClientAuth::PrivateKeyJwt(_)
            | ClientAuth::AssertionFile(_) => {
                Err(TokenError::configuration("not built".to_owned(), "use a secret"))
            }
        }
    }
}

/// Reads a secret of the configuration.
///
/// # Errors
/// When it cannot be had.
pub(super) fn read_secret(source: &SecretSource) -> Result<SecretString, TokenError> {
    source.read().map_err(|error| {
        // A variable stays as it is; a file may be replaced at this moment, and a program may have
        // failed for want of a network.
        let kind = match error {
            SecretError::Variable { .. } => ErrorKind::Configuration,
            SecretError::File(_) | SecretError::Command { .. } => ErrorKind::Temporary,
        };
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
            Proof::Post(secret) => {
                client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()))
            }
            Proof::None => client,
        }
    }

    /// Parameters that the `oauth2` crate does not know of: an assertion and `resource`. Each
    /// request made by [`Self::client`] takes them.
    pub(super) fn extras(&self) -> Vec<(String, String)> {
        self.resource.iter().map(|resource| ("resource".to_owned(), resource.clone())).collect()
    }

    /// Posts `form` with the client id and all that shows that it is the one, for requests that the
    /// `oauth2` crate cannot make; gives the answer's body.
    pub(super) async fn post(
        &self,
        form: &[(&str, &str)],
    ) -> Result<Vec<u8>, crate::oauth::fault::EndpointError> {
        let mut form = form.to_vec();
        form.push(("client_id", &self.client_id));
        if let Proof::Post(secret) = &self.proof {
            form.push(("client_secret", secret.expose_secret()));
        }
        self.endpoint.post(&form).await
    }
}
