//! The refresh-token grant (RFC 6749 section 6): a person's consent, used once more.
//!
//! The answer may bring a new refresh token, and then the one that was used may be good for
//! nothing; or none, and then the one that was used stays.
//!
//! A person may grant less than was asked for, and a request must name nothing that was not granted:
//! servers refuse it whole. Then it is asked for whatever was granted, by naming no scope.

use oauth2::Scope;

use super::Asker;
use super::given::{Answer, read_of_part};
use crate::oauth::answer::tellable;
use crate::oauth::endpoint::host_of;
use crate::oauth::error::{Reach, TokenError};
use crate::provider::Grant;
use crate::secret::{ExposeSecret as _, RefreshToken};

/// Asks for a token once, for which `scopes` are wanted and `named` are named.
pub(super) async fn ask(
    asker: &Asker,
    grant: &Grant,
    scopes: &[String],
    named: &[String],
    refresh_token: &RefreshToken,
) -> Result<Answer, TokenError> {
    let refresh_token = oauth2::RefreshToken::new(refresh_token.expose_secret().to_owned());
    let client = asker.client();
    let request = client
        .exchange_refresh_token(&refresh_token)
        .add_scopes(named.iter().cloned().map(Scope::new));
    let request = asker
        .extras()
        .into_iter()
        .fold(request, |request, (name, value)| request.add_extra_param(name, value));
    let asked = request.request_async(asker.endpoint()).await;
    let mut answer = read_of_part(asker.endpoint(), &grant.id, scopes, named, asked)?;
    if named.is_empty() && lacks_all(&answer, scopes) {
        answer.issued = Err(nothing_granted(grant, scopes));
    }
    Ok(answer)
}

/// Whether `answer` tells that none of `scopes` were granted.
fn lacks_all(answer: &Answer, scopes: &[String]) -> bool {
    let told = tellable(scopes);
    told > 0 && answer.missing.as_ref().is_some_and(|missing| missing.len() == told)
}

/// The token of whatever was granted is of no use for `scopes`.
fn nothing_granted(grant: &Grant, scopes: &[String]) -> TokenError {
    let host = host_of(grant.source());
    let cause = format!("{host} has granted none of {}", scopes.join(", "));
    TokenError { reach: Reach::Scopes, ..TokenError::consent(&grant.id, cause) }
}

/// Whether `error` may mean that some of `scopes` were granted, but not all (RFC 6749 section 5.2).
/// Entra has a code of its own for that, and says this of a scope that does not exist.
pub(super) fn may_be_granted_in_part(scopes: &[String], error: &TokenError) -> bool {
    let is_refused = error
        .said
        .as_ref()
        .is_some_and(|said| said.error() == "invalid_scope" && said.aadsts().is_none());
    is_refused && tellable(scopes) > 1
}

/// The `answer` to a request for whatever was granted. If that is nothing of `scopes`, its token is
/// of no use, for the reason that was told before; its refresh token counts all the same.
pub(super) fn of_what_was_granted(
    answer: Answer,
    scopes: &[String],
    refused: TokenError,
) -> Answer {
    let issued = if lacks_all(&answer, scopes) { Err(refused) } else { answer.issued };
    Answer { issued, is_unnamed: true, ..answer }
}
