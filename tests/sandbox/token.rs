//! The token endpoint.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use mailbearer::provider::Protocol;
use mailbearer::sandbox::{AUDIENCE, DEFAULT_SCOPE, Fault, Sandbox, Times};

use crate::client::{form, json, post, sandbox, settings, token, token_for};

#[tokio::test]
async fn a_token_is_a_jwt_that_the_public_key_verifies() {
    let sandbox = sandbox().await;
    let (_, answer) = post(&sandbox, "", &form(&sandbox, DEFAULT_SCOPE)).await.unwrap();
    assert_eq!(json(&answer)["token_type"], "Bearer");
    assert_eq!(json(&answer)["expires_in"], 3600);
    let token = json(&answer)["access_token"].as_str().unwrap().to_owned();

    let key = DecodingKey::from_rsa_pem(sandbox.public_key_pem().as_bytes()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[sandbox.token_endpoint().strip_suffix("/token").unwrap()]);
    let jwt = jsonwebtoken::decode::<serde_json::Value>(&token, &key, &validation).unwrap();
    assert_eq!(jwt.header.kid.as_deref(), Some("sandbox"));
    assert_eq!(jwt.claims["azp"], sandbox.client_id());
    assert_eq!(jwt.claims["sub"], sandbox.client_id());
    assert_eq!(jwt.claims["roles"][1], "IMAP.AccessAsApp");
    assert_eq!(jwt.claims["roles"][2], "POP.AccessAsApp");
    assert_eq!(jwt.claims["exp"].as_u64(), jwt.claims["iat"].as_u64().map(|it| it + 3600));
}

#[tokio::test]
async fn a_token_names_the_subject_and_the_scope_asked_for() {
    let subject = Some("alice@example.com".to_owned());
    let sandbox = Sandbox::start(mailbearer::sandbox::SandboxSettings { subject, ..settings() });
    let token = token_for(&sandbox.await.unwrap(), &Sandbox::scope(Protocol::Imap)).await;
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["sub"], "alice@example.com");
    assert_eq!(claims["scope"], "IMAP.AccessAsApp");
}

#[tokio::test]
async fn the_client_may_show_itself_by_basic() {
    let sandbox = sandbox().await;
    let basic = |secret: &str| {
        let pair = STANDARD.encode(format!("{}:{secret}", sandbox.client_id()));
        format!("Authorization: Basic {pair}\r\n")
    };
    let form = format!("grant_type=client_credentials&scope={DEFAULT_SCOPE}");
    let answer = |header: String| {
        let (sandbox, form) = (&sandbox, &form);
        async move { post(sandbox, &header, form).await.unwrap().0 }
    };
    assert_eq!(answer(basic(sandbox.client_secret())).await, 200);
    assert_eq!(answer(basic("wrong")).await, 401);
}

#[tokio::test]
async fn a_wrong_request_is_refused_as_rfc_6749_says() {
    let sandbox = sandbox().await;
    let good = form(&sandbox, DEFAULT_SCOPE);
    for (form, status, error) in [
        (good.replace(sandbox.client_secret(), "wrong"), 401, "invalid_client"),
        (good.replace(sandbox.client_id(), "wrong"), 401, "invalid_client"),
        ("grant_type=client_credentials".to_owned(), 401, "invalid_client"),
        (good.replace("client_credentials", "token"), 400, "unsupported_grant_type"),
        (form(&sandbox, "openid"), 400, "invalid_scope"),
    ] {
        let (answered, answer) = post(&sandbox, "", &form).await.unwrap();
        assert_eq!((answered, &json(&answer)["error"]), (status, &error.into()), "{form}");
    }
    assert_eq!(sandbox.token_requests(), 5);
}

#[tokio::test]
async fn a_fault_is_met_as_often_as_it_was_ordered() {
    let sandbox = sandbox().await;
    let form = form(&sandbox, DEFAULT_SCOPE);
    let ask = async || post(&sandbox, "", &form).await;
    let body = r#"{"error":"temporarily_unavailable"}"#.to_owned();
    let json = "application/json".to_owned();
    sandbox.token_fault(Fault::Status(503, json, body.clone()), Times::Next(1));
    sandbox.token_fault(Fault::Close, Times::Next(2));
    sandbox.token_fault(Fault::Html, Times::Next(1));
    sandbox.token_fault(Fault::Redirect("http://127.0.0.1:9/".to_owned()), Times::Always);

    let (status, answer) = ask().await.unwrap();
    assert!(status == 503 && answer.ends_with(&body), "{answer}");
    assert!(ask().await.is_err() && ask().await.is_err(), "closed twice");
    let (status, answer) = ask().await.unwrap();
    assert!(status == 200 && answer.contains("text/html"), "{answer}");
    for _ in 0..2 {
        let (status, answer) = ask().await.unwrap();
        assert!(status == 307 && answer.contains("location: http://127.0.0.1:9/\r\n"), "{answer}");
    }
    sandbox.clear_token_faults();
    assert_eq!(ask().await.unwrap().0, 200);
    assert_eq!(sandbox.token_requests(), 7);
}

#[tokio::test]
async fn a_request_that_hangs_ends_with_the_sandbox() {
    let sandbox = sandbox().await;
    sandbox.token_fault(Fault::Hang, Times::Next(1));
    let endpoint = sandbox.token_endpoint();
    let address = endpoint.strip_prefix("http://").unwrap().strip_suffix("/token").unwrap();
    let mut hanging = crate::client::Client::connect_to(address).await;
    hanging.send("POST /token HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").await;
    sandbox.until(|it| it.token_requests() == 1).await;
    // The fault is used up: others are served meanwhile.
    token(&sandbox).await;
    assert!(hanging.pending().is_empty());
    drop(sandbox);
    assert!(hanging.line().await.is_some_and(|line| line.starts_with("HTTP/1.1 503")));
}
