//! The redirect listener: where a browser on this machine brings one answer.
//!
//! Source: RFC 8252 section 7.3 (loopback redirection, a port that is free) and section 8.3; Entra
//!         takes `http://localhost` and ignores the port.
//! In:     GET of `/`, for the host of the redirect URI, with the `state` that is waited for. All
//!         else, favicons and other tabs' requests, is answered with 404 and changes nothing.
//! Out:    the page at the end of a consent.
//! Ends:   with the consent, or after [`REQUESTS_MAX`].

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::html::{self, Referrer};
use super::http;
use super::operator::Operator;
use crate::oauth::Redirected;
use crate::provider::LoopbackRedirect;

/// How many requests are answered: browsers ask for icons and try again, and none does so this
/// often.
const REQUESTS_MAX: usize = 100;

/// How long the browser that brought the answer may take to read the page. It is on this machine.
const LAST_PAGE_TIMEOUT: Duration = Duration::from_secs(1);

/// A redirect listener that is bound and answers nobody yet.
#[derive(Debug)]
pub(super) struct Callback {
    listeners: Vec<TcpListener>,
    /// What browsers write in `Host`.
    host: String,
    redirect_uri: String,
}

/// A redirect listener that answers. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Listening {
    servers: JoinSet<()>,
    stop: CancellationToken,
    flooded: CancellationToken,
}

/// What the requests share.
struct Shared {
    operator: Operator,
    host: String,
    state: String,
    left: AtomicUsize,
    flooded: CancellationToken,
}

impl Callback {
    /// Takes `listeners`, which all have one port.
    ///
    /// # Errors
    /// When there is none, or the system does not tell the port.
    pub(super) fn new(listeners: Vec<TcpListener>, like: LoopbackRedirect) -> io::Result<Self> {
        let first = listeners.first().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let port = first.local_addr()?.port();
        let (host, redirect_uri) = match like {
            LoopbackRedirect::Localhost => {
                (format!("localhost:{port}"), format!("http://localhost:{port}"))
            }
            LoopbackRedirect::Address => {
                (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}/"))
            }
        };
        Ok(Self { listeners, host, redirect_uri })
    }

    /// The redirect URI at which a browser finds it.
    pub(super) fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Hands the answer that has `state` to `operator`.
    pub(super) fn serve(self, operator: Operator, state: String) -> Listening {
        let (stop, flooded) = (CancellationToken::new(), CancellationToken::new());
        let left = AtomicUsize::new(REQUESTS_MAX);
        let flooded_too = flooded.clone();
        let shared = Shared { operator, host: self.host, state, left, flooded: flooded_too };
        let router = Router::new().fallback(answer).with_state(Arc::new(shared));
        let mut servers = JoinSet::new();
        for listener in self.listeners {
            let (router, stop) = (router.clone(), stop.clone());
            servers.spawn(http::serve(listener, router, http::Shares::UNLIMITED_HERE, stop));
        }
        Listening { servers, stop, flooded }
    }
}

impl Listening {
    /// Waits until it was asked more often than it answers.
    pub(super) async fn flooded(&self) {
        self.flooded.cancelled().await;
    }

    /// Takes no more requests, and lets those that run have their page.
    pub(super) async fn close(mut self) {
        self.stop.cancel();
        let closing = async { while self.servers.join_next().await.is_some() {} };
        let _ = timeout(LAST_PAGE_TIMEOUT, closing).await; // whoever is late is cut off
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let count = |left: usize| left.checked_sub(1);
    if shared.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).is_err() {
        shared.flooded.cancel();
        return nothing_here();
    }
    let Some(query) = shared.query_of(&request) else { return nothing_here() };
    let outcome = shared.operator.answer_consent(query).await;
    let page = html::consent_ended(outcome.as_ref().map(|kept| &kept.it));
    let status = if outcome.is_ok() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    html::answer(status, page, Referrer::Nobody)
}

impl Shared {
    /// The query of the answer that is waited for, if `request` brings it.
    fn query_of<'r>(&self, request: &'r Request) -> Option<&'r str> {
        // By another name it would be a page elsewhere whose name was led here (DNS rebinding). A
        // target with a name of its own is for proxies.
        let hosts: Vec<_> = request.headers().get_all(header::HOST).iter().collect();
        let is_ours = matches!(hosts[..], [host] if host.as_bytes() == self.host.as_bytes());
        let is_ours = is_ours && request.uri().authority().is_none();
        if !is_ours || request.method() != Method::GET || request.uri().path() != "/" {
            return None;
        }
        let query = request.uri().query()?;
        let redirected = Redirected::parse(query).ok()?;
        let state = redirected.state()?.as_bytes();
        verify_slices_are_equal(state, self.state.as_bytes()).is_ok().then_some(query)
    }
}

fn nothing_here() -> Response {
    let nothing = (StatusCode::NOT_FOUND, "nothing waits here for this\n").into_response();
    html::guarded(nothing, Referrer::Nobody)
}
