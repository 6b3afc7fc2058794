//! Mail servers behind a proxy: sessions, commands and reloads, and what is told when it leads
//! nowhere.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use mailbearer::app::{App, Backing};
use mailbearer::config::{Config, Secrets};
use mailbearer::provider::Protocol;
use mailbearer::relay::Shutdown;
use mailbearer::web::operator::Operator;
use support::certificates::Authority;
use support::log::Log;
use support::serve::PATIENCE;
use support::stage::{TOKEN, sign_in, words};
use support::upstream::{Script, Upstream};
use support::{ALICE, Client, PASSWORD};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The mail server's name, which nobody but the proxy resolves (RFC 2606).
const NAME: &str = "mail.nowhere.invalid";

/// What a client says once it is signed in.
const MAIL: &str = "MAIL FROM:<alice@example.com>";

/// What the proxy is shown; it must never be told.
const SECRET: &str = "tell-nobody";

/// A proxy before one server, whatever it is asked for.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

/// How a proxy is spoken to, and what it says at last.
#[derive(Clone, Copy)]
enum Kind {
    /// With a user name and a password, and this reply code.
    Socks5(u8),
    /// With `Basic`, and this status line.
    Http(&'static str),
}

impl Proxy {
    async fn start(kind: Kind, server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut serving = JoinSet::new();
        let heard = Arc::clone(&asked);
        serving.spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let (asked, is_led) = match kind {
                    Kind::Socks5(reply) => (socks5(&mut client, reply).await, reply == 0),
                    Kind::Http(status) => {
                        (http(&mut client, status).await, status.starts_with('2'))
                    }
                };
                heard.lock().unwrap().push(asked);
                if is_led {
                    let mut server = TcpStream::connect(server).await.unwrap();
                    // Whichever side breaks off has its reasons.
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                }
            }
        });
        Self { address, asked, _serving: serving }
    }

    /// Which servers it was asked for.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// RFC 1928 and RFC 1929, for a client that shows what it has to.
async fn socks5(client: &mut TcpStream, reply: u8) -> String {
    assert_eq!(read(client, 4).await, [5, 2, 0, 2]);
    client.write_all(&[5, 2]).await.unwrap();
    let shown = [b"\x01\x04user\x0b", SECRET.as_bytes()].concat();
    assert_eq!(read(client, shown.len()).await, shown);
    client.write_all(&[1, 0]).await.unwrap();
    assert_eq!(read(client, 4).await, [5, 1, 0, 3], "a name, which the proxy resolves");
    let len = client.read_u8().await.unwrap();
    let name = String::from_utf8(read(client, len.into()).await).unwrap();
    let port = client.read_u16().await.unwrap();
    client.write_all(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    format!("{name}:{port}")
}

/// RFC 9110 section 9.3.6, for a client that shows what it has to.
async fn http(client: &mut TcpStream, status: &str) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        assert_ne!(client.read_buf(&mut request).await.unwrap(), 0);
    }
    let request = String::from_utf8(request).unwrap();
    // user:tell-nobody
    assert!(request.contains("\r\nProxy-Authorization: Basic dXNlcjp0ZWxsLW5vYm9keQ==\r\n"));
    client.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).await.unwrap();
    let target = request.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap();
    target.to_owned()
}

async fn read(client: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    client.read_exact(&mut bytes).await.unwrap();
    bytes
}

/// A mail server that signs in whoever comes, and a file of a relay before it.
struct Scene {
    upstream: Upstream,
    file: PathBuf,
    dir: TempDir,
}

/// A relay in this process.
struct Relay {
    address: SocketAddr,
    operator: Operator,
    shutdown: Shutdown,
    _running: JoinSet<()>,
}

impl Scene {
    async fn set() -> Self {
        let authority = Authority::new();
        let upstream = Upstream::start(authority.issue(NAME).acceptor()).await;
        let mail = format!("C: {MAIL}\nS: 250 2.1.0 OK\nCLOSE");
        upstream.plays(sign_in(Protocol::Submission).and(&Script::parse(&mail)));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mailbearer.toml");
        std::fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        std::fs::write(dir.path().join("password"), PASSWORD).unwrap();
        Self { upstream, file, dir }
    }

    /// Writes the file with this proxy.
    fn write(&self, scheme: &str, proxy: SocketAddr) {
        let url = format!("{scheme}://user:{SECRET}@{proxy}");
        std::fs::write(self.dir.path().join("proxy"), url).unwrap();
        let text = format!(
            r#"
            [listeners.submission]
            protocol = "submission"
            address = "127.0.0.1:0"

            [providers.scripted]
            submission = {{ host = "{NAME}", port = 587, tls = "starttls" }}
            ca_file = "ca.pem"
            grant = "command"
            command = ["sh", "-c", "echo {TOKEN}"]

            [accounts."{ALICE}"]
            provider = "scripted"
            local_password = {{ file = "password" }}

            [egress]
            mail_proxy = {{ file = "proxy" }}
            "#
        );
        std::fs::write(&self.file, text).unwrap();
    }

    fn serve(&self) -> Relay {
        let config = Config::load(&self.file, Secrets::Verify).unwrap();
        let backing = Backing { file: Some(self.file.clone()), ..Backing::in_memory() };
        let app = App::bind(config, backing).unwrap();
        let address = app.bound().next().unwrap().address.tcp().unwrap();
        let (operator, shutdown) = (app.operator(), app.shutdown());
        let mut running = JoinSet::new();
        running.spawn(app.run());
        Relay { address, operator, shutdown, _running: running }
    }

    /// What `check --online` tells: its exit code, and all of it.
    async fn check(&self) -> (Option<i32>, String) {
        let running = Command::new(env!("CARGO_BIN_EXE_mailbearer"))
            .arg("-c")
            .arg(&self.file)
            .args(["check", "--online", ALICE])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = timeout(PATIENCE, running).await.unwrap().unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(told).unwrap())
    }
}

impl Relay {
    /// What a client hears that signs in.
    async fn sign_in(&self) -> (Client, String) {
        let words = words(Protocol::Submission);
        let mut client = Client::connect(self.address).await;
        client.expect(words.greeting).await;
        client.send(words.sign_in).await;
        let reply = client.line().await;
        (client, reply)
    }

    async fn reload(&self) {
        let (order, outcome) = oneshot::channel();
        self.operator.serving.as_ref().unwrap().reload.send(order).await.unwrap();
        outcome.await.unwrap().unwrap();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shutdown.drain.cancel();
        self.shutdown.cut.cancel();
    }
}

#[tokio::test]
async fn session_goes_through_either_kind_of_proxy_which_resolves_the_name() {
    for (scheme, kind) in
        [("socks5", Kind::Socks5(0)), ("http", Kind::Http("200 Connection established"))]
    {
        let mut scene = Scene::set().await;
        let proxy = Proxy::start(kind, scene.upstream.address).await;
        scene.write(scheme, proxy.address);
        let relay = scene.serve();
        let (mut client, reply) = relay.sign_in().await;
        assert!(reply.starts_with("235 "), "{scheme}: {reply}");
        client.ask(MAIL, "250 2.1.0 OK").await;
        let heard = scene.upstream.heard().await;
        assert_eq!(heard.broke, None);
        assert_eq!(proxy.asked(), [format!("{NAME}:587")]);
    }
}

#[tokio::test]
async fn proxy_that_leads_nowhere_is_temporary_for_the_client_and_named_in_the_log() {
    for (scheme, kind, problem) in [
        ("socks5", Kind::Socks5(4), "cannot connect (host unreachable)"),
        ("socks5", Kind::Socks5(2), "does not allow that (not allowed by its rules)"),
        ("http", Kind::Http("407 Denied"), "refuses the user name or the password"),
        ("http", Kind::Http("504 Gateway Timeout"), "cannot connect (HTTP 504 Gateway Timeout)"),
    ] {
        let log = Log::keep();
        let scene = Scene::set().await;
        let proxy = Proxy::start(kind, scene.upstream.address).await;
        scene.write(scheme, proxy.address);
        let relay = scene.serve();
        let (_client, reply) = relay.sign_in().await;
        assert!(reply.starts_with("454 4.7.0 "), "{reply}");
        let logged = log.take_until(problem).await;
        let hop =
            format!("the proxy {} (`egress.mail_proxy`), asked for {NAME}:587", proxy.address);
        assert!(logged.contains(&hop), "{logged}");
        assert!(!logged.contains(SECRET), "{logged}");
    }
}

#[tokio::test]
async fn reload_changes_the_proxy_for_sessions_to_come() {
    let scene = Scene::set().await;
    let closed = Proxy::start(Kind::Socks5(5), scene.upstream.address).await;
    scene.write("socks5", closed.address);
    let relay = scene.serve();
    assert!(relay.sign_in().await.1.starts_with("454 "));
    let open = Proxy::start(Kind::Http("200 OK"), scene.upstream.address).await;
    scene.write("http", open.address);
    relay.reload().await;
    let (_client, reply) = relay.sign_in().await;
    assert!(reply.starts_with("235 "), "{reply}");
    assert_eq!((closed.asked().len(), open.asked().len()), (1, 1));
}

#[tokio::test]
async fn check_walks_through_the_proxy_and_says_at_which_hop_it_ends() {
    let scene = Scene::set().await;
    let open = Proxy::start(Kind::Socks5(0), scene.upstream.address).await;
    scene.write("socks5", open.address);
    let (code, told) = scene.check().await;
    assert_eq!(code, Some(0), "{told}");
    let proxy = open.address;
    for part in [
        format!("DNS      ok  127.0.0.1, of the proxy {proxy} (`egress.mail_proxy`)\n"),
        format!("TCP      ok  connected through the proxy at {proxy}\n"),
        "TLS      ok  TLS 1.3 by STARTTLS".to_owned(),
        format!("XOAUTH2  ok  signed in as {ALICE}"),
    ] {
        assert!(told.contains(&part), "{part:?} is not in {told}");
    }

    for (kind, scheme, code, result) in [
        (Kind::Socks5(3), "socks5", 75, "TCP      not now"),
        (Kind::Http("403 Filtered"), "http", 1, "TCP      failed"),
    ] {
        let proxy = Proxy::start(kind, scene.upstream.address).await;
        scene.write(scheme, proxy.address);
        let (found, told) = scene.check().await;
        assert_eq!(found, Some(code), "{told}");
        let hop = format!("the proxy {} (`egress.mail_proxy`), asked for", proxy.address);
        assert!(told.contains(result) && told.contains(&hop), "{told}");
        assert!(!told.contains(SECRET), "{told}");
    }
}

#[tokio::test]
async fn a_connection_that_is_made_ahead_goes_through_the_proxy() {
    let log = Log::keep();
    let scene = Scene::set().await;
    for _ in 0..3 {
        scene.upstream.plays(sign_in(Protocol::Submission));
    }
    let proxy = Proxy::start(Kind::Socks5(0), scene.upstream.address).await;
    scene.write("socks5", proxy.address);
    let relay = scene.serve();
    for _ in 0..2 {
        assert!(relay.sign_in().await.1.starts_with("235 "));
    }
    log.take_until("warm connection ready").await;
    assert!(relay.sign_in().await.1.starts_with("235 "));
    log.take_until("warm=true").await;
    assert_eq!(proxy.asked()[..3], [const { "mail.nowhere.invalid:587" }; 3]);
}
