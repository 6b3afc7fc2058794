//! The token endpoint, asked with refresh tokens.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use mailbearer::provider::{ClientAuth, GrantId, GrantKind, Protocol};
use mailbearer::sandbox::{AUDIENCE, Fault, Rotation, Sandbox, SandboxSettings, Times};

use crate::client::{json, name, post, post_to, sandbox, settings};

async fn rotating(rotation: Rotation) -> Sandbox {
    Sandbox::start(SandboxSettings { rotation, ..settings() }).await.unwrap()
}

fn consent(sandbox: &Sandbox) -> String {
    sandbox.issue_refresh_token(&name("alice@example.com"))
}

/// The form by which a public client shows `token`.
fn form(sandbox: &Sandbox, token: &str) -> String {
    format!("grant_type=refresh_token&client_id={}&refresh_token={token}", sandbox.client_id())
}

/// What comes of using `token`.
async fn refresh(sandbox: &Sandbox, token: &str) -> (u16, serde_json::Value) {
    let (status, answer) = post(sandbox, "", &form(sandbox, token)).await.unwrap();
    (status, json(&answer))
}

/// The refresh token that comes for `token`.
async fn successor(sandbox: &Sandbox, token: &str) -> String {
    let (status, answer) = refresh(sandbox, token).await;
    assert_eq!(status, 200, "{answer}");
    answer["refresh_token"].as_str().unwrap().to_owned()
}

async fn assert_is_refused(sandbox: &Sandbox, token: &str) {
    let (status, answer) = refresh(sandbox, token).await;
    assert_eq!((status, &answer["error"]), (400, &"invalid_grant".into()));
}

fn claims(sandbox: &Sandbox, token: &serde_json::Value, audience: &str) -> serde_json::Value {
    let key = DecodingKey::from_rsa_pem(sandbox.public_key_pem().as_bytes()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[audience]);
    jsonwebtoken::decode(token.as_str().unwrap(), &key, &validation).unwrap().claims
}

#[tokio::test]
async fn a_refresh_token_brings_a_token_of_who_consented() {
    let sandbox = sandbox().await;
    let (status, answer) = refresh(&sandbox, &consent(&sandbox)).await;
    assert_eq!((status, &answer["expires_in"]), (200, &3600.into()));
    let claims = claims(&sandbox, &answer["access_token"], AUDIENCE);
    assert_eq!(claims["sub"], "alice@example.com");
    assert_eq!(claims["scope"], "SMTP.SendAsApp IMAP.AccessAsApp POP.AccessAsApp");
    assert!(answer.get("id_token").is_none(), "{answer}");
    assert_eq!(sandbox.refreshes(), 1);
}

#[tokio::test]
async fn an_id_token_names_who_consented_where_the_provider_tells() {
    let sandbox = Sandbox::start(SandboxSettings { tells_user: true, ..settings() }).await.unwrap();
    let (_, answer) = refresh(&sandbox, &consent(&sandbox)).await;
    let claims = claims(&sandbox, &answer["id_token"], sandbox.client_id());
    assert_eq!(claims["preferred_username"], "alice@example.com");
}

#[tokio::test]
async fn a_scope_may_name_openid_and_is_judged_before_the_token_is_used() {
    let sandbox = rotating(Rotation::Strict).await;
    let form = form(&sandbox, &consent(&sandbox));
    let imap = Sandbox::scope(Protocol::Imap).replace(':', "%3A").replace('/', "%2F");
    for (scope, status) in [("nonsense", 400), ("openid", 400), (&*imap, 200)] {
        let form = format!("{form}&scope=offline_access+openid+{scope}");
        let (answered, answer) = post(&sandbox, "", &form).await.unwrap();
        assert_eq!(answered, status, "{answer}");
        let body = json(&answer);
        if status == 200 {
            let claims = claims(&sandbox, &body["access_token"], AUDIENCE);
            assert_eq!(claims["scope"], "IMAP.AccessAsApp");
        } else {
            assert_eq!(body["error"], "invalid_scope");
        }
    }
}

#[tokio::test]
async fn the_client_may_show_its_secret_but_not_a_wrong_one() {
    let sandbox = rotating(Rotation::Keep).await;
    let token = consent(&sandbox);
    let public = form(&sandbox, &token);
    let basic = |secret: &str| {
        let pair = STANDARD.encode(format!("{}:{secret}", sandbox.client_id()));
        format!("Authorization: Basic {pair}\r\n")
    };
    let posted = |secret: &str| format!("{public}&client_secret={secret}");
    let foreign = public.replace(sandbox.client_id(), "another");
    let nobody = format!("grant_type=refresh_token&refresh_token={token}");
    for (headers, form, status) in [
        (String::new(), public.clone(), 200),
        (String::new(), posted(sandbox.client_secret()), 200),
        (basic(sandbox.client_secret()), nobody.clone(), 200),
        (String::new(), posted("wrong"), 401),
        (basic("wrong"), public.clone(), 401),
        (String::new(), foreign, 401),
        (String::new(), nobody, 401),
        (String::new(), public.replace("refresh_token=", "nothing="), 400),
    ] {
        let (answered, answer) = post(&sandbox, &headers, &form).await.unwrap();
        assert_eq!(answered, status, "{headers}{form}: {answer}");
    }
    assert_eq!(sandbox.refreshes(), 3);
}

#[tokio::test]
async fn keep_brings_no_other_refresh_token() {
    let sandbox = rotating(Rotation::Keep).await;
    let token = consent(&sandbox);
    for _ in 0..2 {
        let (status, answer) = refresh(&sandbox, &token).await;
        assert_eq!((status, answer.get("refresh_token")), (200, None));
    }
}

#[tokio::test]
async fn lenient_takes_the_previous_refresh_token_until_the_new_one_was_used() {
    let sandbox = rotating(Rotation::Lenient).await;
    let first = consent(&sandbox);
    let lost = successor(&sandbox, &first).await;
    let second = successor(&sandbox, &first).await;
    assert_ne!(lost, second);
    let third = successor(&sandbox, &second).await;
    assert_is_refused(&sandbox, &first).await;
    assert_eq!(sandbox.reuses(), 1);
    successor(&sandbox, &third).await;
}

#[tokio::test]
async fn strict_ends_the_consent_when_a_spent_refresh_token_is_shown() {
    let sandbox = rotating(Rotation::Strict).await;
    let bob = sandbox.issue_refresh_token(&name("bob@example.com"));
    let first = consent(&sandbox);
    let second = successor(&sandbox, &first).await;
    assert_is_refused(&sandbox, &first).await;
    assert_is_refused(&sandbox, &second).await;
    assert_eq!(sandbox.reuses(), 1);
    successor(&sandbox, &bob).await;
}

#[tokio::test]
async fn a_revoked_refresh_token_ends_its_consent_and_no_other() {
    let sandbox = sandbox().await;
    let (first, other) = (consent(&sandbox), consent(&sandbox));
    let second = successor(&sandbox, &first).await;
    let client = format!("client_id={}", sandbox.client_id());
    let revoke =
        async |form: String| post_to(&sandbox.revocation_endpoint(), "", &form).await.unwrap().0;
    assert_eq!(revoke(format!("client_id=another&token={second}")).await, 401);
    assert_eq!(revoke(client.clone()).await, 400);
    assert_eq!(revoke(format!("{client}&token=unknown")).await, 200);
    let third = successor(&sandbox, &second).await;
    assert_eq!(revoke(format!("{client}&token={third}&token_type_hint=refresh_token")).await, 200);
    assert_is_refused(&sandbox, &third).await;
    successor(&sandbox, &other).await;

    sandbox.end_consents(&name("Alice@Example.com"));
    assert_is_refused(&sandbox, &other).await;
}

#[tokio::test]
async fn a_held_answer_comes_when_it_is_released_and_its_token_has_rotated() {
    let sandbox = rotating(Rotation::Strict).await;
    let token = consent(&sandbox);
    sandbox.token_fault(Fault::Hold, Times::Next(1));
    let (answer, ()) = tokio::join!(refresh(&sandbox, &token), async {
        sandbox.until(|it| it.refreshes() == 1).await;
        // Others are served meanwhile, and this one finds the token spent.
        assert_is_refused(&sandbox, &token).await;
        sandbox.release_answers();
    });
    assert_eq!((answer.0, sandbox.reuses()), (200, 1));
    assert_eq!(sandbox.most_refreshes_at_once(), 2);
}

#[tokio::test]
async fn refreshes_of_different_consents_or_one_after_the_other_are_not_at_once() {
    let sandbox = rotating(Rotation::Keep).await;
    let (one, other) = (consent(&sandbox), consent(&sandbox));
    sandbox.token_fault(Fault::Hold, Times::Next(2));
    tokio::join!(refresh(&sandbox, &one), refresh(&sandbox, &other), async {
        sandbox.until(|it| it.refreshes() == 2).await;
        sandbox.release_answers();
    });
    refresh(&sandbox, &one).await;
    assert_eq!(sandbox.most_refreshes_at_once(), 1);
}

#[tokio::test]
async fn a_fault_may_have_headers() {
    let sandbox = sandbox().await;
    let headers = [("Retry-After", "7"), ("Content-Type", "text/plain"), ("no header", "x")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let fault = Fault::Answer { status: 429, headers, body: "slow down".to_owned() };
    sandbox.token_fault(fault, Times::Next(1));
    let (status, answer) = post(&sandbox, "", "").await.unwrap();
    assert_eq!(status, 429);
    assert!(answer.contains("retry-after: 7\r\n") && answer.ends_with("slow down"), "{answer}");
}

#[tokio::test]
async fn the_life_of_tokens_may_change() {
    let sandbox = rotating(Rotation::Keep).await;
    let token = consent(&sandbox);
    sandbox.set_token_life(Duration::from_secs(2));
    assert_eq!(refresh(&sandbox, &token).await.1["expires_in"], 2);
}

#[tokio::test]
async fn a_kept_grant_is_that_of_the_folded_account() {
    let sandbox = sandbox().await;
    let grant = sandbox.kept_grant(&name("Alice@Example.com"));
    assert_eq!(grant.id, GrantId::Account(name("alice@example.com")));
    assert_eq!(grant.kind(), GrantKind::AuthorizationCode);
    assert_eq!(grant.source(), sandbox.token_endpoint());
    assert_eq!(grant.server.revocation_endpoint, Some(sandbox.revocation_endpoint()));
    assert!(matches!(grant.way.client().unwrap().auth, ClientAuth::None));
}
