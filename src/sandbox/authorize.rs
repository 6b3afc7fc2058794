//! What a browser asks: a consent by redirect (RFC 6749 section 4.1 with PKCE), the page where a
//! user code is entered, and the metadata of it all (RFC 8414).
//!
//! In:  the query of a GET. Out: at once a redirect back, with a code or with the error of section
//!      4.1.2.1; to a redirect URI that is not registered, or another client's, nothing but a 400.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use oauth2::url::{Host, Url, form_urlencoded};

use super::conduct::{Asked, Conduct};
use super::random_hex;
use super::token::{TokenEndpoint, uncached};
use crate::names::Username;

/// The parameters of a query; none of them may come twice (RFC 6749 section 3.1).
struct Parameters(HashMap<String, String>);

impl Parameters {
    fn read(query: Option<&str>) -> Option<Self> {
        let mut parameters = HashMap::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if parameters.insert(name.into_owned(), value.into_owned()).is_some() {
                return None;
            }
        }
        Some(Self(parameters))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// Sends the browser back.
pub(super) async fn authorize(
    State(endpoint): State<Arc<TokenEndpoint>>,
    RawQuery(query): RawQuery,
) -> Response {
    let Some(parameters) = Parameters::read(query.as_deref()) else {
        return page(StatusCode::BAD_REQUEST, "a parameter comes twice");
    };
    if parameters.get("client_id") != Some(endpoint.client_id()) {
        return page(StatusCode::BAD_REQUEST, "the client is unknown");
    }
    let redirect_uri = parameters.get("redirect_uri").unwrap_or_default();
    let Some(mut back) = endpoint.registered(redirect_uri) else {
        return page(StatusCode::BAD_REQUEST, "the redirect URI is not registered");
    };
    let conduct = endpoint.conduct();
    let state = parameters.get("state").and_then(|state| conduct.state.instead_of(state));
    let issuer = conduct.issuer.instead_of(endpoint.issuer());
    let outcome = endpoint.authorize(&parameters, redirect_uri, &conduct);
    let (name, value) = match &outcome {
        Ok(code) => ("code", code.as_str()),
        Err(error) => ("error", *error),
    };
    back.query_pairs_mut()
        .append_pair(name, value)
        .extend_pairs(state.map(|state| ("state", state)))
        .extend_pairs(issuer.map(|issuer| ("iss", issuer)));
    let mut response = uncached(StatusCode::FOUND);
    if let Ok(back) = HeaderValue::try_from(back.as_str()) {
        response.headers_mut().insert(header::LOCATION, back);
    }
    response
}

impl TokenEndpoint {
    /// Judges an authorization request: a code, or the error of RFC 6749 section 4.1.2.1.
    fn authorize(
        &self,
        parameters: &Parameters,
        redirect_uri: &str,
        conduct: &Conduct,
    ) -> Result<String, &'static str> {
        if parameters.get("response_type") != Some("code") {
            return Err("unsupported_response_type");
        }
        let challenge = parameters.get("code_challenge").unwrap_or_default();
        let is_s256 = parameters.get("code_challenge_method") == Some("S256")
            && challenge.len() == CHALLENGE_LEN
            && challenge.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_'));
        if !is_s256 || parameters.get("response_mode").is_some_and(|mode| mode != "query") {
            return Err("invalid_request");
        }
        let asked = parameters.get("scope").and_then(Asked::read).ok_or("invalid_scope")?;
        if conduct.denies {
            return Err("access_denied");
        }
        let hint = parameters.get("login_hint").and_then(|hint| Username::parse(hint).ok());
        // OpenID Connect Core section 3.1.2.6: somebody has to sign in.
        let user = conduct.user.clone().or(hint).ok_or("login_required")?;
        let code = random_hex::<32>().map_err(|_| "server_error")?;
        let code = format!("{CODE_PREFIX}{code}");
        let allowed = asked.allowed(user, conduct);
        self.codes.add(code.clone(), allowed, challenge.to_owned(), redirect_uri.to_owned());
        Ok(code)
    }

    /// The URL of a redirect URI that the client may name: any on this machine over http, whatever
    /// its port (RFC 8252 section 7.3), and the one that is configured.
    fn registered(&self, redirect_uri: &str) -> Option<Url> {
        let url = Url::parse(redirect_uri).ok()?;
        let is_loopback = url.scheme() == "http"
            && url.fragment().is_none()
            && url.username().is_empty()
            && match url.host()? {
                Host::Domain(name) => name == "localhost",
                Host::Ipv4(address) => address.is_loopback(),
                Host::Ipv6(address) => address.is_loopback(),
            };
        (is_loopback || self.redirect_uri() == Some(redirect_uri)).then_some(url)
    }

    /// A person enters `user_code`, and says what the conduct wants; `None` as `user` is whoever
    /// the conduct names. Gives whether there is such a code, and such a person.
    pub(super) fn answer_device(&self, user_code: &str, user: Option<&Username>) -> bool {
        let conduct = self.conduct();
        let Some(asked) = self.devices.asked(user_code) else { return false };
        let Some(user) = conduct.user.clone().or(user.cloned()) else { return false };
        let allowed = (!conduct.denies).then(|| asked.allowed(user, &conduct));
        self.devices.answer(user_code, allowed)
    }
}

/// Where a person enters a user code: `user_code` and who they are, `login_hint`, in the query.
pub(super) async fn verify(
    State(endpoint): State<Arc<TokenEndpoint>>,
    RawQuery(query): RawQuery,
) -> Response {
    let parameters = Parameters::read(query.as_deref());
    let get = |name| parameters.as_ref().and_then(|parameters| parameters.get(name));
    let user = get("login_hint").and_then(|hint| Username::parse(hint).ok());
    if endpoint.answer_device(get("user_code").unwrap_or_default(), user.as_ref()) {
        page(StatusCode::OK, "answered: go back to the device")
    } else {
        let ask = "add ?user_code= with a code that waits, and &login_hint= with who you are";
        page(StatusCode::BAD_REQUEST, ask)
    }
}

/// The metadata (RFC 8414 section 2, OpenID Connect Discovery section 3).
pub(super) async fn metadata(State(endpoint): State<Arc<TokenEndpoint>>) -> Response {
    let issuer = endpoint.issuer();
    let methods =
        ["client_secret_post", "client_secret_basic", "private_key_jwt", "none"].as_slice();
    let algorithms = ["PS256", "RS256"];
    Json(serde_json::json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "device_authorization_endpoint": format!("{issuer}/device"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": super::grants::GRANT_TYPES,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        // Due with private_key_jwt (RFC 8414 section 2).
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    }))
    .into_response()
}

/// The key that verifies its tokens (RFC 7517).
pub(super) async fn keys(State(endpoint): State<Arc<TokenEndpoint>>) -> Response {
    Json(serde_json::json!({ "keys": [endpoint.public_key()] })).into_response()
}

fn page(status: StatusCode, text: &'static str) -> Response {
    uncached((status, text))
}

/// How long an S256 challenge is: base64url of 32 bytes.
const CHALLENGE_LEN: usize = 43;

/// What every code begins with, so that a test can search logs for any of them.
const CODE_PREFIX: &str = "sandbox-code-";
