//! Where the endpoints of an authorization server are: as the configuration names them, or as its
//! issuer tells (RFC 8414, OpenID Connect Discovery 1.0).
//!
//! In:     an issuer identifier. Out: its endpoints, each https, or why they are not known.
//! Limits: one document at a time for each issuer, of 1 MiB at most, within the caller's deadline;
//!         no redirect is followed.
//!
//! A document is used whole or not at all: the `issuer` in it has to be the configured one,
//! character for character (RFC 8414 section 3.3), or somebody else's endpoints could be told in its
//! name (RFC 9700 section 4.4).

mod document;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oauth2::http::{HeaderMap, StatusCode};
use oauth2::url::Url;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use self::document::{Document, Unread};
use super::endpoint::{Endpoints, GetError, host_of};
use super::error::{ErrorKind, TokenError};
use super::fault::{CHECK_NETWORK, EndpointError};
use super::moment::Moment;
use crate::provider::AuthorizationServer;

/// How long a document is used before it is asked for again. Neither RFC 8414 nor OpenID Connect
/// names a time; an hour is the life of most access tokens, so that a renewal hardly ever waits for
/// two answers, and an endpoint that moves is followed within the hour.
const FRESH_FOR: Duration = Duration::from_secs(60 * 60);

/// How long an old document is used on before its issuer, which did not answer, is asked again: the
/// longest pause after what may pass.
const STALE_FOR: Duration = Duration::from_secs(30);

/// How long an issuer may take whose old document is still there. The rest of the deadline is for
/// the token endpoint.
const RENEWED_WITHIN: Duration = Duration::from_secs(5);

/// The endpoints of an authorization server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    /// The token endpoint.
    pub(super) token: String,
    /// Where a person consents.
    pub(super) authorization: Option<String>,
    /// Where the device flow begins.
    pub(super) device_authorization: Option<String>,
    /// Where a consent is given back.
    pub(super) revocation: Option<String>,
    /// Who it is, if that is known.
    pub(super) issuer: Option<String>,
    /// Whether its authorization responses must name it (RFC 9207).
    pub(super) tells_issuer: bool,
}

/// What issuers have told. There are as many entries as configurations have named issuers.
#[derive(Debug, Default)]
pub(super) struct Discovery {
    issuers: Mutex<HashMap<Name, Arc<Issuer>>>,
}

/// An issuer identifier, and by which certificates the issuer is trusted.
type Name = (String, Option<PathBuf>);

/// One issuer.
#[derive(Debug, Default)]
struct Issuer {
    /// How many requests have come to an end.
    ended: AtomicU64,
    told: AsyncMutex<Told>,
}

/// What came of the last requests to an issuer.
#[derive(Debug, Default)]
struct Told {
    document: Option<Arc<Document>>,
    /// When and for how long what is known is used without asking.
    used_from: Option<(Moment, Duration)>,
    /// What the last request failed by, for those who were waiting for it.
    failure: Option<TokenError>,
}

impl Told {
    /// The document, while it need not be asked for.
    fn current(&self) -> Option<Arc<Document>> {
        let (from, length) = self.used_from?;
        self.document.clone().filter(|_| Moment::now().since(from) < length)
    }
}

impl Discovery {
    /// The endpoints of `server`. What the configuration names wins.
    ///
    /// # Errors
    /// When they are not named and the issuer does not tell them before `ends_at`.
    pub(super) async fn locate(
        &self,
        endpoints: &Arc<Endpoints>,
        server: &AuthorizationServer,
        ends_at: Instant,
    ) -> Result<Arc<Located>, TokenError> {
        let document = match &server.issuer {
            Some(issuer) if server.is_discovered && lacks_one(server) => {
                Some(self.document(endpoints, issuer, server, ends_at).await?)
            }
            Some(_) | None => None,
        };
        let told = document.as_deref();
        let choose = |written: &Option<String>, told: Option<&Url>| {
            written.clone().or_else(|| told.map(Url::to_string))
        };
        let token = choose(&server.token_endpoint, told.and_then(|it| it.token.as_ref()));
        let token = token.ok_or_else(|| match (&server.issuer, told) {
            (Some(issuer), Some(_)) => TokenError::configuration(
                format!("the issuer {issuer:?} tells no token endpoint"),
                "write `token_endpoint`, or check `issuer`",
            ),
            _ => TokenError::configuration(
                "there is no token endpoint",
                "write `token_endpoint` or `issuer`",
            ),
        })?;
        Ok(Arc::new(Located {
            token,
            authorization: choose(
                &server.authorization_endpoint,
                told.and_then(|it| it.authorization.as_ref()),
            ),
            device_authorization: choose(
                &server.device_authorization_endpoint,
                told.and_then(|it| it.device_authorization.as_ref()),
            ),
            revocation: choose(
                &server.revocation_endpoint,
                told.and_then(|it| it.revocation.as_ref()),
            ),
            issuer: server.issuer.clone(),
            tells_issuer: server.tells_issuer || told.is_some_and(|it| it.tells_issuer),
        }))
    }

    /// The token endpoint of `server` alone: where the configuration names it, nobody is asked, so
    /// that an issuer out of reach costs no token.
    ///
    /// # Errors
    /// As [`Self::locate`].
    pub(super) async fn token_endpoint(
        &self,
        endpoints: &Arc<Endpoints>,
        server: &AuthorizationServer,
        ends_at: Instant,
    ) -> Result<String, TokenError> {
        match &server.token_endpoint {
            Some(written) => Ok(written.clone()),
            None => Ok(self.locate(endpoints, server, ends_at).await?.token.clone()),
        }
    }

    /// What `issuer` tells. One request is made however many callers need it, and those who waited
    /// for it share what comes of it.
    async fn document(
        &self,
        endpoints: &Arc<Endpoints>,
        issuer: &str,
        server: &AuthorizationServer,
        ends_at: Instant,
    ) -> Result<Arc<Document>, TokenError> {
        let entry = self.entry(issuer, server);
        let ended = entry.ended.load(Ordering::SeqCst);
        let Ok(mut told) = timeout_at(ends_at, entry.told.lock()).await else {
            return Err(late(issuer));
        };
        if let Some(document) = told.current() {
            return Ok(document);
        }
        let somebody_asked = entry.ended.load(Ordering::SeqCst) != ended;
        if let Some(failure) = told.failure.clone().filter(|_| somebody_asked) {
            return Err(failure);
        }
        let has_old = told.document.is_some();
        let until = if has_old { ends_at.min(Instant::now() + RENEWED_WITHIN) } else { ends_at };
        let asked = timeout_at(until, ask(endpoints, issuer, server)).await;
        let outcome = asked.unwrap_or_else(|_| Err(late(issuer)));
        entry.ended.fetch_add(1, Ordering::SeqCst);
        told.settle(issuer, outcome)
    }

    fn entry(&self, issuer: &str, server: &AuthorizationServer) -> Arc<Issuer> {
        let key = (issuer.to_owned(), server.ca_file.clone());
        // Nothing that is done under the lock leaves an entry half changed.
        let mut issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(issuers.entry(key).or_default())
    }
}

impl Told {
    /// Takes in what came of a request: an issuer that does not answer is believed on, one that
    /// tells something else is not.
    fn settle(
        &mut self,
        issuer: &str,
        outcome: Result<Document, TokenError>,
    ) -> Result<Arc<Document>, TokenError> {
        let error = match outcome {
            Ok(document) => {
                let document = Arc::new(document);
                info!(issuer, "endpoints asked for");
                *self = Self {
                    document: Some(Arc::clone(&document)),
                    used_from: Some((Moment::now(), FRESH_FOR)),
                    failure: None,
                };
                return Ok(document);
            }
            Err(error) => error,
        };
        if let Some(old) = self.document.clone().filter(|_| error.is_temporary()) {
            warn!(issuer, cause = error.cause, fix = error.fix, "old endpoints are used on");
            self.used_from = Some((Moment::now(), STALE_FOR));
            return Ok(old);
        }
        *self = Self { failure: Some(error.clone()), ..Self::default() };
        Err(error)
    }
}

/// Whether an endpoint of `server` is not written.
fn lacks_one(server: &AuthorizationServer) -> bool {
    let written = [
        &server.token_endpoint,
        &server.authorization_endpoint,
        &server.device_authorization_endpoint,
        &server.revocation_endpoint,
    ];
    written.into_iter().any(Option::is_none)
}

/// Asks `issuer` for its document, once at each place where it may be.
async fn ask(
    endpoints: &Arc<Endpoints>,
    issuer: &str,
    server: &AuthorizationServer,
) -> Result<Document, TokenError> {
    let parsed = Url::parse(issuer).map_err(|_| {
        TokenError::configuration(format!("issuer {issuer:?} is no URL"), "correct `issuer`")
    })?;
    let mut first = None;
    for place in places(issuer, &parsed) {
        match ask_at(endpoints, &parsed, issuer, &place, server).await {
            Ok(document) => return Ok(document),
            Err(Miss::Elsewhere(error)) => drop(first.get_or_insert(error)),
            Err(Miss::Final(error)) => return Err(error),
        }
    }
    Err(first.unwrap_or_else(|| late(issuer)))
}

/// Where the document of `issuer` may be, in the order in which it is looked for.
///
/// OpenID's place first: Keycloak, Entra, Okta and `oidc-provider` all have a document there, and
/// some of them none at RFC 8414's, which puts its word between host and path.
fn places(issuer: &str, parsed: &Url) -> [String; 2] {
    let openid = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let mut rfc_8414 = parsed.clone();
    let path = parsed.path().trim_end_matches('/');
    rfc_8414.set_path(&format!("/.well-known/oauth-authorization-server{path}"));
    [openid, rfc_8414.into()]
}

/// Why there is no document at a place.
enum Miss {
    /// It may be at the other one.
    Elsewhere(TokenError),
    /// The issuer is out of reach, or tells what must not be used.
    Final(TokenError),
}

async fn ask_at(
    endpoints: &Arc<Endpoints>,
    parsed: &Url,
    issuer: &str,
    place: &str,
    server: &AuthorizationServer,
) -> Result<Document, Miss> {
    let host = host_of(issuer);
    let (opener, of, url) = (Arc::clone(endpoints), server.clone(), place.to_owned());
    // Opening reads certificate authorities.
    let opened = tokio::task::spawn_blocking(move || opener.open("issuer", &url, &of)).await;
    let endpoint = opened
        .unwrap_or_else(|_| Err(TokenError::temporary(&host, "the relay is shutting down")))
        .map_err(Miss::Final)?;
    match endpoint.get(&[], HeaderMap::new()).await {
        Ok(body) => Document::read(&body, parsed, issuer).map_err(|unread| match unread {
            Unread::NoMetadata => {
                let reason = "its answer is no authorization server metadata (RFC 8414)";
                Miss::Elsewhere(unlocated(issuer, reason))
            }
            Unread::Unfit { cause, fix } => Miss::Final(TokenError::configuration(cause, fix)),
        }),
        Err(GetError { status, error }) => Err(missed(issuer, status, error)),
    }
}

/// What a GET that gave no document means.
fn missed(issuer: &str, status: Option<StatusCode>, error: EndpointError) -> Miss {
    let is_elsewhere = status
        .is_some_and(|status| status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS);
    let (reason, fix, retry_after) = match error {
        EndpointError::Unavailable(it) => (it.reason, it.fix.into_owned(), it.retry_after),
        EndpointError::Refused { said, retry_after } => {
            (format!("it answers ({said})"), CHECK_ISSUER.to_owned(), retry_after)
        }
    };
    let error = TokenError { retry_after, fix, ..unlocated(issuer, &reason) };
    if is_elsewhere {
        Miss::Elsewhere(TokenError { fix: CHECK_ISSUER.to_owned(), ..error })
    } else {
        Miss::Final(error)
    }
}

/// The issuer did not tell its endpoints, which may pass.
fn unlocated(issuer: &str, reason: &str) -> TokenError {
    let cause = format!("{} does not tell its endpoints now: {reason}", host_of(issuer));
    let unlocated = TokenError::configuration(cause, CHECK_ISSUER);
    TokenError { kind: ErrorKind::Temporary, ..unlocated }
}

fn late(issuer: &str) -> TokenError {
    TokenError { fix: CHECK_NETWORK.to_owned(), ..unlocated(issuer, "no answer in time") }
}

/// What to do about an issuer that has no document, if that does not pass.
const CHECK_ISSUER: &str = "check `issuer`, or write the endpoints one by one";
