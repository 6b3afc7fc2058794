//! What an access token of ours says about itself, to be told where a mail server does not take it.
//!
//! Source: RFC 7519 (JWT), RFC 9068 (as an access token), Entra's "Access token claims reference".
//! In:     an access token that our own request brought over TLS. Its signature is not looked at: the
//!         claims decide nothing, they are told to whoever has to mend something.
//! Out:    printable ASCII within bounds; `None` of a token that is opaque. The token itself and its
//!         signature are never part of it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::proto::printable;
use crate::secret::{AccessToken, ExposeSecret as _};

/// Longest text kept of a claim, in bytes. URLs of services and user names are shorter.
const TEXT_LEN_MAX: usize = 320;

/// Most permissions kept of a token. Those for mail are three; Graph's reach some dozens.
const PERMISSIONS_MAX: usize = 64;

/// Longest permission kept, in bytes. `IMAP.AccessAsUser.All` has 21.
const PERMISSION_LEN_MAX: usize = 128;

/// Where the user's name stands: in version 1 tokens of Entra, in older ones, in version 2 ones.
const USER: [&str; 3] = ["upn", "unique_name", "preferred_username"];

/// Where the application stands: version 1 of Entra, version 2, RFC 9068 section 2.2.
const APPLICATION: [&str; 3] = ["appid", "azp", "client_id"];

/// What an access token says about itself; what it does not say is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// `aud`: for which services it is.
    pub audiences: Vec<String>,
    /// `scp`, or else `scope`: what the application may do for the user.
    pub scopes: Vec<String>,
    /// `roles`: what the application may do on its own.
    pub roles: Vec<String>,
    /// Whose consent it is, and in which of the claims that stands.
    pub user: Option<(&'static str, String)>,
    /// `tid`: of which tenant it is.
    pub tenant: Option<String>,
    /// `appid`, `azp` or `client_id`: which application asked.
    pub application: Option<String>,
    /// `oid`: the object that it is for; of an application its service principal in the tenant.
    pub object: Option<String>,
    /// `exp`: when it ends, since 1970.
    pub ends_at: Option<Duration>,
}

impl Claims {
    /// The claims of `token`, if it is a JWT.
    pub fn of(token: &AccessToken) -> Option<Self> {
        let mut parts = token.expose_secret().split('.');
        let (_header, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let claims = Zeroizing::new(URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?);
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        claims.is_object().then(|| Self::read(&claims))
    }

    fn read(claims: &Value) -> Self {
        let texts = |name: &str| claims.get(name).map(words).unwrap_or_default();
        let first = |names: [&'static str; 3]| {
            names.into_iter().find_map(|name| Some((name, text(claims.get(name)?)?)))
        };
        let scopes = texts("scp");
        Self {
            audiences: texts("aud"),
            scopes: if scopes.is_empty() { texts("scope") } else { scopes },
            roles: texts("roles"),
            user: first(USER),
            tenant: claims.get("tid").and_then(text),
            application: first(APPLICATION).map(|(_, application)| application),
            object: claims.get("oid").and_then(text),
            ends_at: claims.get("exp").and_then(Value::as_u64).map(Duration::from_secs),
        }
    }
}

/// A text within bounds; `None` of anything else, or of nothing.
fn text(value: &Value) -> Option<String> {
    let text = printable(value.as_str()?.as_bytes(), TEXT_LEN_MAX);
    (!text.is_empty()).then_some(text)
}

/// The words of a text, or the texts of an array, within bounds.
fn words(value: &Value) -> Vec<String> {
    let words: Vec<&str> = match value {
        Value::String(text) => text.split_ascii_whitespace().take(PERMISSIONS_MAX).collect(),
        Value::Array(texts) => {
            texts.iter().filter_map(Value::as_str).take(PERMISSIONS_MAX).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    };
    let words = words.into_iter().map(|word| printable(word.as_bytes(), PERMISSION_LEN_MAX));
    words.filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(claims: &str) -> AccessToken {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let token = format!("{}.{}.{}", part(r#"{"alg":"RS256"}"#), part(claims), part("x"));
        AccessToken::parse(&token).unwrap()
    }

    fn claims(claims: &Value) -> Claims {
        Claims::of(&token(&claims.to_string())).unwrap()
    }

    #[test]
    fn claims_of_a_persons_token_are_read_as_entra_writes_them() {
        // "Access token claims reference", version 1.0.
        let told = claims(&json!({
            "aud": "https://outlook.office.com", "exp": 1_795_354_200,
            "appid": "6731de76-14a6-49ae-97bc-6eba6914391e",
            "scp": "IMAP.AccessAsUser.All SMTP.Send", "upn": "alice@contoso.com",
            "unique_name": "other", "tid": "b9419818-09af-49c2-b0c3-653adc1f376e",
            "oid": "fa00d692-e9c7-4460-a743-29f2956fd429",
        }));
        assert_eq!(
            told,
            Claims {
                audiences: vec!["https://outlook.office.com".into()],
                scopes: vec!["IMAP.AccessAsUser.All".into(), "SMTP.Send".into()],
                roles: Vec::new(),
                user: Some(("upn", "alice@contoso.com".into())),
                tenant: Some("b9419818-09af-49c2-b0c3-653adc1f376e".into()),
                application: Some("6731de76-14a6-49ae-97bc-6eba6914391e".into()),
                object: Some("fa00d692-e9c7-4460-a743-29f2956fd429".into()),
                ends_at: Some(Duration::from_secs(1_795_354_200)),
            }
        );
    }

    #[test]
    fn claims_stand_under_other_names_in_other_versions_and_at_others() {
        let user = |name: &str| claims(&json!({name: "alice"})).user;
        for name in USER {
            assert_eq!(user(name), Some((name, "alice".to_owned())));
        }
        for name in APPLICATION {
            assert_eq!(claims(&json!({name: "app"})).application.as_deref(), Some("app"));
        }
        // RFC 9068 section 2.2.3 has a text `scope`, Okta an array `scp`; RFC 7519 section 4.1.3 lets
        // `aud` be either.
        assert_eq!(claims(&json!({"scope": "a b"})).scopes, ["a", "b"]);
        assert_eq!(claims(&json!({"scp": ["a", "b"], "scope": "c"})).scopes, ["a", "b"]);
        assert_eq!(claims(&json!({"aud": ["x", "y"]})).audiences, ["x", "y"]);
        assert_eq!(claims(&json!({"roles": ["SMTP.SendAsApp"]})).roles, ["SMTP.SendAsApp"]);
        assert_eq!(claims(&json!({})), Claims::default());
    }

    #[test]
    fn claims_hold_nothing_that_does_not_print_and_nothing_without_an_end() {
        let told = claims(&json!({
            "upn": "a\u{1}b\r\nc\u{202e}", "tid": "t".repeat(1000), "aud": 7, "exp": -1,
            "appid": ["x"], "oid": "", "roles": vec!["r".repeat(200); 100], "scp": "s ".repeat(1000),
        }));
        // Bytes of UTF-8 that are no ASCII are a question mark each.
        assert_eq!(told.user, Some(("upn", "a?b??c???".to_owned())));
        assert_eq!(told.tenant.unwrap().len(), TEXT_LEN_MAX);
        assert_eq!(told.roles.len(), PERMISSIONS_MAX);
        assert_eq!(told.scopes.len(), PERMISSIONS_MAX);
        assert!(told.roles.iter().all(|role| role.len() == PERMISSION_LEN_MAX));
        assert_eq!((told.audiences.len(), told.ends_at), (0, None));
        assert_eq!((told.application, told.object), (None, None));
    }

    #[test]
    fn claims_of_an_opaque_token_are_none() {
        for opaque in ["ya29.a0AfH6SM", "a.b.c", "EwB4A8l6BAAU", "..", "a.b.c.d", "a.!!.c"] {
            assert_eq!(Claims::of(&AccessToken::parse(opaque).unwrap()), None, "{opaque}");
        }
        for no_object in ["7", "[]", "null", "{", &"[".repeat(10_000)] {
            assert_eq!(Claims::of(&token(no_object)), None, "{no_object}");
        }
        // An encrypted JWT has five parts (RFC 7516 section 3.1).
        let encrypted = format!("{}.x.y", token("{}").expose_secret());
        assert_eq!(Claims::of(&AccessToken::parse(&encrypted).unwrap()), None);
    }

    #[test]
    fn claims_never_show_the_token() {
        let token = token(r#"{"upn":"alice@contoso.com"}"#);
        let shown = format!("{:?}", Claims::of(&token));
        for part in token.expose_secret().split('.') {
            assert!(!shown.contains(part), "{shown}");
        }
    }
}
