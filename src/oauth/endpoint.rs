//! The HTTP client of token endpoints.
//!
//! In:     one POST at a time, made by the `oauth2` crate.
//! Out:    a JSON answer of at most `BODY_LEN_MAX` bytes, or why there is none; of what an endpoint
//!         sends, only status, content type and OAuth error words ever reach that reason.
//! Limits: `CONNECT_TIMEOUT`, and [`DEADLINE`] for everything; no redirect is followed, because it
//!         would carry the client secret somewhere else (RFC 9700 section 4.12).

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oauth2::http::{StatusCode, header};
use oauth2::url::{Host, Url};
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse, TokenUrl};
use reqwest::{Client, Response, redirect};
use rustls::{ClientConfig, RootCertStore};

use super::answer::ProviderError;
use super::error::TokenError;
use crate::net::tls;
use crate::proto::printable;
use crate::provider::Grant;

/// How long one token may take, from its request to the last byte of its answer, so that a waiting
/// client hears of a failure within 20 s.
pub(super) const DEADLINE: Duration = Duration::from_secs(15);

/// How long name resolution, TCP, a proxy and TLS may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest answer read, in bytes. Real ones have a few KiB.
const BODY_LEN_MAX: usize = 1024 * 1024;

/// Longest content type shown in a reason, in bytes.
const CONTENT_TYPE_LEN_MAX: usize = 80;

/// Longest cause of a failed connection shown in a reason, in bytes.
const CAUSE_LEN_MAX: usize = 300;

/// What we call ourselves.
const USER_AGENT: &str = concat!("mailbearer/", env!("CARGO_PKG_VERSION"));

/// The HTTP clients in use, one for each way to trust and to reach an endpoint.
#[derive(Default)]
pub(super) struct Endpoints {
    clients: Mutex<HashMap<(Route, Option<PathBuf>), Client>>,
}

/// How an endpoint is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Route {
    /// http, on this machine.
    LoopbackClear,
    /// https, on this machine: never through a proxy, which would look for it on its own.
    Loopback,
    /// https, through the proxy that the usual environment variables name, if they do.
    Outward,
}

impl Route {
    /// The route to `url`; `None` where secrets would cross a network in clear.
    fn to(url: &Url) -> Option<Self> {
        let loopback = match url.host()? {
            Host::Domain(name) => name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        match (url.scheme(), loopback) {
            ("http", true) => Some(Self::LoopbackClear),
            ("https", true) => Some(Self::Loopback),
            ("https", false) => Some(Self::Outward),
            _ => None,
        }
    }
}

impl Endpoints {
    /// The endpoint of `grant`, not yet connected. Reads `ca_file` and the platform's roots when
    /// they are used first, so it may block for some milliseconds. A failure is not remembered.
    ///
    /// # Errors
    /// When the endpoint's URL is unfit or there are no certificate authorities to trust.
    pub(super) fn open(&self, grant: &Grant) -> Result<Endpoint, TokenError> {
        let configuration = |problem: String| TokenError::configuration(problem, "mend it");
        let unfit = |problem: &str| {
            configuration(format!("token_endpoint {:?} {problem}", grant.token_endpoint))
        };
        let token_url = TokenUrl::new(grant.token_endpoint.clone())
            .map_err(|_| unfit("is no URL: correct it"))?;
        let url = token_url.url();
        let route = Route::to(url)
            .ok_or_else(|| unfit("must be https; only loopback addresses may go without"))?;
        let host = host_of(&grant.token_endpoint);

        let key = (route, grant.ca_file.clone());
        let lock = || self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().get(&key).cloned();
        let client = match known {
            Some(client) => client,
            None => {
                let client = make_client(route, grant).map_err(configuration)?;
                lock().entry(key).or_insert(client).clone()
            }
        };
        Ok(Endpoint { client, host, token_url })
    }
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

/// Makes the HTTP client for `route`; the error is a clause.
fn make_client(route: Route, grant: &Grant) -> Result<Client, String> {
    let tls: ClientConfig = match route {
        Route::LoopbackClear => trust_nobody()?,
        Route::Loopback | Route::Outward => {
            let config = tls::trust(grant.ca_file.as_deref()).map_err(|error| error.to_string())?;
            Arc::unwrap_or_clone(config)
        }
    };
    let builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .referer(false)
        // Requests are many minutes apart. A kept connection would more often be dead than useful,
        // and a POST that meets a dead one fails.
        .pool_max_idle_per_host(0);
    let builder = match route {
        Route::LoopbackClear | Route::Loopback => builder.no_proxy(),
        Route::Outward => builder,
    };
    builder.build().map_err(|error| {
        format!("the HTTP client cannot be made ({}): check the proxy variables", cause(&error))
    })
}

/// A TLS configuration for connections that use none, made without looking for certificate
/// authorities: there may be none on the machine.
fn trust_nobody() -> Result<ClientConfig, String> {
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Ok(config)
}

/// One token endpoint.
pub(super) struct Endpoint {
    client: Client,
    host: String,
    token_url: TokenUrl,
}

impl Endpoint {
    /// Its host, for logs and errors.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Its URL.
    pub(super) fn token_url(&self) -> &TokenUrl {
        &self.token_url
    }

    /// Sends `request`, reads the answer, and gives back what the `oauth2` crate can read.
    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, EndpointError> {
        let request =
            reqwest::Request::try_from(request).map_err(|error| EndpointError::of(&error))?;
        let response =
            self.client.execute(request).await.map_err(|error| EndpointError::of(&error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(EndpointError::new(format!(
                "it answers HTTP {}, a redirect, and those are not followed: correct \
                 `token_endpoint`",
                status.as_u16()
            )));
        }
        let content_type = ContentType::of(&response);
        let body = match content_type {
            ContentType::Json | ContentType::Untold => read_body(response).await?,
            ContentType::Other(_) => Vec::new(),
        };
        if status == StatusCode::OK && matches!(content_type, ContentType::Other(_)) {
            return Err(EndpointError::unfit(status, &content_type));
        }
        if status != StatusCode::OK {
            let said = ProviderError::parse(&body)
                .ok_or_else(|| EndpointError::unfit(status, &content_type))?;
            if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
                let reason = format!("it answers HTTP {} ({said})", status.as_u16());
                return Err(EndpointError { reason, said: Some(Box::new(said)) });
            }
        }
        let mut answer = HttpResponse::new(body);
        *answer.status_mut() = status;
        Ok(answer)
    }
}

impl<'c> AsyncHttpClient<'c> for Endpoint {
    type Error = EndpointError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, EndpointError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.exchange(request))
    }
}

/// Reads an answer's body, piece by piece so that a length that was promised costs nothing.
async fn read_body(mut response: Response) -> Result<Vec<u8>, EndpointError> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| EndpointError::of(&error))? {
        if body.len() + piece.len() > BODY_LEN_MAX {
            return Err(EndpointError::new("its answer is longer than 1 MiB".into()));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// What an answer says it is.
enum ContentType {
    /// `application/json`, with any parameters.
    Json,
    /// Nothing; whether it is JSON is seen when it is read.
    Untold,
    /// Something else, printable.
    Other(String),
}

impl ContentType {
    fn of(response: &Response) -> Self {
        let Some(value) = response.headers().get(header::CONTENT_TYPE) else {
            return Self::Untold;
        };
        let essence = value.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
        if essence.trim_ascii().eq_ignore_ascii_case(b"application/json") {
            Self::Json
        } else {
            Self::Other(printable(value.as_bytes(), CONTENT_TYPE_LEN_MAX))
        }
    }
}

/// Why an endpoint gave no answer that could be read; all of it may pass by itself.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(super) struct EndpointError {
    /// What happened, in a clause.
    pub(super) reason: String,
    /// What the endpoint said, if it spoke OAuth.
    pub(super) said: Option<Box<ProviderError>>,
}

impl EndpointError {
    fn new(reason: String) -> Self {
        Self { reason, said: None }
    }

    /// An answer that is not OAuth.
    fn unfit(status: StatusCode, content_type: &ContentType) -> Self {
        let status = status.as_u16();
        Self::new(match content_type {
            ContentType::Json => {
                format!("it answers HTTP {status} with JSON that is no OAuth answer")
            }
            ContentType::Untold => {
                format!("it answers HTTP {status} without an OAuth answer and no content type")
            }
            ContentType::Other(name) => {
                format!("it answers HTTP {status} with {name:?} where JSON is due")
            }
        })
    }

    /// A request that went wrong on its way.
    fn of(error: &reqwest::Error) -> Self {
        let cause = cause(error);
        Self::new(if is_about_certificate(error) {
            format!(
                "no TLS ({cause}): check the name in `token_endpoint`, the endpoint's certificate \
                 and `ca_file`"
            )
        } else if error.is_connect() && error.is_timeout() {
            format!(
                "no connection within {CONNECT_TIMEOUT:?}: check DNS, firewall and proxy variables"
            )
        } else if error.is_connect() {
            format!("no connection ({cause}): check DNS, firewall and proxy variables")
        } else {
            format!("the connection broke ({cause})")
        })
    }
}

/// The innermost cause of `error`, printable; the outer ones repeat the URL.
fn cause(error: &(dyn Error + 'static)) -> String {
    printable(innermost(error).to_string().as_bytes(), CAUSE_LEN_MAX)
}

/// Whether a certificate of the endpoint was not accepted.
fn is_about_certificate(error: &(dyn Error + 'static)) -> bool {
    let tls = innermost(error).downcast_ref();
    matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
}

fn innermost<'e>(error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    // An `io::Error` hides the error that it wraps: its source is that error's source.
    let wrapped = error.downcast_ref().and_then(std::io::Error::get_ref);
    match wrapped.map_or(error.source(), |wrapped| Some(wrapped)) {
        Some(source) => innermost(source),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_in_clear_is_refused_unless_it_is_on_this_machine() {
        let route = |url: &str| Route::to(&Url::parse(url).unwrap());
        for clear in ["http://127.0.0.1:8/t", "http://[::1]/t", "http://localhost:9/"] {
            assert_eq!(route(clear), Some(Route::LoopbackClear), "{clear}");
        }
        for local in ["https://127.9.9.9/t", "https://LOCALHOST/"] {
            assert_eq!(route(local), Some(Route::Loopback), "{local}");
        }
        assert_eq!(route("https://login.example/t"), Some(Route::Outward));
        for bad in
            ["http://login.example/t", "http://localhost.example/", "http://10.0.0.1/", "ftp://::1"]
        {
            let url = Url::parse(bad);
            assert_eq!(url.ok().as_ref().and_then(Route::to), None, "{bad}");
        }
    }
}
