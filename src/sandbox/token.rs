//! The token endpoint, over plain HTTP on loopback, for every kind of grant (RFC 6749 sections 4 and
//! 6, RFC 7523, RFC 8628), and beside it device codes and the revocation of refresh tokens (RFC
//! 7009).
//!
//! In:  a form, and the client in the body, by Basic or by an assertion. Who shows a consent may do
//!      without, as a public client does. Out: a JWT, or an error of RFC 6749 section 5.2, or what
//!      a fault says.
//! Every answer closes its connection, so that a fault meets the next request for certain.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::FormRejection;
use axum::extract::{DefaultBodyLimit, Extension, Form, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::Listener;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::authorize;
use super::client::Client;
use super::codes::Codes;
use super::conduct::Conduct;
use super::consents::Consents;
use super::devices::Devices;
use super::fault::{Fault, Faults, Held};
use super::issuer::Issuer;
use super::refusal::{INCOMPLETE, INVALID_REQUEST, Refusal};

/// Longest request body, in bytes. A client assertion, the longest field in use, has 2 KiB.
const BODY_LEN_MAX: usize = 65_536;

/// What the endpoint is like.
pub(super) struct TokenSettings {
    pub(super) client_id: String,
    pub(super) client_secret: String,
    /// Claim `sub` of an application's tokens; the client itself if left out.
    pub(super) subject: Option<String>,
    pub(super) life: Duration,
    /// The password of every mailbox, if they have one.
    pub(super) password: Option<String>,
    /// A redirect URI besides those of loopback addresses.
    pub(super) redirect_uri: Option<String>,
    /// How often a device may poll, in whole seconds.
    pub(super) device_interval: Duration,
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
    pub(super) settings: TokenSettings,
    pub(super) life: Mutex<Duration>,
    pub(super) faults: Faults,
    pub(super) codes: Codes,
    pub(super) devices: Devices,
    pub(super) conduct: Mutex<Conduct>,
    requests: AtomicU64,
    pub(super) refreshes: AtomicU64,
}

#[derive(Deserialize)]
pub(super) struct TokenRequest {
    pub(super) grant_type: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<String>,
    pub(super) client_assertion_type: Option<String>,
    pub(super) client_assertion: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) refresh_token: Option<String>,
    pub(super) code: Option<String>,
    pub(super) code_verifier: Option<String>,
    pub(super) redirect_uri: Option<String>,
    pub(super) device_code: Option<String>,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) assertion: Option<String>,
    /// What is taken back (RFC 7009 section 2.1).
    pub(super) token: Option<String>,
}

impl TokenEndpoint {
    /// Nothing has gone wrong yet.
    pub(super) fn new(settings: TokenSettings) -> Self {
        let life = Mutex::new(settings.life);
        Self {
            settings,
            life,
            faults: Faults::new(),
            codes: Codes::default(),
            devices: Devices::default(),
            conduct: Mutex::default(),
            requests: AtomicU64::new(0),
            refreshes: AtomicU64::new(0),
        }
    }

    /// The one client's id.
    pub(super) fn client_id(&self) -> &str {
        &self.settings.client_id
    }

    /// The one client's secret.
    pub(super) fn client_secret(&self) -> &str {
        &self.settings.client_secret
    }

    /// What it calls itself.
    pub(super) fn issuer(&self) -> &str {
        self.settings.issuer.name()
    }

    /// The key that verifies its tokens.
    pub(super) fn public_key(&self) -> &serde_json::Value {
        self.settings.issuer.public_key()
    }

    /// The redirect URI that is configured.
    pub(super) fn redirect_uri(&self) -> Option<&str> {
        self.settings.redirect_uri.as_deref()
    }

    /// How consents go now.
    pub(super) fn conduct(&self) -> Conduct {
        self.conduct.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
            .route("/device", post(begin_device))
            .route("/revoke", post(revoke))
            .route_layer(middleware::from_fn_with_state(Arc::clone(&self), trouble))
            .route("/authorize", get(authorize::authorize))
            .route("/verify", get(authorize::verify))
            .route("/jwks", get(authorize::keys))
            .route("/.well-known/openid-configuration", get(authorize::metadata))
            .route("/.well-known/oauth-authorization-server", get(authorize::metadata))
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

    pub(super) fn count(&self, counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::SeqCst);
        self.settings.changes.send_replace(());
    }

    /// Judges a revocation. A token that is unknown is as good as revoked (RFC 7009 section 2.2).
    fn revoke(&self, headers: &HeaderMap, request: &TokenRequest) -> Result<(), Refusal> {
        self.identify(&Client::read(headers, request))?;
        self.settings.consents.end(request.token.as_deref().ok_or(INCOMPLETE)?);
        Ok(())
    }

    /// Its URL.
    pub(super) fn url(&self) -> String {
        format!("{}/token", self.issuer())
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
    request: Result<Form<TokenRequest>, FormRejection>,
) -> Response {
    let Ok(Form(request)) = request else { return uncached(INVALID_REQUEST) };
    uncached(endpoint.revoke(&headers, &request))
}

async fn begin_device(
    State(endpoint): State<Arc<TokenEndpoint>>,
    headers: HeaderMap,
    request: Result<Form<TokenRequest>, FormRejection>,
) -> Response {
    let Ok(Form(request)) = request else { return uncached(INVALID_REQUEST) };
    uncached(endpoint.begin_device(&headers, &request))
}

/// RFC 6749 section 5.1.
pub(super) fn uncached(response: impl IntoResponse) -> Response {
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
