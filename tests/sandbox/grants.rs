//! The grants that need nobody's consent: passwords and assertions.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mailbearer::sandbox::{DEFAULT_SCOPE, Sandbox, SandboxSettings};

use crate::client::{form, json, post, sandbox, settings};

/// A JWT with these claims that nobody signed.
fn jwt(claims: &serde_json::Value) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part(r#"{"alg":"RS256"}"#), part(&claims.to_string()), part("signed"))
}

/// Long after any test.
const LATER: u64 = 4_102_444_800;

async fn ask(sandbox: &Sandbox, form: &str) -> (u16, serde_json::Value) {
    let (status, answer) = post(sandbox, "", form).await.unwrap();
    (status, json(&answer))
}

#[tokio::test]
async fn a_password_brings_a_token_where_there_is_one() {
    let password = Some("hunter2".to_owned());
    let guarded = Sandbox::start(SandboxSettings { password, ..settings() }).await.unwrap();
    let form = |sandbox: &Sandbox, password: &str| {
        let id = sandbox.client_id();
        format!(
            "grant_type=password&client_id={id}&username=alice%40example.com\
             &password={password}&scope={DEFAULT_SCOPE}+offline_access"
        )
    };
    let (status, answer) = ask(&guarded, &form(&guarded, "hunter2")).await;
    assert_eq!((status, answer.get("refresh_token")), (200, None), "{answer}");
    let open = sandbox().await;
    for (sandbox, password) in [(&guarded, "wrong"), (&open, "hunter2"), (&open, "")] {
        let (status, answer) = ask(sandbox, &form(sandbox, password)).await;
        assert_eq!((status, &answer["error"]), (400, &"invalid_grant".into()));
    }
}

#[tokio::test]
async fn an_assertion_brings_a_token_in_the_name_that_it_tells() {
    let sandbox = sandbox().await;
    let claims = serde_json::json!({
        "iss": "robot@example.com", "sub": "alice@example.com", "scope": DEFAULT_SCOPE,
        "aud": sandbox.token_endpoint(), "exp": LATER, "iat": 1,
    });
    let bearer = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
    let form =
        |claims: &serde_json::Value| format!("grant_type={bearer}&assertion={}", jwt(claims));
    let (status, answer) = ask(&sandbox, &form(&claims)).await;
    assert_eq!(status, 200, "{answer}");
    let token = answer["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
    let token = String::from_utf8(URL_SAFE_NO_PAD.decode(token).unwrap()).unwrap();
    assert!(token.contains(r#""sub":"alice@example.com""#), "{token}");
    for (claim, value, error) in [
        ("exp", 1.into(), "invalid_grant"),
        ("aud", "https://elsewhere.example".into(), "invalid_grant"),
        ("iss", serde_json::Value::Null, "invalid_grant"),
        ("scope", "nonsense".into(), "invalid_scope"),
    ] {
        let mut claims = claims.clone();
        claims[claim] = value;
        let (status, answer) = ask(&sandbox, &form(&claims)).await;
        assert_eq!((status, &answer["error"]), (400, &error.into()), "{claim}");
    }
}

#[tokio::test]
async fn a_client_may_show_itself_by_an_assertion() {
    let sandbox = sandbox().await;
    let (id, secret) = (sandbox.client_id(), sandbox.client_secret());
    let bearer = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    let base = form(&sandbox, DEFAULT_SCOPE);
    let with = |claims: serde_json::Value| {
        let assertion = format!("client_assertion_type={bearer}&client_assertion={}", jwt(&claims));
        base.replace(&format!("client_secret={secret}"), &assertion)
    };
    let (own, other) = (sandbox.token_endpoint(), "https://elsewhere.example");
    let federated = "api://AzureADTokenExchange";
    for (iss, sub, aud, status) in [
        (id, id, &*own, 200),
        ("https://cluster.example", "system:serviceaccount:a:b", federated, 200),
        (id, id, other, 401),
        ("another", id, &*own, 401),
        (id, "another", &*own, 401),
    ] {
        let form = with(serde_json::json!({"iss": iss, "sub": sub, "aud": aud, "exp": LATER}));
        assert_eq!(ask(&sandbox, &form).await.0, status, "{iss} {sub} {aud}");
    }
    let expired = with(serde_json::json!({"iss": id, "sub": id, "aud": own, "exp": 1}));
    assert_eq!(ask(&sandbox, &expired).await.0, 401);
}
