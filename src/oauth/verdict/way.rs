//! What an error means in one way of asking alone: who gives a password, a signed assertion or the
//! name of a machine is refused for other reasons than a person's consent.

use super::table::Match;
use super::{cause_of, row_for};
use crate::oauth::answer::ProviderError;
use crate::oauth::endpoint::host_of;
use crate::oauth::error::ErrorKind::{self, Admin, Configuration};
use crate::oauth::error::TokenError;
use crate::provider::{ClientAuth, Grant, Way};

/// How a grant asks, as far as that changes what an error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum View {
    /// With the person's password at the provider.
    Password,
    /// As a Google service account, in a mailbox's name.
    ServiceAccount,
    /// As the machine, at Azure's own service.
    ManagedIdentity,
    /// As a client that shows a signed assertion in place of a secret.
    Assertion,
}

impl View {
    /// The views of `grant`, the more particular first.
    fn all_of(grant: &Grant) -> impl Iterator<Item = Self> {
        let of_way = match &grant.way {
            Way::Password { .. } => Some(Self::Password),
            Way::ServiceAccount(_) => Some(Self::ServiceAccount),
            Way::ManagedIdentity(_) => Some(Self::ManagedIdentity),
            Way::ClientCredentials(_)
            | Way::WorkloadIdentity(_)
            | Way::AuthorizationCode(_)
            | Way::DeviceCode(_)
            | Way::Command(_) => None,
        };
        let of_client = grant.way.client().and_then(|client| match &client.auth {
            ClientAuth::PrivateKeyJwt(_) | ClientAuth::AssertionFile(_) => Some(Self::Assertion),
            ClientAuth::None | ClientAuth::SecretPost(_) | ClientAuth::SecretBasic(_) => None,
        });
        of_way.into_iter().chain(of_client)
    }
}

/// What an error means in one view.
pub(super) struct WayRow {
    pub(super) view: View,
    pub(super) matches: Match,
    /// Who has to do something about it; never the person who could consent.
    pub(super) kind: ErrorKind,
    /// What it means, in a clause.
    pub(super) cause: &'static str,
    /// What to do, in a clause.
    pub(super) fix: &'static str,
}

/// `error`, which [`super::judge`] has judged, as it is meant for the way of `grant`.
///
/// Where nothing is kept nobody can consent, so what a person's sign-in would mend is the
/// administrator's matter there.
pub(in crate::oauth) fn in_view_of(grant: &Grant, error: TokenError) -> TokenError {
    // What came with an outage may pass, whatever its words mean otherwise.
    let Some(said) = error.said.as_deref().filter(|_| !error.is_temporary()) else { return error };
    let host = || host_of(grant.source());
    if let Some(row) = View::all_of(grant).find_map(|view| row_of(view, said)) {
        let cause = cause_of(&host(), row.kind, said, row.cause);
        return TokenError { kind: row.kind, cause, fix: row.fix.to_owned(), ..error };
    }
    match row_for(said) {
        Some(row) if error.kind == ErrorKind::Consent && !grant.kind().is_kept() => {
            TokenError { kind: Admin, fix: row.fix.to_owned(), ..error }
        }
        Some(_) | None => error,
    }
}

/// The row of `view` for `said`: never the one for an error alone where [`super::TABLE`] knows the
/// code, or a view would hide what is known better.
fn row_of(view: View, said: &ProviderError) -> Option<&'static WayRow> {
    let known = row_for(said).and_then(|row| row.matches.closeness(said)).unwrap_or_default();
    let rows = WAYS.iter().filter(|row| row.view == view);
    rows.filter_map(|row| Some((row.matches.closeness(said)?, row)))
        .filter(|(closeness, _)| *closeness >= known)
        .max_by_key(|(closeness, _)| *closeness)
        .map(|(_, row)| row)
}

const fn row(
    view: View,
    matches: Match,
    kind: ErrorKind,
    (cause, fix): (&'static str, &'static str),
) -> WayRow {
    WayRow { view, matches, kind, cause, fix }
}

const fn aadsts(
    view: View,
    code: u32,
    kind: ErrorKind,
    told: (&'static str, &'static str),
) -> WayRow {
    row(view, Match::Aadsts(code), kind, told)
}

const fn error(
    view: View,
    word: &'static str,
    kind: ErrorKind,
    told: (&'static str, &'static str),
) -> WayRow {
    row(view, Match::Error(word), kind, told)
}

/// An `invalid_grant` of Google's to a service account, with this phrase in its description.
const fn phrase(phrase: &'static str, told: (&'static str, &'static str)) -> WayRow {
    row(View::ServiceAccount, Match::Phrase("invalid_grant", phrase), Configuration, told)
}

/// A second factor, which nobody is there to give.
const SECOND_FACTOR: (&str, &str) = (
    "multi-factor sign-in is asked for, which a password alone never passes",
    "use grant = \"authorization-code\", or except the account from the policy",
);

/// A password that the provider does not take any more.
const OLD_PASSWORD: (&str, &str) = (
    "the person's password at the provider has expired",
    "let the person choose a new one there, and write it into `password`",
);

/// A mailbox that is none.
const UNKNOWN_MAILBOX: (&str, &str) =
    ("Google Workspace has no such mailbox", "check the account's name and `mailbox`");

/// The domain-wide delegation lacks.
const NOT_DELEGATED: (&str, &str) = (
    "domain-wide delegation does not allow the service account these scopes",
    "enter its numeric client ID with the scopes under API controls in Google's Admin console",
);

/// What errors mean in one view. The rest is as [`super::TABLE`] has it.
#[rustfmt::skip]
pub(super) static WAYS: [WayRow; 29] = [
    // RFC 6749 section 4.3; Entra's codes are those of "Microsoft Entra authentication and
    // authorization error codes".
    error(View::Password, "invalid_grant", Configuration, (
        "the name or the password is wrong, the password has expired, or more than a password is \
         asked for",
        "check `password`; where multi-factor sign-in is due, use grant = \"authorization-code\"")),
    error(View::Password, "interaction_required", Admin, SECOND_FACTOR),
    error(View::Password, "login_required", Admin, SECOND_FACTOR),
    error(View::Password, "consent_required", Admin, (
        "nobody has consented to these permissions for this application",
        "ask the provider's administrator to allow the application for all its people")),
    error(View::Password, "unauthorized_client", Admin, (
        "the application may not ask with a person's password",
        "allow public client flows for it at the provider, or use grant = \"authorization-code\"")),
    error(View::Password, "unsupported_grant_type", Configuration, (
        "this provider gives no tokens for passwords any more",
        "use grant = \"authorization-code\"")),
    aadsts(View::Password, 50_126, Configuration, (
        "the name or the password is wrong", "correct `password`")),
    aadsts(View::Password, 50_055, Admin, OLD_PASSWORD),
    aadsts(View::Password, 50_144, Admin, OLD_PASSWORD),
    aadsts(View::Password, 50_072, Admin, SECOND_FACTOR),
    aadsts(View::Password, 50_074, Admin, SECOND_FACTOR),
    aadsts(View::Password, 50_076, Admin, SECOND_FACTOR),
    aadsts(View::Password, 50_078, Admin, SECOND_FACTOR),
    aadsts(View::Password, 50_079, Admin, SECOND_FACTOR),
    aadsts(View::Password, 50_158, Admin, SECOND_FACTOR),
    // Google, "Using OAuth 2.0 for Server to Server Applications", "JWT error codes".
    phrase("Not a valid email", UNKNOWN_MAILBOX),
    phrase("Invalid email or User ID", UNKNOWN_MAILBOX),
    phrase("Check your iat and exp values", (
        "the assertion is not valid at this time", "set this machine's clock")),
    phrase("Invalid JWT Signature", (
        "the service account's key was deleted or is another account's",
        "make a new key of the service account")),
    phrase("account not found", (
        "there is no such service account", "check `key_file` or `client_email`")),
    error(View::ServiceAccount, "unauthorized_client", Admin, NOT_DELEGATED),
    error(View::ServiceAccount, "access_denied", Admin, NOT_DELEGATED),
    error(View::ServiceAccount, "invalid_grant", Configuration, (
        "there is no such mailbox, the key was deleted, or this machine's clock is wrong",
        "check that the mailbox exists, that the key is the newest one, and the clock")),
    error(View::ServiceAccount, "invalid_client", Configuration, (
        "there is no such service account, or its key is another one's",
        "write the key that belongs to it")),
    // The pages named in grant/managed_identity.rs.
    error(View::ManagedIdentity, "invalid_request", Configuration, (
        "the machine does not have this identity, or the service that the scopes name is unknown",
        "assign the identity to the machine in Azure, and check `client_id` and `scopes`")),
    error(View::ManagedIdentity, "invalid_resource", Configuration, (
        "the tenant does not have the service that the scopes name",
        "correct the provider's `scopes`")),
    error(View::ManagedIdentity, "unauthorized_client", Admin, (
        "the machine may not ask in this way",
        "switch the identity of the machine on in Azure")),
    error(View::ManagedIdentity, "unknown_source", Configuration, (
        "the service does not know this URL", "correct `token_endpoint`")),
    // RFC 7521 section 4.2.1.
    error(View::Assertion, "invalid_client", Configuration, (
        "the client is unknown, or what shows that it is the one is not accepted",
        "check `client_id`, the certificate or the assertion's file, and this machine's clock")),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use super::*;
    use crate::oauth::answer::PHRASES;
    use crate::oauth::verdict::{judge, rows};
    use crate::provider::{Client, GrantId, ManagedIdentity, ServiceAccount, ServiceAccountKey};
    use crate::secret::SecretSource;

    /// A grant that asks so.
    fn grant(view: View) -> Grant {
        let application = Grant::of_application();
        match view {
            View::Password => {
                let grant = Grant::of_person("alice@contoso.com");
                let client = grant.way.client().cloned().unwrap();
                let password = SecretSource::Value("secret".into());
                Grant { way: Way::Password { client, password }, ..grant }
            }
            View::ServiceAccount => {
                let key = ServiceAccountKey::File("key.json".into());
                let way = Way::ServiceAccount(Arc::new(ServiceAccount { key }));
                let id = GrantId::ServiceAccount {
                    provider: "google".into(),
                    key: "key.json".into(),
                    subject: None,
                };
                Grant { id, way, ..application }
            }
            View::ManagedIdentity => {
                let way = Way::ManagedIdentity(ManagedIdentity::Imds { client_id: None });
                Grant { way, ..application }
            }
            View::Assertion => application
                .by(|client: &mut Client| client.auth = ClientAuth::AssertionFile("token".into())),
        }
    }

    fn judged(grant: &Grant, body: &serde_json::Value) -> TokenError {
        let said = ProviderError::parse(body.to_string().as_bytes()).unwrap();
        in_view_of(grant, judge("login.example", &grant.id, said))
    }

    #[test]
    fn row_of_a_way_decides_for_that_way_alone() {
        for row in &WAYS {
            let error = judged(&grant(row.view), &row.matches.example());
            assert_eq!((error.kind, error.fix.as_str()), (row.kind, row.fix), "{error}");
            assert!(error.cause.starts_with("login.example refuses a token ("), "{error}");
            assert!(error.cause.ends_with(&format!(": {}", row.cause)), "{error}");
            let person = Grant::of_person("alice@contoso.com");
            assert_ne!(judged(&person, &row.matches.example()).fix, row.fix);
        }
    }

    #[test]
    fn nothing_suggests_to_authorize_where_nothing_is_kept() {
        let views = [View::Password, View::ServiceAccount, View::ManagedIdentity, View::Assertion];
        for (kind, body) in rows() {
            for view in views {
                let error = judged(&grant(view), &body);
                assert_ne!(error.kind, ErrorKind::Consent, "{view:?} {body}");
                assert_eq!(error.is_temporary(), kind == ErrorKind::Temporary, "{view:?} {body}");
                assert!(!error.to_string().contains("mailbearer authorize"), "{error}");
            }
        }
    }

    #[test]
    fn consent_of_a_person_stays_theirs_whatever_the_client_shows() {
        let secret = Grant::of_person("alice@contoso.com");
        let assertion = secret
            .clone()
            .by(|client: &mut Client| client.auth = ClientAuth::AssertionFile("token".into()));
        for (kind, body) in rows() {
            assert_eq!(judged(&secret, &body).kind, kind, "{body}");
            assert_eq!(judged(&assertion, &body).kind, kind, "{body}");
        }
    }

    #[test]
    fn code_that_is_known_tells_more_than_the_error_of_a_way() {
        let body = serde_json::json!({"error": "invalid_grant", "error_codes": [50_057]});
        assert!(judged(&grant(View::Password), &body).fix.contains("enable the account"));
        let body = serde_json::json!({"error": "invalid_client", "error_codes": [700_213]});
        assert!(judged(&grant(View::Assertion), &body).fix.contains("federated credential"));
        let unknown = serde_json::json!({"error": "invalid_grant", "error_codes": [123_456]});
        assert!(judged(&grant(View::Password), &unknown).fix.contains("`password`"));
    }

    #[test]
    fn phrase_has_a_row_and_each_row_a_phrase_that_is_looked_for() {
        let of_rows: HashSet<_> = WAYS
            .iter()
            .filter_map(|row| match row.matches {
                Match::Phrase(_, phrase) => Some(phrase),
                Match::Aadsts(_) | Match::Suberror(..) | Match::Error(_) => None,
            })
            .collect();
        assert_eq!(of_rows, HashSet::from(PHRASES));
    }

    #[test]
    fn row_stands_once_and_in_the_page_of_errors() {
        let mut seen = HashSet::new();
        let name = |view| match view {
            View::Password => "password",
            View::ServiceAccount => "service-account",
            View::ManagedIdentity => "managed-identity",
            View::Assertion => "with an assertion",
        };
        let rows: Vec<String> = WAYS
            .iter()
            .map(|row| {
                assert!(seen.insert((row.view, &row.matches)), "{:?} stands twice", row.matches);
                let (error, kind) = (row.matches.shown(), row.kind.name());
                format!("| {} | `{error}` | {kind} | {} | {} |", name(row.view), row.cause, row.fix)
            })
            .collect();
        let page = include_str!("../../../docs/errors.md");
        let cells = |line: &str| line.matches(" | ").count() + 1;
        let shown = page.lines().filter(|line| cells(line) == 5 && line.contains(" | `"));
        assert_eq!(shown.collect::<Vec<_>>(), rows, "\n{}", rows.join("\n"));
    }
}
