//! The client-credentials grant (RFC 6749 section 4.4): an application asks in its own name.
//!
//! In:  the grant, whose secret is read anew at each request, and the scopes.
//! Out: an access token and its life, within [`DEADLINE`].
//!
//! An `oauth2::RequestTokenError` never leaves this file: its `Parse` holds the raw token answer.

use std::sync::Arc;
use std::time::Duration;

use oauth2::basic::{
    BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AuthType, ClientId, ClientSecret, RequestTokenError, Scope, StandardRevocableToken,
    TokenResponse as _,
};
use tokio::time::timeout;

use crate::oauth::answer::{ProviderError, TokenAnswer};
use crate::oauth::cache::Issued;
use crate::oauth::endpoint::{DEADLINE, Endpoint, Endpoints, host_of};
use crate::oauth::error::TokenError;
use crate::oauth::verdict;
use crate::provider::Grant;
use crate::secret::{AccessToken, ExposeSecret as _, SecretString};

/// The life of a token whose endpoint does not tell it. RFC 6749 section 5.1 lets the provider
/// document it elsewhere; one hour is what Entra and Google give, and a provider that means less
/// refuses the token at its mail server, which is no worse than having none.
const LIFE_ASSUMED: Duration = Duration::from_secs(60 * 60);

/// Longest life believed. A longer one only means asking a little more often.
const LIFE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The `oauth2` crate's client with our own answer types.
type Client = oauth2::Client<
    ProviderError,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

/// Asks for a token once.
///
/// # Errors
/// When none comes within [`DEADLINE`], the provider refuses it, or the configuration is unfit.
pub(in crate::oauth) async fn request(
    endpoints: &Arc<Endpoints>,
    grant: &Arc<Grant>,
    scopes: &[String],
) -> Result<Issued, TokenError> {
    let asked = timeout(DEADLINE, async {
        let (endpoint, secret) = prepare(endpoints, grant).await?;
        ask(&endpoint, grant, &secret, scopes).await
    });
    asked.await.unwrap_or_else(|_| {
        Err(unavailable(
            &host_of(&grant.token_endpoint),
            format!("no answer within {DEADLINE:?}: check DNS, firewall and proxy variables"),
        ))
    })
}

/// Opens the endpoint and reads the secret, away from the threads that serve sessions: both read
/// files.
async fn prepare(
    endpoints: &Arc<Endpoints>,
    grant: &Arc<Grant>,
) -> Result<(Endpoint, SecretString), TokenError> {
    let (endpoints, of) = (Arc::clone(endpoints), Arc::clone(grant));
    let prepared = tokio::task::spawn_blocking(move || {
        let endpoint = endpoints.open(&of)?;
        let lacks = || TokenError::configuration("there is no client_secret", "write one");
        let secret = of.client_secret.as_ref().ok_or_else(lacks)?.read();
        let secret =
            secret.map_err(|error| TokenError::configuration(error.to_string(), "mend it"))?;
        Ok((endpoint, secret))
    });
    prepared.await.unwrap_or_else(|_| {
        Err(unavailable(&host_of(&grant.token_endpoint), "the relay is shutting down".into()))
    })
}

/// Sends the request and judges the answer.
async fn ask(
    endpoint: &Endpoint,
    grant: &Grant,
    secret: &SecretString,
    scopes: &[String],
) -> Result<Issued, TokenError> {
    let client = Client::new(ClientId::new(grant.client_id.clone()))
        .set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()))
        .set_auth_type(AuthType::RequestBody)
        .set_token_uri(endpoint.token_url().clone());
    let asked = client
        .exchange_client_credentials()
        .add_scopes(scopes.iter().cloned().map(Scope::new))
        .request_async(endpoint);
    match asked.await {
        Ok(answer) => issue(&answer).map_err(|reason| unavailable(endpoint.host(), reason.into())),
        Err(RequestTokenError::ServerResponse(said)) => Err(verdict::judge(endpoint.host(), said)),
        Err(RequestTokenError::Request(error)) => Err(TokenError {
            said: error.said,
            ..TokenError::temporary(endpoint.host(), &error.reason)
        }),
        Err(RequestTokenError::Parse(..) | RequestTokenError::Other(_)) => Err(unavailable(
            endpoint.host(),
            "its answer holds no token (RFC 6749 section 5.1)".into(),
        )),
    }
}

/// Takes the token of an answer; the error is a clause.
fn issue(answer: &TokenAnswer) -> Result<Issued, &'static str> {
    if *answer.token_type() != BasicTokenType::Bearer {
        return Err("its token is not of type Bearer, the only one that mail servers take");
    }
    let token = AccessToken::parse(answer.access_token().secret())
        .ok_or("its token has characters or a length that no mail server takes")?;
    let life = answer.expires_in().unwrap_or(LIFE_ASSUMED).min(LIFE_MAX);
    Ok(Issued { token, life })
}

fn unavailable(endpoint: &str, reason: String) -> TokenError {
    TokenError::temporary(endpoint, &reason)
}
