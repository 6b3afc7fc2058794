//! Listeners that are no port of their own: unix sockets, and sockets that systemd passes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::Permissions;
use std::io::Read as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};

use mailbearer::app::{App, Backing};
use mailbearer::config::{Config, Secrets};
use mailbearer::net::listen::inherited::{Inherited, Passed};
use mailbearer::provider::UpstreamTls;
use mailbearer::relay::Shutdown;
use mailbearer::sandbox::Sandbox;
use socket2::{Domain, Socket, Type};
use support::log::Log;
use support::{AUTH_PLAIN, Client, RigSettings, WRONG_PLAIN, provider, write_config};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A relay whose submission listener is elsewhere.
struct Scene {
    dir: TempDir,
    shutdown: Shutdown,
    reload: tokio::sync::mpsc::Sender<mailbearer::web::operator::Reload>,
    running: JoinHandle<()>,
    _provider: Sandbox,
}

impl Scene {
    /// With the submission listener at `address`, and with what systemd has `passed`.
    async fn start(address: &str, extra: &'static str, passed: Inherited) -> Self {
        Self::try_start(address, extra, passed).await.unwrap_or_else(|problem| panic!("{problem}"))
    }

    async fn try_start(
        address: &str,
        extra: &'static str,
        inherited: Inherited,
    ) -> Result<Self, String> {
        let settings = RigSettings { extra, ..RigSettings::default() };
        let provider = provider(UpstreamTls::StartTls).await;
        let dir = tempfile::tempdir().unwrap();
        let file = write_config(dir.path(), &settings, &provider);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replacen("127.0.0.1:0", address, 1)).unwrap();
        let config = Config::load(&file, Secrets::Verify).unwrap();
        let backing = Backing { file: Some(file), inherited, ..Backing::in_memory() };
        let app = App::bind(config, backing).map_err(|error| error.to_string())?;
        let (shutdown, reload) = (app.shutdown(), app.reloads());
        let running = tokio::spawn(app.run());
        Ok(Self { dir, shutdown, reload, running, _provider: provider })
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    async fn reload(&self, from: &str, to: &str) -> Result<(), String> {
        let file = self.path("mailbearer.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(file, text.replace(from, to)).unwrap();
        let (order, outcome) = oneshot::channel();
        self.reload.send(order).await.unwrap();
        outcome.await.unwrap().map(drop)
    }

    async fn stop(self) -> TempDir {
        self.shutdown.drain.cancel();
        self.running.await.unwrap();
        self.dir
    }
}

async fn at(path: &Path) -> Client<UnixStream> {
    Client::over(UnixStream::connect(path).await.unwrap())
}

async fn sign_in(path: &Path) -> Client<UnixStream> {
    let mut client = at(path).await;
    client.expect("220 ").await;
    client.ask(AUTH_PLAIN, "235 ").await;
    client
}

#[tokio::test]
async fn a_client_at_a_unix_socket_is_on_this_machine_and_logged_with_its_user() {
    let log = Log::keep();
    // Nobody at all is in that network.
    let allow = "address = \"unix:mail.sock\"\n        allow = [\"192.0.2.0/24\"]\n";
    let scene = Scene::start("unix:mail.sock", "", Inherited::default()).await;
    let text = std::fs::read_to_string(scene.path("mailbearer.toml")).unwrap();
    let before = text.split("[listeners.imap]").next().unwrap();
    let from = before.split_once("address").map(|(_, rest)| format!("address{rest}")).unwrap();
    let to = format!("{allow}        devices = true\n\n        ");
    scene.reload(&from, &to).await.unwrap();
    let mut client = sign_in(&scene.path("mail.sock")).await;
    let told = log.take_until("signed in").await;
    let (uid, pid) = (rustix::process::geteuid().as_raw(), std::process::id());
    assert!(told.contains(&format!(" peer=unix:uid={uid},pid={pid} ")), "{told}");
    client.ask("QUIT", "221 ").await;
    // It has no address by which it could be a device.
    let mut client = at(&scene.path("mail.sock")).await;
    client.expect("220 ").await;
    client.ask("MAIL FROM:<scan@lan>", "530 5.7.0 ").await;
    let told = log.take_until("refusal=\"no-device\"").await;
    assert!(told.contains("a client at a unix socket has no address"), "{told}");
}

#[tokio::test]
async fn a_header_at_a_unix_socket_is_told_as_one_that_none_takes() {
    let log = Log::keep();
    let scene = Scene::start("unix:mail.sock", "", Inherited::default()).await;
    let mut client = at(&scene.path("mail.sock")).await;
    client.send("PROXY TCP4 192.0.2.7 198.51.100.1 4660 587").await;
    client.expect("220 ").await;
    assert_eq!(client.rest().await, b"");
    let told = log.take_until("closed reason=\"proxy-header\"").await;
    let line = told.lines().last().unwrap();
    assert!(line.contains("a unix socket takes no PROXY header"), "{line}");
    assert!(!line.contains("address there"), "{line}");
}

#[tokio::test]
async fn a_unix_socket_stays_through_a_reload_and_goes_with_its_listener() {
    let scene = Scene::start("unix:mail.sock", "", Inherited::default()).await;
    let path = scene.path("mail.sock");
    let mut client = sign_in(&path).await;
    // Another name for the same listener, which needs nothing new.
    scene.reload("[listeners.submission]", "[listeners.sendmail]").await.unwrap();
    client.ask("NOOP", "250 ").await;
    sign_in(&path).await;
    scene.reload("unix:mail.sock", "unix:moved.sock").await.unwrap();
    sign_in(&scene.path("moved.sock")).await;
    support::client::until("the old socket is gone", async || (!path.exists()).then_some(())).await;
    drop(client);
    let dir = scene.stop().await;
    let moved = dir.path().join("moved.sock");
    support::client::until("the socket is gone", async || (!moved.exists()).then_some(())).await;
}

/// Tells the copy of a test that runs in a process of its own where to listen.
const LISTENS_AT: &str = "MAILBEARER_TEST_LISTENS_AT";

#[tokio::test]
async fn a_path_that_another_process_serves_stops_the_start_and_says_so() {
    if let Some(path) = std::env::var_os(LISTENS_AT) {
        let _listening = UnixListener::bind(path).unwrap();
        // Until the other one has seen enough.
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mail.sock");
    let name = "a_path_that_another_process_serves_stops_the_start_and_says_so";
    let mut other = Command::new(std::env::current_exe().unwrap());
    other.args(["--exact", name]).env(LISTENS_AT, &path);
    let mut other = other.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let listens = async || UnixStream::connect(&path).await.is_ok().then_some(());
    support::client::until("the other process listens", listens).await;
    let address = format!("unix:{}", path.display());
    let told = Scene::try_start(&address, "", Inherited::default()).await.err().unwrap();
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
    assert!(told.starts_with("listeners.submission.address: unix:"), "{told}");
    assert!(told.contains("served by another process"), "{told}");
}

#[tokio::test]
async fn a_path_that_stands_twice_under_two_names_stops_the_start_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("x")).unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let second = format!(
        "[listeners.second]\nprotocol = \"imap\"\naddress = \"unix:{}\"\n",
        path("x/../mail.sock")
    );
    let address = format!("unix:{}", path("mail.sock"));
    let told = Scene::try_start(&address, second.leak(), Inherited::default()).await.err().unwrap();
    assert!(told.starts_with("listeners.second.address: unix:"), "{told}");
    assert!(told.contains("served by this relay already"), "{told}");
}

/// A socket to pass, and where it is.
fn passed(name: &str) -> ((String, Passed), SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    ((name.to_owned(), Passed::Tcp(listener)), address)
}

#[tokio::test]
async fn all_sockets_that_systemd_passes_under_a_name_are_served() {
    let log = Log::keep();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("passed.sock");
    let unix = ("mail".to_owned(), Passed::Unix(UnixListener::bind(&path).unwrap()));
    let ((one, first), (other, second), (unnamed, _)) =
        (passed("mail"), passed("mail"), passed("forgotten"));
    let inherited = Inherited::of(vec![one, unnamed, unix, other]);
    let scene = Scene::start("systemd:mail", "", inherited).await;
    for address in [first, second] {
        let mut client = Client::connect(address).await;
        client.expect("220 ").await;
        client.ask(AUTH_PLAIN, "235 ").await;
    }
    sign_in(&path).await;
    let told = log.take_until("no listener names").await;
    assert!(told.lines().last().unwrap().contains("name=\"forgotten\""), "{told}");
    // It is systemd's, and stays.
    let _dir = scene.stop().await;
    assert!(path.exists());
}

#[tokio::test]
async fn a_client_at_a_socket_for_both_families_is_logged_by_its_ipv4_address() {
    let log = Log::keep();
    // As systemd makes it of `ListenStream=587` (systemd.socket(5), BindIPv6Only=).
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
    socket.set_only_v6(false).unwrap();
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()).unwrap();
    socket.listen(1).unwrap();
    let listener = TcpListener::from(socket);
    let port = listener.local_addr().unwrap().port();
    let inherited = Inherited::of(vec![("mail".to_owned(), Passed::Tcp(listener))]);
    let accepted = "systemd:mail\"\n        require_tls = false #";
    let _scene = Scene::start(accepted, "", inherited).await;
    let mut client = Client::connect((Ipv4Addr::LOCALHOST, port).into()).await;
    client.expect("220 ").await;
    client.ask(WRONG_PLAIN, "535 ").await;
    let told = log.take_until("refusal=\"wrong-password\"").await;
    let line = told.lines().last().unwrap();
    assert!(line.contains(" peer=127.0.0.1:"), "{line}");
}

#[tokio::test]
async fn a_path_of_systemd_for_every_user_is_warned_of_where_any_password_will_do() {
    let log = Log::keep();
    for (mode, password, is_told) in [
        (0o666, "\"any\"", true),
        (0o660, "\"any\"", false),
        (0o666, "{ file = \"password\" }", false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("passed.sock");
        let unix = UnixListener::bind(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let passed = Inherited::of(vec![("mail".to_owned(), Passed::Unix(unix))]);
        let scene = Scene::start("unix:mail.sock", "", passed).await;
        let file = scene.path("mailbearer.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        // Only a person's account may have "any".
        let text = text.replace("client-credentials", "authorization-code");
        let text = text.replace(
            "local_password = { file = \"password\" }",
            &format!("local_password = {password}"),
        );
        std::fs::write(&file, text).unwrap();
        scene.reload("unix:mail.sock", "systemd:mail").await.unwrap();
        let told =
            log.take_until("passed.sock").await + &log.take_until("configuration reloaded").await;
        scene.stop().await;
        assert_eq!(
            told.contains("every user of this machine may send"),
            is_told,
            "{mode:o} {told}"
        );
    }
}

#[tokio::test]
async fn an_abstract_socket_is_warned_of_when_a_reload_sets_that_any_password_will_do() {
    let log = Log::keep();
    let dir = tempfile::tempdir().unwrap();
    // No path there: its name alone is like one.
    let name = dir.path().join("abstract").into_os_string().into_vec();
    let unix = UnixListener::bind_addr(&UnixAddress::from_abstract_name(name).unwrap()).unwrap();
    let passed = Inherited::of(vec![("mail".to_owned(), Passed::Unix(unix))]);
    let scene = Scene::start("systemd:mail", "", passed).await;
    let file = scene.path("mailbearer.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let password = "local_password = { file = \"password\" }";
    std::fs::write(&file, text.replace("client-credentials", "authorization-code")).unwrap();
    for (to, is_told) in [(password, false), ("local_password = \"any\"", true)] {
        scene.reload(password, to).await.unwrap();
        let told = log.take_until("configuration reloaded").await;
        assert_eq!(told.contains("every user of this machine may send"), is_told, "{told}");
    }
    scene.stop().await;
}

#[tokio::test]
async fn a_socket_of_systemd_survives_a_reload_that_leaves_it_out_for_a_while() {
    let (mail, address) = passed("mail");
    let scene = Scene::start("systemd:mail", "", Inherited::of(vec![mail])).await;
    let mut client = Client::connect(address).await;
    client.expect("220 ").await;
    client.ask(AUTH_PLAIN, "235 ").await;
    scene.reload("systemd:mail", "unix:mail.sock").await.unwrap();
    client.ask("NOOP", "250 ").await;
    // Whoever comes in between waits, and is served when it is named again.
    let mut waiting = Client::connect(address).await;
    scene.reload("unix:mail.sock", "systemd:mail").await.unwrap();
    waiting.expect("220 ").await;
    let missing = scene.reload("systemd:mail", "systemd:post").await.unwrap_err();
    assert!(missing.contains("FileDescriptorName=post"), "{missing}");
    Client::connect(address).await.expect("220 ").await;
}

#[tokio::test]
async fn a_socket_that_was_not_passed_stops_the_start_and_names_what_the_unit_lacks() {
    let (mail, _) = passed("mail");
    let inherited = Inherited::of(vec![mail]);
    let told = Scene::try_start("systemd:post", "", inherited).await.err().unwrap();
    assert!(told.starts_with("listeners.submission.address: no socket named \"post\""), "{told}");
    assert!(told.contains("FileDescriptorName=post") && told.contains("named mail"), "{told}");
}

#[tokio::test]
async fn a_socket_of_systemd_in_a_network_wants_tls_or_leave_to_do_without() {
    let outside = || {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        Inherited::of(vec![("mail".to_owned(), Passed::Tcp(listener))])
    };
    let told = Scene::try_start("systemd:mail", "", outside()).await.err().unwrap();
    assert!(told.contains("passwords would cross a network in clear"), "{told}");
    let accepted = "systemd:mail\"\n        require_tls = false #";
    Scene::start(accepted, "", outside()).await;
}
