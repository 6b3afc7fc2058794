//! Who consented, as a token answer tells it.
//!
//! The claims of an `id_token`, or of an access token that is a JWT, are read without a look at the
//! signature: they came over TLS from the token endpoint itself, as an answer to our own request,
//! and OpenID Connect Core section 3.1.3.7 number 6 lets that stand in place of the signature. They
//! decide only whether a consent is kept under an account's name, never who may sign in.
//!
//! An `email` that the provider itself calls unverified (Core section 5.1) is no name: whoever
//! signed up wrote it, and may have written somebody else's. One about which nothing is said counts,
//! because Entra and others say nothing. A name with a domain counts before one without: where
//! `preferred_username` is a short name, mail goes by `email`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::names::Username;

/// Where the name stands: Entra's, Entra's in access tokens, everybody's.
const CLAIMS: [&str; 3] = ["preferred_username", "upn", EMAIL];

/// The claim that `email_verified` is about.
const EMAIL: &str = "email";

/// The name that `id_token` gives, or else `access_token`; `None` where neither has one.
pub(super) fn named(id_token: Option<&str>, access_token: &str) -> Option<Username> {
    id_token.and_then(claimed).or_else(|| claimed(access_token))
}

/// The name in the claims of a JWT (RFC 7519): the second of three parts, base64url, JSON.
fn claimed(token: &str) -> Option<Username> {
    let mut parts = token.split('.');
    let (_header, claims) = (parts.next()?, parts.next()?);
    let claims = Zeroizing::new(URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?);
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let names = CLAIMS.iter().filter(|&&claim| claim != EMAIL || !is_unverified(&claims));
    let names = names.filter_map(|claim| Username::parse(claims.get(claim)?.as_str()?).ok());
    let names = names.collect::<Vec<_>>();
    names.iter().find(|name| name.domain().is_some()).or(names.first()).cloned()
}

/// Whether the provider says that `email` was not verified; some say it as a text.
fn is_unverified(claims: &Value) -> bool {
    claims.get("email_verified").is_some_and(|it| *it == false || *it == "false")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &Value) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(r#"{"alg":"RS256"}"#), part(&claims.to_string()), part("x"))
    }

    fn name(id_token: Option<&Value>, access_token: &str) -> Option<String> {
        named(id_token.map(jwt).as_deref(), access_token).map(|name| name.to_string())
    }

    #[test]
    fn person_is_told_by_the_id_token_before_the_access_token() {
        let claims = |claim: &str, name: &str| serde_json::json!({claim: name, "sub": "1"});
        let access_token = jwt(&claims("upn", "bob@contoso.com"));
        for claim in CLAIMS {
            let id_token = claims(claim, "Alice@contoso.com");
            assert_eq!(name(Some(&id_token), &access_token).unwrap(), "Alice@contoso.com");
        }
        assert_eq!(name(None, &access_token).unwrap(), "bob@contoso.com");
        let nameless = serde_json::json!({"sub": "1", "email": 7});
        assert_eq!(name(Some(&nameless), &access_token).unwrap(), "bob@contoso.com");
    }

    #[test]
    fn person_is_not_who_wrote_an_address_that_nobody_verified() {
        let told = |verified: Value| {
            let claims = serde_json::json!({
                "preferred_username": "mallory", "email": "alice@contoso.com",
                "email_verified": verified,
            });
            name(Some(&claims), "opaque").unwrap()
        };
        for unverified in [Value::from(false), "false".into()] {
            assert_eq!(told(unverified), "mallory");
        }
        for verified in [Value::from(true), "true".into(), Value::Null] {
            assert_eq!(told(verified), "alice@contoso.com");
        }
        let alone = serde_json::json!({"email": "alice@contoso.com", "email_verified": false});
        assert_eq!(name(Some(&alone), "opaque"), None);
    }

    #[test]
    fn person_is_told_by_an_address_before_a_short_name() {
        let claims = serde_json::json!({"preferred_username": "alice", "upn": "alice@contoso.com"});
        assert_eq!(name(Some(&claims), "opaque").unwrap(), "alice@contoso.com");
        let short = serde_json::json!({"preferred_username": "alice"});
        assert_eq!(name(Some(&short), "opaque").unwrap(), "alice");
    }

    #[test]
    fn person_is_unknown_when_no_token_can_be_read() {
        let forged = jwt(&serde_json::json!({"email": "a\u{1}b", "upn": ""}));
        for opaque in ["", "opaque", "ya29.opaque", "a.b.c", "a.!!.c", "..", &forged] {
            assert_eq!(name(None, opaque), None, "{opaque}");
        }
    }
}
