//! The token endpoint: client credentials (RFC 6749 section 4.4) over plain HTTP on loopback.
//!
//! In:  `grant_type`, `scope`, and the client in the body or by Basic. Out: a JWT, or an error of
//!      RFC 6749 section 5.2, or what a fault says.
//! Every answer closes its connection, so that a fault meets the next request for certain.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{DefaultBodyLimit, Form, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::serve::Listener;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::issuer::{self, Issuer};
use super::script::Times;

/// Longest request body, in bytes. A client assertion, the longest field in use, has 2 KiB.
const BODY_LEN_MAX: usize = 65_536;

/// Something that goes wrong at the token endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This status, content type and body.
    Status(u16, String, String),
    /// 200 with the page of a captive portal.
    Html,
    /// 307 to this URL.
    Redirect(String),
    /// No answer until the sandbox is dropped.
    Hang,
    /// The connection is closed before the request is read. It counts as a request.
    Close,
}

/// What the endpoint is like.
pub(super) struct TokenSettings {
    pub(super) client_id: String,
    pub(super) client_secret: String,
    /// Claim `sub`; the client itself if left out.
    pub(super) subject: Option<String>,
    pub(super) life: Duration,
    pub(super) issuer: Arc<Issuer>,
    /// Ends it, and what hangs there.
    pub(super) stop: CancellationToken,
    /// Told of every request.
    pub(super) changes: watch::Sender<()>,
}

/// The endpoint, shared by those who speak to it and those who watch it.
pub(super) struct TokenEndpoint {
    settings: TokenSettings,
    requests: AtomicU64,
    faults: Mutex<VecDeque<(Fault, Times)>>,
}

#[derive(Deserialize)]
struct TokenRequest {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    scope: Option<String>,
}

impl TokenEndpoint {
    /// Nothing has gone wrong yet.
    pub(super) fn new(settings: TokenSettings) -> Self {
        Self { settings, requests: AtomicU64::new(0), faults: Mutex::default() }
    }

    /// The one client's id.
    pub(super) fn client_id(&self) -> &str {
        &self.settings.client_id
    }

    /// The one client's secret.
    pub(super) fn client_secret(&self) -> &str {
        &self.settings.client_secret
    }

    /// Serves it until `stop` is cancelled.
    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let stop = self.settings.stop.clone();
        let listener = Gate { listener, endpoint: Arc::clone(&self) };
        let router = axum::Router::new()
            .route("/token", post(grant))
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

    fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.settings.changes.send_replace(());
    }

    /// Adds a fault, behind those that wait already.
    pub(super) fn add_fault(&self, fault: Fault, times: Times) {
        self.with_faults(|faults| faults.push_back((fault, times)));
    }

    /// Removes all faults. What hangs goes on hanging.
    pub(super) fn clear_faults(&self) {
        self.with_faults(VecDeque::clear);
    }

    /// The fault that is due, counted as done, if it is a `wanted` one.
    fn take_fault(&self, wanted: fn(&Fault) -> bool) -> Option<Fault> {
        self.with_faults(|faults| {
            faults.retain(|(_, times)| *times != Times::Next(0));
            let (fault, times) = faults.front_mut().filter(|(fault, _)| wanted(fault))?;
            *times = times.count().1;
            Some(fault.clone())
        })
    }

    fn with_faults<T>(&self, change: impl FnOnce(&mut VecDeque<(Fault, Times)>) -> T) -> T {
        change(&mut self.faults.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Judges a request.
    fn grant(&self, headers: &HeaderMap, request: &TokenRequest) -> Response {
        let basic = basic_credentials(headers);
        let posted = request.client_id.clone().zip(request.client_secret.clone());
        let client = basic.or(posted);
        let settings = &self.settings;
        if client.is_none_or(|it| it.0 != settings.client_id || it.1 != settings.client_secret) {
            let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"sandbox\"")];
            let error = error("invalid_client", "the client or its secret is wrong");
            return (StatusCode::UNAUTHORIZED, challenge, error).into_response();
        }
        if request.grant_type.as_deref() != Some("client_credentials") {
            let error = error("unsupported_grant_type", "only client_credentials is granted here");
            return (StatusCode::BAD_REQUEST, error).into_response();
        }
        let scope = request.scope.as_deref().unwrap_or_default();
        let Some(protocols) = issuer::protocols_of(scope) else {
            let error = error("invalid_scope", "the scope is unknown or missing");
            return (StatusCode::BAD_REQUEST, error).into_response();
        };
        let TokenSettings { client_id, life, .. } = settings;
        let subject = settings.subject.as_ref().unwrap_or(client_id);
        match settings.issuer.issue(client_id, subject, &protocols, *life, self.requests()) {
            Ok(token) => Json(serde_json::json!({
                "token_type": "Bearer",
                "expires_in": life.as_secs(),
                "access_token": token,
            }))
            .into_response(),
            Err(problem) => {
                let error = error("server_error", &problem.to_string());
                (StatusCode::INTERNAL_SERVER_ERROR, error).into_response()
            }
        }
    }
}

async fn grant(
    State(endpoint): State<Arc<TokenEndpoint>>,
    headers: HeaderMap,
    request: Result<Form<TokenRequest>, FormRejection>,
) -> Response {
    let mut response = match request {
        Ok(Form(request)) => endpoint.grant(&headers, &request),
        Err(_) => {
            (StatusCode::BAD_REQUEST, error("invalid_request", "this is no form")).into_response()
        }
    };
    // RFC 6749 section 5.1.
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

/// Counts a request, and does what the fault that is due wants.
async fn trouble(
    State(endpoint): State<Arc<TokenEndpoint>>,
    request: Request,
    next: Next,
) -> Response {
    endpoint.count_request();
    let mut response = match endpoint.take_fault(|fault| *fault != Fault::Close) {
        None | Some(Fault::Close) => next.run(request).await,
        Some(Fault::Status(status, content_type, body)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
        }
        Some(Fault::Html) => {
            axum::response::Html("<html><body>Sign in to the guest network</body></html>")
                .into_response()
        }
        Some(Fault::Redirect(url)) => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, url)]).into_response()
        }
        Some(Fault::Hang) => {
            endpoint.settings.stop.cancelled().await;
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    };
    response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
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
            if self.endpoint.take_fault(|fault| *fault == Fault::Close).is_none() {
                return accepted;
            }
            self.endpoint.count_request();
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Client id and secret by Basic (RFC 6749 section 2.3.1). Ours need no form encoding.
fn basic_credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let decoded = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

fn error(error: &str, description: &str) -> Json<serde_json::Value> {
    Json(serde_json::json!({ "error": error, "error_description": description }))
}
