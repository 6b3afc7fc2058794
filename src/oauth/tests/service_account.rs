//! A Google service account on the wire, asserted against Google's "Using OAuth 2.0 for Server to
//! Server Applications", part "HTTP/REST".

use super::keys::{Jwt, Keys};
use super::scene::alice;
use super::*;
use crate::clock;
use crate::provider::{AssertionAlgorithm, ServiceAccount, ServiceAccountKey, Way};

const SCOPE: &str = "https://mail.google.com/";

/// The grant of the service account whose `key` it is, for Alice's mailbox.
fn delegated(stand_in: &StandIn, key: ServiceAccountKey) -> Grant {
    Grant {
        id: GrantId::ServiceAccount {
            provider: "google".into(),
            key: "key.json".into(),
            subject: Some(alice()),
        },
        way: Way::ServiceAccount(Arc::new(ServiceAccount { key })),
        ..Grant::clone(&stand_in.grant())
    }
}

/// The same by the key file of `keys`, which names the stand-in as its `token_uri`.
fn by_file(stand_in: &StandIn, keys: &Keys) -> Arc<Grant> {
    let path = keys.write_key_file(stand_in.grant().source());
    Arc::new(delegated(stand_in, ServiceAccountKey::File(path)))
}

async fn ask_for(grant: &Arc<Grant>, scopes: &[&str]) -> Result<Token, TokenError> {
    let scopes: Vec<_> = scopes.iter().copied().map(str::to_owned).collect();
    Tokens::new(Store::in_memory()).access_token(grant, &scopes).await
}

/// The assertion of the last request, which holds nothing else but the grant type.
fn assertion(stand_in: &StandIn) -> String {
    let request = stand_in.last_request();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    // "Making the access token request".
    assert!(head.starts_with("POST /tenant/token HTTP/1.1\r\n"), "{head}");
    let head = head.to_ascii_lowercase();
    assert!(head.contains("content-type: application/x-www-form-urlencoded\r\n"), "{head}");
    assert!(!head.contains("authorization:"), "{head}");
    let form = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    let assertion = body.strip_prefix(form).unwrap_or_else(|| panic!("{body}"));
    let is_jwt = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    assert!(assertion.bytes().all(is_jwt), "{body}");
    assertion.to_owned()
}

#[tokio::test]
async fn service_account_asks_as_google_documents() {
    let keys = Keys::new();
    let stand_in = StandIn::start(Answer::token()).await;
    let file = by_file(&stand_in, &keys);
    let written = ServiceAccountKey::Written {
        client_email: "relay@relay.iam.gserviceaccount.com".into(),
        private_key_id: "k3y-1d".into(),
        private_key: SecretSource::File(keys.path("app.key")),
    };
    for grant in [file, Arc::new(delegated(&stand_in, written))] {
        let began = clock::unix_time().as_secs();
        let token = ask_for(&grant, &[SCOPE, "second"]).await.unwrap();
        assert_eq!(token.access_token.expose_secret(), TOKEN);
        let mut jwt = Jwt::parse(&assertion(&stand_in));
        // "Forming the JWT header".
        let header = serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": "k3y-1d"});
        assert_eq!(jwt.header, header);
        // "Forming the JWT claim set": iss, scope, aud, exp, iat, and sub for delegation.
        let iat = jwt.claims["iat"].as_u64().unwrap();
        assert!((began..=clock::unix_time().as_secs()).contains(&iat), "{iat}");
        assert_eq!(
            jwt.claims,
            serde_json::json!({
                "iss": "relay@relay.iam.gserviceaccount.com",
                "sub": "alice@contoso.com",
                "scope": "https://mail.google.com/ second",
                "aud": grant.source(),
                "iat": iat,
                "exp": iat + 3600,
            })
        );
        // "Computing the signature".
        assert!(keys.verify(&jwt, AssertionAlgorithm::Rs256));
        jwt.signed.push('x');
        assert!(!keys.verify(&jwt, AssertionAlgorithm::Rs256));
    }
}

#[tokio::test]
async fn service_account_asks_for_each_mailbox_in_its_own_name() {
    let keys = Keys::new();
    let stand_in = StandIn::start(Answer::token()).await;
    let grant = by_file(&stand_in, &keys);
    let tokens = Tokens::new(Store::in_memory());
    for (mailbox, subject, requests) in [
        ("alice@contoso.com", "alice@contoso.com", 1),
        ("Bob@Contoso.com", "bob@contoso.com", 2),
        ("ALICE@contoso.com", "bob@contoso.com", 2), // has a token: nobody is asked
    ] {
        let grant = grant.for_mailbox(&Username::parse(mailbox).unwrap());
        tokens.access_token(&grant, &scopes()).await.unwrap();
        assert_eq!(Jwt::parse(&assertion(&stand_in)).claims["sub"], subject);
        assert_eq!(stand_in.requests(), requests);
    }
}

#[tokio::test]
async fn service_account_without_a_mailbox_asks_nobody() {
    let keys = Keys::new();
    let stand_in = StandIn::start(Answer::token()).await;
    let mut grant = Grant::clone(&by_file(&stand_in, &keys));
    if let GrantId::ServiceAccount { subject, .. } = &mut grant.id {
        *subject = None;
    }
    let error = ask_for(&Arc::new(grant), &[SCOPE]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
    assert_eq!(stand_in.requests(), 0);
}

#[tokio::test]
async fn service_account_names_the_resource_where_one_is_written() {
    let keys = Keys::new();
    let stand_in = StandIn::start(Answer::token()).await;
    let mut grant = Grant::clone(&by_file(&stand_in, &keys));
    grant.server.resource = Some("https://mail.example".to_owned());
    ask_for(&Arc::new(grant), &[SCOPE]).await.unwrap();
    // RFC 8707 section 2.2.
    let request = stand_in.last_request();
    assert!(request.ends_with("&resource=https%3A%2F%2Fmail.example"), "{request}");
}

#[tokio::test]
async fn service_account_asks_where_the_issuer_tells() {
    let keys = Keys::new();
    let stand_in = StandIn::start(Answer::Hang).await;
    let mut grant = Grant::clone(&by_file(&stand_in, &keys));
    let token_endpoint = grant.server.token_endpoint.take().unwrap();
    let issuer = token_endpoint.replace("/token", "");
    // The stand-in answers both requests, for the document and for the token, by the same.
    let body = serde_json::json!({
        "issuer": issuer, "token_endpoint": token_endpoint,
        "access_token": TOKEN, "token_type": "Bearer",
    });
    stand_in.answer(Answer::json("200 OK", &body.to_string()));
    grant.server.issuer = Some(issuer);
    grant.server.is_discovered = true;
    ask_for(&Arc::new(grant), &[SCOPE]).await.unwrap();
    assert_eq!(Jwt::parse(&assertion(&stand_in)).claims["aud"], token_endpoint);
    assert_eq!(stand_in.requests(), 2);
}

#[tokio::test]
async fn key_file_that_names_another_endpoint_is_refused() {
    let keys = Keys::new();
    let stand_in = StandIn::start(Answer::token()).await;
    let grant = by_file(&stand_in, &keys);
    for other in ["https://evil.example/token", "", "a\u{1b}[31m\nb"] {
        keys.write_key_file(other);
        let error = ask_for(&grant, &[SCOPE]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
        assert!(error.cause.contains("`token_uri`"), "{error}");
        assert!(error.cause.chars().all(|c| !c.is_control()), "{error:?}");
    }
    assert_eq!(stand_in.requests(), 0);
    let told = keys.text("key.json").replace("token_uri", "other_uri");
    keys.write("key.json", &told);
    assert!(ask_for(&grant, &[SCOPE]).await.is_ok(), "one that names none chooses none");
}

#[tokio::test]
async fn key_file_is_read_at_each_use() {
    let (keys, next) = (Keys::new(), Keys::new());
    let stand_in = StandIn::start(Answer::token()).await;
    let grant = by_file(&stand_in, &keys);
    ask_for(&grant, &[SCOPE]).await.unwrap();
    std::fs::remove_file(keys.path("key.json")).unwrap();
    let error = ask_for(&grant, &[SCOPE]).await.unwrap_err();
    assert!(error.is_temporary() && error.cause.starts_with("key_file cannot be had"), "{error}");
    next.write_key_file(grant.source());
    keys.write("key.json", &next.text("key.json"));
    ask_for(&grant, &[SCOPE]).await.unwrap();
    let jwt = Jwt::parse(&assertion(&stand_in));
    assert!(next.verify(&jwt, AssertionAlgorithm::Rs256));
    assert!(!keys.verify(&jwt, AssertionAlgorithm::Rs256));
}

#[tokio::test]
async fn delegation_that_lacks_is_told_with_what_to_enter() {
    let keys = Keys::new();
    let lacks = |word: &str| Answer::json("401 Unauthorized", &format!(r#"{{"error":"{word}"}}"#));
    for word in ["unauthorized_client", "access_denied"] {
        let stand_in = StandIn::start(lacks(word)).await;
        let error = ask_for(&by_file(&stand_in, &keys), &[SCOPE, "two"]).await.unwrap_err();
        assert_eq!((error.kind, error.reach), (ErrorKind::Admin, Reach::Scopes), "{error}");
        assert!(error.fix.contains("admin.google.com"), "{error}");
        let entered =
            "add the client id 123456789012345678901 with the scope https://mail.google.com/,two;";
        assert!(error.fix.contains(entered), "{error}");
    }
    let stand_in = StandIn::start(lacks("unauthorized_client")).await;
    let grant = by_file(&stand_in, &keys);
    let told = keys.text("key.json").replace("12345678901234", "<script>");
    keys.write("key.json", &told);
    let error = ask_for(&grant, &[SCOPE]).await.unwrap_err();
    assert!(error.fix.contains("add the service account's numeric client id with"), "{error}");

    let outage = Answer::json("503 Unavailable", r#"{"error":"unauthorized_client"}"#);
    let stand_in = StandIn::start(outage).await;
    let error = ask_for(&by_file(&stand_in, &keys), &[SCOPE]).await.unwrap_err();
    assert!(error.is_temporary() && error.fix == "try again later", "{error}");
}

#[tokio::test]
async fn refusal_of_a_mailbox_a_clock_and_a_key_are_told_apart() {
    let keys = Keys::new();
    for (description, fix) in [
        ("Not a valid email or user ID.", "check the account's name and `mailbox`"),
        ("Invalid email or User ID", "check the account's name and `mailbox`"),
        (
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable \
             timeframe. Check your iat and exp values in the JWT claim.",
            "set this machine's clock",
        ),
        ("Invalid JWT Signature.", "make a new key of the service account"),
        ("Invalid grant: account not found", "check `key_file` or `client_email`"),
        (
            "Bad Request",
            "check that the mailbox exists, that the key is the newest one, and the clock",
        ),
    ] {
        let body = serde_json::json!({"error": "invalid_grant", "error_description": description});
        let stand_in = StandIn::start(Answer::json("400 Bad Request", &body.to_string())).await;
        let error = ask_for(&by_file(&stand_in, &keys), &[SCOPE]).await.unwrap_err();
        let kind = (error.kind, error.fix.as_str());
        assert_eq!(kind, (ErrorKind::Configuration, fix), "{description}");
    }
}

#[tokio::test]
async fn answer_to_a_service_account_is_read_with_the_same_care() {
    let keys = Keys::new();
    for (answer, told) in [
        (Answer::json("200 OK", r#"{"leak":1}"#), "holds no token"),
        (Answer::json("200 OK", "leak"), "holds no token"),
        (Answer::json("200 OK", r#"{"id_token":"leak"}"#), "holds no token"),
        (Answer::json("503 Unavailable", "leak"), "HTTP 503"),
        (Answer::json("200 OK", &"x".repeat(2 * 1024 * 1024)), "longer than 1 MiB"),
        (
            Answer::json("200 OK", r#"{"access_token":"t","token_type":"leak"}"#),
            "not of type Bearer",
        ),
    ] {
        let stand_in = StandIn::start(answer).await;
        let error = ask_for(&by_file(&stand_in, &keys), &[SCOPE]).await.unwrap_err();
        assert!(error.is_temporary(), "{error}");
        assert!(error.cause.contains(told) && !format!("{error:?}").contains("leak"), "{error:?}");
    }
    let as_success = Answer::json("200 OK", r#"{"error":"disabled_client"}"#);
    let stand_in = StandIn::start(as_success).await;
    let error = ask_for(&by_file(&stand_in, &keys), &[SCOPE]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Admin, "{error}");
}

#[tokio::test(start_paused = true)]
async fn endpoint_that_hangs_is_given_up_for_a_service_account_too() {
    let keys = Keys::new();
    let stand_in = StandIn::start(Answer::Hang).await;
    let begun = Instant::now();
    let error = ask_for(&by_file(&stand_in, &keys), &[SCOPE]).await.unwrap_err();
    assert!(error.is_temporary() && begun.elapsed() <= Duration::from_secs(15), "{error}");
}

#[tokio::test]
async fn key_and_assertion_reach_no_log_and_no_error_whatever_the_endpoint_does() {
    let log = Log::default();
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _subscribed = log.subscribe(tracing::Level::TRACE);
    let keys = Keys::new();
    let mut secrets = vec![keys.secret_line(), TOKEN.to_owned()];
    let mut told = String::new();
    let echo = format!(r#"{{"error":"invalid_grant","error_description":"{TOKEN}"}}"#);
    for answer in [
        Answer::token(),
        Answer::json("400 Bad Request", &echo),
        Answer::json("503 Unavailable", &echo),
        Answer::json("200 OK", &format!(r#"{{"access_token":"{TOKEN}""#)),
        Answer::Bytes(Vec::new()),
    ] {
        let stand_in = StandIn::start(answer).await;
        let grant = by_file(&stand_in, &keys);
        let asked = ask_for(&grant, &[SCOPE]).await;
        secrets.push(assertion(&stand_in));
        told.push_str(&format!("{asked:?} {grant:?} "));
        told.push_str(&asked.map_or_else(|error| error.to_string(), |_| String::new()));
    }
    let logged = log.text();
    assert!(logged.contains("reqwest"), "{logged}");
    for text in [&logged, &told] {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{secret}: {text}");
        }
    }
}
