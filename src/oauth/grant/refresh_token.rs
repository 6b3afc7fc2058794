//! The refresh-token grant (RFC 6749 section 6): a person's consent, used once more.
//!
//! The answer may bring a new refresh token, and then the one that was used may be good for
//! nothing; or none, and then the one that was used stays.
//!
//! A person may grant less than was asked for, and a request must name nothing that was not granted:
//! servers refuse it whole. Then it is asked for whatever was granted, by naming no scope.

use oauth2::Scope;

use super::{Answer, Asker, read};
use crate::oauth::answer::tellable;
use crate::oauth::error::TokenError;
use crate::provider::Grant;
use crate::secret::{ExposeSecret as _, RefreshToken};

/// What a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// Every scope that is wanted.
    Scopes,
    /// No scope: what was granted is asked for.
    Nothing,
}

/// Asks for a token once, for which `scopes` are wanted.
pub(super) async fn ask(
    asker: &Asker,
    grant: &Grant,
    scopes: &[String],
    naming: Naming,
    refresh_token: &RefreshToken,
) -> Result<Answer, TokenError> {
    let refresh_token = oauth2::RefreshToken::new(refresh_token.expose_secret().to_owned());
    let named = if naming == Naming::Scopes { scopes } else { &[] };
    let client = asker.client();
    let request = client
        .exchange_refresh_token(&refresh_token)
        .add_scopes(named.iter().cloned().map(Scope::new));
    let request = asker
        .extras()
        .into_iter()
        .fold(request, |request, (name, value)| request.add_extra_param(name, value));
    read(asker.endpoint(), &grant.id, scopes, request.request_async(asker.endpoint()).await)
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
    if answer.missing.len() < tellable(scopes) {
        return answer;
    }
    Answer { issued: Err(refused), ..answer }
}
