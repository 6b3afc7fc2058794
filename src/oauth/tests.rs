//! What [`Tokens`] promises, tried against endpoints on loopback.

mod aftermath;
mod browser;
mod clients;
mod consent;
mod device;
mod disk;
mod egress;
mod forecast;
mod growth;
mod keys;
mod life;
mod renewal;
mod rotation;
mod scene;
mod service_account;
mod shortfall;
mod subjects;
mod tls;
mod ways;
mod wire;

use std::io;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::stand_in::{Answer, SECRET, StandIn, TOKEN};
use super::*;
use crate::provider::{ClientAuth, GrantId};
use crate::secret::{ExposeSecret as _, SecretSource, SecretString};

/// Marks the copy of a test that runs in a process of its own, behind proxy variables.
const PROXY_CHILD: &str = "MAILBEARER_TEST_PROXY_CHILD";

fn scopes() -> Vec<String> {
    vec!["https://outlook.example/.default".into()]
}

async fn ask(tokens: &Tokens, stand_in: &StandIn) -> Result<AccessToken, TokenError> {
    let token = tokens.access_token(&stand_in.grant(), &scopes()).await;
    token.map(|token| token.access_token)
}

/// Why there is no token when the endpoint gives this answer.
async fn error_of(answer: Answer) -> TokenError {
    let stand_in = StandIn::start(answer).await;
    ask(&Tokens::new(Store::in_memory()), &stand_in).await.unwrap_err()
}

/// The reason of a failure that may pass when the endpoint gives this answer.
async fn reason_of(answer: Answer) -> String {
    let error = error_of(answer).await;
    assert!(error.is_temporary(), "{error:?}");
    error.cause.replace("127.0.0.1 gives no token now: ", "")
}

/// Lets `count` callers ask at once and gives back what they got.
async fn ask_at_once(
    tokens: &Tokens,
    stand_in: &StandIn,
    count: usize,
) -> Vec<Result<AccessToken, TokenError>> {
    let mut callers = JoinSet::new();
    for _ in 0..count {
        let (tokens, grant) = (tokens.clone(), stand_in.grant());
        callers.spawn(async move {
            let token = tokens.access_token(&grant, &scopes()).await;
            token.map(|token| token.access_token)
        });
    }
    callers.join_all().await
}

#[tokio::test]
async fn token_is_asked_for_as_rfc_6749_section_4_4_2_says() {
    let stand_in = StandIn::start(Answer::token()).await;
    let scopes = ["https://a.example/x".to_owned(), "second".to_owned()];
    let token =
        Tokens::new(Store::in_memory()).access_token(&stand_in.grant(), &scopes).await.unwrap();
    assert_eq!(token.access_token.expose_secret(), TOKEN);
    let request = stand_in.last_request();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /tenant/token HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(concat!("user-agent: mailbearer/", env!("CARGO_PKG_VERSION"))), "{head}");
    assert!(!head.to_ascii_lowercase().contains("authorization"), "{head}");
    assert_eq!(
        body,
        "grant_type=client_credentials&scope=https%3A%2F%2Fa.example%2Fx+second\
         &client_id=the+client&client_secret=s3cret-of-the-client"
    );
}

#[tokio::test]
async fn twenty_callers_share_one_request_and_its_token() {
    let stand_in = StandIn::start(Answer::token()).await;
    let tokens = Tokens::new(Store::in_memory());
    let got = ask_at_once(&tokens, &stand_in, 20).await;
    assert_eq!(got.len(), 20);
    assert!(got.iter().all(|token| token.as_ref().unwrap().expose_secret() == TOKEN));
    ask(&tokens, &stand_in).await.unwrap();
    assert_eq!(stand_in.requests(), 1);
}

#[tokio::test]
async fn twenty_callers_share_one_request_and_its_failure_and_the_next_call_recovers() {
    let stand_in = StandIn::start(Answer::new("503 Unavailable", "text/html", "<html>")).await;
    let tokens = Tokens::new(Store::in_memory());
    let got = ask_at_once(&tokens, &stand_in, 20).await;
    assert_eq!(stand_in.requests(), 1);
    assert_eq!(got.len(), 20);
    for outcome in got {
        assert!(outcome.unwrap_err().is_temporary());
    }
    stand_in.answer(Answer::token());
    assert_eq!(ask(&tokens, &stand_in).await.unwrap().expose_secret(), TOKEN);
    assert_eq!(stand_in.requests(), 2);
}

#[tokio::test]
async fn tokens_are_kept_apart_by_scopes_whose_order_does_not_matter() {
    let stand_in = StandIn::start(Answer::token()).await;
    let tokens = Tokens::new(Store::in_memory());
    let grant = stand_in.grant();
    for (scopes, requests) in [(["a", "b"], 1), (["b", "a"], 1), (["a", "c"], 2)] {
        tokens.access_token(&grant, &scopes.map(String::from)).await.unwrap();
        assert_eq!(stand_in.requests(), requests, "{scopes:?}");
    }
}

#[tokio::test]
async fn tokens_are_kept_apart_by_client_and_endpoint() {
    let stand_in = StandIn::start(Answer::token()).await;
    let tokens = Tokens::new(Store::in_memory());
    let grant = stand_in.grant();
    let other_client = Grant::clone(&grant).by(|client| client.id.push_str("-2"));
    let other_tenant = Grant::clone(&grant).at(&format!("{}-2", grant.source()));
    for (grant, requests) in [
        (stand_in.grant(), 1),
        (Arc::new(other_client), 2),
        (Arc::new(other_tenant), 3),
        (stand_in.grant(), 3),
    ] {
        tokens.access_token(&grant, &scopes()).await.unwrap();
        assert_eq!(stand_in.requests(), requests, "{grant:?}");
    }
}

#[tokio::test]
async fn oauth_error_is_temporary_when_the_server_says_5xx_or_429() {
    let error = r#"{"error":"invalid_client"}"#;
    for status in ["500 Internal Server Error", "503 Unavailable", "429 Too Many Requests"] {
        let reason = reason_of(Answer::json(status, error)).await;
        assert!(reason.contains(&status[..3]) && reason.contains("invalid_client"), "{reason}");
    }
}

#[tokio::test]
async fn redirect_is_refused_and_not_followed() {
    let elsewhere = StandIn::start(Answer::token()).await;
    for status in ["302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let grant = elsewhere.grant();
        let to = grant.source();
        let head = format!("HTTP/1.1 {status}\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
        let reason = reason_of(Answer::Bytes(head.into_bytes())).await;
        assert!(reason.contains("redirect") && reason.contains(&status[..3]), "{reason}");
    }
    assert_eq!(elsewhere.requests(), 0);
}

#[tokio::test]
async fn body_is_cut_at_one_mebibyte() {
    let body = format!(r#"{{"access_token":"{}""#, "x".repeat(2 * 1024 * 1024));
    for status in ["200 OK", "400 Bad Request"] {
        let endless = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n\r\n{body}");
        let reason = reason_of(Answer::Bytes(endless.into_bytes())).await;
        assert_eq!(reason, "its answer is longer than 1 MiB");
    }
}

#[tokio::test]
async fn answers_that_are_not_oauth_are_temporary_and_told_without_their_bodies() {
    let html = "<html>leak</html>";
    for (answer, told) in [
        (Answer::new("200 OK", "text/html", html), "HTTP 200 with \"text/html\""),
        (Answer::new("503 Unavailable", "text/html", html), "HTTP 503 with \"text/html\""),
        (Answer::new("429 Too Many", "text/plain", html), "HTTP 429 with \"text/plain\""),
        (Answer::new("404 Not Found", "text/html", html), "HTTP 404 with \"text/html\""),
        (Answer::json("502 Bad Gateway", html), "HTTP 502 with JSON that is no OAuth"),
        (Answer::json("400 Bad Request", r#"{"leak":1}"#), "HTTP 400 with JSON that is no OAuth"),
        (Answer::json("200 OK", r#"{"leak":1}"#), "holds no token"),
        (Answer::json("200 OK", ""), "holds no token"),
        (Answer::json("201 Created", r#"{"leak":1}"#), "holds no token"),
        (Answer::Bytes(b"leak\r\n\r\n".to_vec()), "the connection broke"),
        (Answer::Bytes(Vec::new()), "the connection broke"),
    ] {
        let reason = reason_of(answer).await;
        assert!(reason.contains(told) && !reason.contains("leak"), "{reason}");
    }
}

#[tokio::test]
async fn outage_told_in_oauth_is_temporary_and_keeps_its_words() {
    let body = r#"{"error":"temporarily_unavailable","error_codes":[90033],"trace_id":"abc"}"#;
    for status in ["503 Unavailable", "429 Too Many Requests", "400 Bad Request"] {
        let error = error_of(Answer::json(status, body)).await;
        assert!(error.is_temporary(), "{status}: {error}");
        let said = error.said.unwrap();
        assert_eq!((said.aadsts(), said.trace_id()), (Some(90_033), Some("abc")));
    }
}

#[tokio::test]
async fn definite_error_is_refused_with_its_words_and_a_hint() {
    let body = r#"{"error":"invalid_client","error_description":"AADSTS7000222: expired"}"#;
    let error = error_of(Answer::json("401 Unauthorized", body)).await;
    assert!(!error.is_temporary());
    let text = error.to_string();
    assert!(text.contains("127.0.0.1 refuses a token (invalid_client, AADSTS7000222)"), "{text}");
    assert!(text.contains("the client secret has expired"), "{text}");
}

#[tokio::test]
async fn token_that_no_mail_server_takes_is_refused() {
    let answer = |token: &str, kind: &str| {
        let body = serde_json::json!({"access_token": token, "token_type": kind});
        Answer::json("200 OK", &body.to_string())
    };
    for bad in ["two words", "", "a\u{1}b", "a\r\nb", "é"] {
        let reason = reason_of(answer(bad, "bearer")).await;
        assert!(reason.contains("no mail server takes"), "{reason}");
    }
    assert!(reason_of(answer("t", "DPoP")).await.contains("not of type Bearer"));
}

#[tokio::test]
async fn token_is_taken_when_its_life_is_a_text_or_untold() {
    for life in [r#","expires_in":"3599""#, ""] {
        let body = format!(r#"{{"access_token":"{TOKEN}","token_type":"BEARER"{life}}}"#);
        let stand_in = StandIn::start(Answer::json("200 OK", &body)).await;
        let tokens = Tokens::new(Store::in_memory());
        for _ in 0..2 {
            assert_eq!(ask(&tokens, &stand_in).await.unwrap().expose_secret(), TOKEN);
        }
        assert_eq!(stand_in.requests(), 1, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn hanging_endpoint_is_given_up_within_fifteen_seconds() {
    let stand_in = StandIn::start(Answer::Hang).await;
    let begun = Instant::now();
    let error = ask(&Tokens::new(Store::in_memory()), &stand_in).await.unwrap_err();
    assert!(error.is_temporary(), "{error}");
    assert!(begun.elapsed() <= Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn endpoint_that_cannot_be_reached_is_temporary_and_told() {
    let stand_in = StandIn::start(Answer::token()).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let grant = Grant::clone(&stand_in.grant()).at(&format!("http://{closed}/token"));
    let error = Tokens::new(Store::in_memory())
        .access_token(&Arc::new(grant), &scopes())
        .await
        .unwrap_err();
    assert!(error.is_temporary() && error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn client_secret_file_is_read_anew_at_each_request() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    let stand_in = StandIn::start(Answer::json("400 Bad", r#"{"error":"invalid_client"}"#)).await;
    let secret = ClientAuth::SecretPost(SecretSource::File(path.clone()));
    let grant = Grant::clone(&stand_in.grant()).by(|client| client.auth = secret);
    let (tokens, grant) = (Tokens::new(Store::in_memory()), Arc::new(grant));

    let missing = tokens.access_token(&grant, &scopes()).await.unwrap_err();
    assert!(missing.is_temporary(), "it may be there again at the next request: {missing}");
    assert_eq!(missing.fix, "make it readable for the user that mailbearer runs as");
    assert_eq!(stand_in.requests(), 0);
    for secret in ["first", "second"] {
        std::fs::write(&path, format!("{secret}\n")).unwrap();
        tokens.want(Vec::new()); // ends the pause after the failure before
        tokens.access_token(&grant, &scopes()).await.unwrap_err();
        assert!(stand_in.last_request().ends_with(&format!("client_secret={secret}")));
    }
}

#[tokio::test]
async fn unfit_configuration_is_told_without_a_request() {
    let stand_in = StandIn::start(Answer::token()).await;
    let clear = Grant::clone(&stand_in.grant()).at("http://login.example/token");
    let mut no_authorities = Grant::clone(&stand_in.grant()).at("https://127.0.0.1:1/token");
    no_authorities.server.ca_file = Some("/nonexistent/ca.pem".into());
    for (grant, told) in [(clear, "must be https"), (no_authorities, "/nonexistent/ca.pem")] {
        let error = Tokens::new(Store::in_memory())
            .access_token(&Arc::new(grant), &scopes())
            .await
            .unwrap_err();
        assert!(error.kind == ErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains(told), "{error}");
    }
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Collects what this thread logs. Takes the `log` records of reqwest and rustls as well.
    fn subscribe(&self, level: tracing::Level) -> tracing::subscriber::DefaultGuard {
        let writer = self.clone();
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish()
            .set_default()
    }

    /// What was logged since the last call.
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn secrets_reach_no_log_and_no_error_whatever_the_endpoint_does() {
    let log = Log::default();
    // While there is one subscriber alone, `tracing` (0.1) believes that nobody listens to a log line
    // whose first thread has none: another test's, here.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _subscribed = log.subscribe(tracing::Level::TRACE);

    let echo = format!(
        r#"{{"error":"invalid_client","error_description":"AADSTS7000215: wrong: {SECRET}",
            "trace_id":"trace-1","correlation_id":"a\nb","access_token":"{TOKEN}"}}"#
    );
    let junk = format!(r#"{{"access_token":"{TOKEN}","token_type":7,"echo":"{SECRET}"}}"#);
    let cut = format!(r#"{{"access_token":"{TOKEN}","#);
    let mut told = String::new();
    for answer in [
        Answer::token(),
        Answer::json("400 Bad Request", &echo),
        Answer::json("503 Unavailable", &echo),
        Answer::json("200 OK", &junk),
        Answer::json("200 OK", &cut),
        Answer::new("200 OK", "text/html", &junk),
        Answer::json("200 OK", &junk.replace("7", "\"DPoP\"")),
    ] {
        let stand_in = StandIn::start(answer).await;
        let tokens = Tokens::new(Store::in_memory());
        let outcome = ask(&tokens, &stand_in).await;
        told.push_str(&format!("{outcome:?} {tokens:?} "));
        if let Err(error) = outcome {
            told.push_str(&error.to_string());
        }
    }
    let logged = log.text();
    assert_eq!(logged.matches(" WARN ").count(), 6, "one line for each failure: {logged}");
    for expected in ["reqwest", "aadsts=7000215", "trace_id=\"trace-1\"", "a?b"] {
        assert!(logged.contains(expected), "{expected} is not logged: {logged}");
    }
    for text in [&logged, &told] {
        assert!(!text.contains(SECRET) && !text.contains(TOKEN), "{text}");
    }
}

/// Runs the test `name` of this file again in a process behind `proxy`.
fn child_behind(
    proxy: &str,
    name: &str,
) -> tokio::task::JoinHandle<io::Result<std::process::Output>> {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", &format!("oauth::tests::{name}"), "--nocapture"]).env(PROXY_CHILD, "1");
    for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        child.env(variable, proxy).env(variable.to_ascii_lowercase(), proxy);
    }
    child.env_remove("NO_PROXY").env_remove("no_proxy");
    tokio::task::spawn_blocking(move || child.output())
}

fn assert_passed(output: &std::process::Output) {
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

#[tokio::test]
async fn loopback_endpoint_is_asked_directly_whatever_the_proxy_variables() {
    if std::env::var_os(PROXY_CHILD).is_none() {
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", proxy.local_addr().unwrap());
        drop(proxy); // nobody listens there: whoever goes there fails
        let name = "loopback_endpoint_is_asked_directly_whatever_the_proxy_variables";
        return assert_passed(&child_behind(&url, name).await.unwrap().unwrap());
    }
    let stand_in = StandIn::start(Answer::token()).await;
    ask(&Tokens::new(Store::in_memory()), &stand_in).await.unwrap();
}

#[tokio::test]
async fn outward_endpoint_is_asked_through_the_proxy_that_the_variables_name() {
    if std::env::var_os(PROXY_CHILD).is_none() {
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", proxy.local_addr().unwrap());
        let name = "outward_endpoint_is_asked_through_the_proxy_that_the_variables_name";
        let child = child_behind(&url, name);
        let (stream, _) = proxy.accept().await.unwrap();
        let mut request = String::new();
        BufReader::new(stream).read_line(&mut request).await.unwrap();
        assert_eq!(request, "CONNECT login.example:443 HTTP/1.1\r\n");
        return assert_passed(&child.await.unwrap().unwrap());
    }
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    let authority = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap();
    std::fs::write(&ca_file, authority.cert.pem()).unwrap();
    let mut grant = Grant::of_application();
    grant.server.ca_file = Some(ca_file);
    let grant = Arc::new(grant);
    let error = Tokens::new(Store::in_memory()).access_token(&grant, &scopes()).await.unwrap_err();
    assert!(error.is_temporary(), "{error}");
}
