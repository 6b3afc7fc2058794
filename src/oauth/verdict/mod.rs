//! The verdict on an error answer: who has to do something about it, and what.
//!
//! In:  an error answer (RFC 6749 section 5.2) and whose grant it concerns. Out: a [`TokenError`].
//! What decides is [`TABLE`], read from the most particular match to the most general, and before it
//! what an error means in one way of asking alone (`way.rs`).

mod table;
mod way;

use table::{Row, TABLE};
pub(super) use way::in_view_of;

use super::answer::ProviderError;
use super::error::{ErrorKind, Reach, TokenError};
use crate::provider::GrantId;

/// Every row, with an error answer that it is for.
#[cfg(test)]
pub(super) fn rows() -> impl Iterator<Item = (ErrorKind, serde_json::Value)> {
    TABLE.iter().map(|row| (row.kind, row.example()))
}

/// What becomes of a request for the grant `whose` that `endpoint` answered with an error.
pub(super) fn judge(endpoint: &str, whose: &GrantId, said: ProviderError) -> TokenError {
    let Some(row) = row_for(&said) else {
        return TokenError {
            kind: ErrorKind::Admin,
            reach: Reach::Scopes,
            cause: format!("{endpoint} refuses a token ({said})"),
            fix: "look the error up in the provider's documentation".into(),
            said: Some(Box::new(said)),
            retry_after: None,
            is_answer_lost: false,
        };
    };
    let (kind, fix) = match (row.kind, whose) {
        (ErrorKind::Consent, GrantId::Account(_)) => (ErrorKind::Consent, fix_of_consent(whose)),
        // Nobody can sign in for an application: who allowed it has to.
        (ErrorKind::Consent, GrantId::Application { .. } | GrantId::ServiceAccount { .. }) => {
            (ErrorKind::Admin, row.fix.to_owned())
        }
        (ErrorKind::Temporary | ErrorKind::Admin | ErrorKind::Configuration, _) => {
            (row.kind, row.fix.to_owned())
        }
    };
    TokenError {
        kind,
        reach: row.reach,
        cause: cause_of(endpoint, kind, &said, row.cause),
        fix,
        said: Some(Box::new(said)),
        retry_after: None,
        is_answer_lost: false,
    }
}

/// What `endpoint` said, and that it means `cause`.
fn cause_of(endpoint: &str, kind: ErrorKind, said: &ProviderError, cause: &str) -> String {
    let verb = match kind {
        ErrorKind::Temporary => "gives no token now",
        ErrorKind::Consent | ErrorKind::Admin | ErrorKind::Configuration => "refuses a token",
    };
    format!("{endpoint} {verb} ({said}): {cause}")
}

/// What has to be done for a consent.
pub(super) fn fix_of_consent(whose: &GrantId) -> String {
    match whose {
        GrantId::Account(account) => format!("run `mailbearer authorize {account}`"),
        GrantId::Application { .. } | GrantId::ServiceAccount { .. } => {
            "ask the provider's administrator to allow the application".to_owned()
        }
    }
}

/// The most particular row: Entra's code, then the error with its suberror, then the error alone.
fn row_for(said: &ProviderError) -> Option<&'static Row> {
    let rows = TABLE.iter().filter_map(|row| Some((row.matches.closeness(said)?, row)));
    rows.max_by_key(|(closeness, _)| *closeness).map(|(_, row)| row)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::table::Match;
    use super::*;
    use crate::names::Username;

    fn alice() -> GrantId {
        GrantId::Account(Username::parse("alice@contoso.com").unwrap())
    }

    fn application() -> GrantId {
        let client_id = "client".to_owned();
        GrantId::Application { provider: "microsoft".into(), tenant: None, client_id }
    }

    fn judged(whose: &GrantId, body: &serde_json::Value) -> TokenError {
        let said = ProviderError::parse(body.to_string().as_bytes()).unwrap();
        judge("login.example", whose, said)
    }

    #[test]
    fn row_decides_the_kind_and_names_host_words_cause_and_fix() {
        for (row, (kind, body)) in TABLE.iter().zip(rows()) {
            let error = judged(&alice(), &body);
            assert_eq!(error.kind, kind, "{body}");
            assert!(error.cause.starts_with("login.example "), "{error}");
            assert!(error.cause.contains(body["error"].as_str().unwrap()), "{error}");
            if let Match::Aadsts(code) = row.matches {
                assert!(error.cause.contains(&format!(", AADSTS{code})")), "{error}");
            }
            assert!(error.cause.ends_with(row.cause), "{body} is another row's: {error}");
            if kind == ErrorKind::Consent {
                assert_eq!(error.fix, "run `mailbearer authorize alice@contoso.com`");
            } else {
                assert_eq!(error.fix, row.fix);
            }
        }
    }

    #[test]
    fn consent_of_an_application_is_its_administrators_matter() {
        for (kind, body) in rows() {
            let error = judged(&application(), &body);
            let expected = if kind == ErrorKind::Consent { ErrorKind::Admin } else { kind };
            assert_eq!(error.kind, expected, "{body}");
            assert!(!error.to_string().contains("mailbearer authorize"), "{error}");
        }
    }

    #[test]
    fn row_stands_once_and_says_what_style_asks_for() {
        let mut seen = HashSet::new();
        for row in &TABLE {
            assert!(seen.insert(&row.matches), "{:?} stands twice", row.matches);
            for text in [row.cause, row.fix] {
                assert!(!text.is_empty() && !text.ends_with('.'), "{text:?}");
                assert!(!text.starts_with(|c: char| c.is_ascii_uppercase()) || is_name(text));
            }
        }
    }

    #[test]
    fn row_stands_in_the_page_of_errors() {
        let page = include_str!("../../../docs/errors.md");
        let cells = |line: &str| line.matches(" | ").count() + 1;
        let of_table = |line: &&str| line.starts_with("| `") && cells(line) == 4;
        let shown: Vec<&str> = page.lines().filter(of_table).collect();
        let rows: Vec<String> = TABLE.iter().map(shown_row).collect();
        assert_eq!(shown, rows, "\n{}", rows.join("\n"));
    }

    /// A row as docs/errors.md shows it.
    fn shown_row(row: &Row) -> String {
        let error = row.matches.shown();
        let fix = match row.kind {
            ErrorKind::Consent => "authorize the account again",
            ErrorKind::Temporary | ErrorKind::Admin | ErrorKind::Configuration => row.fix,
        };
        format!("| `{error}` | {} | {} | {fix} |", row.kind.name(), row.cause)
    }

    /// Whether `text` begins with a name, which keeps its capital.
    fn is_name(text: &str) -> bool {
        ["Google", "Entra", "Conditional Access"].iter().any(|name| text.starts_with(name))
    }

    #[test]
    fn code_decides_before_suberror_and_suberror_before_error() {
        let kind = |body: serde_json::Value| judged(&alice(), &body).kind;
        let invalid_grant =
            |codes: u32| serde_json::json!({"error": "invalid_grant", "error_codes": [codes]});
        assert_eq!(kind(invalid_grant(90_033)), ErrorKind::Temporary);
        assert_eq!(kind(invalid_grant(53_003)), ErrorKind::Admin);
        assert_eq!(kind(invalid_grant(7_000_215)), ErrorKind::Configuration);
        assert_eq!(kind(invalid_grant(123_456)), ErrorKind::Consent, "an unknown code");
        let policy = serde_json::json!(
            {"error": "invalid_grant", "suberror": "protection_policy_required"});
        assert_eq!(kind(policy), ErrorKind::Admin);
        let google = serde_json::json!(
            {"error": "invalid_grant", "error_subtype": "invalid_rapt"});
        assert!(judged(&alice(), &google).cause.contains("session control"));
    }

    #[test]
    fn error_about_scopes_leaves_the_other_scopes_of_the_grant_alone() {
        let reach = |error: &str, code: u32| {
            let body = serde_json::json!({"error": error, "error_codes": [code]});
            judged(&alice(), &body).reach
        };
        for (error, code) in [
            ("invalid_grant", 65_001),
            ("invalid_grant", 50_076),
            ("invalid_scope", 70_011),
            ("interaction_required", 0),
            ("consent_required", 0),
            ("something_new", 0),
        ] {
            assert_eq!(reach(error, code), Reach::Scopes, "{error} {code}");
        }
        for (error, code) in [
            ("invalid_grant", 0),
            ("invalid_grant", 700_082),
            ("interaction_required", 50_173),
            ("invalid_client", 7_000_222),
            ("temporarily_unavailable", 0),
        ] {
            assert_eq!(reach(error, code), Reach::Grant, "{error} {code}");
        }
    }

    #[test]
    fn unknown_error_is_definite_but_costs_no_consent() {
        let error = judged(&alice(), &serde_json::json!({"error": "something_new"}));
        assert_eq!(error.kind, ErrorKind::Admin);
        assert_eq!(error.cause, "login.example refuses a token (something_new)");
        assert_eq!(error.fix, "look the error up in the provider's documentation");
    }
}
