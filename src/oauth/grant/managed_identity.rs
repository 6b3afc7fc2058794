//! The identity that Azure gives to a machine or an app.
//!
//! Source: learn.microsoft.com, "How to use managed identities for Azure resources on an Azure VM to
//! acquire an access token" (Instance Metadata Service), and "Use managed identities for App Service
//! and Azure Functions", section "REST endpoint reference".
//! In:     one scope, `RESOURCE/.default`. Out: an access token for that resource.
//! Limits: the deadline of the request. It never goes through a proxy.

use std::sync::Arc;
use std::time::Duration;

use oauth2::TokenResponse as _;
use oauth2::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::client::read_secret;
use super::given::{Answer, Issued, LIFE_MAX, error_of, issue};
use super::in_time;
use crate::clock;
use crate::oauth::answer::TokenAnswer;
use crate::oauth::endpoint::{Endpoint, Endpoints, GetError, host_of};
use crate::oauth::error::TokenError;
use crate::oauth::fault::{EndpointError, Unavailable};
use crate::provider::{Grant, ManagedIdentity};
use crate::secret::ExposeSecret as _;

/// `api-version` of the Instance Metadata Service.
const IMDS_VERSION: &str = "2018-02-01";

/// `api-version` of App Service, Functions and Container Apps.
const APP_SERVICE_VERSION: &str = "2019-08-01";

/// What shows the Instance Metadata Service that a request was not forged by a redirect.
const METADATA: HeaderName = HeaderName::from_static("metadata");

/// What shows App Service that a request is the app's own: `IDENTITY_HEADER`.
const IDENTITY_HEADER: HeaderName = HeaderName::from_static("x-identity-header");

/// How long the Instance Metadata Service may be away for an update: status 410, "will be available
/// within 70 seconds".
const UPDATE_TIME: Duration = Duration::from_secs(70);

/// The end of a scope that stands for a resource.
const DEFAULT_SCOPE: &str = "/.default";

/// Asks for a token once.
pub(super) async fn ask(
    endpoints: &Arc<Endpoints>,
    grant: &Arc<Grant>,
    identity: &ManagedIdentity,
    scopes: &[String],
    ends_at: Instant,
) -> Result<Answer, TokenError> {
    let host = host_of(grant.source());
    let resource = resource(grant, scopes)?;
    let (endpoint, headers) = in_time(&host, ends_at, prepare(endpoints, grant, identity)).await?;
    let (version, client_id) = match identity {
        ManagedIdentity::Imds { client_id } => (IMDS_VERSION, client_id),
        ManagedIdentity::AppService { client_id, .. } => (APP_SERVICE_VERSION, client_id),
    };
    let mut query = vec![("api-version", version), ("resource", resource)];
    query.extend(client_id.as_deref().map(|client_id| ("client_id", client_id)));
    let asking = async {
        let body = endpoint.get(&query, headers).await;
        let body = body.map_err(|error| error_of(&endpoint, &grant.id, judged(error)))?;
        read(&endpoint, &Zeroizing::new(body))
    };
    in_time(&host, ends_at, asking).await
}

/// What the token is for: `resource` where it is written, or what the one scope stands for.
fn resource<'a>(grant: &'a Grant, scopes: &'a [String]) -> Result<&'a str, TokenError> {
    if let Some(resource) = &grant.server.resource {
        return Ok(resource);
    }
    let of_scope = match scopes {
        [scope] => scope.strip_suffix(DEFAULT_SCOPE).filter(|resource| !resource.is_empty()),
        _ => None,
    };
    of_scope.ok_or_else(|| {
        TokenError::configuration(
            "a managed identity gets tokens for one resource, and the scopes name none",
            "write `scopes` as one text that ends in /.default, \
             [\"https://outlook.office365.com/.default\"]",
        )
    })
}

/// Opens the endpoint and reads the header, away from the threads that serve sessions.
async fn prepare(
    endpoints: &Arc<Endpoints>,
    grant: &Arc<Grant>,
    identity: &ManagedIdentity,
) -> Result<(Endpoint, HeaderMap), TokenError> {
    let (endpoints, of, identity) = (Arc::clone(endpoints), Arc::clone(grant), identity.clone());
    let prepared = tokio::task::spawn_blocking(move || {
        let url = of.server.token_endpoint.as_deref().ok_or_else(|| {
            TokenError::configuration("there is no token endpoint", "write `token_endpoint`")
        })?;
        let endpoint = endpoints.open_identity("token_endpoint", url, &of.server)?;
        let header = match &identity {
            ManagedIdentity::Imds { .. } => (METADATA, HeaderValue::from_static("true")),
            ManagedIdentity::AppService { header, .. } => {
                let header = read_secret(header)?;
                let value = HeaderValue::from_str(header.expose_secret()).map_err(|_| {
                    TokenError::configuration(
                        "the identity header has characters that no HTTP header takes",
                        "take it from the variable IDENTITY_HEADER",
                    )
                });
                let mut value = value?;
                value.set_sensitive(true);
                (IDENTITY_HEADER, value)
            }
        };
        Ok((endpoint, HeaderMap::from_iter([header])))
    });
    prepared.await.unwrap_or_else(|_| {
        let host = host_of(grant.source());
        Err(TokenError::temporary(&host, "the relay is shutting down"))
    })
}

/// What a failed request means: the service says 404 and 410 while it is updated, and writes an
/// error into the answer all the same.
fn judged(GetError { status, error }: GetError) -> EndpointError {
    match (status, error) {
        (
            Some(status @ (StatusCode::NOT_FOUND | StatusCode::GONE)),
            EndpointError::Refused { said, retry_after },
        ) => {
            let reason = format!("it answers HTTP {} ({said})", status.as_u16());
            let updating = (status == StatusCode::GONE).then_some(UPDATE_TIME);
            let retry_after = retry_after.or(updating);
            Unavailable { said: Some(said), retry_after, ..Unavailable::new(reason) }.into()
        }
        (Some(StatusCode::GONE), EndpointError::Unavailable(unavailable)) => {
            let retry_after = unavailable.retry_after.or(Some(UPDATE_TIME));
            Unavailable { retry_after, ..*unavailable }.into()
        }
        (_, error) => error,
    }
}

/// Reads the token. Its life is told by `expires_in`, or by `expires_on` alone (App Service), both
/// as texts.
fn read(endpoint: &Endpoint, body: &[u8]) -> Result<Answer, TokenError> {
    #[derive(Deserialize)]
    struct Members {
        #[serde(default)]
        expires_on: Value,
    }
    let no_token = |reason: &str| TokenError::temporary(endpoint.host(), reason);
    let answer: TokenAnswer =
        serde_json::from_slice(body).map_err(|_| no_token("its answer holds no token"))?;
    let mut issued = issue(&answer).map_err(no_token)?;
    if answer.expires_in().is_none() {
        let expires_on = serde_json::from_slice(body)
            .ok()
            .and_then(|Members { expires_on }| seconds(&expires_on));
        if let Some(ends_at) = expires_on {
            let left = ends_at.saturating_sub(clock::unix_time());
            issued = Issued { life: left.min(LIFE_MAX), ..issued };
        }
    }
    Ok(Answer::of_token(issued))
}

/// Seconds since 1970, as a number or a text.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
    Some(Duration::from_secs(seconds))
}
