//! How a client shows who it is: the exact request of each way, asserted against its source.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use oauth2::url::form_urlencoded;

use super::keys::{Jwt, Keys};
use super::scene::alice;
use super::*;
use crate::clock;
use crate::provider::{AssertionAlgorithm, ClientKey};
use crate::secret::SecretString;
use crate::store::StoredGrant;

/// A client id and a secret with what a form has to encode.
const CLIENT_ID: &str = "the client";
const SPECIAL_SECRET: &str = "p~w:d +%&=ö";

/// What an assertion file holds. It is not signed by anybody; only its server could tell.
const ASSERTION: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl";

/// `client_assertion_type` as a form has it: RFC 7523 section 2.2.
const ASSERTION_TYPE: &str =
    "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";

fn by(grant: &Grant, auth: ClientAuth) -> Arc<Grant> {
    Arc::new(grant.clone().by(|client| client.auth = auth))
}

fn secret() -> SecretSource {
    SecretSource::Value(SecretString::from(SPECIAL_SECRET))
}

/// The value of the header `name` of a request.
fn header(request: &str, name: &str) -> Option<String> {
    let (head, _) = request.split_once("\r\n\r\n").unwrap();
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

fn body(request: &str) -> &str {
    request.split_once("\r\n\r\n").unwrap().1
}

/// The parameter `name` of a form, which stands there once.
fn parameter(body: &str, name: &str) -> String {
    let found: Vec<_> =
        form_urlencoded::parse(body.as_bytes()).filter(|(key, _)| key == name).collect();
    let [(_, value)] = &*found else { panic!("{name} stands {} times in {body}", found.len()) };
    value.clone().into_owned()
}

/// The head and the form of a token request, whatever shows who the client is.
fn assert_is_form(request: &str, path: &str) {
    assert!(request.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{request}");
    let content_type = header(request, "content-type").unwrap();
    assert_eq!(content_type, "application/x-www-form-urlencoded", "RFC 6749 appendix B");
}

/// What each kind of request of Alice's grant says besides what shows who the client is: refresh
/// (RFC 6749 section 6) and revocation (RFC 7009 section 2.1).
const REFRESH: &str = "grant_type=refresh_token&refresh_token=refresh&scope=mail";
const REVOKE: &str = "token=refresh&token_type_hint=refresh_token";

/// An application's (RFC 6749 section 4.4.2).
const CREDENTIALS: &str = "grant_type=client_credentials&scope=mail";

/// The requests that a client makes who shows itself by `auth`: for a token of an application,
/// with a refresh token, and to give that back; each with what it says otherwise.
async fn requests(auth: ClientAuth) -> [(String, &'static str); 3] {
    let stand_in = StandIn::start(Answer::token()).await;
    let scopes = ["mail".to_owned()];
    let application = by(&stand_in.grant(), auth.clone());
    Tokens::new(Store::in_memory()).access_token(&application, &scopes).await.unwrap();
    let asked = stand_in.last_request();

    let person = by(&stand_in.person(), auth);
    let store = Store::in_memory();
    let stored = StoredGrant {
        refresh_token: RefreshToken::parse("refresh").unwrap(),
        client_id: person.client_id().to_owned(),
        token_endpoint: person.source().to_owned(),
        user: None,
        consented_at: Duration::ZERO,
        refreshed_at: Duration::ZERO,
        ends_at: None,
        refused: None,
        shortfall: None,
    };
    store.commit(&person.id, &stored).unwrap();
    let tokens = Tokens::new(store);
    tokens.access_token(&person, &scopes).await.unwrap();
    let refreshed = stand_in.last_request();
    assert_eq!(tokens.revoke(&person).await.unwrap(), Revoked::AtProvider);
    let revoked = stand_in.last_request();

    for (request, path) in
        [(&asked, "/tenant/token"), (&refreshed, "/tenant/token"), (&revoked, "/tenant/revoke")]
    {
        assert_is_form(request, path);
    }
    [(asked, CREDENTIALS), (refreshed, REFRESH), (revoked, REVOKE)]
}

#[tokio::test]
async fn secret_goes_into_the_form_for_client_secret_post() {
    // RFC 6749 section 2.3.1, the second form; OpenID Connect Core section 9.
    for (request, otherwise) in requests(ClientAuth::SecretPost(secret())).await {
        let shown = "client_id=the+client&client_secret=p%7Ew%3Ad+%2B%25%26%3D%C3%B6";
        assert_eq!(body(&request), format!("{otherwise}&{shown}"));
        assert_eq!(header(&request, "authorization"), None);
    }
}

#[tokio::test]
async fn secret_goes_into_the_header_form_urlencoded_for_client_secret_basic() {
    // RFC 6749 section 2.3.1: encoded by "application/x-www-form-urlencoded" first, then as RFC
    // 7617 section 2 says. The client shows itself once (section 2.3), so the form has no client_id.
    let pair = "the+client:p%7Ew%3Ad+%2B%25%26%3D%C3%B6";
    for (request, otherwise) in requests(ClientAuth::SecretBasic(secret())).await {
        assert_eq!(body(&request), otherwise);
        let authorization = header(&request, "authorization").unwrap();
        assert_eq!(authorization, format!("Basic {}", STANDARD.encode(pair)));
    }
}

#[tokio::test]
async fn client_that_is_public_shows_its_id_alone() {
    // RFC 6749 section 2.1 and section 3.2.1.
    for (request, otherwise) in requests(ClientAuth::None).await {
        assert_eq!(body(&request), format!("{otherwise}&client_id=the+client"));
        assert_eq!(header(&request, "authorization"), None);
    }
}

#[tokio::test]
async fn assertion_is_the_one_that_entra_documents_and_new_each_time() {
    let keys = Keys::new();
    for algorithm in [AssertionAlgorithm::Ps256, AssertionAlgorithm::Rs256] {
        let began = clock::unix_time().as_secs();
        let auth = ClientAuth::PrivateKeyJwt(keys.client_key(algorithm));
        let mut ids = Vec::new();
        for (request, otherwise) in requests(auth).await {
            assert_eq!(header(&request, "authorization"), None);
            let assertion = parameter(body(&request), "client_assertion");
            // Microsoft, "Microsoft identity platform and the OAuth 2.0 client credentials flow",
            // second case, "Access token request with a certificate".
            assert_eq!(
                body(&request),
                format!(
                    "{otherwise}&client_id=the+client&{ASSERTION_TYPE}&client_assertion={assertion}"
                )
            );

            let jwt = Jwt::parse(&assertion);
            // Microsoft, "Microsoft identity platform application authentication certificate
            // credentials": "Header" and "Claims (payload)". `x5t` is what it said before.
            let name = match algorithm {
                AssertionAlgorithm::Ps256 => "PS256",
                AssertionAlgorithm::Rs256 => "RS256",
            };
            assert_eq!(
                jwt.header,
                serde_json::json!({
                    "alg": name, "typ": "JWT",
                    "x5t#S256": fingerprint(&keys, "sha256"),
                    "x5t": fingerprint(&keys, "sha1"),
                })
            );
            let iat = jwt.claims["iat"].as_u64().unwrap();
            assert!((began..=clock::unix_time().as_secs()).contains(&iat), "{iat}");
            let jti = jwt.claims["jti"].as_str().unwrap().to_owned();
            assert_eq!(URL_SAFE_NO_PAD.decode(&jti).unwrap().len(), 16);
            let host = header(&request, "host").unwrap();
            assert_eq!(
                jwt.claims,
                serde_json::json!({
                    // At the revocation endpoint too: RFC 7523 section 3 number 3.
                    "aud": format!("http://{host}/tenant/token"),
                    "iss": CLIENT_ID, "sub": CLIENT_ID,
                    "jti": jti, "nbf": iat, "iat": iat, "exp": iat + 600,
                })
            );
            ids.push(jti);
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 3, "an assertion was used twice");
    }
}

/// The certificate's fingerprint by openssl, in base64url.
fn fingerprint(keys: &Keys, hash: &str) -> String {
    let told = keys.openssl(&format!("x509 -in app.pem -noout -fingerprint -{hash}")).unwrap();
    let (_, bytes) = told.trim().split_once('=').unwrap();
    let bytes: Vec<u8> =
        bytes.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    URL_SAFE_NO_PAD.encode(bytes)
}

#[tokio::test]
async fn assertion_is_signed_as_openssl_verifies() {
    let keys = Keys::new();
    let (ps256, rs256) = (AssertionAlgorithm::Ps256, AssertionAlgorithm::Rs256);
    for (algorithm, other) in [(ps256, rs256), (rs256, ps256)] {
        let [(request, _), ..] =
            requests(ClientAuth::PrivateKeyJwt(keys.client_key(algorithm))).await;
        let mut jwt = Jwt::parse(&parameter(body(&request), "client_assertion"));
        assert!(keys.verify(&jwt, algorithm), "{algorithm:?}");
        assert!(!keys.verify(&jwt, other), "{algorithm:?} passes for {other:?}");
        jwt.signed.push('x');
        assert!(!keys.verify(&jwt, algorithm), "openssl would verify anything");
    }
}

#[tokio::test]
async fn assertion_names_a_bare_key_by_its_id() {
    // RFC 7515 section 4.1.4; OpenID Connect Core section 10.1 wants it where there are several.
    let keys = Keys::new();
    let auth = ClientAuth::PrivateKeyJwt(ClientKey {
        certificate: None,
        key_id: Some("key-1".into()),
        ..keys.client_key(AssertionAlgorithm::Rs256)
    });
    let [(request, _), ..] = requests(auth).await;
    let jwt = Jwt::parse(&parameter(body(&request), "client_assertion"));
    let header = serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"});
    assert_eq!(jwt.header, header);
}

#[tokio::test]
async fn assertion_file_goes_into_the_form_as_it_is() {
    // Microsoft, "Microsoft identity platform and the OAuth 2.0 client credentials flow", third
    // case, "Access token request with a federated credential".
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, format!("{ASSERTION}\n")).unwrap();
    for (request, otherwise) in requests(ClientAuth::AssertionFile(path)).await {
        let shown = format!("client_id=the+client&{ASSERTION_TYPE}&client_assertion={ASSERTION}");
        assert_eq!(body(&request), format!("{otherwise}&{shown}"));
        assert_eq!(header(&request, "authorization"), None);
    }
}

#[tokio::test]
async fn assertion_file_is_read_at_each_use_and_what_is_wrong_with_it_may_pass() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let stand_in = StandIn::start(Answer::json("400 Bad", r#"{"error":"invalid_client"}"#)).await;
    let grant = by(&stand_in.grant(), ClientAuth::AssertionFile(path.clone()));
    let tokens = Tokens::new(Store::in_memory());
    let ask = async || {
        tokens.want(Vec::new()); // ends the pause after the failure before
        tokens.access_token(&grant, &scopes()).await.unwrap_err()
    };
    assert!(ask().await.is_temporary(), "the volume may not be mounted yet");
    let long = format!("a.b.{}", "c".repeat(65_536));
    let two = format!("{ASSERTION}\n{ASSERTION}");
    for bad in ["", "\n", "tell-nobody", "a.b", "a.b.", "a..c", "a.b.c.d", "a.b.c d", &two, &long] {
        std::fs::write(&path, bad).unwrap();
        let error = ask().await;
        assert!(error.is_temporary() && !format!("{error:?}").contains("tell-nobody"), "{error:?}");
        assert!(error.cause.contains("token\""), "{error}");
    }
    assert_eq!(stand_in.requests(), 0);
    for good in [ASSERTION, "a.b.c-_1"] {
        std::fs::write(&path, good).unwrap();
        assert_eq!(ask().await.kind, ErrorKind::Configuration);
        assert_eq!(parameter(body(&stand_in.last_request()), "client_assertion"), good);
    }
}

#[tokio::test]
async fn key_that_is_unfit_is_told_without_a_request() {
    let keys = Keys::new();
    let stand_in = StandIn::start(Answer::token()).await;
    let tell = async |private_key: SecretSource| {
        let key = keys.client_key(AssertionAlgorithm::Ps256);
        let auth = ClientAuth::PrivateKeyJwt(ClientKey { private_key, ..key });
        let grant = by(&stand_in.grant(), auth);
        Tokens::new(Store::in_memory()).access_token(&grant, &scopes()).await.unwrap_err()
    };
    keys.openssl("pkcs8 -topk8 -in app.key -passout pass:x -out encrypted.key").unwrap();
    let error = tell(SecretSource::File(keys.path("encrypted.key"))).await;
    assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
    assert!(error.cause.starts_with("private_key is encrypted"), "{error}");
    assert!(error.fix.contains("openssl pkey"), "{error}");
    let error = tell(SecretSource::File(keys.path("missing.key"))).await;
    assert!(error.is_temporary(), "{error}");
    assert_eq!(stand_in.requests(), 0);
}

#[tokio::test]
async fn what_shows_a_client_reaches_no_log_and_no_error_whatever_the_endpoint_does() {
    let log = Log::default();
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _subscribed = log.subscribe(tracing::Level::TRACE);
    let keys = Keys::new();
    keys.write("token", ASSERTION);
    let mut secrets = vec![
        SPECIAL_SECRET.to_owned(),
        "p%7Ew%3Ad".to_owned(),
        STANDARD.encode("the+client:p%7Ew%3Ad+%2B%25%26%3D%C3%B6"),
        ASSERTION.to_owned(),
        keys.secret_line(),
    ];
    let mut told = String::new();
    for auth in [
        ClientAuth::SecretPost(secret()),
        ClientAuth::SecretBasic(secret()),
        ClientAuth::PrivateKeyJwt(keys.client_key(AssertionAlgorithm::Ps256)),
        ClientAuth::PrivateKeyJwt(keys.client_key(AssertionAlgorithm::Rs256)),
        ClientAuth::AssertionFile(keys.path("token")),
    ] {
        let echo = format!(
            r#"{{"error":"invalid_client","error_description":"no {SPECIAL_SECRET} {ASSERTION}"}}"#
        );
        for answer in [
            Answer::token(),
            Answer::json("401 Unauthorized", &echo),
            Answer::json("503 Unavailable", &echo),
            Answer::new("200 OK", "text/html", &echo),
            Answer::Bytes(Vec::new()),
        ] {
            let stand_in = StandIn::start(answer).await;
            let grant = by(&stand_in.person(), auth.clone());
            let tokens = Tokens::new(Store::in_memory());
            let pasted = RefreshToken::parse("refresh").unwrap();
            let authorized = tokens.authorize(&grant, &scopes(), pasted, &[alice()]).await;
            let request = stand_in.last_request();
            if matches!(auth, ClientAuth::PrivateKeyJwt(_)) {
                secrets.push(parameter(body(&request), "client_assertion"));
            }
            let revoked = tokens.revoke(&grant).await;
            told.push_str(&format!("{authorized:?} {revoked:?} {tokens:?} {grant:?} "));
            told.push_str(&authorized.map_or_else(|error| error.to_string(), |_| String::new()));
        }
    }
    let logged = log.text();
    assert!(logged.contains("reqwest") && secrets.len() == 15, "{logged}");
    for text in [&logged, &told] {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{secret}: {text}");
        }
    }
}
