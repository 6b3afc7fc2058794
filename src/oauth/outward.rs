//! How requests to endpoints leave this machine, and the HTTP client that goes so.
//!
//! What is on this machine, or gives it its identity, is reached directly. Everything else goes
//! through `egress.http_proxy`, or through the proxy that the usual environment variables name.
//!
//! Limits: [`CONNECT_TIMEOUT`].

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use oauth2::http::{HeaderValue, Uri};
use oauth2::url::Url;
use reqwest::{Client, redirect};
use rustls::{ClientConfig, RootCertStore};

use super::error::TokenError;
use super::fault::cause;
use super::route::Route;
use crate::net::egress::{Egress, Proxy};
use crate::net::network::is_this_machine;
use crate::net::tls;
use crate::provider::AuthorizationServer;
use crate::secret::ExposeSecret as _;

/// How long name resolution, TCP, a proxy and TLS may take together.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What we call ourselves.
const USER_AGENT: &str = concat!("mailbearer/", env!("CARGO_PKG_VERSION"));

/// How requests that go outward leave this machine.
#[derive(Default)]
pub(super) struct Outward {
    /// The proxy of the configuration; without one, that of the environment variables.
    proxy: Option<Proxy>,
    /// Host and port of the one through which they go, whichever names it.
    pub(super) hop: Option<String>,
    bind: Option<IpAddr>,
}

impl Outward {
    /// Whether a client that was made of the one goes as one that is made of the other.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        (&self.hop, self.bind) == (&other.hop, other.bind)
            && match (&self.proxy, &other.proxy) {
                (Some(one), Some(other)) => one.is_same_as(other),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            }
    }

    /// How requests to `url` by `route` leave this machine. Blocks as [`Egress::http_proxy`] does.
    ///
    /// # Errors
    /// When the proxy's URL cannot be had.
    pub(super) fn to(url: &Url, route: Route, egress: &Egress) -> Result<Self, TokenError> {
        match route {
            Route::DirectClear | Route::Direct => Ok(Self::default()),
            Route::Outward => {
                let proxy = egress.http_proxy().map_err(|error| {
                    TokenError::configuration(error.to_string(), "correct `egress.http_proxy`")
                })?;
                let proxy = proxy.filter(|proxy| is_for(proxy, url));
                let (hop, is_hop_here) = match &proxy {
                    Some(proxy) => (Some(proxy.to_string()), Some(proxy.is_loopback())),
                    None => of_environment(url).unzip(),
                };
                // A proxy on this machine is reached from this machine, and leaves by itself.
                let is_hop_here = is_hop_here.unwrap_or_default();
                Ok(Self { proxy, hop, bind: egress.bind.filter(|_| !is_hop_here) })
            }
        }
    }

    /// Makes the HTTP client that goes so by `route`.
    ///
    /// # Errors
    /// When there are no certificate authorities to trust.
    pub(super) fn client(
        &self,
        route: Route,
        server: &AuthorizationServer,
    ) -> Result<Client, TokenError> {
        let no_trust = |error: String| TokenError::configuration(error, "check `ca_file`");
        let tls: ClientConfig = match route {
            Route::DirectClear => trust_nobody().map_err(no_trust)?,
            Route::Direct | Route::Outward => {
                let config = tls::trust(server.ca_file.as_deref());
                Arc::unwrap_or_clone(config.map_err(|error| no_trust(error.to_string()))?)
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
            Route::DirectClear | Route::Direct => builder.no_proxy(),
            Route::Outward => match &self.proxy {
                Some(proxy) => builder.proxy(proxy_of(proxy).map_err(|error| unmade(&error))?),
                None => builder,
            },
        };
        builder.local_address(self.bind).build().map_err(|error| unmade(&cause(&error)))
    }
}

/// Whether `url` is reached through `proxy`: not where `NO_PROXY` names its host, as with curl.
fn is_for(proxy: &Proxy, url: &Url) -> bool {
    let exempt = ["NO_PROXY", "no_proxy"].iter().find_map(|name| std::env::var(name).ok());
    let rules = Matcher::builder().all(proxy.url()).no(exempt.unwrap_or_default()).build();
    url.as_str().parse().is_ok_and(|url: Uri| rules.intercept(&url).is_some())
}

/// The proxy that the environment variables name for `url`: its host and port, and whether it is on
/// this machine.
fn of_environment(url: &Url) -> Option<(String, bool)> {
    let url: Uri = url.as_str().parse().ok()?;
    let proxy = Matcher::from_env().intercept(&url)?;
    let (host, port) = (proxy.uri().host()?, proxy.uri().port());
    let hop = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    Some((hop, is_this_machine(host)))
}

/// `proxy` as the HTTP client knows it.
fn proxy_of(proxy: &Proxy) -> Result<reqwest::Proxy, String> {
    let known = reqwest::Proxy::all(proxy.url()).map_err(|error| cause(&error))?;
    let Some(basic) = proxy.basic() else { return Ok(known) };
    let basic = HeaderValue::from_str(basic.expose_secret());
    let mut basic = basic.map_err(|error| error.to_string())?;
    basic.set_sensitive(true);
    Ok(known.custom_http_auth(basic))
}

fn unmade(cause: &str) -> TokenError {
    let cause = format!("the HTTP client cannot be made ({cause})");
    TokenError::configuration(cause, "check `egress` and the proxy variables")
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
