//! What a token endpoint answers: a token (RFC 6749 section 5.1) or an error (section 5.2).
//!
//! In:     JSON by anybody who answers there. Unknown members are ignored.
//! Out:    an access token with its life, or an error of short printable words. The error's
//!         description is searched for an AADSTS code and for [`PHRASES`], and dropped: it is free
//!         text, and may repeat what was sent.

use std::fmt;
use std::time::Duration;

use oauth2::basic::BasicTokenType;
use oauth2::{ErrorResponse, RefreshToken, Scope, TokenResponse};
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::proto::printable;

/// Longest `error`, `trace_id` or `correlation_id` kept, in bytes. Entra's are GUIDs of 36.
const WORD_LEN_MAX: usize = 64;

/// How an Entra error code begins inside a description.
const AADSTS: &str = "AADSTS";

/// What descriptions say that tells causes of the same `error` apart.
///
/// Google, "Using OAuth 2.0 for Server to Server Applications", "JWT error codes"; the second and the
/// last one are what people report of its endpoint besides.
pub(super) const PHRASES: [&str; 5] = [
    "Not a valid email",
    "Invalid email or User ID",
    "Check your iat and exp values",
    "Invalid JWT Signature",
    "account not found",
];

/// One of [`PHRASES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Phrase(&'static str);

/// An error answer (RFC 6749 section 5.2), with the members by which Microsoft's support finds a
/// request.
///
/// Every text in it is printable ASCII of at most 64 bytes, whatever the endpoint sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "ErrorMembers")]
pub struct ProviderError {
    error: String,
    suberror: Option<String>,
    aadsts: Option<u32>,
    phrase: Option<Phrase>,
    trace_id: Option<String>,
    correlation_id: Option<String>,
}

impl ProviderError {
    /// Reads the error of an authorization response (RFC 6749 section 4.1.2.1).
    pub(super) fn redirected(
        error: &str,
        subcode: Option<&str>,
        description: Option<&str>,
    ) -> Option<Self> {
        let text = |text: Option<&str>| text.map_or(Value::Null, Value::from);
        let members = ErrorMembers {
            error: error.to_owned(),
            suberror: text(subcode),
            error_subtype: Value::Null,
            error_description: text(description),
            error_codes: Value::Null,
            trace_id: Value::Null,
            correlation_id: Value::Null,
        };
        Self::try_from(members).ok()
    }

    /// Reads an error answer; `None` when it is none: no JSON object with a text as `error`.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// An error of which the store has kept the two parts that tell its kind.
    pub(super) fn kept(error: &str, aadsts: Option<u32>) -> Self {
        let error = printable(error.as_bytes(), WORD_LEN_MAX);
        Self { error, suberror: None, aadsts, phrase: None, trace_id: None, correlation_id: None }
    }

    /// `error`: `invalid_client`, `invalid_scope`, …
    pub fn error(&self) -> &str {
        &self.error
    }

    /// Entra's `suberror` or Google's `error_subtype`: `bad_token`, `invalid_rapt`, …
    pub(super) fn suberror(&self) -> Option<&str> {
        self.suberror.as_deref()
    }

    /// Entra's own code, the digits behind AADSTS: the first of `error_codes`, or else the one in
    /// `error_description`.
    pub fn aadsts(&self) -> Option<u32> {
        self.aadsts
    }

    /// The one of [`PHRASES`] that `error_description` holds.
    pub(super) fn phrase(&self) -> Option<&'static str> {
        self.phrase.map(|phrase| phrase.0)
    }

    /// `trace_id`, for Microsoft's support.
    pub fn trace_id(&self) -> Option<&str> {
        self.trace_id.as_deref()
    }

    /// `correlation_id`, for Microsoft's support.
    pub fn correlation_id(&self) -> Option<&str> {
        self.correlation_id.as_deref()
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.aadsts {
            Some(code) => write!(f, "{}, {AADSTS}{code}", self.error),
            None => f.write_str(&self.error),
        }
    }
}

impl ErrorResponse for ProviderError {}

/// The members of an error answer, of whatever type they come.
#[derive(Deserialize)]
struct ErrorMembers {
    error: String,
    #[serde(default)]
    suberror: Value,
    #[serde(default)]
    error_subtype: Value,
    #[serde(default)]
    error_description: Value,
    #[serde(default)]
    error_codes: Value,
    #[serde(default)]
    trace_id: Value,
    #[serde(default)]
    correlation_id: Value,
}

impl TryFrom<ErrorMembers> for ProviderError {
    type Error = &'static str;

    fn try_from(members: ErrorMembers) -> Result<Self, Self::Error> {
        let word = |text: &str| {
            Some(printable(text.as_bytes(), WORD_LEN_MAX)).filter(|word| !word.is_empty())
        };
        let description = members.error_description.as_str();
        let listed = members.error_codes.get(0).and_then(Value::as_u64);
        Ok(Self {
            error: word(&members.error).ok_or("`error` is empty")?,
            suberror: members.suberror.as_str().or(members.error_subtype.as_str()).and_then(word),
            aadsts: listed
                .and_then(|code| u32::try_from(code).ok())
                .or_else(|| description.and_then(aadsts_in)),
            phrase: description.and_then(phrase_in),
            trace_id: members.trace_id.as_str().and_then(word),
            correlation_id: members.correlation_id.as_str().and_then(word),
        })
    }
}

/// The digits behind the first `AADSTS` of a description.
fn aadsts_in(description: &str) -> Option<u32> {
    let (_, behind) = description.split_once(AADSTS)?;
    let (digits, _) = behind.split_once(|c: char| !c.is_ascii_digit()).unwrap_or((behind, ""));
    digits.parse().ok()
}

/// The first of [`PHRASES`] that stands in a description.
fn phrase_in(description: &str) -> Option<Phrase> {
    PHRASES.into_iter().find(|phrase| description.contains(phrase)).map(Phrase)
}

/// A token answer (RFC 6749 section 5.1), taken as leniently as is safe.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct TokenAnswer {
    access_token: oauth2::AccessToken,
    #[serde(deserialize_with = "token_type")]
    token_type: BasicTokenType,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
    #[serde(default, deserialize_with = "refresh_token")]
    refresh_token: Option<RefreshToken>,
    #[serde(default, deserialize_with = "id_token")]
    id_token: Option<IdToken>,
    #[serde(default, deserialize_with = "scope")]
    scope: Option<String>,
    #[serde(default, deserialize_with = "seconds")]
    refresh_token_expires_in: Option<u64>,
    #[serde(default, deserialize_with = "seconds")]
    refresh_expires_in: Option<u64>,
}

impl TokenAnswer {
    /// `id_token` (OpenID Connect Core section 3.1.3.3), where the scopes brought one.
    pub(super) fn id_token(&self) -> Option<&str> {
        self.id_token.as_ref().map(|token| token.0.as_str())
    }

    /// How long the refresh token lives, where it is told: Google tells it of a consent that it
    /// limits (`refresh_token_expires_in`), Keycloak of every one (`refresh_expires_in`, and 0 of
    /// those that do not end). No RFC has either.
    pub(super) fn refresh_token_life(&self) -> Option<Duration> {
        let told = self.refresh_token_expires_in.or(self.refresh_expires_in)?;
        (1..=REFRESH_TOKEN_LIFE_MAX).contains(&told).then(|| Duration::from_secs(told))
    }

    /// Those of `wanted` that were not granted, boxes that the person left unticked, where the
    /// request named `named`. An answer that tells no scope gives what was named (RFC 6749 section
    /// 5.1); to a request that named none it says nothing of it, and this is `None`.
    pub(super) fn not_granted<'a>(
        &self,
        wanted: &'a [String],
        named: &[String],
    ) -> Option<Vec<&'a str>> {
        let is_granted = |wanted: &String| match &self.scope {
            Some(granted) => granted
                .split_whitespace()
                .any(|one| permission(one).eq_ignore_ascii_case(permission(wanted))),
            None => named.contains(wanted),
        };
        if self.scope.is_none() && named.is_empty() && tellable(wanted) > 0 {
            return None;
        }
        let told = wanted.iter().filter(|one| is_told(one));
        Some(told.filter(|one| !is_granted(one)).map(String::as_str).collect())
    }
}

/// Longest life of a refresh token that is believed, in seconds: ten years. A longer one need not be
/// foreseen.
const REFRESH_TOKEN_LIFE_MAX: u64 = 10 * 365 * 24 * 60 * 60;

/// Of how many of `scopes` a provider tells that tells what it granted.
pub(super) fn tellable(scopes: &[String]) -> usize {
    scopes.iter().filter(|scope| is_told(scope)).count()
}

/// Whether such a provider tells of `scope`.
fn is_told(scope: &str) -> bool {
    !SCOPES_NOT_TOLD.contains(&permission(scope))
}

/// A scope without the resource that it is for, which providers write in more ways than one.
fn permission(scope: &str) -> &str {
    let scope = scope.trim_end_matches('/');
    scope.rsplit_once('/').map_or(scope, |(_, permission)| permission)
}

/// What a provider grants without telling so: OpenID Connect's, and Entra's word for whatever was
/// consented to.
const SCOPES_NOT_TOLD: [&str; 5] = [".default", "email", "offline_access", "openid", "profile"];

/// An `id_token`, which says who signed in and does not print.
#[derive(Serialize)]
struct IdToken(String);

impl fmt::Debug for IdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdToken([REDACTED])")
    }
}

/// What can still be read of an answer that holds no access token.
pub(super) enum Remains {
    /// An error that came as a success.
    Error(ProviderError),
    /// A new refresh token, which may be the only good one from now on.
    RefreshToken(RefreshToken),
    /// Nothing.
    Nothing,
}

impl Remains {
    /// Looks for them in `body`.
    pub(super) fn of(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Members {
            #[serde(deserialize_with = "refresh_token")]
            refresh_token: Option<RefreshToken>,
        }
        if let Some(error) = ProviderError::parse(body) {
            return Self::Error(error);
        }
        let members = serde_json::from_slice(body).ok();
        members
            .and_then(|members: Members| members.refresh_token)
            .map_or(Self::Nothing, Self::RefreshToken)
    }
}

impl TokenResponse for TokenAnswer {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &oauth2::AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        self.expires_in.map(Duration::from_secs)
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None // the upstream judges what the token is good for
    }
}

/// Reads `token_type`, whose case does not matter (RFC 6749 section 5.1).
fn token_type<'de, D: Deserializer<'de>>(value: D) -> Result<BasicTokenType, D::Error> {
    let name = String::deserialize(value)?;
    Ok(if name.eq_ignore_ascii_case("bearer") {
        BasicTokenType::Bearer
    } else {
        BasicTokenType::Extension(name)
    })
}

/// Reads `refresh_token`.
fn refresh_token<'de, D: Deserializer<'de>>(value: D) -> Result<Option<RefreshToken>, D::Error> {
    Ok(text(value)?.map(RefreshToken::new))
}

/// Reads `id_token`.
fn id_token<'de, D: Deserializer<'de>>(value: D) -> Result<Option<IdToken>, D::Error> {
    Ok(text(value)?.map(IdToken))
}

/// Reads a member that may be missing; what is no text, or an empty one, counts as missing.
fn text<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    Ok(scope(value)?.filter(|text| !text.is_empty()))
}

/// Reads `scope`, which may be missing where it is what was asked for (RFC 6749 section 5.1). An
/// empty one is another: nothing was granted.
fn scope<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(value)? {
        Value::String(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    })
}

/// Reads `expires_in`: seconds as a number or, as Entra's older endpoints send it, as a text. What
/// is neither counts as not told.
pub(super) fn seconds<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u64>, D::Error> {
    Ok(match Value::deserialize(value)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_keeps_what_support_asks_for_and_drops_the_rest() {
        let body = serde_json::json!({
            "error": "invalid_client",
            "error_description": "AADSTS7000215: Invalid client secret provided: hunter2",
            "error_codes": [7_000_215],
            "timestamp": "2026-11-01 10:00:00Z",
            "trace_id": "11111111-2222-3333-4444-555555555555",
            "correlation_id": "66666666",
        });
        let error = ProviderError::parse(body.to_string().as_bytes()).unwrap();
        assert_eq!(error.error(), "invalid_client");
        assert_eq!(error.aadsts(), Some(7_000_215));
        assert_eq!(error.trace_id(), Some("11111111-2222-3333-4444-555555555555"));
        assert_eq!(error.correlation_id(), Some("66666666"));
        assert_eq!(error.to_string(), "invalid_client, AADSTS7000215");
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn suberror_is_told_by_two_names_and_by_both() {
        let suberror = |body: &str| {
            let error = ProviderError::parse(body.as_bytes()).unwrap();
            error.suberror().map(str::to_owned)
        };
        let entra = r#"{"error":"x","suberror":"bad_token"}"#;
        assert_eq!(suberror(entra).unwrap(), "bad_token");
        let google = r#"{"error":"x","error_subtype":"invalid_rapt"}"#;
        assert_eq!(suberror(google).unwrap(), "invalid_rapt");
        let both = r#"{"error_subtype":"invalid_rapt","error":"x","suberror":"bad_token"}"#;
        assert_eq!(suberror(both).unwrap(), "bad_token");
    }

    #[test]
    fn aadsts_is_found_in_the_description_when_no_code_is_listed() {
        let aadsts = |description: &str| {
            let body = serde_json::json!({"error": "x", "error_description": description});
            ProviderError::parse(body.to_string().as_bytes()).unwrap().aadsts()
        };
        assert_eq!(aadsts("AADSTS90033: A transient error"), Some(90_033));
        assert_eq!(aadsts("Error: AADSTS700016"), Some(700_016));
        for none in ["", "AADSTS", "AADSTS: 5", "AADSTS99999999999", "no code"] {
            assert_eq!(aadsts(none), None, "{none}");
        }
    }

    #[test]
    fn phrase_is_kept_of_a_description_and_nothing_around_it() {
        let error = |description: &str| {
            let body = serde_json::json!(
                {"error": "invalid_grant", "error_description": description});
            ProviderError::parse(body.to_string().as_bytes()).unwrap()
        };
        let clock = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable \
                     timeframe. Check your iat and exp values in the JWT claim. hunter2";
        assert_eq!(error(clock).phrase(), Some("Check your iat and exp values"));
        assert!(!format!("{:?}", error(clock)).contains("hunter2"));
        assert_eq!(error("Bad Request").phrase(), None);
    }

    #[test]
    fn error_is_short_and_printable_whatever_was_sent() {
        let body = serde_json::json!({
            "error": format!("a\u{1b}[31m\r\n{}", "x".repeat(500)),
            "trace_id": ["no", "text"],
            "correlation_id": "é\u{0}",
            "error_codes": "7000215",
        });
        let error = ProviderError::parse(body.to_string().as_bytes()).unwrap();
        assert_eq!(error.error().len(), WORD_LEN_MAX);
        assert!(error.error().starts_with("a?[31m??xx"));
        assert_eq!((error.trace_id(), error.aadsts()), (None, None));
        assert_eq!(error.correlation_id(), Some("???"));
    }

    #[test]
    fn error_is_none_when_it_is_not_rfc_6749() {
        for body in ["", "[]", "{}", r#"{"error":{"code":400}}"#, r#"{"error":""}"#, "<html>"] {
            assert_eq!(ProviderError::parse(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn scope_is_missed_when_the_answer_tells_others_alone() {
        let granted =
            "https://outlook.office.com/IMAP.AccessAsUser.All openid https://mail.google.com/";
        let answer = serde_json::json!(
            {"access_token": "t", "token_type": "Bearer", "scope": granted});
        let answer: TokenAnswer = serde_json::from_value(answer).unwrap();
        for (asked, missed) in [
            ("https://outlook.office365.com/imap.accessasuser.all", false),
            ("https://mail.google.com/", false),
            ("https://outlook.office365.com/.default", false),
            ("offline_access", false),
            ("https://outlook.office.com/SMTP.Send", true),
        ] {
            let asked = &[asked.to_owned()];
            assert_eq!(answer.not_granted(asked, asked).unwrap(), asked[..usize::from(missed)]);
        }
    }

    #[test]
    fn every_scope_is_missed_when_the_answer_tells_none() {
        let answer = r#"{"access_token":"t","token_type":"Bearer","scope":""}"#;
        let answer: TokenAnswer = serde_json::from_str(answer).unwrap();
        let asked = ["openid", "imap", "smtp"].map(str::to_owned);
        assert_eq!(answer.not_granted(&asked, &asked).unwrap(), ["imap", "smtp"]);
    }

    #[test]
    fn answer_without_a_scope_gives_what_the_request_named() {
        let answer = r#"{"access_token":"t","token_type":"Bearer"}"#;
        let answer: TokenAnswer = serde_json::from_str(answer).unwrap();
        let wanted = ["openid", "imap", "smtp"].map(str::to_owned);
        assert_eq!(answer.not_granted(&wanted, &wanted).unwrap(), [""; 0]);
        assert_eq!(answer.not_granted(&wanted, &wanted[..2]).unwrap(), ["smtp"]);
        assert_eq!(answer.not_granted(&wanted, &[]), None, "it says nothing");
        assert_eq!(answer.not_granted(&[], &[]).unwrap(), [""; 0], "nothing was wanted");
    }

    #[test]
    fn life_of_the_refresh_token_is_told_by_two_names() {
        let life = |members: &str| {
            let text = format!(r#"{{"access_token":"t","token_type":"bearer"{members}}}"#);
            let answer: TokenAnswer = serde_json::from_str(&text).unwrap();
            answer.refresh_token_life().map(|life| life.as_secs())
        };
        assert_eq!(life(r#","refresh_token_expires_in":604799"#), Some(604_799));
        assert_eq!(life(r#","refresh_expires_in":"1800""#), Some(1800));
        assert_eq!(life(r#","refresh_token_expires_in":7,"refresh_expires_in":9"#), Some(7));
        for untold in ["", r#","refresh_expires_in":0"#, r#","refresh_expires_in":[]"#] {
            assert_eq!(life(untold), None, "{untold}");
        }
        assert_eq!(life(r#","refresh_expires_in":18446744073709551615"#), None);
    }

    #[test]
    fn token_answer_is_read_leniently() {
        let read = |text: &str| serde_json::from_str::<TokenAnswer>(text).unwrap();
        let life = |expires_in: &str| {
            let text = format!(
                r#"{{"access_token":"t","token_type":"BeArEr","expires_in":{expires_in},"x":1}}"#
            );
            let answer = read(&text);
            assert_eq!(answer.token_type(), &BasicTokenType::Bearer);
            answer.expires_in().map(|life| life.as_secs())
        };
        assert_eq!(life("3599"), Some(3599));
        assert_eq!(life("\"3599\""), Some(3599));
        for untold in ["null", "-5", "\"soon\"", "{}", "1.5"] {
            assert_eq!(life(untold), None, "{untold}");
        }
        let without = read(r#"{"access_token":"t","token_type":"bearer"}"#);
        assert_eq!(without.expires_in(), None);
        for odd in ["7", "[]", "null"] {
            let odd = format!(r#"{{"access_token":"t","token_type":"bearer","scope":{odd}}}"#);
            let mail = &["mail".to_owned()];
            assert!(read(&odd).not_granted(mail, mail).unwrap().is_empty(), "{odd}");
        }
        for no_token in [r#"{"token_type":"bearer"}"#, r#"{"access_token":"t"}"#] {
            assert!(serde_json::from_str::<TokenAnswer>(no_token).is_err());
        }
    }
}
