//! The page: the accounts with their state, and consent by browser and by device code.
//!
//! In:     requests of browsers. Who asks is looked at by `door`, who is signed in by
//!         `sessions`; every POST carries the token of a form that was shown to its browser.
//! Out:    pages without scripts; nothing that is secret. What gives tokens, passwords or the
//!         configuration away is asked of the control socket alone.
//! Limits: those of `http`; a body of `BODY_LEN_MAX` bytes within
//!         `BODY_TIMEOUT`.
//!
//! `GET /oauth/callback` is the one path that needs no session: a provider's answer is known by its
//! `state`.

mod accounts;
mod callback;
mod consents;
mod door;
mod login;
mod qr;
mod sessions;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request, State};
use axum::http::header::{ALLOW, LOCATION, SET_COOKIE};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Form, Router};
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::consents::Shown;
use self::door::{Door, Origins, Visit};
use self::sessions::{Cookie, Sessions};
use super::admin::AdminToken;
use super::html::{self, Document, Place, Referrer};
use super::http::{Ends, Front, Shares, serve_front};
use super::operator::{Class, Operator, OperatorError};
use crate::account::password::RandomError;
use crate::net::tls::certificates::Certificate;

/// Longest body of a request, in bytes: a form with a few names.
const BODY_LEN_MAX: usize = 64 * 1024;

/// How long a body may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the answers of providers come.
const CALLBACK: &str = "/oauth/callback";

/// Where the admin token is shown.
const LOGIN: &str = "/login";

/// The field of a form that holds its token.
const FORM_TOKEN: &str = "form_token";

/// What the configuration says of the page.
#[derive(Clone, Default)]
pub struct Site {
    /// `web.public_url`.
    pub public_url: Option<String>,
    /// What TLS begins with; without it clear http is spoken.
    pub tls: Option<Arc<Certificate>>,
    /// Proxies that may speak for a client.
    pub behind_proxy: Vec<IpNet>,
    /// What whoever uses the page has to show.
    pub admin_token: Option<AdminToken>,
}

/// The page. It outlives a reload, and its sessions do.
pub struct Page {
    desk: Arc<Desk>,
    front: watch::Sender<Front>,
}

impl Page {
    /// The page of `site`, on which people act by `operator`.
    ///
    /// # Errors
    /// When the system yields no random numbers.
    pub fn new(operator: Operator, site: Site) -> Result<Self, RandomError> {
        let desk = Arc::new(Desk {
            operator,
            sessions: Sessions::new()?,
            turns: Arc::new(Semaphore::new(login::TURNS)),
            shown: Shown::default(),
        });
        let front = watch::Sender::new(front(&desk, site));
        Ok(Self { desk, front })
    }

    /// Puts another configuration in force, for connections that begin from now on. Sessions of
    /// another admin token end.
    pub fn change(&self, site: Site) {
        let sessions = &self.desk.sessions;
        let token = site.admin_token.as_ref();
        sessions.keep_those_of(token.map(|token| token.first_stamp(sessions.key())));
        self.front.send_replace(front(&self.desk, site));
    }

    /// Answers on `listener` until `stop`.
    pub fn serve(
        &self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        serve_front(listener, self.front.subscribe(), stop)
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}

/// What the page has whatever the configuration says.
struct Desk {
    operator: Operator,
    sessions: Sessions,
    /// How many admin tokens are looked at at once.
    turns: Arc<Semaphore>,
    /// What people were asked to do.
    shown: Shown,
}

/// What answers a request.
#[derive(Clone)]
struct Room {
    desk: Arc<Desk>,
    door: Arc<Door>,
    admin_token: Option<AdminToken>,
}

/// Who asks.
#[derive(Debug, Clone)]
struct Visitor {
    visit: Visit,
    cookie: Cookie,
    is_signed_in: bool,
    /// What a form for this browser carries.
    form_token: String,
    /// Whether there is anything to sign out of.
    has_session: bool,
}

/// The fields of a form, in its order.
#[derive(Debug, Clone, Default)]
struct Fields(Arc<Vec<(String, String)>>);

impl Fields {
    /// What stands in the field `name`; nothing where it is not there.
    fn get(&self, name: &str) -> &str {
        let field = self.0.iter().find(|(key, _)| key == name);
        field.map_or("", |(_, value)| value)
    }
}

fn front(desk: &Arc<Desk>, site: Site) -> Front {
    let Site { public_url, tls, behind_proxy, admin_token } = site;
    let door = Door { public_origin: public_url, behind_proxy: behind_proxy.clone() };
    let room = Room { desk: Arc::clone(desk), door: Arc::new(door), admin_token };
    Front { router: router(room), tls, proxies: behind_proxy, shares: Shares::UNLIMITED_HERE }
}

fn router(room: Room) -> Router {
    Router::new()
        .route("/", get(accounts::show))
        .route("/accounts/{name}/authorize", post(consents::by_browser))
        .route("/accounts/{name}/device", post(consents::by_device))
        .route("/consents/{id}", get(consents::show))
        .route(CALLBACK, get(callback::take))
        .route(LOGIN, get(login::show).post(login::begin))
        .route("/logout", post(login::end))
        .fallback(async || plain(StatusCode::NOT_FOUND, "there is no such page"))
        .method_not_allowed_fallback(async || not_allowed())
        .layer(from_fn_with_state(room.clone(), receive))
        // Outside of what reads the body.
        .layer(DefaultBodyLimit::max(BODY_LEN_MAX))
        .with_state(room)
}

/// Lets a request in, or says why not; whatever is answered, nothing may keep or frame it.
async fn receive(
    State(room): State<Room>,
    Extension(ends): Extension<Ends>,
    request: Request,
    next: Next,
) -> Response {
    let is_callback = request.uri().path() == CALLBACK;
    let response = match room.look_at(ends, request).await {
        Ok((request, cookie)) => {
            let mut response = next.run(request).await;
            if let Some(cookie) = cookie {
                // One that a sign-in gave stands.
                response.headers_mut().entry(SET_COOKIE).or_insert(cookie);
            }
            response
        }
        Err(response) => *response,
    };
    html::guarded(response, if is_callback { Referrer::Nobody } else { Referrer::Own })
}

impl Room {
    /// Gives the request with its [`Visitor`] and its [`Fields`], and the cookie that the browser
    /// is to get.
    async fn look_at(
        &self,
        ends: Ends,
        request: Request,
    ) -> Result<(Request, Option<HeaderValue>), Box<Response>> {
        // HEAD is none of them: it would be answered by what GET does, and redeem a code.
        if request.method() != Method::GET && request.method() != Method::POST {
            return Err(Box::new(not_allowed()));
        }
        let (mut parts, body) = request.into_parts();
        let is_answer = parts.uri.path() == CALLBACK && parts.method == Method::GET;
        let origins = if is_answer { Origins::Any } else { Origins::Own };
        let visit = self
            .door
            .admit(ends, &parts, origins)
            .map_err(|refused| Box::new(plain(refused.status, refused.problem)))?;
        if is_answer {
            return Ok((Request::from_parts(parts, body), None));
        }
        let (visitor, cookie) = self.visitor(visit, &parts.headers)?;
        if !visitor.is_signed_in && parts.uri.path() != LOGIN {
            return Err(Box::new(if parts.method == Method::GET {
                see_other(LOGIN)
            } else {
                plain(StatusCode::FORBIDDEN, "sign in first")
            }));
        }
        if parts.method == Method::POST {
            let request = Request::from_parts(parts.clone(), body);
            let fields = fields(request).await.map_err(Box::new)?;
            if !self.desk.sessions.has_shown(&visitor.cookie, fields.get(FORM_TOKEN)) {
                let problem = "this form was not made for this browser, or before the last start: \
                               go back, load the page again and repeat it";
                return Err(Box::new(plain(StatusCode::FORBIDDEN, problem)));
            }
            parts.extensions.insert(fields);
            parts.extensions.insert(visitor);
            return Ok((Request::from_parts(parts, Body::empty()), cookie));
        }
        parts.extensions.insert(visitor);
        Ok((Request::from_parts(parts, body), cookie))
    }

    /// Who sends these `headers`, and the cookie if it is a new one.
    fn visitor(
        &self,
        visit: Visit,
        headers: &axum::http::HeaderMap,
    ) -> Result<(Visitor, Option<HeaderValue>), Box<Response>> {
        let sessions = &self.desk.sessions;
        let known = Cookie::read(headers, visit.is_https);
        let is_new = known.is_none();
        let cookie = known
            .map_or_else(Cookie::draw, Ok)
            .map_err(|error| Box::new(plain(StatusCode::SERVICE_UNAVAILABLE, error.to_string())))?;
        let has_session = self.admin_token.is_some() && sessions.knows(&cookie);
        let header = if is_new { cookie.header(visit.is_https) } else { None };
        let visitor = Visitor {
            visit,
            is_signed_in: has_session || self.admin_token.is_none(),
            form_token: sessions.form_token(&cookie),
            has_session,
            cookie,
        };
        Ok((visitor, header))
    }
}

impl Visitor {
    /// A page for this browser.
    fn page(&self, status: StatusCode, title: &str, body: &str) -> Response {
        self.page_that_comes_again(status, title, body, None)
    }

    /// A page that the browser asks for again after that time.
    fn page_that_comes_again(
        &self,
        status: StatusCode,
        title: &str,
        body: &str,
        refresh: Option<Duration>,
    ) -> Response {
        let signs_out = self.has_session.then_some(self.form_token.as_str());
        let document = Document { title, refresh, signs_out, has_home: self.is_signed_in, body };
        (status, Html(document.render())).into_response()
    }

    /// A page that tells what went wrong.
    fn trouble(&self, title: &str, error: &OperatorError) -> Response {
        let body =
            html::trouble(error, Place::Page) + "<p><a href=\"/\">Back to the accounts</a></p>";
        self.page(status_of(error), title, &body)
    }
}

/// Reads the form in the body of `request`.
async fn fields(request: Request) -> Result<Fields, Response> {
    match timeout(BODY_TIMEOUT, Form::<Vec<(String, String)>>::from_request(request, &())).await {
        Ok(Ok(Form(fields))) => Ok(Fields(Arc::new(fields))),
        // The rejection's own text may repeat what was sent.
        Ok(Err(rejection)) => Err(plain(rejection.status(), "this is no form of the page")),
        Err(_) => Err(plain(StatusCode::REQUEST_TIMEOUT, "the form did not come in time")),
    }
}

/// The status of an answer that tells of `error`.
fn status_of(error: &OperatorError) -> StatusCode {
    match error.class() {
        Class::TryLater => StatusCode::SERVICE_UNAVAILABLE,
        Class::Usage if matches!(error, OperatorError::NoSuchAccount { .. }) => {
            StatusCode::NOT_FOUND
        }
        Class::Usage | Class::Failed | Class::Configuration => StatusCode::BAD_REQUEST,
    }
}

fn not_allowed() -> Response {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "the page knows GET and POST alone");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
    response
}

/// A sentence.
fn plain(status: StatusCode, sentence: impl Into<String>) -> Response {
    (status, sentence.into() + "\n").into_response()
}

/// Sends a browser to `path`, which is ours, by GET.
fn see_other(path: &str) -> Response {
    let Ok(uri) = path.parse::<Uri>() else {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "there is no such path");
    };
    let Ok(location) = HeaderValue::from_str(&uri.to_string()) else {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "there is no such path");
    };
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

/// Carries `task` to its end even if the browser goes: a new refresh token may be on its way.
async fn carried_through<T: Send + 'static>(
    task: impl Future<Output = Result<T, OperatorError>> + Send + 'static,
) -> Result<T, OperatorError> {
    tokio::spawn(task).await.unwrap_or(Err(OperatorError::BrokenOff))
}
