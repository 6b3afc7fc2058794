//! The device flow at the endpoints (RFC 8628): its beginning, and one poll.
//!
//! Not by the `oauth2` crate, which polls by itself, takes every failure for one that passes, and
//! drops `Retry-After`.

use std::time::Duration;

use oauth2::url::Url;
use serde::Deserialize;
use serde::de::Deserializer;
use zeroize::Zeroizing;

use super::Asker;
use super::given::{Answer, error_of, read_body};
use crate::oauth::answer::{ProviderError, seconds};
use crate::oauth::browser::is_private;
use crate::oauth::error::TokenError;
use crate::oauth::verdict;
use crate::provider::{Grant, GrantId};
use crate::secret::{ExposeSecret as _, SecretString};

/// The answer of the device authorization endpoint (RFC 8628 section 3.2).
#[derive(Debug)]
pub(in crate::oauth) struct DeviceAnswer {
    pub(in crate::oauth) device_code: SecretString,
    pub(in crate::oauth) user_code: String,
    pub(in crate::oauth) verification_uri: String,
    pub(in crate::oauth) verification_uri_complete: Option<String>,
    pub(in crate::oauth) expires_in: Duration,
    pub(in crate::oauth) interval: Duration,
}

/// What the endpoint sends.
#[derive(Deserialize)]
struct Members {
    #[serde(deserialize_with = "secret")]
    device_code: SecretString,
    user_code: String,
    verification_uri: Option<String>,
    /// Google's word for it. Some servers send both, which no alias of serde's takes.
    verification_url: Option<String>,
    verification_uri_complete: Option<String>,
    verification_url_complete: Option<String>,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
    #[serde(default, deserialize_with = "seconds")]
    interval: Option<u64>,
}

/// Reads a text that does not print.
fn secret<'de, D: Deserializer<'de>>(value: D) -> Result<SecretString, D::Error> {
    String::deserialize(value).map(SecretString::from)
}

/// Begins the flow (RFC 8628 section 3.1).
pub(super) async fn begin(
    asker: &Asker,
    grant: &Grant,
    scopes: &[String],
) -> Result<DeviceAnswer, TokenError> {
    let scope = scopes.join(" ");
    let mut form = Vec::new();
    // It has one token at least (RFC 6749 appendix A.4).
    form.extend(Some(("scope", scope.as_str())).filter(|_| !scopes.is_empty()));
    form.extend(grant.server.resource.iter().map(|resource| ("resource", resource.as_str())));
    let body = asker.post(&form).await;
    let body = body.map_err(|error| error_of(asker.endpoint(), &grant.id, error))?;
    let body = Zeroizing::new(body);
    if let Some(said) = ProviderError::parse(&body) {
        return Err(verdict::judge(asker.host(), &grant.id, said));
    }
    let members = serde_json::from_slice(&body).ok();
    members.and_then(checked).ok_or_else(|| {
        let reason = "its answer holds no code that a person could enter (RFC 8628 section 3.2)";
        TokenError::temporary(asker.host(), reason)
    })
}

/// What a person can be shown; `None` where something that they need is missing or unfit.
fn checked(members: Members) -> Option<DeviceAnswer> {
    let Members { device_code, user_code, expires_in, interval, .. } = members;
    let verification_uri = members.verification_uri.or(members.verification_url)?;
    let complete = members.verification_uri_complete.or(members.verification_url_complete);
    let is_printable = |text: &str, len_max: usize| {
        let fits = !text.is_empty() && text.len() <= len_max;
        fits && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    };
    let is_address = |address: &str| {
        is_printable(address, URI_LEN_MAX)
            && !address.contains(' ')
            && Url::parse(address).is_ok_and(|url| is_private(&url))
    };
    let fits = is_printable(device_code.expose_secret(), DEVICE_CODE_LEN_MAX)
        && is_printable(&user_code, USER_CODE_LEN_MAX)
        && is_address(&verification_uri);
    fits.then(|| DeviceAnswer {
        device_code,
        user_code,
        verification_uri,
        // The person can do without.
        verification_uri_complete: complete.filter(|it| is_address(it)),
        expires_in: expires_in.map_or(LIFE_MAX, Duration::from_secs).min(LIFE_MAX),
        interval: interval.map_or(INTERVAL, Duration::from_secs).max(INTERVAL_MIN),
    })
}

/// Polls once (RFC 8628 section 3.4).
pub(super) async fn ask(
    asker: &Asker,
    grant: &Grant,
    scopes: &[String],
    device_code: &SecretString,
) -> Result<Answer, TokenError> {
    let mut form = vec![("grant_type", GRANT_TYPE), ("device_code", device_code.expose_secret())];
    form.extend(grant.server.resource.iter().map(|resource| ("resource", resource.as_str())));
    read_body(asker.endpoint(), &grant.id, scopes, asker.post(&form).await)
}

/// What to do where there is no device flow.
pub(super) fn instead(whose: &GrantId) -> String {
    match whose {
        GrantId::Account(account) => format!("run `mailbearer authorize {account} --paste`"),
        GrantId::Application { .. } | GrantId::ServiceAccount { .. } => {
            "run `mailbearer authorize ACCOUNT --paste`".to_owned()
        }
    }
}

/// `grant_type` of a poll (RFC 8628 section 3.4).
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The interval where none is told (RFC 8628 section 3.2).
const INTERVAL: Duration = Duration::from_secs(5);

/// The shortest interval believed: a server that says 0 is not asked without a pause.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// The longest life of a code believed. Real ones live 15 minutes (Entra) or 30 (Google); who has
/// not entered it by then has left.
const LIFE_MAX: Duration = Duration::from_secs(30 * 60);

/// Longest device code taken, in bytes. Entra's have a few hundred.
const DEVICE_CODE_LEN_MAX: usize = 8 * 1024;

/// Longest user code taken, in bytes: people type it. RFC 8628 section 6.1 has eight letters.
const USER_CODE_LEN_MAX: usize = 64;

/// Longest address taken, in bytes. RFC 8628 section 3.3.1 wants them short.
const URI_LEN_MAX: usize = 2 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(change: impl FnOnce(&mut serde_json::Value)) -> Option<DeviceAnswer> {
        // The example of RFC 8628 section 3.2.
        let mut answer = serde_json::json!({
            "device_code": "GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS",
            "user_code": "WDJB-MJHT",
            "verification_uri": "https://example.com/device",
            "verification_uri_complete": "https://example.com/device?user_code=WDJB-MJHT",
            "expires_in": 1800, "interval": 5,
        });
        change(&mut answer);
        serde_json::from_value(answer).ok().and_then(checked)
    }

    fn set(name: &str, value: impl Into<serde_json::Value>) -> Option<DeviceAnswer> {
        read(|answer| answer[name] = value.into())
    }

    #[test]
    fn device_answer_is_read_as_rfc_8628_section_3_2_has_it() {
        let answer = read(|_| {}).unwrap();
        assert_eq!(answer.user_code, "WDJB-MJHT");
        assert_eq!(answer.verification_uri, "https://example.com/device");
        let complete = answer.verification_uri_complete.unwrap();
        assert_eq!(complete, "https://example.com/device?user_code=WDJB-MJHT");
        assert_eq!((answer.expires_in.as_secs(), answer.interval.as_secs()), (1800, 5));
        assert!(!format!("{:?}", answer.device_code).contains("GmRh"));
    }

    #[test]
    fn device_answer_has_an_interval_and_an_end_whatever_is_told() {
        let interval = |value: serde_json::Value| set("interval", value).unwrap().interval;
        assert_eq!(interval(serde_json::Value::Null), INTERVAL);
        assert_eq!(interval("7".into()), Duration::from_secs(7));
        assert_eq!(interval(0.into()), INTERVAL_MIN);
        let life = |value: serde_json::Value| set("expires_in", value).unwrap().expires_in;
        assert_eq!(life(serde_json::Value::Null), LIFE_MAX);
        assert_eq!(life(86_400.into()), LIFE_MAX);
        assert_eq!(life(60.into()), Duration::from_secs(60));
    }

    #[test]
    fn device_answer_is_refused_when_a_person_could_not_be_shown_it() {
        for code in ["", "a\u{1b}[31m", "WDJB\r\nMJHT", "é", &"x".repeat(USER_CODE_LEN_MAX + 1)] {
            assert!(set("user_code", code).is_none(), "{code}");
        }
        assert!(set("device_code", "").is_none() && set("device_code", "a\nb").is_none());
        let long = format!("https://example.com/{}", "x".repeat(URI_LEN_MAX));
        for uri in
            ["", "javascript:alert(1)", "http://example.com/", "https://a/ b", "https://é/", &long]
        {
            assert!(set("verification_uri", uri).is_none(), "{uri}");
            let complete = set("verification_uri_complete", uri).unwrap();
            assert_eq!(complete.verification_uri_complete, None, "{uri}");
        }
        assert!(set("verification_uri", "http://127.0.0.1:8/verify").is_some());
        let google = read(|answer| {
            let members = answer.as_object_mut().unwrap();
            let uri = members.remove("verification_uri").unwrap();
            members.insert("verification_url".into(), uri);
        });
        assert!(google.is_some());
        let both = set("verification_url", "https://google.example/").unwrap();
        assert_eq!(both.verification_uri, "https://example.com/device", "RFC 8628's word counts");
    }
}
