//! The table of OAuth errors: which may pass by themselves, and how the others are mended.
//!
//! Source: RFC 6749 section 5.2; Entra's published list of AADSTS codes.

use super::answer::ProviderError;
use super::error::{ErrorKind, TokenError};

/// Error words that mean an outage (RFC 6749 section 4.1.2.1, which servers use here as well; RFC
/// 8628 section 3.5).
const TEMPORARY: [&str; 3] = ["temporarily_unavailable", "server_error", "slow_down"];

/// Entra's codes that mean an outage or throttling, with whatever error word they come:
/// 50196 loop detected, 90006 retryable, 90012 time-out, 90024 request budget, 90033 directory
/// unavailable, 90055 tenant throttled.
const TEMPORARY_AADSTS: [u32; 6] = [50_196, 90_006, 90_012, 90_024, 90_033, 90_055];

/// What becomes of a request that `endpoint` answered with an error.
pub(super) fn judge(endpoint: &str, said: ProviderError) -> TokenError {
    let temporary = TEMPORARY.contains(&said.error())
        || said.aadsts().is_some_and(|code| TEMPORARY_AADSTS.contains(&code));
    let (kind, cause) = if temporary {
        (ErrorKind::Temporary, format!("{endpoint} gives no token now: it says {said}"))
    } else {
        (ErrorKind::Admin, format!("{endpoint} refuses a token ({said})"))
    };
    let fix = if temporary { "try again later" } else { hint(&said) };
    TokenError { kind, cause, fix: fix.into(), said: Some(Box::new(said)), retry_after: None }
}

/// What to do about a definite error.
fn hint(said: &ProviderError) -> &'static str {
    match said.aadsts() {
        Some(7_000_215) => "the client secret is wrong: `client_secret` is its value, not its id",
        Some(7_000_222) => "the client secret has expired: make a new one",
        Some(700_016) => "this tenant has no such application: check `client_id` and `tenant`",
        Some(90_002) => "there is no such tenant: check `tenant`",
        _ => match said.error() {
            "invalid_client" => "check `client_id` and `client_secret`",
            "unauthorized_client" => "let the application use this grant at the provider",
            "invalid_scope" => "check the provider's `scopes`",
            "invalid_grant" | "access_denied" => {
                "ask the provider's administrator to allow the application"
            }
            "unsupported_grant_type" => "this token endpoint knows no client credentials",
            _ => "look the error up in the provider's documentation",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(error: &str, code: u32) -> TokenError {
        let body = serde_json::json!({"error": error, "error_codes": [code]}).to_string();
        judge("login.example", ProviderError::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn verdict_is_temporary_for_outages_and_definite_for_the_rest() {
        for (error, code) in [
            ("temporarily_unavailable", 0),
            ("server_error", 0),
            ("invalid_grant", 90_033),
            ("invalid_request", 90_024),
        ] {
            assert!(judged(error, code).is_temporary(), "{error} {code}");
        }
        for (error, code) in [
            ("invalid_client", 7_000_215),
            ("unauthorized_client", 700_016),
            ("invalid_scope", 70_011),
            ("invalid_grant", 0),
            ("access_denied", 0),
            ("something_new", 0),
        ] {
            assert!(!judged(error, code).is_temporary(), "{error} {code}");
        }
    }

    #[test]
    fn verdict_names_the_cause_that_entra_tells() {
        let text = judged("invalid_client", 7_000_222).to_string();
        assert!(text.contains("AADSTS7000222") && text.contains("expired"), "{text}");
    }
}
