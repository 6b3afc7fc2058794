//! The way out: requests that go through `egress.http_proxy`, and those that do not.

use oauth2::url::Url;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::oauth::outward::Outward;
use crate::oauth::route::Route;

/// Marks the copy of a test that runs in a process of its own, with `NO_PROXY`.
const NO_PROXY_CHILD: &str = "MAILBEARER_TEST_NO_PROXY_CHILD";

/// Marks the copy of a test that runs in a process of its own, with a proxy in its environment.
const ENVIRONMENT_CHILD: &str = "MAILBEARER_TEST_ENVIRONMENT_CHILD";

/// Aladdin, open sesame (RFC 7617 section 2).
const CREDENTIALS: &str = "Aladdin:open%20sesame@";
const BASIC: &str = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";

/// Requests that leave by the proxy of this URL.
fn leaving_by(url: SecretSource) -> Tokens {
    let tokens = Tokens::new(Store::in_memory());
    let egress = Egress { http_proxy: Some(url), ..Egress::default() };
    tokens.leave_by(Arc::new(egress));
    tokens
}

fn url_of(proxy: &TcpListener) -> String {
    format!("http://{CREDENTIALS}{}", proxy.local_addr().unwrap())
}

fn value(url: &str) -> SecretSource {
    SecretSource::Value(SecretString::from(url))
}

/// The grant of an application at https://login.example, and what its `ca_file` lies in.
fn outward() -> (tempfile::TempDir, Arc<Grant>) {
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    let authority = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap();
    std::fs::write(&ca_file, authority.cert.pem()).unwrap();
    let mut grant = Grant::of_application();
    grant.server.ca_file = Some(ca_file);
    (dir, Arc::new(grant))
}

/// Answers the next request with that line; gives the request.
async fn answer(proxy: &TcpListener, line: &str) -> String {
    let (mut stream, _) = proxy.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "{request:?}");
    }
    stream.write_all(format!("HTTP/1.1 {line}\r\n\r\n").as_bytes()).await.unwrap();
    String::from_utf8(request).unwrap()
}

#[tokio::test]
async fn outward_endpoint_is_asked_through_the_proxy_of_the_configuration() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (tokens, (_dir, grant)) = (leaving_by(value(&url_of(&proxy))), outward());
    let scopes = scopes();
    let (error, request) = tokio::join!(
        tokens.access_token(&grant, &scopes),
        answer(&proxy, "407 Proxy Authentication Required"),
    );
    // RFC 9110 sections 9.3.6 and 11.7.2.
    assert!(request.starts_with("CONNECT login.example:443 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nproxy-authorization: {BASIC}\r\n")), "{request}");
    let error = error.unwrap_err();
    let told = format!("{error} {error:?}");
    let hop = format!("no connection through the proxy {} (", proxy.local_addr().unwrap());
    assert!(error.is_temporary() && error.cause.contains(&hop), "{told}");
    assert!(error.fix.contains("`egress.http_proxy`"), "{told}");
    assert!(!told.contains("sesame") && !told.contains(BASIC), "{told}");
}

#[tokio::test]
async fn endpoint_on_this_machine_is_asked_without_the_proxy_and_the_source_address() {
    // Nobody listens there, and nobody has that address: whoever goes there fails.
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let tokens = Tokens::new(Store::in_memory());
    tokens.leave_by(Arc::new(Egress {
        http_proxy: Some(value(&format!("http://{proxy}"))),
        bind: Some("203.0.113.1".parse().unwrap()),
        ..Egress::default()
    }));
    ask(&tokens, &StandIn::start(Answer::token()).await).await.unwrap();
}

#[test]
fn endpoint_that_no_proxy_names_is_asked_without_the_proxy() {
    if std::env::var_os(NO_PROXY_CHILD).is_none() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let name = "oauth::tests::egress::endpoint_that_no_proxy_names_is_asked_without_the_proxy";
        child.args(["--exact", name, "--nocapture"]).env(NO_PROXY_CHILD, "1");
        for variable in ["NO_PROXY", "no_proxy"] {
            child.env(variable, "other.example, .login.example");
        }
        // It names both, and the endpoint is exempt from either.
        child.env("HTTPS_PROXY", "http://127.0.0.1:9");
        return assert_passed(&child.output().unwrap());
    }
    let egress =
        Egress { http_proxy: Some(value("http://proxy.example:3128")), ..Egress::default() };
    let hop = |host: &str| {
        let url = Url::parse(&format!("https://{host}/token")).unwrap();
        Outward::to(&url, Route::Outward, &egress).unwrap().hop
    };
    for exempt in ["login.example", "eu.login.example", "other.example"] {
        assert_eq!(hop(exempt), None, "{exempt}");
    }
    for led in ["login.example.org", "mylogin.example"] {
        assert_eq!(hop(led).unwrap(), "proxy.example:3128", "{led}");
    }
}

#[tokio::test]
async fn proxy_of_the_environment_on_this_machine_is_reached_without_the_source_address() {
    let name = "oauth::tests::egress::proxy_of_the_environment_on_this_machine_is_reached_without_the_source_address";
    if std::env::var_os(ENVIRONMENT_CHILD).is_some() {
        let (tokens, (_dir, grant)) = (Tokens::new(Store::in_memory()), outward());
        // Nobody has that address (RFC 5737).
        let bind = Some("203.0.113.1".parse().unwrap());
        tokens.leave_by(Arc::new(Egress { bind, ..Egress::default() }));
        let error = tokens.access_token(&grant, &scopes()).await.unwrap_err();
        let hop = std::env::var("HTTPS_PROXY").unwrap();
        let hop = hop.rsplit_once('@').unwrap().1;
        let through = format!("no connection through the proxy {hop} (");
        assert!(error.cause.contains(&through), "{error:?}");
        assert!(error.fix.contains("proxy variables"), "{error:?}");
        assert!(!format!("{error:?}").contains("sesame"), "{error:?}");
        return;
    }
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", name, "--nocapture"]).env(ENVIRONMENT_CHILD, "1");
    child.env("HTTPS_PROXY", url_of(&proxy)).env_remove("NO_PROXY").env_remove("no_proxy");
    let (output, request) = tokio::join!(
        async {
            let output = child.kill_on_drop(true).output().await.unwrap();
            // Whoever never came is waited for no longer.
            TcpStream::connect(proxy.local_addr().unwrap()).await.ok();
            output
        },
        first_line(&proxy, "407 Proxy Authentication Required"),
    );
    assert_passed(&output);
    assert_eq!(request, "CONNECT login.example:443 HTTP/1.1");
}

/// Answers the next request with that line; gives its first line, which is empty if none came.
async fn first_line(proxy: &TcpListener, line: &str) -> String {
    let (mut stream, _) = proxy.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && stream.read_buf(&mut request).await.unwrap() != 0 {}
    stream.write_all(format!("HTTP/1.1 {line}\r\n\r\n").as_bytes()).await.ok();
    let request = String::from_utf8(request).unwrap();
    request.lines().next().unwrap_or_default().to_owned()
}
