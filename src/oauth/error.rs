//! Why there is no access token: what is logged, what `accounts` shows, and what a client hears.

use std::time::Duration;

use tracing::warn;

use super::answer::ProviderError;
use super::verdict;
use crate::names::Username;
use crate::provider::GrantId;
use crate::refusal::{Refusal, Unavailable};

/// Why there is no access token. Nothing in it is a secret or bytes that an endpoint could have
/// chosen freely: see [`ProviderError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}: {fix}")]
pub struct TokenError {
    /// Who has to do something about it.
    pub kind: ErrorKind,
    /// What it stands in the way of.
    pub reach: Reach,
    /// What happened, in a clause, with the endpoint's host where one was asked.
    pub cause: String,
    /// What to do, in a clause.
    pub fix: String,
    /// What the endpoint said, if it spoke OAuth.
    pub said: Option<Box<ProviderError>>,
    /// How long the endpoint wants to be left alone, if it told (`Retry-After`).
    pub retry_after: Option<Duration>,
    /// Whether the endpoint may have acted on the request, and what it answered is unknown: then a
    /// refresh token that rotates may be good for nothing any more.
    pub is_answer_lost: bool,
}

/// Who has to do something about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Nobody: it may pass by itself.
    Temporary,
    /// The account's person: consent, for the first time or again.
    Consent,
    /// The provider's administrator.
    Admin,
    /// Whoever wrote the configuration file.
    Configuration,
}

/// What an error stands in the way of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Every request for the grant.
    Grant,
    /// Requests for the same scopes: others may succeed, so the refresh token is not refused.
    Scopes,
}

impl ErrorKind {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Temporary, Self::Consent, Self::Admin, Self::Configuration];

    /// The word that logs and `accounts` use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Temporary => "temporary",
            Self::Consent => "consent",
            Self::Admin => "admin",
            Self::Configuration => "configuration",
        }
    }
}

impl TokenError {
    /// Something that may pass.
    pub(super) fn temporary(endpoint: &str, cause: &str) -> Self {
        Self {
            kind: ErrorKind::Temporary,
            reach: Reach::Grant,
            cause: format!("{endpoint} gives no token now: {cause}"),
            fix: "try again later".into(),
            said: None,
            retry_after: None,
            is_answer_lost: false,
        }
    }

    /// Something of the file that has to be mended before a request can be made.
    pub(super) fn configuration(cause: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Configuration,
            reach: Reach::Grant,
            cause: cause.into(),
            fix: fix.into(),
            said: None,
            retry_after: None,
            is_answer_lost: false,
        }
    }

    /// Something that the person who has `grant` mends by consenting.
    pub(super) fn consent(grant: &GrantId, cause: String) -> Self {
        Self {
            kind: ErrorKind::Consent,
            reach: Reach::Grant,
            cause,
            fix: verdict::fix_of_consent(grant),
            said: None,
            retry_after: None,
            is_answer_lost: false,
        }
    }

    /// What a client that signs in as `account` hears of it, for which `grant` is used. A consent
    /// has to be given for the account that has it.
    pub fn refusal(&self, account: &Username, grant: &GrantId) -> Refusal {
        match self.kind {
            ErrorKind::Temporary => Refusal::Unavailable(Unavailable::TokenEndpoint),
            ErrorKind::Consent => {
                let account = match grant {
                    GrantId::Account(owner) => owner,
                    GrantId::Application { .. } | GrantId::ServiceAccount { .. } => account,
                };
                Refusal::ConsentNeeded { account: account.clone() }
            }
            ErrorKind::Admin | ErrorKind::Configuration => {
                Refusal::GrantRefused { account: account.clone() }
            }
        }
    }

    /// Whether waiting may help.
    pub fn is_temporary(&self) -> bool {
        self.kind == ErrorKind::Temporary
    }

    /// Whether the provider refuses the refresh token itself.
    pub(super) fn refuses_refresh_token(&self) -> bool {
        self.kind == ErrorKind::Consent && self.reach == Reach::Grant && self.said.is_some()
    }

    /// Writes the one log line of a failed request. `message` says what comes of it.
    pub(super) fn log(&self, grant: &GrantId, message: &'static str) {
        let said = self.said.as_deref();
        warn!(
            grant = %grant,
            kind = self.kind.name(),
            error = said.map(ProviderError::error),
            suberror = said.and_then(ProviderError::suberror),
            aadsts = said.and_then(ProviderError::aadsts),
            trace_id = said.and_then(ProviderError::trace_id),
            correlation_id = said.and_then(ProviderError::correlation_id),
            cause = self.cause,
            fix = self.fix,
            "{message}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_is_temporary_only_when_waiting_may_help() {
        let alice = Username::parse("alice@contoso.com").unwrap();
        let error =
            |kind| TokenError { kind, ..TokenError::temporary("login.example", "HTTP 503") };
        let own = GrantId::Account(alice.clone());
        let refusal = |kind| error(kind).refusal(&alice, &own);
        assert_eq!(refusal(ErrorKind::Temporary), Refusal::Unavailable(Unavailable::TokenEndpoint));
        let account = alice.clone();
        assert_eq!(refusal(ErrorKind::Consent), Refusal::ConsentNeeded { account });
        for kind in [ErrorKind::Admin, ErrorKind::Configuration] {
            assert_eq!(refusal(kind), Refusal::GrantRefused { account: alice.clone() });
        }
    }

    #[test]
    fn refusal_names_the_account_that_has_the_grant_when_another_uses_it() {
        let name = |name| Username::parse(name).unwrap();
        let (alice, info) = (name("alice@contoso.com"), name("info@contoso.com"));
        let lent = GrantId::Account(alice.clone());
        let error = TokenError::consent(&lent, "nobody has consented".to_owned());
        assert_eq!(error.refusal(&info, &lent), Refusal::ConsentNeeded { account: alice });
    }
}
