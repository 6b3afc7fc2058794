//! Consents: by redirect, with PKCE, and by the device flow; and the metadata of both.

use std::time::Duration;

use mailbearer::provider::{GrantKind, Protocol};
use mailbearer::sandbox::{Conduct, DEFAULT_SCOPE, Sandbox, SandboxSettings, Told};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{json, name, post, post_to, sandbox, settings};

/// A verifier and its challenge: RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

const BACK: &str = "http%3A%2F%2Flocalhost%3A1234";

/// Sends a GET; gives the status and the whole answer.
async fn get(url: &str) -> (u16, String) {
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    (answer[9..12].parse().unwrap(), answer)
}

fn encoded(scope: &str) -> String {
    scope.replace(':', "%3A").replace('/', "%2F").replace(' ', "+")
}

/// A right authorization request of Alice's.
fn request(sandbox: &Sandbox, scope: &str) -> String {
    format!(
        "{}?response_type=code&client_id={}&redirect_uri={BACK}&scope={}&state=s%2B1\
         &code_challenge={CHALLENGE}&code_challenge_method=S256&response_mode=query\
         &login_hint=alice%40example.com",
        sandbox.authorization_endpoint(),
        sandbox.client_id(),
        encoded(scope)
    )
}

/// Where the browser is sent back.
async fn redirected(url: &str) -> String {
    let (status, answer) = get(url).await;
    assert_eq!(status, 302, "{answer}");
    answer.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().to_owned()
}

fn parameter<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = url.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

async fn code(sandbox: &Sandbox, scope: &str) -> String {
    let back = redirected(&request(sandbox, scope)).await;
    parameter(&back, "code").unwrap().to_owned()
}

/// The form that redeems `code`.
fn redemption(sandbox: &Sandbox, code: &str) -> String {
    format!(
        "grant_type=authorization_code&client_id={}&code={code}&redirect_uri={BACK}\
         &code_verifier={VERIFIER}",
        sandbox.client_id()
    )
}

async fn ask(sandbox: &Sandbox, form: &str) -> (u16, serde_json::Value) {
    let (status, answer) = post(sandbox, "", form).await.unwrap();
    (status, json(&answer))
}

async fn refresh(sandbox: &Sandbox, answer: &serde_json::Value, more: &str) -> (u16, String) {
    let token = answer["refresh_token"].as_str().unwrap();
    let id = sandbox.client_id();
    let form = format!("grant_type=refresh_token&client_id={id}&refresh_token={token}{more}");
    post(sandbox, "", &form).await.unwrap()
}

#[tokio::test]
async fn a_code_comes_back_at_once_and_brings_the_tokens_of_who_was_hinted() {
    let sandbox = sandbox().await;
    let back = redirected(&request(&sandbox, &format!("{DEFAULT_SCOPE} openid"))).await;
    assert!(back.starts_with("http://localhost:1234/?code=sandbox-code-"), "{back}");
    assert_eq!(parameter(&back, "state"), Some("s%2B1"));
    assert_eq!(parameter(&back, "iss"), Some(&*encoded(&sandbox.issuer())));
    let (status, answer) =
        ask(&sandbox, &redemption(&sandbox, parameter(&back, "code").unwrap())).await;
    assert_eq!((status, answer.get("scope")), (200, None), "{answer}");
    let claims = answer["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, claims).unwrap();
    assert!(
        String::from_utf8(claims).unwrap().contains(r#""preferred_username":"alice@example.com""#)
    );
    assert_eq!(refresh(&sandbox, &answer, "").await.0, 200);
}

#[tokio::test]
async fn a_code_that_comes_again_ends_what_was_given_for_it() {
    let sandbox = sandbox().await;
    let form = redemption(&sandbox, &code(&sandbox, DEFAULT_SCOPE).await);
    let (_, answer) = ask(&sandbox, &form).await;
    let other = ask(&sandbox, &redemption(&sandbox, &code(&sandbox, DEFAULT_SCOPE).await)).await.1;
    for _ in 0..2 {
        let (status, again) = ask(&sandbox, &form).await;
        assert_eq!((status, &again["error"]), (400, &"invalid_grant".into()));
    }
    assert_eq!(refresh(&sandbox, &answer, "").await.0, 400);
    assert_eq!(refresh(&sandbox, &other, "").await.0, 200, "another consent stands");
}

#[tokio::test]
async fn a_code_is_refused_and_spent_when_verifier_or_redirect_differ() {
    let sandbox = sandbox().await;
    for (right, wrong) in [(VERIFIER, CHALLENGE), (BACK, "http%3A%2F%2Flocalhost%3A1235")] {
        let form = redemption(&sandbox, &code(&sandbox, DEFAULT_SCOPE).await);
        for form in [form.replace(right, wrong), form] {
            let (status, answer) = ask(&sandbox, &form).await;
            assert_eq!((status, &answer["error"]), (400, &"invalid_grant".into()), "{form}");
        }
    }
    let form = redemption(&sandbox, &code(&sandbox, DEFAULT_SCOPE).await);
    let without = form.replace("code_verifier", "x");
    assert_eq!(ask(&sandbox, &without).await.1["error"], "invalid_request");
    assert_eq!(ask(&sandbox, &form.replace(sandbox.client_id(), "other")).await.0, 401);
    assert_eq!(ask(&sandbox, &form).await.0, 200, "neither was a use of the code");
}

#[tokio::test]
async fn an_authorization_request_is_held_to_rfc_6749_and_rfc_7636() {
    let sandbox = sandbox().await;
    let right = request(&sandbox, DEFAULT_SCOPE);
    for (from, to, error) in [
        ("response_type=code", "response_type=token", "unsupported_response_type"),
        ("code_challenge_method=S256", "code_challenge_method=plain", "invalid_request"),
        ("&code_challenge_method=S256", "", "invalid_request"),
        (CHALLENGE, "short", "invalid_request"),
        ("response_mode=query", "response_mode=fragment", "invalid_request"),
        ("scope=", "scope=nonsense+", "invalid_scope"),
        ("&login_hint=alice%40example.com", "", "login_required"),
    ] {
        let back = redirected(&right.replace(from, to)).await;
        assert_eq!(parameter(&back, "error"), Some(error), "{to}");
        assert_eq!((parameter(&back, "state"), parameter(&back, "code")), (Some("s%2B1"), None));
    }
    for (from, to) in [
        (BACK, "https%3A%2F%2Felsewhere.example%2F"),
        (BACK, "http%3A%2F%2Flocalhost.example%2F"),
        ("client_id=", "client_id=x"),
        ("state=", "state=1&state="),
    ] {
        let (status, answer) = get(&right.replace(from, to)).await;
        assert!(status == 400 && !answer.contains("location"), "{to}: {answer}");
    }
}

#[tokio::test]
async fn a_redirect_uri_may_be_any_of_this_machine_or_the_one_configured() {
    let redirect_uri = Some("https://mail.example/oauth/callback".to_owned());
    let settings = SandboxSettings { redirect_uri, ..settings() };
    let sandbox = Sandbox::start(settings).await.unwrap();
    let right = request(&sandbox, DEFAULT_SCOPE);
    for uri in ["http://127.0.0.1:9/", "http://[::1]:9/x", "https://mail.example/oauth/callback"] {
        let back = redirected(&right.replace(BACK, &encoded(uri))).await;
        assert!(back.starts_with(&format!("{uri}?code=")), "{back}");
    }
}

#[tokio::test]
async fn a_persons_conduct_decides_what_comes_back() {
    let sandbox = sandbox().await;
    let imap = Sandbox::scope(Protocol::Imap);
    let both = format!("{} {imap} openid", Sandbox::scope(Protocol::Submission));
    let url = request(&sandbox, &both);
    sandbox.set_conduct(Conduct { denies: true, ..Conduct::default() });
    assert_eq!(parameter(&redirected(&url).await, "error"), Some("access_denied"));

    for (told, differs) in [(Told::Wrong, true), (Told::Nothing, false)] {
        let conduct = Conduct { issuer: told, state: told, ..Conduct::default() };
        sandbox.set_conduct(conduct);
        let back = redirected(&url).await;
        for (name, right) in [("state", "s%2B1"), ("iss", &*encoded(&sandbox.issuer()))] {
            let told = parameter(&back, name);
            assert_eq!(told.is_some(), differs, "{back}");
            assert_ne!(told, Some(right), "{back}");
        }
    }

    let mallory = Some(name("mallory@example.com"));
    let unticked = vec![Protocol::Submission];
    sandbox.set_conduct(Conduct { user: mallory, unticked, ..Conduct::default() });
    let (_, answer) = ask(&sandbox, &redemption(&sandbox, &code(&sandbox, &both).await)).await;
    assert_eq!(answer["scope"], *imap);
    let submission = format!("&scope={}", encoded(&Sandbox::scope(Protocol::Submission)));
    let (status, refused) = refresh(&sandbox, &answer, &submission).await;
    assert!(status == 400 && refused.contains("invalid_scope"), "{refused}");
    let (_, narrower) = refresh(&sandbox, &answer, &format!("&scope={}", encoded(&both))).await;
    assert_eq!(json(&narrower)["scope"], *imap);

    let withheld = Conduct { withholds_refresh_token: true, ..Conduct::default() };
    sandbox.set_conduct(withheld);
    let (_, answer) = ask(&sandbox, &redemption(&sandbox, &code(&sandbox, &both).await)).await;
    assert_eq!(answer.get("refresh_token"), None);
}

#[tokio::test]
async fn a_device_code_brings_tokens_when_a_person_has_allowed_it() {
    let sandbox = sandbox().await;
    let begin = async || {
        let form = format!("client_id={}&scope={DEFAULT_SCOPE}+openid", sandbox.client_id());
        let endpoint = sandbox.device_authorization_endpoint();
        json(&post_to(&endpoint, "", &form).await.unwrap().1)
    };
    let poll = async |begun: &serde_json::Value| {
        let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code";
        let code = begun["device_code"].as_str().unwrap();
        let id = sandbox.client_id();
        let form = format!("grant_type={grant}&client_id={id}&device_code={code}");
        ask(&sandbox, &form).await.1
    };
    let user_code = |begun: &serde_json::Value| begun["user_code"].as_str().unwrap().to_owned();
    let begun = begin().await;
    assert_eq!((&begun["expires_in"], &begun["interval"]), (&900.into(), &5.into()));
    assert_eq!(user_code(&begun).len(), "WDJB-MJHT".len());
    assert_eq!(poll(&begun).await["error"], "authorization_pending");
    assert_eq!(poll(&begun).await["error"], "slow_down", "it came at once");

    let (approved, denied, ended) = (begin().await, begin().await, begin().await);
    assert!(!sandbox.approve_device("NONE-SUCH", &name("alice@example.com")));
    assert!(sandbox.approve_device(&user_code(&approved), &name("alice@example.com")));
    let answer = poll(&approved).await;
    assert!(answer["id_token"].is_string() && answer["refresh_token"].is_string(), "{answer}");
    assert_eq!(refresh(&sandbox, &answer, "").await.0, 200);
    assert!(sandbox.deny_device(&user_code(&denied)));
    assert_eq!(poll(&denied).await["error"], "access_denied");
    sandbox.end_device_codes();
    assert_eq!(poll(&ended).await["error"], "expired_token");
}

#[tokio::test]
async fn a_user_code_may_be_entered_by_a_browser() {
    let settings = SandboxSettings { device_interval: Duration::from_secs(1), ..settings() };
    let sandbox = Sandbox::start(settings).await.unwrap();
    let form = format!("client_id={}&scope={DEFAULT_SCOPE}", sandbox.client_id());
    let endpoint = sandbox.device_authorization_endpoint();
    let begun = json(&post_to(&endpoint, "", &form).await.unwrap().1);
    assert_eq!(begun["interval"], 1);
    let complete = begun["verification_uri_complete"].as_str().unwrap();
    assert_eq!(get(complete).await.0, 400, "nobody has signed in");
    let complete = format!("{complete}&login_hint=alice%40example.com");
    assert_eq!(get(&complete).await.0, 200);
    assert_eq!(get(&complete).await.0, 400, "it is answered already");
}

#[tokio::test]
async fn the_metadata_name_every_endpoint() {
    let sandbox = sandbox().await;
    for path in ["openid-configuration", "oauth-authorization-server"] {
        let (status, answer) = get(&format!("{}/.well-known/{path}", sandbox.issuer())).await;
        let metadata = json(&answer);
        assert_eq!(status, 200, "{answer}");
        for (name, value) in [
            ("issuer", sandbox.issuer()),
            ("authorization_endpoint", sandbox.authorization_endpoint()),
            ("token_endpoint", sandbox.token_endpoint()),
            ("device_authorization_endpoint", sandbox.device_authorization_endpoint()),
            ("revocation_endpoint", sandbox.revocation_endpoint()),
        ] {
            assert_eq!(metadata[name], value, "{name}");
        }
        assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
        let (_, keys) = get(metadata["jwks_uri"].as_str().unwrap()).await;
        assert_eq!(json(&keys)["keys"][0]["kid"], sandbox.key_id());
    }
    let grant = sandbox.device_grant(&name("Alice@example.com"));
    assert_eq!((grant.kind(), grant.server), (GrantKind::DeviceCode, sandbox.server()));
}
