//! The HTTP client of token and revocation endpoints, of issuers and of a machine's own identity.
//!
//! In:     one POST at a time, made by the `oauth2` crate or a form of our own; or one GET.
//! Out:    a JSON answer of at most `BODY_LEN_MAX` bytes, or why there is none; of what an endpoint
//!         sends, only status, content type, OAuth error words and `Retry-After` ever reach that
//!         reason.
//!
//! The `oauth2` crate drops an error answer's headers, so error answers are read here.
//!
//! Limits: [`CONNECT_TIMEOUT`](super::outward::CONNECT_TIMEOUT), and [`DEADLINE`] for everything; no
//!         redirect is followed, because it would carry the client secret somewhere else (RFC 9700
//!         section 4.12).

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oauth2::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use oauth2::url::{Url, form_urlencoded};
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::{Client, Response};
use serde::de::IgnoredAny;

use super::answer::ProviderError;
use super::error::TokenError;
use super::fault::{ContentType, EndpointError, Unavailable};
use super::outward::Outward;
use super::route::Route;
use crate::clock;
use crate::net::egress::Egress;
use crate::provider::AuthorizationServer;

/// How long one token may take, from its request to the last byte of its answer, so that a waiting
/// client hears of a failure within 20 s.
pub(super) const DEADLINE: Duration = Duration::from_secs(15);

/// Longest answer read, in bytes. Real ones have a few KiB.
const BODY_LEN_MAX: usize = 1024 * 1024;

/// The HTTP clients in use, one for each way to trust and to reach an endpoint.
#[derive(Default)]
pub(super) struct Endpoints {
    clients: Mutex<HashMap<Key, Known>>,
    egress: Mutex<Arc<Egress>>,
}

/// What clients differ in: the route, the `ca_file` that is trusted, host and port of the proxy.
type Key = (Route, Option<PathBuf>, Option<String>);

/// A client, and what it was made of.
struct Known {
    client: Client,
    /// Of when the `ca_file` is that it trusts.
    ca_file_of: Option<SystemTime>,
    way: Outward,
}

impl Endpoints {
    /// Says how requests leave this machine from now on.
    pub(super) fn leave_by(&self, egress: Arc<Egress>) {
        *self.egress.lock().unwrap_or_else(PoisonError::into_inner) = egress;
    }

    /// The endpoint of `server` at `url`, which is `name` in the configuration, not yet connected.
    /// Reads `ca_file` and the platform's roots when they are used first, and again when that file
    /// has changed, and the proxy's URL where that is a secret from elsewhere, so it may block. A
    /// failure is not remembered.
    ///
    /// # Errors
    /// When the URL is unfit or there are no certificate authorities to trust.
    pub(super) fn open(
        &self,
        name: &'static str,
        url: &str,
        server: &AuthorizationServer,
    ) -> Result<Endpoint, TokenError> {
        let url = parsed(name, url)?;
        let route = Route::to(&url).ok_or_else(|| {
            unfit(name, url.as_str(), "must be https; only loopback addresses may go without")
        })?;
        self.open_by(route, name, url, server)
    }

    /// The endpoint of `server` at `url` that gives this machine its identity. As [`Self::open`],
    /// but it may be plain http near by, and is never reached through a proxy.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn open_identity(
        &self,
        name: &'static str,
        url: &str,
        server: &AuthorizationServer,
    ) -> Result<Endpoint, TokenError> {
        let url = parsed(name, url)?;
        let route = Route::to_identity(&url).ok_or_else(|| {
            unfit(name, url.as_str(), "must be https; only a local address may go without")
        })?;
        self.open_by(route, name, url, server)
    }

    fn open_by(
        &self,
        route: Route,
        name: &'static str,
        url: Url,
        server: &AuthorizationServer,
    ) -> Result<Endpoint, TokenError> {
        let egress = self.egress.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let way = Outward::to(&url, route, &egress)?;
        let proxy = way.hop.clone();
        let key = (route, server.ca_file.clone(), proxy.clone());
        let lock = || self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let ca_file_of = server.ca_file.as_deref().and_then(modified);
        // A file that is away for a moment does not end a trust that was good.
        let is_current = |known: &&Known| {
            (ca_file_of.is_none() || known.ca_file_of == ca_file_of) && known.way.is_same_as(&way)
        };
        let known = lock().get(&key).filter(is_current).map(|known| known.client.clone());
        let client = match known {
            Some(client) => client,
            None => {
                let client = way.client(route, server)?;
                lock().insert(key, Known { client: client.clone(), ca_file_of, way });
                client
            }
        };
        Ok(Endpoint { client, host: host_of(url.as_str()), url, name, proxy })
    }
}

fn parsed(name: &'static str, url: &str) -> Result<Url, TokenError> {
    Url::parse(url).map_err(|_| unfit(name, url, "is no URL"))
}

fn unfit(name: &'static str, url: &str, problem: &str) -> TokenError {
    TokenError::configuration(format!("{name} {url:?} {problem}"), format!("correct `{name}`"))
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoints").finish_non_exhaustive() // a proxy's password may be inside
    }
}

/// The host of a token endpoint, for logs and errors; the whole text where it is no URL.
pub(super) fn host_of(token_endpoint: &str) -> String {
    let url = Url::parse(token_endpoint).ok();
    url.as_ref().and_then(Url::host_str).unwrap_or(token_endpoint).to_owned()
}

fn modified(file: &Path) -> Option<SystemTime> {
    file.metadata().ok()?.modified().ok()
}

/// One endpoint.
pub(super) struct Endpoint {
    client: Client,
    host: String,
    url: Url,
    /// Its key in the configuration.
    name: &'static str,
    /// Host and port of the proxy through which it is asked.
    proxy: Option<String>,
}

impl Endpoint {
    /// Its host, for logs and errors.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Its URL.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Posts `form`; gives the body of an answer that is a success.
    pub(super) async fn post(&self, form: &[(&str, &str)]) -> Result<Vec<u8>, EndpointError> {
        self.post_as(form, None).await
    }

    /// Posts `form` with this value of `Authorization`.
    pub(super) async fn post_as(
        &self,
        form: &[(&str, &str)],
        authorization: Option<HeaderValue>,
    ) -> Result<Vec<u8>, EndpointError> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request = HttpRequest::new(body.into_bytes());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri(&self.url)?;
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(header::CONTENT_TYPE, form);
        if let Some(authorization) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization);
        }
        let response = self.send(request).await?;
        if !response.status().is_success() {
            return Err(read_error(response).await);
        }
        Ok(read_body(response).await.map_err(Unavailable::lost)?)
    }

    /// Gets what is there for `query`, with `headers`; gives the body of an answer that is a
    /// success.
    pub(super) async fn get(
        &self,
        query: &[(&str, &str)],
        headers: HeaderMap,
    ) -> Result<Vec<u8>, GetError> {
        let mut url = self.url.clone();
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = HttpRequest::new(Vec::new());
        *request.uri_mut() = self.uri(&url)?;
        *request.headers_mut() = headers;
        let response = self.send(request).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(GetError { status: Some(status), error: read_error(response).await });
        }
        // Nothing was changed there, so an answer that is cut off costs nothing.
        Ok(read_body(response).await?)
    }

    fn uri(&self, url: &Url) -> Result<Uri, Unavailable> {
        url.as_str().parse().map_err(|_| {
            let reason = format!("`{}` is no URL that HTTP knows", self.name);
            Unavailable::new(reason).mended_by(format!("correct `{}`", self.name))
        })
    }

    /// Sends `request`, reads the answer, and gives back what the `oauth2` crate can read.
    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, EndpointError> {
        let response = self.send(request).await?;
        let (status, content_type) = (response.status(), ContentType::of(&response));
        if !status.is_success() {
            return Err(read_error(response).await);
        }
        let retry_after = retry_after(&response);
        let body = read_body(response).await.map_err(Unavailable::lost)?;
        // A refresh token may be in it, so what the answer is called counts for less than what it is.
        if matches!(content_type, ContentType::Other(_)) && !is_json(&body) {
            return Err(Unavailable::unfit(status, &content_type, retry_after).lost().into());
        }
        Ok(HttpResponse::new(body))
    }

    async fn send(&self, request: HttpRequest) -> Result<Response, Unavailable> {
        let of = |error: reqwest::Error| Unavailable::of(&error, self.name, self.proxy.as_deref());
        let request = reqwest::Request::try_from(request).map_err(of)?;
        let response = self.client.execute(request).await.map_err(of)?;
        let status = response.status();
        if status.is_redirection() {
            let code = status.as_u16();
            let reason = format!("it answers HTTP {code}, a redirect, and those are not followed");
            return Err(Unavailable::new(reason).mended_by(format!("correct `{}`", self.name)));
        }
        Ok(response)
    }
}

/// Why a GET gave nothing.
#[derive(Debug)]
pub(super) struct GetError {
    /// The status of the answer, if there was one that could be taken.
    pub(super) status: Option<StatusCode>,
    /// What happened.
    pub(super) error: EndpointError,
}

impl From<Unavailable> for GetError {
    fn from(unavailable: Unavailable) -> Self {
        Self { status: None, error: unavailable.into() }
    }
}

/// Reads an answer that is no success.
async fn read_error(response: Response) -> EndpointError {
    let (status, content_type) = (response.status(), ContentType::of(&response));
    let retry_after = retry_after(&response);
    let body = match (read_body(response).await, &content_type) {
        (Ok(body), _) => body,
        (Err(error), ContentType::Json | ContentType::Untold) => return error.into(),
        (Err(_), ContentType::Other(_)) => Vec::new(),
    };
    let Some(said) = ProviderError::parse(&body).map(Box::new) else {
        let unfit = Unavailable::unfit(status, &content_type, retry_after);
        // A gateway tells that it had no answer, and not that the endpoint did nothing.
        let is_answer_lost =
            matches!(status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT);
        return Unavailable { is_answer_lost, ..unfit }.into();
    };
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        let reason = format!("it answers HTTP {} ({said})", status.as_u16());
        Unavailable { said: Some(said), retry_after, ..Unavailable::new(reason) }.into()
    } else {
        EndpointError::Refused { said, retry_after }
    }
}

/// How long the endpoint wants to be left alone (RFC 9110 section 10.2.3): seconds, or until a
/// date.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(date.saturating_sub(clock::unix_time()))
}

impl<'c> AsyncHttpClient<'c> for Endpoint {
    type Error = EndpointError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, EndpointError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.exchange(request))
    }
}

/// Reads an answer's body, piece by piece so that a length that was promised costs nothing.
async fn read_body(mut response: Response) -> Result<Vec<u8>, Unavailable> {
    let mut body = Vec::new();
    let broke = |error: reqwest::Error| Unavailable::broke(&error);
    while let Some(piece) = response.chunk().await.map_err(broke)? {
        if body.len() + piece.len() > BODY_LEN_MAX {
            return Err(Unavailable::new("its answer is longer than 1 MiB".into()));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SecretSource;

    #[test]
    fn ca_file_is_read_again_when_it_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let write = |text: &str, at: u64| {
            std::fs::write(&path, text).unwrap();
            let file = std::fs::File::options().append(true).open(&path).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(at)).unwrap();
        };
        let authority = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap();
        let server =
            AuthorizationServer { ca_file: Some(path.clone()), ..AuthorizationServer::default() };
        let open = |endpoints: &Endpoints| {
            endpoints.open("token_endpoint", "https://127.0.0.1:1/token", &server).map(drop)
        };
        let endpoints = Endpoints::default();
        write(&authority.cert.pem(), 1);
        assert!(open(&endpoints).is_ok());
        write("no certificate", 2);
        assert!(open(&endpoints).is_err());
        std::fs::remove_file(&path).unwrap();
        assert!(open(&endpoints).is_ok(), "what was trusted holds while the file is away");
    }

    #[test]
    fn url_of_the_proxy_is_read_again_when_its_file_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, ca_file) = (dir.path().join("proxy"), dir.path().join("ca.pem"));
        let authority = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap();
        std::fs::write(&ca_file, authority.cert.pem()).unwrap();
        let server =
            AuthorizationServer { ca_file: Some(ca_file), ..AuthorizationServer::default() };
        let endpoints = Endpoints::default();
        let http_proxy = Some(SecretSource::File(file.clone()));
        endpoints.leave_by(Arc::new(Egress { http_proxy, ..Egress::default() }));
        let open = || endpoints.open("token_endpoint", "https://login.example/token", &server);
        for url in ["http://one.example:3128\n", "http://u:p@two.example:3128"] {
            std::fs::write(&file, url).unwrap();
            let proxy = open().unwrap_or_else(|error| panic!("{error}")).proxy.unwrap();
            assert!(url.contains(&proxy), "{proxy}");
        }
        std::fs::write(&file, "socks5://u:tell-nobody@proxy").unwrap();
        let error = open().map(drop).unwrap_err();
        assert!(error.cause.starts_with("`egress.http_proxy` is no URL"), "{error:?}");
        assert!(!format!("{error:?}").contains("tell-nobody"), "{error:?}");
    }
}
