//! The token endpoint, over plain HTTP on loopback: client credentials and refresh tokens (RFC 6749
//! sections 4.4 and 6), and beside it the revocation of refresh tokens (RFC 7009).
//!
//! In:  a form, and the client in the body or by Basic. A refresh token may be shown by the client
//!      without its secret, too, as a public client does. Out: a JWT, or an error of RFC 6749
//!      section 5.2, or what a fault says.
//! Every answer closes its connection, so that a fault meets the next request for certain.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::rejection::FormRejection;
use axum::extract::{DefaultBodyLimit, Extension, Form, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::Listener;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::consents::{Consents, Redeemed};
use super::fault::{Fault, Faults, Held};
use super::issuer::{self, Issuer, IssuerError};
use crate::provider::Protocol;

/// Longest request body, in bytes. A client assertion, the longest field in use, has 2 KiB.
const BODY_LEN_MAX: usize = 65_536;

/// Scopes of OpenID Connect, which ask for no role (Core section 5.4, section 11).
const OPENID_SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// What the endpoint is like.
pub(super) struct TokenSettings {
    pub(super) client_id: String,
    pub(super) client_secret: String,
    /// Claim `sub` of an application's tokens; the client itself if left out.
    pub(super) subject: Option<String>,
    pub(super) life: Duration,
    /// Whether answers to a refresh token tell who consented.
    pub(super) tells_user: bool,
    pub(super) issuer: Arc<Issuer>,
    pub(super) consents: Consents,
    /// Ends it, and what hangs there.
    pub(super) stop: CancellationToken,
    /// Told of every request.
    pub(super) changes: watch::Sender<()>,
}

/// The endpoint, shared by those who speak to it and those who watch it.
pub(super) struct TokenEndpoint {
    settings: TokenSettings,
    life: Mutex<Duration>,
    pub(super) faults: Faults,
    requests: AtomicU64,
    refreshes: AtomicU64,
}

#[derive(Deserialize)]
struct TokenRequest {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    scope: Option<String>,
    refresh_token: Option<String>,
}

#[derive(Deserialize)]
struct RevocationRequest {
    client_id: Option<String>,
    client_secret: Option<String>,
    token: Option<String>,
}

/// Who asks, as the request says it.
struct Client {
    id: Option<String>,
    secret: Option<String>,
}

/// An error of RFC 6749 section 5.2.
struct Refusal {
    error: &'static str,
    description: &'static str,
}

impl TokenEndpoint {
    /// Nothing has gone wrong yet.
    pub(super) fn new(settings: TokenSettings) -> Self {
        let life = Mutex::new(settings.life);
        let (requests, refreshes) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { settings, life, faults: Faults::new(), requests, refreshes }
    }

    /// The one client's id.
    pub(super) fn client_id(&self) -> &str {
        &self.settings.client_id
    }

    /// The one client's secret.
    pub(super) fn client_secret(&self) -> &str {
        &self.settings.client_secret
    }

    /// Who consented.
    pub(super) fn consents(&self) -> &Consents {
        &self.settings.consents
    }

    /// From now on tokens live so long.
    pub(super) fn set_life(&self, life: Duration) {
        *self.life.lock().unwrap_or_else(PoisonError::into_inner) = life;
    }

    /// Serves it until `stop` is cancelled.
    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let stop = self.settings.stop.clone();
        let listener = Gate { listener, endpoint: Arc::clone(&self) };
        let router = Router::new()
            .route("/token", post(grant))
            .route("/revoke", post(revoke))
            .layer(middleware::from_fn_with_state(Arc::clone(&self), trouble))
            .layer(DefaultBodyLimit::max(BODY_LEN_MAX))
            .with_state(self);
        // Its only error would be one of the listener, which has none.
        let _ = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    }

    /// How many requests came.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// How many refresh tokens were taken.
    pub(super) fn refreshes(&self) -> u64 {
        self.refreshes.load(Ordering::SeqCst)
    }

    fn count(&self, counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::SeqCst);
        self.settings.changes.send_replace(());
    }

    /// Judges a request for a token.
    fn grant(&self, headers: &HeaderMap, request: &TokenRequest) -> Result<Response, Refusal> {
        let client = Client::read(headers, &request.client_id, &request.client_secret);
        match request.grant_type.as_deref() {
            Some("refresh_token") => {
                self.refresh(&client, request.refresh_token.as_deref(), request.scope.as_deref())
            }
            grant_type => {
                self.authenticate(&client)?;
                if grant_type != Some("client_credentials") {
                    return Err(UNSUPPORTED_GRANT_TYPE);
                }
                let scope = request.scope.as_deref().unwrap_or_default();
                let protocols = issuer::protocols_of(scope).ok_or(INVALID_SCOPE)?;
                let TokenSettings { subject, client_id, .. } = &self.settings;
                Ok(self.answer(subject.as_ref().unwrap_or(client_id), &protocols, None))
            }
        }
    }

    /// Judges a refresh token. Nothing becomes of it when something else is wrong.
    fn refresh(
        &self,
        client: &Client,
        token: Option<&str>,
        scope: Option<&str>,
    ) -> Result<Response, Refusal> {
        self.identify(client)?;
        let token = token.ok_or(NO_TOKEN)?;
        // Left out, it is what was consented to (RFC 6749 section 6): everything.
        let scope = scope.unwrap_or(issuer::DEFAULT_SCOPE);
        let roles = scope.split_ascii_whitespace().filter(|it| !OPENID_SCOPES.contains(it));
        let roles = roles.collect::<Vec<_>>().join(" ");
        let protocols = issuer::protocols_of(&roles).ok_or(INVALID_SCOPE)?;
        let redeemed = self.settings.consents.redeem(token).ok_or(INVALID_GRANT)?;
        self.count(&self.refreshes);
        let user = redeemed.user.to_string();
        Ok(self.answer(&user, &protocols, Some(redeemed)))
    }

    /// An answer with an access token of `subject`, and what comes with it for a refresh token.
    fn answer(
        &self,
        subject: &str,
        protocols: &[Protocol],
        redeemed: Option<Redeemed>,
    ) -> Response {
        let TokenSettings { client_id, issuer, tells_user, .. } = &self.settings;
        let life = *self.life.lock().unwrap_or_else(PoisonError::into_inner);
        let signed = || -> Result<_, IssuerError> {
            let token = issuer.issue(client_id, subject, protocols, life, self.requests())?;
            let id_token = (*tells_user && redeemed.is_some())
                .then(|| issuer.issue_id_token(client_id, subject, life));
            Ok((token, id_token.transpose()?))
        };
        let (token, id_token) = match signed() {
            Ok(tokens) => tokens,
            Err(problem) => {
                let error = error("server_error", &problem.to_string());
                return (StatusCode::INTERNAL_SERVER_ERROR, error).into_response();
            }
        };
        let mut answer = serde_json::json!({
            "token_type": "Bearer",
            "expires_in": life.as_secs(),
            "access_token": token,
        });
        if let Some(fields) = answer.as_object_mut() {
            let successor = redeemed.and_then(|it| it.successor);
            fields.extend(successor.map(|it| ("refresh_token".to_owned(), it.into())));
            fields.extend(id_token.map(|it| ("id_token".to_owned(), it.into())));
        }
        Json(answer).into_response()
    }

    /// Judges a revocation. A token that is unknown is as good as revoked (RFC 7009 section 2.2).
    fn revoke(&self, headers: &HeaderMap, request: &RevocationRequest) -> Result<(), Refusal> {
        let client = Client::read(headers, &request.client_id, &request.client_secret);
        self.identify(&client)?;
        self.settings.consents.end(request.token.as_deref().ok_or(NO_TOKEN)?);
        Ok(())
    }

    /// The client shows its secret.
    fn authenticate(&self, client: &Client) -> Result<(), Refusal> {
        let is_ours = client.secret.as_ref() == Some(&self.settings.client_secret);
        is_ours.then_some(()).ok_or(INVALID_CLIENT)?;
        self.identify(client)
    }

    /// The client names itself, and its secret, if it shows one, is right.
    fn identify(&self, client: &Client) -> Result<(), Refusal> {
        let is_ours = client.id.as_ref() == Some(&self.settings.client_id)
            && client.secret.as_ref().is_none_or(|it| *it == self.settings.client_secret);
        is_ours.then_some(()).ok_or(INVALID_CLIENT)
    }
}

impl Client {
    /// Basic (RFC 6749 section 2.3.1) counts before the body. Ours need no form encoding.
    fn read(headers: &HeaderMap, id: &Option<String>, secret: &Option<String>) -> Self {
        let basic = || {
            let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
            let decoded = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
            let decoded = String::from_utf8(decoded).ok()?;
            let (id, secret) = decoded.split_once(':')?;
            Some(Self { id: Some(id.to_owned()), secret: Some(secret.to_owned()) })
        };
        basic().unwrap_or_else(|| Self { id: id.clone(), secret: secret.clone() })
    }
}

const INVALID_CLIENT: Refusal =
    Refusal { error: "invalid_client", description: "the client or its secret is wrong" };
const INVALID_GRANT: Refusal =
    Refusal { error: "invalid_grant", description: "the refresh token is unknown or was ended" };
const INVALID_REQUEST: Refusal =
    Refusal { error: "invalid_request", description: "this is no form" };
const INVALID_SCOPE: Refusal =
    Refusal { error: "invalid_scope", description: "the scope is unknown or missing" };
const NO_TOKEN: Refusal = Refusal { error: "invalid_request", description: "the token is missing" };
const UNSUPPORTED_GRANT_TYPE: Refusal = Refusal {
    error: "unsupported_grant_type",
    description: "only client_credentials and refresh_token are granted here",
};

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = error(self.error, self.description);
        if self.error == INVALID_CLIENT.error {
            let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"sandbox\"")];
            return (StatusCode::UNAUTHORIZED, challenge, body).into_response();
        }
        (StatusCode::BAD_REQUEST, body).into_response()
    }
}

async fn grant(
    State(endpoint): State<Arc<TokenEndpoint>>,
    Extension(held): Extension<Held>,
    headers: HeaderMap,
    request: Result<Form<TokenRequest>, FormRejection>,
) -> Response {
    let Ok(Form(request)) = request else { return uncached(INVALID_REQUEST) };
    let token = request.refresh_token.as_deref();
    // It counts for as long as the answer is awaited; a client that leaves ends it.
    let _in_flight = token.and_then(|token| endpoint.settings.consents.begin(token));
    let response = endpoint.grant(&headers, &request);
    held.wait(&endpoint.settings.stop).await;
    uncached(response)
}

async fn revoke(
    State(endpoint): State<Arc<TokenEndpoint>>,
    headers: HeaderMap,
    request: Result<Form<RevocationRequest>, FormRejection>,
) -> Response {
    let Ok(Form(request)) = request else { return uncached(INVALID_REQUEST) };
    uncached(endpoint.revoke(&headers, &request))
}

/// RFC 6749 section 5.1.
fn uncached(response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Counts a request, and does what the fault that is due wants.
async fn trouble(
    State(endpoint): State<Arc<TokenEndpoint>>,
    mut request: Request,
    next: Next,
) -> Response {
    let fault = endpoint.faults.take(|fault| *fault != Fault::Close);
    // Before it is counted: who sees the count may release the answer at once.
    request.extensions_mut().insert(endpoint.faults.hold(fault.as_ref()));
    endpoint.count(&endpoint.requests);
    let answer = match fault {
        Some(fault) => fault.answer(&endpoint.settings.stop).await,
        None => None,
    };
    let mut response = match answer {
        Some(answer) => answer,
        None => next.run(request).await,
    };
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Accepts connections, but for those that a fault closes.
struct Gate {
    listener: TcpListener,
    endpoint: Arc<TokenEndpoint>,
}

impl Listener for Gate {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            // Tokio's listener waits a second when descriptors run out, as its `accept` would not.
            let accepted = Listener::accept(&mut self.listener).await;
            if self.endpoint.faults.take(|fault| *fault == Fault::Close).is_none() {
                return accepted;
            }
            self.endpoint.count(&self.endpoint.requests);
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

fn error(error: &str, description: &str) -> Json<serde_json::Value> {
    Json(serde_json::json!({ "error": error, "error_description": description }))
}
