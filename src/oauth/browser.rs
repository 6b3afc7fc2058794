//! Consent by browser (RFC 6749 section 4.1, with PKCE): what a browser is sent to, and the answer
//! that it brings back.
//!
//! In:     a query by anybody who reaches the redirect URI. What it says is believed after `state`
//!         (RFC 6749 section 10.12) and `iss` (RFC 9207) were compared, and in this order.
//! Out:    tokens that are kept, or why there are none. A request is consumed with its answer, so
//!         that none is answered twice.
//! Limits: [`QUERY_LEN_MAX`]. Neither the code nor `error_description` is ever repeated.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth2::url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::answer::ProviderError;
use super::consent::Shown;
use super::desk::Desk;
use super::endpoint::host_of;
use super::error::{ErrorKind, TokenError};
use super::grant::Redemption;
use super::route::is_loopback;
use super::{AuthorizeError, Authorized, verdict};
use crate::names::Username;
use crate::provider::Grant;
use crate::secret::SecretString;

/// Longest query of an answer that is read, in bytes. Entra's have 2 KiB.
const QUERY_LEN_MAX: usize = 16 * 1024;

/// How many random bytes `state` and verifier have. RFC 7636 section 4.1 recommends 32, which make
/// the 43 characters that it asks for at least.
const RANDOM_LEN: usize = 32;

/// A request for a person's consent.
pub struct CodeRequest {
    url: String,
    redirect_uri: String,
    /// What its answer has to repeat.
    state: String,
    /// The verifier of PKCE (RFC 7636).
    verifier: SecretString,
    /// The host that was asked, for errors.
    host: String,
    /// Who has to have answered, if that is known.
    issuer: Option<String>,
    /// Whether the answer has to say so.
    tells_issuer: bool,
}

impl fmt::Debug for CodeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL has the state in it, which is nobody's business but the browser's.
        let mut shown = f.debug_struct("CodeRequest");
        shown.field("host", &self.host).field("redirect_uri", &self.redirect_uri);
        shown.finish_non_exhaustive()
    }
}

impl CodeRequest {
    /// What the browser is sent to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the answer comes.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// The `state` by which the answer is found.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// What the code of `redirected` is turned into tokens by, if it answers this request.
    fn answered(self, grant: &Grant, redirected: Redirected) -> Result<Redemption, AuthorizeError> {
        let state = redirected.state.unwrap_or_default();
        verify_slices_are_equal(self.state.as_bytes(), state.as_bytes())
            .map_err(|_| RedirectError::Foreign)?;
        // RFC 9207 section 2.4: a simple comparison of texts.
        let is_from_issuer = match (&redirected.issuer, &self.issuer) {
            (Some(told), Some(issuer)) => told == issuer,
            (Some(_), None) => true,
            (None, _) => !self.tells_issuer,
        };
        if !is_from_issuer {
            return Err(RedirectError::Issuer.into());
        }
        match redirected.reply {
            Reply::Code(code) => {
                let Self { verifier, redirect_uri, .. } = self;
                Ok(Redemption { code, verifier, redirect_uri })
            }
            Reply::Error(said) => Err(refused(&self.host, grant, *said)),
        }
    }
}

/// What an error in the place of a code means (RFC 6749 section 4.1.2.1, OpenID Connect Core section
/// 3.1.2.6).
fn refused(host: &str, grant: &Grant, said: ProviderError) -> AuthorizeError {
    let is_declined = said.error() == "access_denied" && said.aadsts().is_none();
    let cause = format!("{host} says that the consent was declined ({said})");
    let error = verdict::judge(host, &grant.id, said);
    error.log(&grant.id, "no consent");
    if is_declined {
        let fix = "agree when the provider asks; if it does not ask, its administrator has to allow \
                   the application";
        return AuthorizeError::Denied { cause, fix: fix.to_owned() };
    }
    match error.kind {
        ErrorKind::Consent => AuthorizeError::Denied { cause: error.cause, fix: error.fix },
        ErrorKind::Temporary | ErrorKind::Admin | ErrorKind::Configuration => {
            AuthorizeError::Token(error)
        }
    }
}

/// An authorization response (RFC 6749 section 4.1.2), as a browser brings it.
pub struct Redirected {
    state: Option<String>,
    issuer: Option<String>,
    reply: Reply,
}

enum Reply {
    Code(SecretString),
    Error(Box<ProviderError>),
}

impl fmt::Debug for Redirected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redirected").finish_non_exhaustive() // the code is secret
    }
}

impl Redirected {
    /// Reads the query of a redirect, without the question mark.
    ///
    /// # Errors
    /// When it is no authorization response.
    pub fn parse(query: &str) -> Result<Self, RedirectError> {
        if query.len() > QUERY_LEN_MAX {
            return Err(RedirectError::Malformed);
        }
        let (mut code, mut error, mut state, mut issuer) = (None, None, None, None);
        let (mut description, mut subcode) = (None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "code" => &mut code,
                "error" => &mut error,
                "state" => &mut state,
                "iss" => &mut issuer,
                "error_description" => &mut description,
                "error_subcode" => &mut subcode,
                _ => continue, // unrecognized ones are ignored (RFC 6749 section 4.1.2)
            };
            // None of them may come twice (RFC 6749 section 3.1).
            if place.replace(Zeroizing::new(value.into_owned())).is_some() {
                return Err(RedirectError::Malformed);
            }
        }
        // One without a value counts as left out (RFC 6749 section 3.1).
        let text = |place: Option<Zeroizing<String>>| place.filter(|value| !value.is_empty());
        let reply = match (text(code), text(error)) {
            (None, None) => return Err(RedirectError::NoAnswer),
            (Some(_), Some(_)) => return Err(RedirectError::Malformed),
            (Some(code), None) => {
                // RFC 6749 appendix A.11.
                let is_printable = code.bytes().all(|byte| (b' '..=b'~').contains(&byte));
                let code = is_printable.then(|| SecretString::from(code.as_str()));
                Reply::Code(code.ok_or(RedirectError::Malformed)?)
            }
            (None, Some(error)) => {
                let (subcode, description) = (text(subcode), text(description));
                let subcode = subcode.as_ref().map(|it| it.as_str());
                let description = description.as_ref().map(|it| it.as_str());
                let said = ProviderError::redirected(&error, subcode, description);
                Reply::Error(Box::new(said.ok_or(RedirectError::Malformed)?))
            }
        };
        let owned = |place| text(place).map(|value| value.as_str().to_owned());
        Ok(Self { state: owned(state), issuer: owned(issuer), reply })
    }

    /// The `state` in it.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

/// Why an answer that came by the browser is not one to the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// It has neither a code nor an error.
    #[error("this is no answer of a provider: it has neither a code nor an error")]
    NoAnswer,
    /// It is too long, says something twice, or says both yes and no.
    #[error("this is no answer of a provider: it is too long or contradicts itself")]
    Malformed,
    /// It has no `state`, or that of no request that waits.
    #[error("this answer belongs to no request that waits")]
    Foreign,
    /// It names another issuer, or none where one is due (RFC 9207).
    #[error("this answer does not come from the provider that was asked")]
    Issuer,
}

impl Desk {
    /// As [`super::Tokens::code_request`].
    pub(super) async fn code_request(
        self: &Arc<Self>,
        grant: &Arc<Grant>,
        scopes: &[String],
        redirect_uri: &str,
        login_hint: &Username,
    ) -> Result<CodeRequest, TokenError> {
        let located = self.issuer.locate(grant).await?;
        let Some(endpoint) = &located.authorization else {
            let cause = format!("{} names no endpoint for consent", host_of(grant.source()));
            return Err(TokenError::configuration(cause, "write `authorization_endpoint`"));
        };
        let (state, verifier) = (random()?, random()?);
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let scope = scopes.join(" ");
        let mut ours = vec![
            ("response_type", "code"),
            ("client_id", grant.client_id()),
            ("redirect_uri", redirect_uri),
            ("state", &state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            // What a code comes by anyway (OAuth 2.0 Multiple Response Types section 2.1), and what
            // Entra recommends to say. Who does not know it ignores it (RFC 6749 section 3.1).
            ("response_mode", "query"),
            ("login_hint", login_hint.as_str()),
        ];
        // It has one token at least (RFC 6749 appendix A.4).
        ours.extend(Some(("scope", scope.as_str())).filter(|_| !scopes.is_empty()));
        ours.extend(grant.server.resource.iter().map(|resource| ("resource", resource.as_str())));
        Ok(CodeRequest {
            url: with_query(endpoint, &ours, &grant.server.authorization_params)?,
            redirect_uri: redirect_uri.to_owned(),
            state: state.as_str().to_owned(),
            verifier: SecretString::from(verifier.as_str()),
            host: host_of(endpoint),
            issuer: located.issuer.clone(),
            tells_issuer: located.tells_issuer,
        })
    }

    /// As [`super::Tokens::redeem`].
    pub(super) async fn redeem(
        self: &Arc<Self>,
        grant: &Arc<Grant>,
        scopes: &[String],
        request: CodeRequest,
        redirected: Redirected,
        expected: &[Username],
    ) -> Result<Authorized, AuthorizeError> {
        let shown = Shown::Code(request.answered(grant, redirected)?);
        self.authorize(Arc::clone(grant), scopes.to_vec(), shown, expected.to_vec()).await
    }
}

/// The URL of `endpoint`, whose own query stays (RFC 6749 section 3.1), with `ours` and those of
/// `more` that neither has.
fn with_query(
    endpoint: &str,
    ours: &[(&str, &str)],
    more: &[(String, String)],
) -> Result<String, TokenError> {
    let unfit = |problem: String| {
        let cause = format!("authorization_endpoint {endpoint:?} {problem}");
        TokenError::configuration(cause, "correct `authorization_endpoint`")
    };
    let mut url = Url::parse(endpoint).map_err(|_| unfit("is no URL".to_owned()))?;
    if !is_private(&url) {
        let problem = "must be https; only loopback addresses may go without";
        return Err(unfit(problem.to_owned()));
    }
    let own = url.query_pairs().map(|(name, _)| name.into_owned()).collect::<Vec<_>>();
    let is_ours = |name: &str| ours.iter().any(|&(other, _)| other == name);
    if let Some(name) = own.iter().find(|name| is_ours(name)) {
        return Err(unfit(format!("has `{name}` in its query, which mailbearer adds by itself")));
    }
    let more = more.iter().filter(|(name, _)| !is_ours(name) && !own.contains(name));
    url.query_pairs_mut().extend_pairs(ours).extend_pairs(more);
    Ok(url.into())
}

/// Whether what is sent to `url` crosses no network in clear: https, or http on this machine.
pub(super) fn is_private(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

/// 256 random bits in base64url.
fn random() -> Result<Zeroizing<String>, TokenError> {
    let mut bytes = Zeroizing::new([0; RANDOM_LEN]);
    rand::fill(&mut *bytes).map_err(|_| {
        TokenError::configuration("the system has no random numbers", "restart the machine")
    })?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes)))
}
