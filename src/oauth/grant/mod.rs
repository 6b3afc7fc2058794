//! Grants: the ways in which an access token is asked for, one file each, and what they share.
//!
//! In:  a grant, whose client secret is read anew at each request, and scopes.
//! Out: what the token endpoint gave, or why it gave nothing, within [`DEADLINE`].
//!
//! What is secret is kept in types that are wiped. Copies that are not wiped, because they are made
//! in other crates: `oauth2` holds client secret, refresh token and answer as plain strings while a
//! request lasts, and writes the form into a plain buffer; reqwest, hyper and rustls copy that form
//! and the answer through their own. All of them are freed when the request is over.

mod client_credentials;
mod refresh_token;
mod revocation;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use oauth2::basic::{
    BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AuthType, ClientId, ClientSecret, EndpointNotSet, EndpointSet, RequestTokenError,
    StandardRevocableToken, TokenResponse as _, TokenUrl,
};
use tokio::time::{Instant, timeout_at};
use tracing::warn;
use zeroize::Zeroizing;

use super::answer::{ProviderError, Remains, TokenAnswer};
use super::endpoint::{DEADLINE, Endpoint, Endpoints, host_of};
use super::error::{ErrorKind, TokenError};
use super::fault::{CHECK_NETWORK, EndpointError, Unavailable};
use super::{person, verdict};
use crate::names::Username;
use crate::provider::{Grant, GrantId, GrantKind};
use crate::secret::{AccessToken, ExposeSecret as _, RefreshToken, SecretError, SecretString};

/// The life of a token whose endpoint does not tell it. RFC 6749 section 5.1 lets the provider
/// document it elsewhere; one hour is what Entra and Google give, and a provider that means less
/// refuses the token at its mail server, which is no worse than having none.
const LIFE_ASSUMED: Duration = Duration::from_secs(60 * 60);

/// Longest life believed. A longer one only means asking a little more often.
const LIFE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Who gives tokens: the endpoints, or a test's script.
pub(super) trait Issuer: Send + Sync + fmt::Debug {
    /// Asks for a token once; by `refresh_token` for a grant that is kept.
    ///
    /// # Errors
    /// When no answer comes within [`DEADLINE`], the provider refuses, or the configuration is
    /// unfit.
    fn issue<'a>(
        &'a self,
        grant: &'a Arc<Grant>,
        scopes: &'a [String],
        refresh_token: Option<&'a RefreshToken>,
    ) -> Asked<'a, Answer>;

    /// Gives `refresh_token` back at `url`, the revocation endpoint of `grant`.
    ///
    /// # Errors
    /// As [`Self::issue`].
    fn revoke<'a>(
        &'a self,
        grant: &'a Arc<Grant>,
        url: &'a str,
        refresh_token: &'a RefreshToken,
    ) -> Asked<'a, ()>;
}

/// What will come of a request.
pub(super) type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, TokenError>> + Send + 'a>>;

/// What a token endpoint gave.
#[derive(Debug)]
pub(super) struct Answer {
    /// The access token, or why it is of no use. The rest of the answer counts either way.
    pub(super) issued: Result<Issued, TokenError>,
    /// The refresh token that takes the place of the one that was used, if there is a new one.
    pub(super) refresh_token: Option<RefreshToken>,
    /// Who consented, if it tells.
    pub(super) user: Option<Username>,
}

/// An access token fresh from its endpoint.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) token: AccessToken,
    pub(super) life: Duration,
}

/// Asks the endpoints that grants name.
#[derive(Debug, Default)]
pub(super) struct Network {
    endpoints: Arc<Endpoints>,
}

impl Issuer for Network {
    fn issue<'a>(
        &'a self,
        grant: &'a Arc<Grant>,
        scopes: &'a [String],
        refresh_token: Option<&'a RefreshToken>,
    ) -> Asked<'a, Answer> {
        Box::pin(async move {
            let ends_at = Instant::now() + DEADLINE;
            let (endpoint, secret) = self.prepare(grant, ends_at, Endpoints::open).await?;
            let client = client(&endpoint, grant, secret.as_ref());
            let asking = async {
                match refresh_token {
                    Some(token) => {
                        refresh_token::ask(&endpoint, &client, grant, scopes, token).await
                    }
                    None => client_credentials::ask(&endpoint, &client, grant, scopes).await,
                }
            };
            in_time(endpoint.host(), ends_at, asking).await
        })
    }

    fn revoke<'a>(
        &'a self,
        grant: &'a Arc<Grant>,
        url: &'a str,
        refresh_token: &'a RefreshToken,
    ) -> Asked<'a, ()> {
        let at = url.to_owned();
        let open =
            move |endpoints: &Endpoints, grant: &Grant| endpoints.open_revocation(grant, &at);
        Box::pin(async move {
            let ends_at = Instant::now() + DEADLINE;
            let (endpoint, secret) = self.prepare(grant, ends_at, open).await?;
            let asking = revocation::ask(&endpoint, grant, secret.as_ref(), refresh_token);
            in_time(endpoint.host(), ends_at, asking).await
        })
    }
}

impl Network {
    /// Opens the endpoint and reads the secret, away from the threads that serve sessions: both
    /// read files, and the secret may come from a program.
    async fn prepare(
        &self,
        grant: &Arc<Grant>,
        ends_at: Instant,
        open: impl FnOnce(&Endpoints, &Grant) -> Result<Endpoint, TokenError> + Send + 'static,
    ) -> Result<(Endpoint, Option<SecretString>), TokenError> {
        let (endpoints, of) = (Arc::clone(&self.endpoints), Arc::clone(grant));
        let prepared = tokio::task::spawn_blocking(move || {
            let endpoint = open(&endpoints, &of)?;
            Ok((endpoint, read_secret(&of)?))
        });
        let Ok(prepared) = timeout_at(ends_at, prepared).await else {
            let cause = format!("client_secret or ca_file cannot be read within {DEADLINE:?}");
            let fix = "look at the disk or the program that it comes from";
            return Err(TokenError {
                kind: ErrorKind::Temporary,
                ..TokenError::configuration(cause, fix)
            });
        };
        prepared.unwrap_or_else(|_| {
            let host = host_of(&grant.token_endpoint);
            Err(TokenError::temporary(&host, "the relay is shutting down"))
        })
    }
}

/// The client secret; `None` for a public client.
fn read_secret(grant: &Grant) -> Result<Option<SecretString>, TokenError> {
    match (&grant.client_secret, grant.kind) {
        (Some(source), _) => source.read().map(Some).map_err(|error| {
            // A variable stays as it is; a file may be replaced at this moment, and a program may
            // have failed for want of a network.
            let kind = match error {
                SecretError::Variable { .. } => ErrorKind::Configuration,
                SecretError::File(_) | SecretError::Command { .. } => ErrorKind::Temporary,
            };
            TokenError { kind, ..TokenError::configuration(error.to_string(), error.fix()) }
        }),
        (None, GrantKind::AuthorizationCode) => Ok(None),
        (None, GrantKind::ClientCredentials) => {
            Err(TokenError::configuration("there is no client_secret", "write `client_secret`"))
        }
    }
}

/// The answer of the endpoint at `host`, if it comes before `ends_at`.
async fn in_time<T>(
    host: &str,
    ends_at: Instant,
    asking: impl Future<Output = Result<T, TokenError>>,
) -> Result<T, TokenError> {
    let left = ends_at.saturating_duration_since(Instant::now());
    timeout_at(ends_at, asking).await.unwrap_or_else(|_| {
        let late =
            TokenError::temporary(host, &format!("no answer within {:.1} s", left.as_secs_f32()));
        Err(TokenError { fix: CHECK_NETWORK.into(), is_answer_lost: true, ..late })
    })
}

/// The `oauth2` crate's client with our own answer types, its token endpoint set.
type Client = oauth2::Client<
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

/// A client that shows its secret, if it has one, in the form: `client_secret_post`.
fn client(endpoint: &Endpoint, grant: &Grant, secret: Option<&SecretString>) -> Client {
    let client = oauth2::Client::new(ClientId::new(grant.client_id.clone()))
        .set_auth_type(AuthType::RequestBody)
        .set_token_uri(TokenUrl::from_url(endpoint.url().clone()));
    match secret {
        Some(secret) => {
            client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()))
        }
        None => client,
    }
}

/// Reads what came of a request for `scopes`. A `RequestTokenError` never gets further than this: its `Parse`
/// holds the raw answer.
fn read(
    endpoint: &Endpoint,
    whose: &GrantId,
    scopes: &[String],
    asked: Result<TokenAnswer, RequestTokenError<EndpointError, ProviderError>>,
) -> Result<Answer, TokenError> {
    let no_token = || {
        let reason = "its answer holds no token (RFC 6749 section 5.1)";
        TokenError { is_answer_lost: true, ..TokenError::temporary(endpoint.host(), reason) }
    };
    match asked {
        Ok(answer) => {
            let missing = answer.not_granted(scopes);
            if !missing.is_empty() {
                warn!(
                    grant = %whose,
                    ?missing,
                    hint = "authorize the account again, and tick every box",
                    "the token lacks permissions"
                );
            }
            let refresh_token = answer.refresh_token();
            Ok(Answer {
                issued: issue(&answer)
                    .map_err(|reason| TokenError::temporary(endpoint.host(), reason)),
                refresh_token: refresh_token.and_then(|token| RefreshToken::parse(token.secret())),
                user: person::named(answer.id_token(), answer.access_token().secret()),
            })
        }
        Err(RequestTokenError::ServerResponse(said)) => {
            Err(verdict::judge(endpoint.host(), whose, said))
        }
        Err(RequestTokenError::Request(error)) => Err(error_of(endpoint, whose, error)),
        Err(RequestTokenError::Parse(_, body)) => match Remains::of(&Zeroizing::new(body)) {
            Remains::Error(said) => Err(verdict::judge(endpoint.host(), whose, said)),
            Remains::RefreshToken(token) => Ok(Answer {
                issued: Err(no_token()),
                refresh_token: RefreshToken::parse(token.secret()),
                user: None,
            }),
            Remains::Nothing => Err(no_token()),
        },
        Err(RequestTokenError::Other(_)) => Err(no_token()),
    }
}

/// What a failed exchange with `endpoint` means for the grant `whose`.
fn error_of(endpoint: &Endpoint, whose: &GrantId, error: EndpointError) -> TokenError {
    match error {
        EndpointError::Unavailable(unavailable) => {
            let Unavailable { reason, fix, said, retry_after, is_answer_lost } = *unavailable;
            let temporary = TokenError::temporary(endpoint.host(), &reason);
            TokenError { fix: fix.into(), said, retry_after, is_answer_lost, ..temporary }
        }
        EndpointError::Refused { said, retry_after } => {
            TokenError { retry_after, ..verdict::judge(endpoint.host(), whose, *said) }
        }
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
