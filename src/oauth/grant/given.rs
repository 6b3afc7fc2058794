//! What a token endpoint gave, and how it is taken out of its answer: what is of no use is told, and
//! does not take the rest of the answer with it.

use std::time::Duration;

use oauth2::basic::BasicTokenType;
use oauth2::{RequestTokenError, TokenResponse as _};
use tracing::warn;
use zeroize::Zeroizing;

use crate::names::Username;
use crate::oauth::answer::{ProviderError, Remains, TokenAnswer};
use crate::oauth::endpoint::Endpoint;
use crate::oauth::error::TokenError;
use crate::oauth::fault::{EndpointError, Unavailable};
use crate::oauth::{person, verdict};
use crate::provider::GrantId;
use crate::secret::{AccessToken, RefreshToken};

/// The life of a token whose endpoint does not tell it. RFC 6749 section 5.1 lets the provider
/// document it elsewhere; one hour is what Entra and Google give, and a provider that means less
/// refuses the token at its mail server, which is no worse than having none.
const LIFE_ASSUMED: Duration = Duration::from_secs(60 * 60);

/// Longest life believed. A longer one only means asking a little more often.
pub(super) const LIFE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What a token endpoint gave.
#[derive(Debug)]
pub(in crate::oauth) struct Answer {
    /// The access token, or why it is of no use. The rest of the answer counts either way.
    pub(in crate::oauth) issued: Result<Issued, TokenError>,
    /// The refresh token that takes the place of the one that was used, if there is a new one.
    pub(in crate::oauth) refresh_token: Option<RefreshToken>,
    /// How long the refresh token lives, if it tells.
    pub(in crate::oauth) refresh_token_life: Option<Duration>,
    /// Who consented, if it tells.
    pub(in crate::oauth) user: Option<Username>,
    /// Those of the scopes that were not granted; `None` where it does not tell.
    pub(in crate::oauth) missing: Option<Vec<String>>,
    /// Whether the request that brought it named no scope, because one that did was refused.
    pub(in crate::oauth) is_unnamed: bool,
}

impl Answer {
    /// An access token, and nothing to be kept.
    pub(super) fn of_token(issued: Issued) -> Self {
        Self {
            issued: Ok(issued),
            refresh_token: None,
            refresh_token_life: None,
            user: None,
            missing: Some(Vec::new()),
            is_unnamed: false,
        }
    }
}

/// An access token fresh from its endpoint.
#[derive(Debug)]
pub(in crate::oauth) struct Issued {
    pub(in crate::oauth) token: AccessToken,
    pub(in crate::oauth) life: Duration,
}

/// Reads what came of a request for `scopes`, which it named.
pub(super) fn read(
    endpoint: &Endpoint,
    whose: &GrantId,
    scopes: &[String],
    asked: Result<TokenAnswer, RequestTokenError<EndpointError, ProviderError>>,
) -> Result<Answer, TokenError> {
    let answer = read_of_part(endpoint, whose, scopes, scopes, asked)?;
    tell_missing(whose, &answer);
    Ok(answer)
}

/// Reads what came of a request for `scopes`, which named `named` alone. A `RequestTokenError` never
/// gets further than this: its `Parse` holds the raw answer.
pub(super) fn read_of_part(
    endpoint: &Endpoint,
    whose: &GrantId,
    scopes: &[String],
    named: &[String],
    asked: Result<TokenAnswer, RequestTokenError<EndpointError, ProviderError>>,
) -> Result<Answer, TokenError> {
    match asked {
        Ok(answer) => Ok(take(endpoint, scopes, named, &answer)),
        Err(RequestTokenError::ServerResponse(said)) => {
            Err(verdict::judge(endpoint.host(), whose, said))
        }
        Err(RequestTokenError::Request(error)) => Err(error_of(endpoint, whose, error)),
        Err(RequestTokenError::Parse(_, body)) => salvage(endpoint, whose, &Zeroizing::new(body)),
        Err(RequestTokenError::Other(_)) => Err(no_token(endpoint)),
    }
}

/// The same of a request that the `oauth2` crate did not make: the body of its answer.
pub(super) fn read_body(
    endpoint: &Endpoint,
    whose: &GrantId,
    scopes: &[String],
    asked: Result<Vec<u8>, EndpointError>,
) -> Result<Answer, TokenError> {
    let body = asked.map(Zeroizing::new).map_err(|error| error_of(endpoint, whose, error))?;
    match serde_json::from_slice(&body) {
        Ok(answer) => {
            let answer = take(endpoint, scopes, scopes, &answer);
            tell_missing(whose, &answer);
            Ok(answer)
        }
        Err(_) => salvage(endpoint, whose, &body),
    }
}

/// Tells what `answer` lacks.
fn tell_missing(whose: &GrantId, answer: &Answer) {
    if let Some(missing) = answer.missing.as_ref().filter(|missing| !missing.is_empty()) {
        warn!(
            grant = %whose,
            ?missing,
            hint = "authorize the account again, and tick every box",
            "the token lacks permissions"
        );
    }
}

/// Takes what `answer` gives of `scopes`, of which `named` were named.
fn take(endpoint: &Endpoint, scopes: &[String], named: &[String], answer: &TokenAnswer) -> Answer {
    let missing = answer.not_granted(scopes, named);
    let refresh_token = answer.refresh_token();
    Answer {
        issued: issue(answer).map_err(|reason| TokenError::temporary(endpoint.host(), reason)),
        refresh_token: refresh_token.and_then(|token| RefreshToken::parse(token.secret())),
        refresh_token_life: answer.refresh_token_life(),
        user: person::named(answer.id_token(), answer.access_token().secret()),
        missing: missing.map(|missing| missing.into_iter().map(str::to_owned).collect()),
        is_unnamed: false,
    }
}

/// Takes what there is in the `body` of an answer that holds no access token.
fn salvage(endpoint: &Endpoint, whose: &GrantId, body: &[u8]) -> Result<Answer, TokenError> {
    match Remains::of(body) {
        Remains::Error(said) => Err(verdict::judge(endpoint.host(), whose, said)),
        Remains::RefreshToken(token) => Ok(Answer {
            issued: Err(no_token(endpoint)),
            refresh_token: RefreshToken::parse(token.secret()),
            refresh_token_life: None,
            user: None,
            missing: None,
            is_unnamed: false,
        }),
        Remains::Nothing => Err(no_token(endpoint)),
    }
}

fn no_token(endpoint: &Endpoint) -> TokenError {
    let reason = "its answer holds no token (RFC 6749 section 5.1)";
    TokenError { is_answer_lost: true, ..TokenError::temporary(endpoint.host(), reason) }
}

/// What a failed exchange with `endpoint` means for the grant `whose`.
pub(super) fn error_of(endpoint: &Endpoint, whose: &GrantId, error: EndpointError) -> TokenError {
    match error {
        EndpointError::Unavailable(unavailable) => {
            let Unavailable { reason, fix, said, retry_after, is_answer_lost } = *unavailable;
            let temporary = TokenError::temporary(endpoint.host(), &reason);
            TokenError { fix: fix.into(), said, retry_after, is_answer_lost, ..temporary }
        }
        EndpointError::Refused { said, retry_after } => {
            TokenError { retry_after, ..verdict::judge(endpoint.host(), whose, *said) }
        }
    }
}

/// Takes the token of an answer; the error is a clause.
pub(super) fn issue(answer: &TokenAnswer) -> Result<Issued, &'static str> {
    if *answer.token_type() != BasicTokenType::Bearer {
        return Err("its token is not of type Bearer, the only one that mail servers take");
    }
    let token = AccessToken::parse(answer.access_token().secret())
        .ok_or("its token has characters or a length that no mail server takes")?;
    let life = answer.expires_in().unwrap_or(LIFE_ASSUMED).min(LIFE_MAX);
    Ok(Issued { token, life })
}
