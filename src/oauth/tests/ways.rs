//! What is asked, and what is read of the answers, where a person's password, a machine's identity
//! or a service account stands in the place of a consent.

use super::*;
use crate::provider::{AuthorizationServer, ManagedIdentity, Way};
use crate::secret::SecretString;

/// What Exchange Online is asked for with.
const EXCHANGE: &str = "https://outlook.office365.com/.default";

fn by_password(stand_in: &StandIn) -> Grant {
    let client = stand_in.grant().way.client().cloned().unwrap();
    let password = SecretSource::Value(SecretString::from("her p&ss"));
    Grant { way: Way::Password { client, password }, ..Grant::clone(&stand_in.person()) }
}

fn by_identity(stand_in: &StandIn, identity: ManagedIdentity) -> Grant {
    let grant = stand_in.grant();
    let server = AuthorizationServer {
        token_endpoint: grant.server.token_endpoint.clone(),
        ..AuthorizationServer::default()
    };
    Grant { way: Way::ManagedIdentity(identity), server, ..Grant::clone(&grant) }
}

fn imds(client_id: Option<&str>) -> ManagedIdentity {
    ManagedIdentity::Imds { client_id: client_id.map(str::to_owned) }
}

fn app_service(header: SecretSource) -> ManagedIdentity {
    ManagedIdentity::AppService { header, client_id: None }
}

async fn obtain(grant: Grant, scope: &str) -> Result<Token, TokenError> {
    Tokens::new(Store::in_memory()).access_token(&Arc::new(grant), &[scope.to_owned()]).await
}

/// The request line and the headers, in lower case, but those that every request has.
fn head(request: &str) -> (String, Vec<String>) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "", "a GET has no body");
    let mut lines = head.lines();
    let line = lines.next().unwrap().to_owned();
    let common = ["user-agent:", "accept:", "host:"];
    let lines = lines.map(str::to_ascii_lowercase);
    (line, lines.filter(|line| !common.iter().any(|it| line.starts_with(it))).collect())
}

#[tokio::test]
async fn password_is_shown_as_rfc_6749_section_4_3_2_says() {
    let stand_in = StandIn::start(Answer::token()).await;
    let token = obtain(by_password(&stand_in), "mail").await.unwrap();
    assert_eq!(token.access_token.expose_secret(), TOKEN);
    let request = stand_in.last_request();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /tenant/token HTTP/1.1\r\n"), "{head}");
    assert_eq!(
        body,
        "grant_type=password&username=alice%40contoso.com&password=her+p%26ss&scope=mail\
         &client_id=the+client&client_secret=s3cret-of-the-client"
    );
}

#[tokio::test]
async fn password_is_read_anew_at_each_request_and_nothing_of_the_answer_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("password");
    let body = format!(
        r#"{{"access_token":"{TOKEN}","token_type":"Bearer","expires_in":0,"refresh_token":"no"}}"#
    );
    let stand_in = StandIn::start(Answer::json("200 OK", &body)).await;
    let mut grant = by_password(&stand_in);
    let Way::Password { password, .. } = &mut grant.way else { panic!("{grant:?}") };
    *password = SecretSource::File(path.clone());
    let (store, grant) = (Store::in_memory(), Arc::new(grant));
    let tokens = Tokens::new(store.clone());
    for password in ["first", "second"] {
        std::fs::write(&path, format!("{password}\n")).unwrap();
        tokens.access_token(&grant, &scopes()).await.unwrap();
        assert!(stand_in.last_request().contains(&format!("&password={password}&")));
    }
    assert!(store.load(&grant.id).is_none());
    std::fs::remove_file(&path).unwrap();
    let error = tokens.access_token(&grant, &scopes()).await.unwrap_err();
    assert!(error.is_temporary() && error.cause.contains("cannot be read"), "{error}");
    assert_eq!(stand_in.requests(), 2);
}

#[tokio::test]
async fn password_that_is_refused_is_told_to_whoever_wrote_it_and_asks_for_no_consent() {
    let stand_in = StandIn::start(Answer::json("400 Bad", r#"{"error":"invalid_grant"}"#)).await;
    let (tokens, grant) = (Tokens::new(Store::in_memory()), Arc::new(by_password(&stand_in)));
    let error = tokens.access_token(&grant, &scopes()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Configuration);
    assert!(error.fix.starts_with("check `password`"), "{error}");
    let status = tokens.status(&grant);
    assert_eq!(status.state, TokenState::Failing);
    assert!(!format!("{status:?}").contains("mailbearer authorize"), "{status:?}");
}

/// learn.microsoft.com, "How to use managed identities for Azure resources on an Azure VM to acquire
/// an access token", section "Get a token using HTTP":
/// `GET http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=…`
/// with `Metadata: true`; `client_id` for a user-assigned identity.
#[tokio::test]
async fn identity_of_a_machine_is_asked_for_as_the_page_of_microsoft_says() {
    let answer = r#"{"access_token":"eyJ0eXAi","refresh_token":"","expires_in":"3599",
        "expires_on":"1506484173","not_before":"1506480273",
        "resource":"https://outlook.office365.com","token_type":"Bearer"}"#;
    for (client_id, more) in [(None, ""), (Some("1234-abcd"), "&client_id=1234-abcd")] {
        let stand_in = StandIn::start(Answer::json("200 OK", answer)).await;
        let grant = by_identity(&stand_in, imds(client_id));
        let tokens = Tokens::new(Store::in_memory());
        let (grant, scopes) = (Arc::new(grant), vec![EXCHANGE.to_owned()]);
        let token = tokens.access_token(&grant, &scopes).await.unwrap();
        assert_eq!(token.access_token.expose_secret(), "eyJ0eXAi");
        let left = tokens.status(&grant).access_token_ends_at.unwrap() - crate::clock::unix_time();
        assert!((3590..3600).contains(&left.as_secs()), "{left:?}");
        let (line, headers) = head(&stand_in.last_request());
        let query = "api-version=2018-02-01&resource=https%3A%2F%2Foutlook.office365.com";
        assert_eq!(line, format!("GET /tenant/token?{query}{more} HTTP/1.1"));
        assert_eq!(headers, ["metadata: true"]);
    }
}

/// learn.microsoft.com, "Use managed identities for App Service and Azure Functions", section "REST
/// endpoint reference": `GET {IDENTITY_ENDPOINT}?resource=…&api-version=2019-08-01` with
/// `X-IDENTITY-HEADER`; the answer tells `expires_on` and no `expires_in`.
#[tokio::test]
async fn identity_of_an_app_is_asked_for_as_the_page_of_microsoft_says() {
    let ends_at = crate::clock::unix_time().as_secs() + 1800;
    let answer = format!(
        r#"{{"access_token":"eyJ0eXAi","expires_on":"{ends_at}","token_type":"Bearer",
        "resource":"https://outlook.office365.com","client_id":"5E29463D"}}"#
    );
    let stand_in = StandIn::start(Answer::json("200 OK", &answer)).await;
    let header = SecretSource::Value(SecretString::from("853b9a84-5bfa"));
    let grant = Arc::new(by_identity(&stand_in, app_service(header)));
    let tokens = Tokens::new(Store::in_memory());
    tokens.access_token(&grant, &[EXCHANGE.to_owned()]).await.unwrap();
    let told = tokens.status(&grant).access_token_ends_at.unwrap().as_secs();
    assert!(told.abs_diff(ends_at) <= 2, "{told} is not {ends_at}");
    let (line, headers) = head(&stand_in.last_request());
    let query = "api-version=2019-08-01&resource=https%3A%2F%2Foutlook.office365.com";
    assert_eq!(line, format!("GET /tenant/token?{query} HTTP/1.1"));
    assert_eq!(headers, ["x-identity-header: 853b9a84-5bfa"]);
}

#[tokio::test]
async fn identity_is_asked_for_what_resource_names_before_what_the_scopes_stand_for() {
    let stand_in = StandIn::start(Answer::token()).await;
    let mut grant = by_identity(&stand_in, imds(None));
    grant.server.resource = Some("https://mail.corp.example".into());
    obtain(grant, "mail").await.unwrap();
    assert!(stand_in.last_request().contains("&resource=https%3A%2F%2Fmail.corp.example "));
}

#[tokio::test]
async fn identity_without_a_resource_or_near_by_is_told_without_a_request() {
    let stand_in = StandIn::start(Answer::token()).await;
    for scope in ["https://outlook.office365.com/SMTP.Send", "/.default", ".default", ""] {
        let error = obtain(by_identity(&stand_in, imds(None)), scope).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration, "{scope}");
        assert!(error.fix.contains("/.default"), "{error}");
    }
    let far = by_identity(&stand_in, imds(None)).at("http://metadata.example/token");
    let error = obtain(far, EXCHANGE).await.unwrap_err();
    assert!(error.cause.contains("must be https"), "{error}");
    let header = SecretSource::Value(SecretString::from("two\r\nlines"));
    let error = obtain(by_identity(&stand_in, app_service(header)), EXCHANGE).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Configuration);
    assert!(!error.to_string().contains("lines"), "{error}");
    assert_eq!(stand_in.requests(), 0);
}

/// The same page, sections "Error handling" and "Retry guidance".
#[tokio::test]
async fn identity_service_in_trouble_is_temporary_and_one_that_refuses_is_not() {
    let said = r#"{"error":"invalid_request","error_description":"Identity not found"}"#;
    for (status, body, kind) in [
        ("404 Not Found", said, ErrorKind::Temporary),
        ("404 Not Found", "<html>", ErrorKind::Temporary),
        ("410 Gone", said, ErrorKind::Temporary),
        ("410 Gone", "", ErrorKind::Temporary),
        ("429 Too Many Requests", said, ErrorKind::Temporary),
        ("500 Internal Server Error", said, ErrorKind::Temporary),
        ("503 Unavailable", "", ErrorKind::Temporary),
        ("200 OK", "{}", ErrorKind::Temporary),
        ("200 OK", "<html>", ErrorKind::Temporary),
        ("302 Found", "", ErrorKind::Temporary),
        ("400 Bad Request", said, ErrorKind::Configuration),
        ("401 Unauthorized", r#"{"error":"unknown_source"}"#, ErrorKind::Configuration),
        ("400 Bad Request", r#"{"error":"unauthorized_client"}"#, ErrorKind::Admin),
    ] {
        let stand_in = StandIn::start(Answer::json(status, body)).await;
        let error = obtain(by_identity(&stand_in, imds(None)), EXCHANGE).await.unwrap_err();
        assert_eq!(error.kind, kind, "{status} {body}: {error}");
        let pause = status.starts_with("410").then_some(Duration::from_secs(70));
        assert_eq!(error.retry_after, pause, "{status}: {error}");
        assert!(!error.to_string().contains("Identity not found"), "{error}");
    }
}

#[tokio::test]
async fn identity_is_never_asked_for_through_a_proxy() {
    if std::env::var_os(PROXY_CHILD).is_none() {
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", proxy.local_addr().unwrap());
        let name = "ways::identity_is_never_asked_for_through_a_proxy";
        let child = child_behind(&url, name);
        let output = tokio::select! {
            output = child => output.unwrap().unwrap(),
            _ = proxy.accept() => panic!("the proxy was asked"),
        };
        return assert_passed(&output);
    }
    let stand_in = StandIn::start(Answer::token()).await;
    obtain(by_identity(&stand_in, imds(None)), EXCHANGE).await.unwrap();
}

#[tokio::test]
async fn secrets_of_every_way_reach_no_log_and_no_error() {
    let log = Log::default();
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _subscribed = log.subscribe(tracing::Level::TRACE);
    let echo = format!(r#"{{"error":"invalid_grant","error_description":"{TOKEN} planted-1"}}"#);
    let mut told = String::new();
    for answer in [Answer::token(), Answer::json("400 Bad Request", &echo)] {
        let stand_in = StandIn::start(answer).await;
        let mut password = by_password(&stand_in);
        let Way::Password { password: source, .. } = &mut password.way else { panic!("no") };
        *source = SecretSource::Value(SecretString::from("planted-1"));
        let header = SecretSource::Value(SecretString::from("planted-2"));
        for grant in [password, by_identity(&stand_in, app_service(header))] {
            told.push_str(&format!("{grant:?} {:?}", obtain(grant.clone(), EXCHANGE).await));
        }
    }
    let logged = log.text();
    assert!(logged.contains("reqwest"), "it was heard: {logged}");
    for text in [&logged, &told] {
        assert!(!text.contains("planted") && !text.contains(SECRET), "{text}");
        assert!(!text.contains(TOKEN), "{text}");
    }
}
