//! What a person's grant says on the wire, and what is read of the answers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::scene::alice;
use super::*;
use crate::provider::Way;
use crate::store::{StoredGrant, StoredShortfall};

/// The refresh token that Alice's grant begins with.
const REFRESH: &str = "r3fresh token+of/alice";

/// Tokens with Alice's consent for `grant`, and the store that keeps it.
fn consented(grant: &Grant) -> (Tokens, Store) {
    let store = Store::in_memory();
    let stored = StoredGrant {
        refresh_token: RefreshToken::parse(REFRESH).unwrap(),
        client_id: grant.client_id().to_owned(),
        token_endpoint: grant.source().to_owned(),
        user: None,
        consented_at: Duration::ZERO,
        refreshed_at: Duration::ZERO,
        ends_at: None,
        refused: None,
        shortfall: None,
    };
    store.commit(&grant.id, &stored).unwrap();
    (Tokens::new(store.clone()), store)
}

fn kept(store: &Store) -> String {
    let stored = store.load(&GrantId::Account(alice())).unwrap();
    stored.refresh_token.expose_secret().to_owned()
}

async fn ask_as_alice(answer: Answer) -> (Result<Token, TokenError>, Store) {
    let stand_in = StandIn::start(answer).await;
    let grant = stand_in.person();
    let (tokens, store) = consented(&grant);
    (tokens.access_token(&grant, &scopes()).await, store)
}

/// Refuses requests that name scopes with `refusal`, and gives a token for IMAP to others.
fn in_part(refusal: &str) -> Answer {
    let granted = r#"{"access_token":"t0ken-for-the-mailbox","token_type":"Bearer",
        "expires_in":3599,"scope":"imap","refresh_token":"n3xt"}"#;
    let bytes = |answer| match answer {
        Answer::Bytes(bytes) => bytes,
        Answer::ByScope(..) | Answer::Hang => panic!("it is an answer"),
    };
    Answer::ByScope(
        bytes(Answer::json("400 Bad Request", refusal)),
        bytes(Answer::json("200 OK", granted)),
    )
}

/// What a refresh for `scopes` gives where IMAP was granted and submission was not; what is kept
/// then, and how many requests it took.
async fn refresh_in_part(
    scopes: &[&str],
    refusal: &str,
) -> (Result<Token, TokenError>, String, usize) {
    let stand_in = StandIn::start(in_part(refusal)).await;
    let grant = stand_in.person();
    let (tokens, store) = consented(&grant);
    let scopes: Vec<_> = scopes.iter().map(|&scope| scope.to_owned()).collect();
    let outcome = tokens.access_token(&grant, &scopes).await;
    (outcome, kept(&store), stand_in.requests())
}

#[tokio::test]
async fn refresh_asks_for_what_was_granted_when_that_is_less_than_is_wanted() {
    let refusal = r#"{"error":"invalid_scope"}"#;
    let (token, kept, requests) = refresh_in_part(&["openid", "imap", "submission"], refusal).await;
    assert_eq!(token.unwrap().access_token.expose_secret(), TOKEN);
    assert_eq!((kept.as_str(), requests), ("n3xt", 2));
}

#[tokio::test]
async fn refresh_asks_at_once_as_was_answered_before_when_naming_scopes_was_refused() {
    let stand_in = StandIn::start(in_part(r#"{"error":"invalid_scope"}"#)).await;
    let grant = stand_in.person();
    let (_, store) = consented(&grant);
    let scopes = ["openid", "imap", "submission"].map(str::to_owned);
    // Each with nothing in memory, as after a restart.
    for (requests, of_other_scopes) in [(2, 0), (3, 0), (5, 1), (6, 1)] {
        let wanted = [&scopes[..], &["pop3".to_owned()][..of_other_scopes]].concat();
        Tokens::new(store.clone()).access_token(&grant, &wanted).await.unwrap();
        assert_eq!(stand_in.requests(), requests);
        // RFC 6749 section 6: no scope "is treated as equal to the scope originally granted".
        assert_eq!(
            stand_in.last_request().split_once("\r\n\r\n").unwrap().1,
            format!(
                "grant_type=refresh_token&refresh_token={}&client_id=the+client\
                 &client_secret={SECRET}",
                if requests == 2 { "r3fresh+token%2Bof%2Falice" } else { "n3xt" }
            )
        );
    }
    let shortfall = store.load(&grant.id).unwrap().shortfall.unwrap();
    let missing = shortfall.missing.unwrap();
    assert!(missing.iter().eq(["pop3", "submission"]), "{missing:?}");
}

#[tokio::test]
async fn refresh_without_scopes_is_no_success_when_nothing_wanted_is_granted_any_more() {
    let stand_in = StandIn::start(in_part(r#"{"error":"invalid_scope"}"#)).await;
    let grant = stand_in.person();
    let (tokens, store) = consented(&grant);
    let wanted = ["submission", "pop3"].map(str::to_owned);
    let shortfall = StoredShortfall { missing: None, unnamed: wanted.iter().cloned().collect() };
    let stored = store.load(&grant.id).unwrap();
    store.commit(&grant.id, &StoredGrant { shortfall: Some(shortfall), ..stored }).unwrap();
    let error = tokens.access_token(&grant, &wanted).await.unwrap_err();
    assert_eq!((error.kind, error.reach), (ErrorKind::Consent, Reach::Scopes));
    assert_eq!(error.cause, "127.0.0.1 has granted none of submission, pop3");
    assert_eq!((kept(&store).as_str(), stand_in.requests()), ("n3xt", 1));
}

#[tokio::test]
async fn refresh_fails_but_keeps_the_successor_when_nothing_wanted_was_granted() {
    let refusal = r#"{"error":"invalid_scope"}"#;
    let (token, kept, requests) = refresh_in_part(&["submission", "pop3"], refusal).await;
    let error = token.unwrap_err();
    assert!(error.cause.contains("invalid_scope"), "{error}");
    assert_eq!((kept.as_str(), requests), ("n3xt", 2));
}

#[tokio::test]
async fn refresh_is_not_asked_for_less_when_the_refusal_cannot_mean_that() {
    let one = ["offline_access", "submission"];
    let two = ["imap", "submission"];
    for (scopes, refusal) in [
        (&one, r#"{"error":"invalid_scope"}"#),
        (&two, r#"{"error":"invalid_scope","error_codes":[70011]}"#),
        (&two, r#"{"error":"invalid_client"}"#),
    ] {
        let (token, kept, requests) = refresh_in_part(scopes, refusal).await;
        token.unwrap_err();
        assert_eq!((kept.as_str(), requests), (REFRESH, 1), "{refusal}");
    }
}

#[tokio::test]
async fn refresh_token_is_used_as_rfc_6749_section_6_says() {
    let stand_in = StandIn::start(Answer::token()).await;
    let public = Grant::clone(&stand_in.person()).by(|client| client.auth = ClientAuth::None);
    for (grant, secret) in
        [(stand_in.person(), "&client_secret=s3cret-of-the-client"), (Arc::new(public), "")]
    {
        let (tokens, store) = consented(&grant);
        let scopes = ["https://a.example/x".to_owned(), "offline_access".to_owned()];
        let token = tokens.access_token(&grant, &scopes).await.unwrap();
        assert_eq!(token.access_token.expose_secret(), TOKEN);
        let request = stand_in.last_request();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(!head.to_ascii_lowercase().contains("authorization"), "{head}");
        assert_eq!(
            body,
            format!(
                "grant_type=refresh_token&refresh_token=r3fresh+token%2Bof%2Falice\
                 &scope=https%3A%2F%2Fa.example%2Fx+offline_access&client_id=the+client{secret}"
            )
        );
        assert_eq!(kept(&store), REFRESH, "the answer brought no other");
    }
}

#[tokio::test]
async fn resource_is_named_in_each_request_for_a_token() {
    let stand_in = StandIn::start(Answer::token()).await;
    let of = |grant: &Grant| {
        let mut grant = grant.clone();
        grant.server.resource = Some("https://mail.example".to_owned());
        Arc::new(grant)
    };
    let (application, person) = (of(&stand_in.grant()), of(&stand_in.person()));
    let client = application.way.client().cloned().unwrap();
    let way = Way::Password { client, password: SecretSource::Value("secret".into()) };
    let password = Arc::new(Grant { way, ..Grant::clone(&person) });
    let refresh_token = RefreshToken::parse(REFRESH).unwrap();
    let redemption = grant::Redemption {
        code: "code".into(),
        verifier: "verifier".into(),
        redirect_uri: "http://localhost:1".to_owned(),
    };
    let device_code = "device".into();
    let network = grant::Network::default();
    for (grant, by) in [
        (&application, grant::By::Itself),
        (&password, grant::By::Itself),
        (&person, grant::By::RefreshToken { token: &refresh_token, named: &scopes() }),
        (&person, grant::By::Code(&redemption)),
        (&person, grant::By::DeviceCode(&device_code)),
    ] {
        grant::Issuer::issue(&network, grant, &scopes(), by).await.unwrap();
        // RFC 8707 section 2.2.
        let request = stand_in.last_request();
        assert_eq!(request.matches("&resource=https%3A%2F%2Fmail.example").count(), 1, "{request}");
    }
}

#[tokio::test]
async fn token_lives_as_long_as_is_told_but_a_day_at_most_and_an_hour_where_nothing_is() {
    for (told, life) in [
        (r#","expires_in":60"#, 60),
        ("", 60 * 60),
        (r#","expires_in":18446744073709551615"#, 24 * 60 * 60),
    ] {
        let body = format!(r#"{{"access_token":"t","token_type":"Bearer"{told}}}"#);
        let stand_in = StandIn::start(Answer::json("200 OK", &body)).await;
        let (network, grant) = (grant::Network::default(), stand_in.grant());
        let asked = grant::Issuer::issue(&network, &grant, &scopes(), grant::By::Itself).await;
        assert_eq!(asked.unwrap().issued.unwrap().life.as_secs(), life, "{told}");
    }
}

#[tokio::test]
async fn refresh_token_of_an_answer_is_kept_whatever_else_is_in_it() {
    let kept_after = async |body: &str| {
        let (token, store) = ask_as_alice(Answer::json("200 OK", body)).await;
        (token.is_ok(), kept(&store))
    };
    let next = r#""refresh_token":"next""#;
    for (body, is_token) in [
        (format!(r#"{{"access_token":"t","token_type":"Bearer",{next}}}"#), true),
        (format!(r#"{{"access_token":"t","token_type":"DPoP",{next}}}"#), false),
        (format!(r#"{{"access_token":"two words","token_type":"Bearer",{next}}}"#), false),
        (format!(r#"{{"access_token":"t",{next}}}"#), false),
        (format!(r#"{{{next}}}"#), false),
    ] {
        assert_eq!(kept_after(&body).await, (is_token, "next".to_owned()), "{body}");
    }
    for odd in ["null", "\"\"", "7", "\"a\\u0001b\""] {
        let body = format!(r#"{{"access_token":"t","token_type":"Bearer","refresh_token":{odd}}}"#);
        assert_eq!(kept_after(&body).await, (true, REFRESH.to_owned()), "{body}");
    }
}

#[tokio::test]
async fn refresh_token_of_an_answer_is_kept_whatever_status_and_content_type_say() {
    let body = r#"{"access_token":"t","token_type":"Bearer","refresh_token":"next"}"#;
    for (status, content_type) in [
        ("200 OK", "text/html; charset=utf-8"),
        ("200 OK", "application/jwt"),
        ("201 Created", "application/json"),
        ("202 Accepted", "text/plain"),
    ] {
        let (token, store) = ask_as_alice(Answer::new(status, content_type, body)).await;
        assert_eq!(token.unwrap().access_token.expose_secret(), "t", "{status} {content_type}");
        assert_eq!(kept(&store), "next", "{status} {content_type}");
    }
}

#[tokio::test]
async fn error_is_read_whatever_its_content_type_says() {
    let body = r#"{"error":"invalid_grant"}"#;
    let (token, _) = ask_as_alice(Answer::new("400 Bad Request", "text/plain", body)).await;
    assert_eq!(token.unwrap_err().kind, ErrorKind::Consent);
}

#[tokio::test]
async fn answer_is_lost_when_the_endpoint_may_have_acted_on_the_request() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"access".to_vec();
    let html = |status| Answer::new(status, "text/html", "<html>");
    for (answer, is_lost) in [
        (Answer::Bytes(Vec::new()), true),
        (Answer::Bytes(cut), true),
        (Answer::json("200 OK", "{}"), true),
        (html("200 OK"), true),
        (html("502 Bad Gateway"), true),
        (html("504 Gateway Timeout"), true),
        (html("503 Unavailable"), false),
        (html("429 Too Many Requests"), false),
        (html("404 Not Found"), false),
        (html("302 Found"), false),
        (Answer::json("504 Gateway Timeout", r#"{"error":"server_error"}"#), false),
    ] {
        let (token, store) = ask_as_alice(answer).await;
        let error = token.unwrap_err();
        assert!(error.is_temporary(), "{error}");
        assert_eq!(store.answer_was_lost(&GrantId::Account(alice())), is_lost, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn answer_is_lost_when_it_does_not_come_in_time() {
    let (token, store) = ask_as_alice(Answer::Hang).await;
    let error = token.unwrap_err();
    assert!(error.cause.contains("no answer within 1"), "{error}");
    assert!(store.answer_was_lost(&GrantId::Account(alice())));
}

#[tokio::test]
async fn answer_is_not_lost_when_nobody_was_reached() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let stand_in = StandIn::start(Answer::Hang).await;
    let grant = Grant::clone(&stand_in.person()).at(&format!("http://{closed}/token"));
    let grant = Arc::new(grant);
    let (tokens, store) = consented(&grant);
    tokens.access_token(&grant, &scopes()).await.unwrap_err();
    assert!(!store.answer_was_lost(&grant.id));
}

#[tokio::test]
async fn permission_that_was_not_granted_is_told_with_the_token() {
    let log = Log::default();
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _subscribed = log.subscribe(tracing::Level::INFO);
    for (granted, told) in [("imap smtp", 0), ("imap", 1)] {
        let body = format!(r#"{{"access_token":"t","token_type":"Bearer","scope":"{granted}"}}"#);
        let stand_in = StandIn::start(Answer::json("200 OK", &body)).await;
        let grant = stand_in.person();
        let (tokens, _store) = consented(&grant);
        let scopes = ["imap", "smtp"].map(str::to_owned);
        tokens.access_token(&grant, &scopes).await.unwrap();
        let logged = log.take();
        assert_eq!(logged.matches(r#"missing=["smtp"]"#).count(), told, "{logged}");
    }
}

#[tokio::test]
async fn error_that_comes_as_a_success_is_read_as_an_error() {
    let body = r#"{"error":"invalid_grant","error_description":"AADSTS50173: no"}"#;
    let (token, store) = ask_as_alice(Answer::json("200 OK", body)).await;
    let error = token.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Consent, "{error}");
    assert!(
        error.cause.contains("127.0.0.1") && error.cause.contains("invalid_grant, AADSTS50173")
    );
    assert!(store.load(&GrantId::Account(alice())).unwrap().refused.is_some());
}

#[tokio::test]
async fn outage_that_calls_the_refresh_token_wrong_costs_no_consent() {
    let body = r#"{"error":"invalid_grant"}"#;
    for status in ["500 Internal Server Error", "503 Unavailable", "429 Too Many Requests"] {
        let (token, store) = ask_as_alice(Answer::json(status, body)).await;
        assert!(token.unwrap_err().is_temporary(), "{status}");
        assert_eq!(store.load(&GrantId::Account(alice())).unwrap().refused, None);
    }
}

#[tokio::test]
async fn retry_after_is_read_as_seconds_or_a_date_from_any_error() {
    let retry_after = async |status: &str, content_type: &str, value: &str| {
        let body = r#"{"error":"temporarily_unavailable"}"#;
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n");
        let head = format!("{head}Retry-After: {value}\r\nContent-Length: {}\r\n", body.len());
        error_of(Answer::Bytes(format!("{head}\r\n{body}").into_bytes())).await.retry_after
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let json = "application/json";
    assert_eq!(retry_after("503 Unavailable", json, "120").await, seconds(120));
    assert_eq!(retry_after("503 Unavailable", "text/html", " 7 ").await, seconds(7));
    assert_eq!(retry_after("400 Bad Request", json, "120").await, seconds(120));
    let past = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(retry_after("429 Too Many Requests", json, past).await, seconds(0));
    let future = "Fri, 01 Jan 2100 00:00:00 GMT";
    assert!(retry_after("429 Too Many Requests", json, future).await > seconds(86_400));
    for odd in ["soon", "-5", "", "1.5"] {
        assert_eq!(retry_after("503 Unavailable", json, odd).await, None, "{odd}");
    }
}

#[tokio::test]
async fn person_is_read_from_the_answer_and_compared() {
    let claims = URL_SAFE_NO_PAD.encode(r#"{"preferred_username":"Alice@Contoso.com"}"#);
    let body = format!(
        r#"{{"access_token":"t","token_type":"Bearer","id_token":"{0}.{claims}.{0}"}}"#,
        URL_SAFE_NO_PAD.encode("{}")
    );
    let stand_in = StandIn::start(Answer::json("200 OK", &body)).await;
    let grant = stand_in.person();
    let tokens = Tokens::new(Store::in_memory());
    let pasted = || RefreshToken::parse(REFRESH).unwrap();
    let authorized = tokens.authorize(&grant, &scopes(), pasted(), &[alice()]).await.unwrap();
    assert_eq!(authorized.user.unwrap().folded(), alice());
    let bob = Username::parse("bob@contoso.com").unwrap();
    let error = tokens.authorize(&grant, &scopes(), pasted(), &[bob]).await.unwrap_err();
    assert_eq!(error.to_string(), "Alice@Contoso.com consented, not bob@contoso.com");
}

#[tokio::test]
async fn consent_is_given_back_as_rfc_7009_section_2_1_says() {
    let stand_in = StandIn::start(Answer::new("200 OK", "text/html", "")).await;
    let grant = stand_in.person();
    let (tokens, store) = consented(&grant);
    assert_eq!(tokens.revoke(&grant).await.unwrap(), Revoked::AtProvider);
    assert!(store.load(&grant.id).is_none());
    let request = stand_in.last_request();
    assert!(request.starts_with("POST /tenant/revoke HTTP/1.1\r\n"), "{request}");
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(
        body,
        "token=r3fresh+token%2Bof%2Falice&token_type_hint=refresh_token\
         &client_id=the+client&client_secret=s3cret-of-the-client"
    );
}

#[tokio::test]
async fn consent_is_kept_when_the_revocation_endpoint_cannot_take_it() {
    for (answer, told) in [
        (Answer::new("503 Unavailable", "text/html", "<html>"), "HTTP 503"),
        (Answer::json("401 Unauthorized", r#"{"error":"invalid_client"}"#), "invalid_client"),
        (
            Answer::Bytes(
                b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_vec(),
            ),
            "correct `revocation_endpoint`",
        ),
    ] {
        let stand_in = StandIn::start(answer).await;
        let grant = stand_in.person();
        let (tokens, store) = consented(&grant);
        let error = tokens.revoke(&grant).await.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        assert_eq!(kept(&store), REFRESH);
    }
    let stand_in = StandIn::start(Answer::token()).await;
    let mut clear = Grant::clone(&stand_in.person());
    clear.server.revocation_endpoint = Some("http://login.example/revoke".to_owned());
    let clear = Arc::new(clear);
    let (tokens, _store) = consented(&clear);
    let error = tokens.revoke(&clear).await.unwrap_err();
    assert!(error.to_string().contains("revocation_endpoint"), "{error}");
}

#[tokio::test]
async fn every_row_of_the_table_is_judged_logged_and_shown_as_it_says() {
    let log = Log::default();
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _subscribed = log.subscribe(tracing::Level::INFO);
    let stand_in = StandIn::start(Answer::Hang).await;
    let grant = stand_in.person();
    for (kind, body) in verdict::rows() {
        stand_in.answer(Answer::json("400 Bad Request", &body.to_string()));
        let (tokens, store) = consented(&grant);
        let error = tokens.access_token(&grant, &scopes()).await.unwrap_err();
        assert_eq!(error.kind, kind, "{body}");

        let status = tokens.status(&grant);
        let state = match kind {
            ErrorKind::Consent => TokenState::ConsentNeeded,
            ErrorKind::Temporary | ErrorKind::Admin | ErrorKind::Configuration => {
                TokenState::Failing
            }
        };
        assert_eq!((status.state, status.last_error.as_ref()), (state, Some(&error)), "{body}");
        let stored = store.load(&grant.id).unwrap();
        let is_refused = kind == ErrorKind::Consent && error.reach == Reach::Grant;
        assert_eq!(stored.refused.is_some(), is_refused, "{body}");
        assert_eq!(kept(&store), REFRESH, "{body}");

        let logged = log.take();
        assert_eq!(logged.matches(" WARN ").count(), 1, "{logged}");
        let said = error.said.as_deref().unwrap();
        for told in [kind.name(), said.error(), &format!("{:?}", error.fix)] {
            assert!(logged.contains(told), "{told} is not logged: {logged}");
        }
        if let Some(code) = said.aadsts() {
            let ids =
                format!("aadsts={code} trace_id=\"trace-1\" correlation_id=\"correlation-1\"");
            assert!(logged.contains(&ids), "{logged}");
        }
    }
}

#[tokio::test]
async fn refresh_tokens_reach_no_log_and_no_error_whatever_the_endpoint_does() {
    const NEXT: &str = "n3xt-refresh-token";
    let log = Log::default();
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _subscribed = log.subscribe(tracing::Level::TRACE);
    let echo = format!(
        r#"{{"error":"invalid_grant","error_description":"no {REFRESH}","refresh_token":"{NEXT}"}}"#
    );
    let good = format!(
        r#"{{"access_token":"{TOKEN}","token_type":"Bearer","refresh_token":"{NEXT}",
            "id_token":"{NEXT}"}}"#
    );
    let mut told = String::new();
    for answer in [
        Answer::json("200 OK", &good),
        Answer::json("200 OK", &good.replace("Bearer", "DPoP")),
        Answer::json("200 OK", &good.replace("access_token", "x")),
        Answer::json("200 OK", &good.replace('}', "")),
        Answer::json("200 OK", &echo),
        Answer::json("400 Bad Request", &echo),
        Answer::json("503 Unavailable", &echo),
        Answer::new("200 OK", "text/html", &good),
    ] {
        let stand_in = StandIn::start(answer).await;
        let grant = stand_in.person();
        let (tokens, _store) = consented(&grant);
        let outcome = tokens.access_token(&grant, &scopes()).await;
        let pasted = RefreshToken::parse(REFRESH).unwrap();
        let authorized = tokens.authorize(&grant, &scopes(), pasted, &[alice()]).await;
        let revoked = tokens.revoke(&grant).await;
        told.push_str(&format!("{outcome:?} {authorized:?} {revoked:?} {tokens:?} "));
        told.push_str(&outcome.map_or_else(|error| error.to_string(), |_| String::new()));
    }
    let logged = log.text();
    assert!(logged.contains("reqwest") && logged.contains("window_us"), "{logged}");
    for text in [&logged, &told] {
        for secret in [REFRESH, "r3fresh+token", NEXT, TOKEN, SECRET] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}
