//! Why there is no access token: what is logged, and what a client hears of it.

use tracing::warn;

use super::answer::ProviderError;
use crate::names::Username;
use crate::refusal::{Refusal, Unavailable};

/// Why there is no access token. No variant holds a secret or bytes that an endpoint could have
/// chosen freely: see [`ProviderError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It may pass by itself: the next request may succeed.
    #[error("{endpoint} gives no token now: {reason}")]
    Unavailable {
        /// Host of the token endpoint.
        endpoint: String,
        /// What happened, in a clause.
        reason: String,
        /// What the endpoint said, if it spoke OAuth.
        said: Option<Box<ProviderError>>,
    },
    /// The provider says no, and will until somebody mends something there or in the file.
    #[error("{endpoint} refuses a token ({said}): {hint}")]
    Refused {
        /// Host of the token endpoint.
        endpoint: String,
        /// What it said.
        said: Box<ProviderError>,
        /// What to do, in a clause.
        hint: &'static str,
    },
    /// No request could be made: the file, or a file that it names, has to be mended.
    #[error("no token can be asked for: {problem}")]
    Configuration {
        /// What is wrong and what to do, in a clause.
        problem: String,
    },
}

impl TokenError {
    /// What a client that signs in as `account` hears of it.
    pub fn refusal(&self, account: &Username) -> Refusal {
        match self {
            Self::Unavailable { .. } => Refusal::Unavailable(Unavailable::TokenEndpoint),
            Self::Refused { .. } | Self::Configuration { .. } => {
                Refusal::GrantRefused { account: account.clone() }
            }
        }
    }

    /// Whether waiting may help.
    pub(super) fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Writes the one log line of a failed request. `message` says what comes of it.
    pub(super) fn log(&self, message: &'static str) {
        match self {
            Self::Unavailable { endpoint, reason, said } => {
                let said = said.as_deref();
                warn!(
                    endpoint,
                    error = said.map(ProviderError::error),
                    aadsts = said.and_then(ProviderError::aadsts),
                    trace_id = said.and_then(ProviderError::trace_id),
                    correlation_id = said.and_then(ProviderError::correlation_id),
                    reason,
                    "{message}"
                );
            }
            Self::Refused { endpoint, said, hint } => warn!(
                endpoint,
                error = said.error(),
                aadsts = said.aadsts(),
                trace_id = said.trace_id(),
                correlation_id = said.correlation_id(),
                hint,
                "{message}"
            ),
            Self::Configuration { problem } => warn!(problem, "{message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_is_temporary_only_when_waiting_may_help() {
        let alice = Username::parse("alice@contoso.com").unwrap();
        let said = || Box::new(ProviderError::parse(br#"{"error":"invalid_client"}"#).unwrap());
        let outage = TokenError::Unavailable {
            endpoint: "login.example".into(),
            reason: "HTTP 503".into(),
            said: Some(said()),
        };
        assert_eq!(outage.refusal(&alice), Refusal::Unavailable(Unavailable::TokenEndpoint));
        let refused =
            TokenError::Refused { endpoint: "login.example".into(), said: said(), hint: "x" };
        assert_eq!(refused.refusal(&alice), Refusal::GrantRefused { account: alice.clone() });
        let configuration = TokenError::Configuration { problem: "no file".into() };
        assert_eq!(configuration.refusal(&alice), Refusal::GrantRefused { account: alice });
    }
}
