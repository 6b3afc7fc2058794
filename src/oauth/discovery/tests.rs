//! What issuers are asked, and what becomes of their answers.

use std::collections::HashMap as Map;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode as Status, Uri};
use axum::response::IntoResponse as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{advance, pause, resume};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const OPENID: &str = "/realm/.well-known/openid-configuration";
const RFC_8414: &str = "/.well-known/oauth-authorization-server/realm";

/// What is answered at which path.
type Answers = Map<&'static str, (u16, String)>;

#[derive(Clone, Default)]
struct Site {
    answers: Arc<Mutex<Answers>>,
    asked: Arc<Mutex<Vec<String>>>,
    latency: Arc<Mutex<Duration>>,
}

async fn answer(State(site): State<Site>, uri: Uri) -> axum::response::Response {
    site.asked.lock().unwrap().push(uri.to_string());
    let latency = *site.latency.lock().unwrap();
    tokio::time::sleep(latency).await;
    let answer = site.answers.lock().unwrap().get(uri.path()).cloned();
    let (status, body) = answer.unwrap_or((404, "nothing here".to_owned()));
    (Status::from_u16(status).unwrap(), [("location", "/elsewhere")], body).into_response()
}

/// An issuer on loopback, and what it is asked by.
struct Scene {
    site: Site,
    server: AuthorizationServer,
    discovery: Discovery,
    endpoints: Arc<Endpoints>,
}

impl Scene {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}/realm", listener.local_addr().unwrap());
        let site = Site::default();
        let router = Router::new().fallback(answer).with_state(site.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        let server = AuthorizationServer {
            issuer: Some(issuer),
            is_discovered: true,
            ..AuthorizationServer::default()
        };
        Self { site, server, discovery: Discovery::default(), endpoints: Arc::default() }
    }

    fn issuer(&self) -> &str {
        self.server.issuer.as_deref().unwrap()
    }

    fn metadata(&self, name: &str) -> Value {
        let issuer = self.issuer();
        json!({"issuer": issuer, "token_endpoint": format!("{issuer}/{name}")})
    }

    fn says(&self, path: &'static str, status: u16, body: &str) {
        self.site.answers.lock().unwrap().insert(path, (status, body.to_owned()));
    }

    fn tells(&self, path: &'static str, name: &str) {
        self.says(path, 200, &self.metadata(name).to_string());
    }

    async fn locate(&self) -> Result<Arc<Located>, TokenError> {
        let ends_at = Instant::now() + 15 * SECOND;
        self.discovery.locate(&self.endpoints, &self.server, ends_at).await
    }

    /// The last segment of the token endpoint that is found.
    async fn found(&self) -> Result<String, TokenError> {
        let located = self.locate().await?;
        Ok(located.token.rsplit('/').next().unwrap().to_owned())
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.site.asked.lock().unwrap())
    }
}

/// Lets time go by without letting anything that waits for a socket run into its deadline.
async fn pass(time: Duration) {
    pause();
    advance(time).await;
    resume();
}

#[tokio::test]
async fn issuer_is_asked_at_openids_place_and_then_at_that_of_rfc_8414() {
    let scene = Scene::start().await;
    scene.tells(OPENID, "openid");
    scene.tells(RFC_8414, "rfc");
    assert_eq!(scene.found().await.unwrap(), "openid");
    assert_eq!(scene.asked(), [OPENID]);

    for (status, body) in [(404, "not found"), (405, "{}"), (400, r#"{"error":"x"}"#), (200, "<p>")]
    {
        let scene = Scene::start().await;
        scene.says(OPENID, status, body);
        scene.tells(RFC_8414, "rfc");
        assert_eq!(scene.found().await.unwrap(), "rfc", "{status}");
        assert_eq!(scene.asked(), [OPENID, RFC_8414], "{status}");
    }
}

#[tokio::test]
async fn issuer_without_a_document_may_have_one_later() {
    let scene = Scene::start().await;
    let error = scene.locate().await.unwrap_err();
    assert!(error.is_temporary() && error.fix.contains("`issuer`"), "{error}");
    assert!(error.cause.contains("404") && !error.cause.contains("nothing here"), "{error}");
    scene.tells(OPENID, "openid");
    assert_eq!(scene.found().await.unwrap(), "openid");
}

#[tokio::test]
async fn issuer_in_trouble_is_not_asked_at_another_place() {
    for status in [500, 503, 429, 302, 308] {
        let scene = Scene::start().await;
        scene.says(OPENID, status, "{}");
        scene.tells(RFC_8414, "rfc");
        let error = scene.locate().await.unwrap_err();
        assert!(error.is_temporary() && error.cause.contains(&status.to_string()), "{error}");
        assert_eq!(scene.asked(), [OPENID], "a redirect is not followed either");
    }
}

#[tokio::test]
async fn document_of_another_issuer_ends_the_search() {
    let scene = Scene::start().await;
    scene.says(OPENID, 200, &json!({"issuer": "https://evil.example"}).to_string());
    scene.tells(RFC_8414, "rfc");
    let error = scene.locate().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Configuration);
    assert!(
        error.cause.contains("evil.example") && error.cause.contains(scene.issuer()),
        "{error}"
    );
}

#[tokio::test]
async fn document_longer_than_one_mebibyte_is_not_read() {
    let scene = Scene::start().await;
    let long = json!({"issuer": scene.issuer(), "more": "x".repeat(1024 * 1024)});
    scene.says(OPENID, 200, &long.to_string());
    let error = scene.locate().await.unwrap_err();
    assert!(error.is_temporary() && error.cause.contains("longer than 1 MiB"), "{error}");
}

#[tokio::test]
async fn written_endpoints_win_over_those_that_the_issuer_tells() {
    let mut scene = Scene::start().await;
    let issuer = scene.issuer().to_owned();
    let url = |name: &str| format!("{issuer}/{name}");
    let document = json!({
        "issuer": issuer, "token_endpoint": url("told"), "revocation_endpoint": url("told"),
        "authorization_response_iss_parameter_supported": true,
    });
    scene.says(OPENID, 200, &document.to_string());
    scene.server.token_endpoint = Some(url("written"));
    let located = scene.locate().await.unwrap();
    let expected = Located {
        token: url("written"),
        authorization: None,
        device_authorization: None,
        revocation: Some(url("told")),
        issuer: Some(issuer.clone()),
        tells_issuer: true,
    };
    assert_eq!(*located, expected);
}

#[tokio::test]
async fn nobody_is_asked_for_what_is_written() {
    let mut scene = Scene::start().await;
    scene.server.token_endpoint = Some("https://login.example/token".into());
    let ends_at = Instant::now() + SECOND;
    let token = scene.discovery.token_endpoint(&scene.endpoints, &scene.server, ends_at);
    assert_eq!(token.await.unwrap(), "https://login.example/token");
    scene.server.is_discovered = false;
    assert_eq!(scene.locate().await.unwrap().authorization, None);
    assert!(scene.asked().is_empty());
    scene.server.token_endpoint = None;
    let error = scene.locate().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Configuration);
}

#[tokio::test]
async fn issuer_that_tells_no_token_endpoint_is_told() {
    let scene = Scene::start().await;
    scene.says(OPENID, 200, &json!({"issuer": scene.issuer()}).to_string());
    let error = scene.locate().await.unwrap_err();
    assert!(error.cause.contains("tells no token endpoint"), "{error}");
}

#[tokio::test]
async fn document_is_asked_for_again_after_an_hour() {
    let scene = Scene::start().await;
    scene.tells(OPENID, "one");
    assert_eq!(scene.found().await.unwrap(), "one");
    scene.tells(OPENID, "two");
    pass(FRESH_FOR - SECOND).await;
    assert_eq!(scene.found().await.unwrap(), "one");
    pass(SECOND).await;
    assert_eq!(scene.found().await.unwrap(), "two");
    assert_eq!(scene.asked().len(), 2);
}

#[tokio::test]
async fn old_document_is_used_on_while_the_issuer_does_not_answer() {
    let scene = Scene::start().await;
    scene.tells(OPENID, "one");
    scene.found().await.unwrap();
    pass(FRESH_FOR).await;
    scene.says(OPENID, 503, "down");
    for _ in 0..3 {
        assert_eq!(scene.found().await.unwrap(), "one");
    }
    assert_eq!(scene.asked().len(), 2, "it is not asked at each use");
    scene.tells(OPENID, "two");
    pass(STALE_FOR).await;
    assert_eq!(scene.found().await.unwrap(), "two");
}

#[tokio::test]
async fn old_document_is_used_on_after_five_seconds_when_the_issuer_hangs() {
    let scene = Scene::start().await;
    scene.tells(OPENID, "one");
    scene.found().await.unwrap();
    pause();
    advance(FRESH_FOR).await;
    *scene.site.latency.lock().unwrap() = 3600 * SECOND;
    let begun = Instant::now();
    assert_eq!(scene.found().await.unwrap(), "one");
    assert!(begun.elapsed() <= 6 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn old_document_is_not_used_once_the_issuer_tells_somebody_elses() {
    let scene = Scene::start().await;
    scene.tells(OPENID, "one");
    scene.found().await.unwrap();
    pass(FRESH_FOR).await;
    scene.says(OPENID, 200, &json!({"issuer": "https://evil.example"}).to_string());
    assert_eq!(scene.locate().await.unwrap_err().kind, ErrorKind::Configuration);
    scene.says(OPENID, 503, "down");
    assert!(scene.locate().await.unwrap_err().is_temporary());
}

#[tokio::test]
async fn twenty_callers_share_one_request_and_what_comes_of_it() {
    for status in [200, 503] {
        let scene = Scene::start().await;
        scene.says(OPENID, status, &scene.metadata("openid").to_string());
        *scene.site.latency.lock().unwrap() = SECOND / 10;
        let scene = Arc::new(scene);
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let scene = Arc::clone(&scene);
            callers.spawn(async move { scene.locate().await.is_ok() });
        }
        assert_eq!(callers.join_all().await, [status == 200; 20]);
        assert_eq!(scene.asked().len(), 1, "{status}");
        let _ = scene.locate().await;
        assert_eq!(scene.asked().len(), usize::from(status != 200), "a failure is not kept");
    }
}

#[tokio::test(start_paused = true)]
async fn issuer_that_hangs_is_given_up_at_the_deadline() {
    let scene = Scene::start().await;
    *scene.site.latency.lock().unwrap() = 3600 * SECOND;
    let begun = Instant::now();
    let error = scene.locate().await.unwrap_err();
    assert!(error.is_temporary() && error.cause.contains("in time"), "{error}");
    assert!(begun.elapsed() <= 16 * SECOND, "{:?}", begun.elapsed());
}
