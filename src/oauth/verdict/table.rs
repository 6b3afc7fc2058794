//! The table of OAuth errors.
//!
//! Source: RFC 6749 sections 5.2 and 4.1.2.1, RFC 7009 section 2.2.1, RFC 8628 section 3.5; Entra's
//! published list of AADSTS codes; Google's documentation of its token endpoint.

use crate::oauth::answer::ProviderError;
use crate::oauth::error::ErrorKind::{self, Admin, Configuration, Consent, Temporary};
use crate::oauth::error::Reach;

/// What an error means.
pub(super) struct Row {
    /// The errors that it is for.
    pub(super) matches: Match,
    /// Who has to do something about it.
    pub(super) kind: ErrorKind,
    /// What it stands in the way of.
    pub(super) reach: Reach,
    /// What it means, in a clause.
    pub(super) cause: &'static str,
    /// What to do, in a clause; for [`Consent`], what to do about an application's grant.
    pub(super) fix: &'static str,
}

/// Which errors a row is for.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Match {
    /// Those with this code of Entra's, whatever the word.
    Aadsts(u32),
    /// Those with this `error` and this phrase in their description.
    Phrase(&'static str, &'static str),
    /// Those with this `error` and this `suberror`.
    Suberror(&'static str, &'static str),
    /// Those with this `error`.
    Error(&'static str),
}

impl Match {
    /// How closely it fits `said`, the more the closer; not at all, `None`.
    pub(super) fn closeness(&self, said: &ProviderError) -> Option<u8> {
        match self {
            Self::Aadsts(code) => (said.aadsts() == Some(*code)).then_some(4),
            Self::Phrase(error, phrase) => {
                (said.error() == *error && said.phrase() == Some(phrase)).then_some(3)
            }
            Self::Suberror(error, suberror) => {
                (said.error() == *error && said.suberror() == Some(suberror)).then_some(2)
            }
            Self::Error(error) => (said.error() == *error).then_some(1),
        }
    }
}

#[cfg(test)]
impl Match {
    /// As docs/errors.md shows it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Aadsts(code) => format!("AADSTS{code}"),
            Self::Phrase(error, phrase) => format!("{error}, {phrase}"),
            Self::Suberror(error, suberror) => format!("{error}, {suberror}"),
            Self::Error(error) => (*error).to_owned(),
        }
    }

    /// An error answer that it is for.
    pub(super) fn example(&self) -> serde_json::Value {
        match self {
            Self::Aadsts(code) => {
                let description = format!("AADSTS{code}: told in many words");
                serde_json::json!({
                    "error": "invalid_grant", "error_description": description,
                    "error_codes": [code], "trace_id": "trace-1", "correlation_id": "correlation-1",
                })
            }
            Self::Phrase(error, phrase) => {
                let description = format!("told in many words: {phrase}.");
                serde_json::json!({"error": error, "error_description": description})
            }
            Self::Suberror(error, suberror) => {
                serde_json::json!({"error": error, "suberror": suberror})
            }
            Self::Error(error) => serde_json::json!({"error": error}),
        }
    }
}

#[cfg(test)]
impl Row {
    /// An error answer that the row is for.
    pub(super) fn example(&self) -> serde_json::Value {
        self.matches.example()
    }
}

const fn aadsts(code: u32, kind: ErrorKind, cause: &'static str, fix: &'static str) -> Row {
    Row { matches: Match::Aadsts(code), kind, reach: Reach::Grant, cause, fix }
}

const fn suberror(
    (error, suberror): (&'static str, &'static str),
    kind: ErrorKind,
    cause: &'static str,
    fix: &'static str,
) -> Row {
    Row { matches: Match::Suberror(error, suberror), kind, reach: Reach::Grant, cause, fix }
}

const fn error(word: &'static str, kind: ErrorKind, cause: &'static str, fix: &'static str) -> Row {
    Row { matches: Match::Error(word), kind, reach: Reach::Grant, cause, fix }
}

impl Row {
    /// The same about the scopes that were asked for: others of the same grant may get a token.
    const fn scoped(self) -> Self {
        Self { reach: Reach::Scopes, ..self }
    }
}

/// What mends most refusals of an application's grant.
const ALLOW: &str = "ask the provider's administrator to allow the application";

/// What to do about an assertion that the platform signed for another workload than Entra knows.
const FEDERATED: &str = "correct issuer, subject and audience of the federated credential in Entra";

/// What to do about what passes by itself.
const LATER: &str = "try again later";

/// The table. Only what the person mends by signing in once more is [`Consent`]: that parks the
/// refresh token, unless the row is about its scopes alone.
#[rustfmt::skip]
pub(super) static TABLE: [Row; 99] = [
    // What passes by itself.
    aadsts(50_196, Temporary, "the same request came too often within a short time", LATER),
    aadsts(90_006, Temporary, "one of its own servers had a passing error", LATER),
    aadsts(90_012, Temporary, "the request took too long there", LATER),
    aadsts(90_024, Temporary, "its budget of requests is used up for the moment", LATER),
    aadsts(90_033, Temporary, "its directory is not available", LATER),
    aadsts(90_055, Temporary, "the tenant is throttled for too many requests", LATER),
    // What the person mends by signing in once more; `fix` is for an application.
    aadsts(50_055, Consent, "the person's password at the provider has expired", ALLOW),
    aadsts(50_072, Consent, "the person has to register for multi-factor sign-in", ALLOW).scoped(),
    aadsts(50_074, Consent, "the person has to pass multi-factor sign-in", ALLOW).scoped(),
    aadsts(50_076, Consent, "multi-factor sign-in is needed, after a change of policy or place",
        ALLOW).scoped(),
    aadsts(50_078, Consent, "the person's multi-factor sign-in is too old", ALLOW).scoped(),
    aadsts(50_079, Consent, "the person has to register for multi-factor sign-in", ALLOW).scoped(),
    aadsts(50_085, Consent, "the consent needs a sign-in at the person's own identity provider",
        ALLOW),
    aadsts(50_126, Consent, "the provider holds the person's name or password for wrong", ALLOW),
    aadsts(50_132, Consent, "the consent ended with the person's old password", ALLOW),
    aadsts(50_133, Consent, "the consent ended with a changed password or was taken back", ALLOW),
    aadsts(50_144, Consent, "the person's Active Directory password has expired", ALLOW),
    aadsts(50_158, Consent, "a further sign-in outside of Entra is asked for", ALLOW).scoped(),
    aadsts(50_173, Consent, "the consent was taken back or ended with a changed password", ALLOW),
    aadsts(65_001, Consent, "nobody has consented to these permissions for this application",
        "grant the application admin consent for its permissions in Entra").scoped(),
    aadsts(65_004, Consent, "the person declined to consent", ALLOW).scoped(),
    aadsts(70_000, Consent, "the refresh token is not valid any more", ALLOW),
    aadsts(70_008, Consent, "the refresh token has expired or was taken back", ALLOW),
    aadsts(70_043, Consent,
        "Conditional Access limits how long a sign-in lasts, and this one is over",
        "ask the administrator to except this application from the sign-in frequency policy"),
    aadsts(700_082, Consent,
        "the refresh token has expired because nobody used it, for 90 days as a rule",
        ALLOW),
    aadsts(700_084, Consent,
        "the refresh token came by a redirect URI of the kind single-page app, and those last \
         24 hours",
        "register the redirect URI under Mobile and desktop"),
    // What the provider's administrator mends.
    aadsts(50_020, Admin, "the person's account does not exist in this tenant",
        "invite the person to the tenant, or check `tenant`"),
    aadsts(50_034, Admin, "the person's account does not exist in this tenant any more",
        "restore the account, or take it out of the file"),
    aadsts(50_057, Admin, "the person's account is disabled", "enable the account in Entra"),
    aadsts(50_097, Admin, "Conditional Access asks for a registered device",
        "except this application from the policy: a relay is no registered device").scoped(),
    aadsts(50_105, Admin, "the person is not assigned to the application",
        "assign the person to the enterprise application in Entra"),
    aadsts(50_131, Admin, "Conditional Access blocks this sign-in",
        "look into the sign-in log in Entra for the policy, and except this application").scoped(),
    aadsts(53_000, Admin, "Conditional Access asks for a compliant device",
        "except this application from the policy: a relay is no managed device").scoped(),
    aadsts(53_001, Admin, "Conditional Access asks for a domain-joined device",
        "except this application from the policy: a relay is no managed device").scoped(),
    aadsts(53_003, Admin, "Conditional Access blocks this sign-in",
        "look into the sign-in log in Entra for the policy, and except this application").scoped(),
    aadsts(70_001, Admin, "the application is not installed in this tenant, or disabled there",
        "enable the enterprise application in Entra"),
    aadsts(90_094, Admin, "an administrator has to consent to these permissions",
        "grant the application admin consent for its permissions in Entra").scoped(),
    aadsts(500_014, Admin, "the service that the scopes name is disabled in this tenant",
        "enable the enterprise application of Exchange Online in Entra").scoped(),
    aadsts(650_052, Admin, "the tenant has no subscription of the service that the scopes name",
        "subscribe to Exchange Online, or check the provider's `scopes`").scoped(),
    aadsts(650_057, Admin, "the application does not list the permissions that the scopes name",
        "add the permissions of Exchange Online to the application in Entra").scoped(),
    aadsts(7_000_112, Admin, "the application is disabled in its tenant",
        "enable the application in Entra"),
    aadsts(7_000_229, Admin, "the tenant has no service principal of the application",
        "add the application to the tenant as an enterprise application"),
    // What whoever wrote the configuration file mends.
    aadsts(28_002, Configuration, "the scopes are not valid", "correct the provider's `scopes`").scoped(),
    aadsts(28_003, Configuration, "there is no scope", "write the provider's `scopes`").scoped(),
    aadsts(50_001, Configuration, "the service that the scopes name is unknown or disabled",
        "correct the provider's `scopes`").scoped(),
    aadsts(50_059, Configuration, "the request names no tenant", "write `tenant`"),
    aadsts(50_194, Configuration, "the application is for one tenant alone, and none was named",
        "write `tenant`"),
    aadsts(70_002, Configuration, "the client's credentials are wrong",
        "check `client_id` and `client_secret`"),
    aadsts(70_003, Configuration, "the application may not use this kind of grant",
        "check `grant`"),
    aadsts(70_011, Configuration, "a scope is not valid", "correct the provider's `scopes`").scoped(),
    aadsts(90_002, Configuration, "there is no such tenant", "check `tenant`"),
    aadsts(90_014, Configuration, "a field is missing in the request",
        "check `client_id`, `tenant` and the provider's `scopes`"),
    aadsts(500_011, Configuration, "the tenant does not have the service that the scopes name",
        "check `tenant` and the provider's `scopes`").scoped(),
    aadsts(700_016, Configuration, "this tenant has no such application",
        "check `client_id` and `tenant`"),
    aadsts(700_024, Configuration, "the client assertion is not valid at this time",
        "set this machine's clock"),
    aadsts(700_025, Configuration, "the application is a public client, which shows no secret",
        "leave `client_secret` out, or forbid public client flows in Entra"),
    aadsts(700_027, Configuration, "the certificate is not registered for the application",
        "upload the certificate to the application in Entra"),
    aadsts(70_021, Configuration, "no federated credential of the application fits the assertion",
        FEDERATED),
    aadsts(700_021, Configuration, "the client assertion names another application",
        "check `client_id`"),
    aadsts(700_023, Configuration, "the client assertion was made for another endpoint",
        "check `tenant` and the provider's `token_endpoint`"),
    aadsts(700_211, Configuration, "no federated credential of the application names the assertion's \
         issuer", FEDERATED),
    aadsts(700_212, Configuration, "no federated credential of the application names the assertion's \
         audience", FEDERATED),
    aadsts(700_213, Configuration, "no federated credential of the application names the assertion's \
         subject", FEDERATED),
    aadsts(900_023, Configuration, "the tenant's name is no domain and no id", "correct `tenant`"),
    aadsts(900_144, Configuration, "a parameter is missing in the request",
        "check `client_id`, `tenant` and the provider's `scopes`"),
    aadsts(7_000_215, Configuration, "the client secret is wrong",
        "write the secret's value into `client_secret`, not its id"),
    aadsts(7_000_218, Configuration, "the application is no public client and has to show a secret",
        "write `client_secret`, or allow public client flows in Entra"),
    aadsts(7_000_222, Configuration, "the client secret has expired",
        "make a new one and write it into `client_secret`"),
    aadsts(9_002_313, Configuration, "the request is malformed",
        "check `client_id`, `tenant` and the provider's `scopes`"),
    aadsts(9_002_327, Configuration,
        "the redirect URI is of the kind single-page app, whose tokens only a browser may use",
        "register the redirect URI under Mobile and desktop"),
    // Errors with a second word: Entra's `suberror`, Google's `error_subtype`.
    suberror(("invalid_grant", "consent_required"), Consent,
        "the consent was taken back or does not cover these permissions",
        ALLOW).scoped(),
    suberror(("invalid_grant", "client_mismatch"), Consent,
        "the refresh token was given to another application",
        ALLOW),
    suberror(("invalid_grant", "invalid_rapt"), Consent,
        "Google Workspace's session control asks for a new sign-in",
        "ask the administrator to trust the application in Google Workspace's session control"),
    suberror(("invalid_grant", "protection_policy_required"), Admin,
        "Conditional Access asks for an app protection policy",
        "except this application from the policy: a relay is no managed app").scoped(),
    // RFC 6749 section 5.2, RFC 8707, RFC 7009, and what providers add.
    error("invalid_grant", Consent,
        "the consent was taken back, has expired or was replaced; at Google also 7 days after \
         it was given while the consent screen is in testing, after 6 months without use and \
         with a changed password",
        ALLOW),
    error("invalid_token", Consent, "the refresh token is not valid any more", ALLOW),
    error("expired_token", Consent, "the consent came too late or has expired", ALLOW),
    error("interaction_required", Consent, "the person has to sign in again", ALLOW).scoped(),
    error("login_required", Consent, "the person has to sign in again", ALLOW).scoped(),
    error("consent_required", Consent, "the person has to consent again", ALLOW).scoped(),
    error("invalid_client", Configuration, "the client is unknown or its secret is wrong",
        "check `client_id` and `client_secret`"),
    error("deleted_client", Configuration, "the client was deleted at the provider",
        "make a new client and write its `client_id`"),
    error("disabled_client", Admin, "the client is disabled at the provider",
        "enable the client in the provider's console"),
    error("unauthorized_client", Admin,
        "the application may not use this kind of grant, or the token was given to another one",
        "let the application use this grant at the provider"),
    error("access_denied", Admin, "the provider does not allow it", ALLOW).scoped(),
    error("admin_policy_enforced", Admin,
        "the administrator of Google Workspace does not allow these scopes",
        "ask the administrator to trust the application in Google Workspace's API controls").scoped(),
    error("org_internal", Admin, "the application is for the people of its own organisation alone",
        "make the consent screen external, or use an application of this organisation"),
    error("invalid_scope", Configuration, "a scope is not known or not allowed",
        "correct the provider's `scopes`").scoped(),
    error("invalid_request", Configuration, "the request is malformed for this endpoint",
        "check `token_endpoint`, `client_id` and the provider's `scopes`"),
    error("invalid_target", Configuration, "the endpoint wants to be told another resource",
        "check the provider's `scopes`").scoped(),
    error("unsupported_grant_type", Configuration, "this endpoint does not know this kind of grant",
        "check `grant` and `token_endpoint`"),
    error("unsupported_response_type", Configuration,
        "this endpoint does not know this kind of answer",
        "check `grant` and the provider's endpoints"),
    error("unsupported_token_type", Configuration, "this endpoint takes no refresh token back",
        "take the consent back at the provider"),
    // An outage (RFC 6749 section 4.1.2.1, whose words servers use here as well), or asked too soon
    // (RFC 8628 section 3.5).
    error("server_error", Temporary, "it has an error of its own", LATER),
    error("temporarily_unavailable", Temporary, "it is overloaded or under maintenance", LATER),
    error("internal_failure", Temporary, "it has an error of its own", LATER),
    error("rate_limit_exceeded", Temporary, "it was asked too often", LATER),
    error("slow_down", Temporary, "it was asked too often", LATER),
    error("authorization_pending", Temporary, "the person has not finished signing in", LATER),
];
