//! The page of a program that runs, over real sockets: who reaches it, and what gets out of it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use mailbearer::net::tls;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use support::{Client, RigSettings, provider, write_config};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, BufReader};
use tokio::io::{AsyncWriteExt as _, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// How long the program may take for anything: far longer than it does.
const PATIENCE: Duration = Duration::from_secs(40);

const ADMIN: &str = "planted-admin-token";

/// The page in clear, for this machine.
const CLEAR: &str = "[web]\naddress = \"127.0.0.1:0\"\nadmin_token = { file = \"admin\" }\n\
                     [log]\nlevel = \"trace\"\n";

/// The page under TLS.
const TLS: &str = "[web]\naddress = \"127.0.0.1:0\"\nadmin_token = { file = \"admin\" }\n\
                   certificate = \"page.pem\"\nprivate_key = \"page.key\"\n\
                   [log]\nlevel = \"trace\"\n";

/// The program with its page.
struct Served {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    submission: SocketAddr,
    page: SocketAddr,
    dir: TempDir,
    _provider: mailbearer::sandbox::Sandbox,
}

impl Served {
    async fn start(extra: &'static str) -> Self {
        let settings = RigSettings { extra, ..RigSettings::default() };
        let provider = provider(settings.tls).await;
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("admin"), ADMIN).unwrap();
        certify(dir.path());
        let file = write_config(dir.path(), &settings, &provider);
        let mut child = Command::new(env!("CARGO_BIN_EXE_mailbearer"))
            .arg("-c")
            .arg(&file)
            .arg("serve")
            .env_clear()
            .env("HOME", dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut bound = async |name: &str| -> SocketAddr {
            let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
            let line = line.strip_prefix("listening on ").unwrap().to_owned();
            line.strip_suffix(name).unwrap().parse().unwrap()
        };
        let submission = bound(" (submission)").await;
        bound(" (imap)").await;
        let page = bound(" (web)").await;
        Self { child, lines, submission, page, dir, _provider: provider }
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Sends one request in clear.
    async fn ask(&self, request: &str) -> String {
        ask(TcpStream::connect(self.page).await.unwrap(), request).await
    }

    /// Sends one request under TLS, trusting the test's own authority.
    async fn ask_by_tls(&self, request: &str) -> String {
        let trust = tls::trust(Some(&self.dir.path().join("ca-page.pem"))).unwrap();
        let stream = TcpStream::connect(self.page).await.unwrap();
        ask(tls::connect(trust, stream, "localhost").await.unwrap(), request).await
    }

    fn get(&self, path: &str, more: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: localhost:{}\r\n{more}\r\n", self.page.port())
    }

    fn post(&self, path: &str, more: &str, body: &str) -> String {
        let (port, len) = (self.page.port(), body.len());
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{more}Content-Type: \
             application/x-www-form-urlencoded\r\nContent-Length: {len}\r\n\r\n{body}"
        )
    }

    /// Ends it; gives what it logged.
    async fn ended(mut self) -> String {
        self.signal(Signal::TERM);
        while timeout(PATIENCE, self.lines.next_line()).await.unwrap().unwrap().is_some() {}
        let output = timeout(PATIENCE, self.child.wait_with_output()).await.unwrap().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{log}");
        log
    }
}

/// Writes a certificate for localhost, its key and its authority.
fn certify(dir: &Path) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(dir.join("ca-page.pem"), ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    std::fs::write(dir.join("page.pem"), certificate.pem()).unwrap();
    std::fs::write(dir.join("page.key"), key.serialize_pem()).unwrap();
}

/// Sends `request` and gives all of the answer.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &str) -> String {
    // Who is refused half-way may not take the rest.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

fn cookie(answer: &str) -> String {
    let pair = answer.split("set-cookie: ").nth(1).unwrap().split(';').next().unwrap();
    format!("Cookie: {pair}\r\n")
}

fn form_token(answer: &str) -> &str {
    answer.split("name=\"form_token\" value=\"").nth(1).unwrap().split('"').next().unwrap()
}

#[tokio::test]
async fn page_is_reached_by_its_own_names_and_origins_and_no_others() {
    let served = Served::start(CLEAR).await;
    assert_eq!(status(&served.ask(&served.get("/login", "")).await), "200");
    let foreign = "GET /login HTTP/1.1\r\nHost: rebound.example\r\n\r\n";
    assert_eq!(status(&served.ask(foreign).await), "421");
    let origin = served.get("/login", "Origin: https://evil.example\r\n");
    assert_eq!(status(&served.ask(&origin).await), "403");
    let site = served.post("/login", "Sec-Fetch-Site: cross-site\r\n", "");
    assert_eq!(status(&served.ask(&site).await), "403");
    assert_eq!(status(&served.ask(&served.post("/login", "", "")).await), "403", "no form token");
    let forwarded = served.get("/login", "X-Forwarded-Host: localhost\r\n");
    assert_eq!(status(&served.ask(&forwarded).await), "200", "nobody is believed");
    served.ended().await;
}

#[tokio::test]
async fn admin_token_opens_the_page_after_wrong_ones_and_is_in_no_page_and_no_log() {
    let served = Served::start(CLEAR).await;
    let login = served.ask(&served.get("/login", "")).await;
    let (before, token) = (cookie(&login), form_token(&login));
    let show = |shown: &str| {
        let body = format!("form_token={token}&admin_token={shown}");
        served.post("/login", &before, &body)
    };
    for guess in ["planted-guess-one", "planted-guess-two"] {
        let answer = served.ask(&show(guess)).await;
        assert_eq!(status(&answer), "403");
        assert!(!answer.contains("planted"), "{answer}");
    }
    let answer = served.ask(&show(ADMIN)).await;
    assert_eq!(status(&answer), "303", "{answer}");
    let session = cookie(&answer);
    assert_eq!(status(&served.ask(&served.get("/", &before)).await), "303");
    let page = served.ask(&served.get("/", &session)).await;
    assert_eq!(status(&page), "200");
    assert!(page.contains("alice@example.com") && !page.contains("planted"), "{page}");

    let callback = "/oauth/callback?code=planted-code&state=planted-state";
    let answer = served.ask(&served.get(callback, "")).await;
    assert_eq!(status(&answer), "400");
    assert!(!answer.contains("planted"), "{answer}");

    let log = served.ended().await;
    let secret = session.trim_start_matches("Cookie: mailbearer=").trim_end().to_owned();
    for planted in ["planted", secret.as_str(), token] {
        assert!(!log.contains(planted), "{planted} in {log}");
    }
    assert!(log.contains("a wrong admin token was shown at the page"), "{log}");
}

#[tokio::test]
async fn page_under_tls_gives_a_cookie_for_its_host_alone_and_hears_nothing_in_clear() {
    let served = Served::start(TLS).await;
    let answer = served.ask_by_tls(&served.get("/login", "")).await;
    assert_eq!(status(&answer), "200", "{answer}");
    assert!(answer.contains("set-cookie: __Host-mailbearer="), "{answer}");
    assert!(answer.contains("; Secure"), "{answer}");
    let http = format!("Origin: http://localhost:{}\r\n", served.page.port());
    assert_eq!(status(&served.ask_by_tls(&served.get("/login", &http)).await), "403");
    let clear = served.ask(&served.get("/login", "")).await;
    assert!(!clear.contains("HTTP/"), "{clear}");
    served.ended().await;
}

#[tokio::test]
async fn reload_brings_another_certificate() {
    let served = Served::start(TLS).await;
    let old = tls::trust(Some(&served.dir.path().join("ca-page.pem"))).unwrap();
    certify(served.dir.path());
    served.signal(Signal::HUP);
    // Until the reload is done, the old authority is the right one.
    loop {
        let stream = TcpStream::connect(served.page).await.unwrap();
        if tls::connect(old.clone(), stream, "localhost").await.is_err() {
            break;
        }
    }
    let answer = served.ask_by_tls(&served.get("/login", "")).await;
    assert_eq!(status(&answer), "200", "{answer}");
    served.ended().await;
}

#[tokio::test]
async fn header_that_is_too_long_and_many_connections_end_no_service() {
    let served = Served::start(CLEAR).await;
    let long = served.get("/login", &format!("X: {}\r\n", "x".repeat(256 * 1024)));
    let answer = served.ask(&long).await;
    assert!(answer.is_empty() || status(&answer) == "431", "{answer}");
    let mut idle = Vec::new();
    for _ in 0..32 {
        idle.push(TcpStream::connect(served.page).await.unwrap());
    }
    assert_eq!(status(&served.ask(&served.get("/login", "")).await), "200");
    let mut client = Client::connect(served.submission).await;
    client.expect("220 ").await;
    client.ask("QUIT", "221 ").await;
    served.ended().await;
}

#[tokio::test]
async fn page_whose_port_is_taken_stops_the_start_and_says_so() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let settings = RigSettings::default();
    let provider = provider(settings.tls).await;
    let dir = tempfile::tempdir().unwrap();
    let file = write_config(dir.path(), &settings, &provider);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}\n[web]\naddress = \"{address}\"\n")).unwrap();
    let running = Command::new(env!("CARGO_BIN_EXE_mailbearer"))
        .arg("-c")
        .arg(&file)
        .arg("serve")
        .env_clear()
        .env("HOME", dir.path())
        .output();
    let output = timeout(PATIENCE, running).await.unwrap().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("web.address: ") && told.contains("another program"), "{told}");
}
