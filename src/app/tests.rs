//! What a reload does to the sockets of the listeners.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixDatagram;
use std::sync::mpsc as channel;
use std::thread;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;

use super::*;
use crate::config::Secrets;
use crate::net::tls::server::CertificateFiles;
use crate::relay::ListenerTls;

/// A configuration file whose listeners, each a name, a protocol and an address, are rewritten.
struct File(TempDir);

impl File {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("mailbearer.toml")
    }

    fn write(&self, listeners: &[(&str, &str, &str)]) {
        let mut text = r#"
            [providers.own]
            token_endpoint = "http://127.0.0.1:1/token"
            scopes = ["mail"]
            submission = { host = "127.0.0.1", port = 1, tls = "starttls" }
            imap = { host = "127.0.0.1", port = 1, tls = "implicit" }
            [accounts."alice@example.com"]
            provider = "own"
            client_id = "client"
            client_secret = { file = "secret" }
            grant = "client-credentials"
            local_password = { file = "secret" }
        "#
        .to_owned();
        for (name, protocol, address) in listeners {
            write!(
                text,
                "\n[listeners.{name}]\nprotocol = \"{protocol}\"\naddress = \"{address}\"\n"
            )
            .unwrap();
        }
        std::fs::write(self.0.path().join("secret"), "secret").unwrap();
        std::fs::write(self.path(), text).unwrap();
    }

    fn serve(&self, listeners: &[(&str, &str, &str)]) -> App {
        self.write(listeners);
        let backing = Backing { file: Some(self.path()), ..Backing::in_memory() };
        let mut app =
            App::bind(Config::load(&self.path(), Secrets::Verify).unwrap(), backing).unwrap();
        app.sockets.serve();
        app
    }
}

fn bound(app: &App) -> Vec<(String, SocketAddr)> {
    app.bound().map(|bound| (bound.listener.clone(), bound.address.tcp().unwrap())).collect()
}

async fn greeting(address: SocketAddr) -> String {
    let mut line = String::new();
    let stream = TcpStream::connect(address).await.unwrap();
    BufReader::new(stream).read_line(&mut line).await.unwrap();
    line
}

/// Waits until nobody listens there.
async fn closed(address: SocketAddr) {
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

const ANY_PORT: &str = "127.0.0.1:0";

#[tokio::test]
async fn a_reload_adds_and_removes_listeners_and_keeps_the_others_sockets() {
    let file = File::new();
    let mut app = file.serve(&[("one", "imap", ANY_PORT), ("two", "imap", ANY_PORT)]);
    let before = bound(&app);
    file.write(&[("two", "submission", ANY_PORT), ("three", "imap", ANY_PORT)]);
    app.reload().await.unwrap();
    let after = bound(&app);
    assert_eq!(after[0], before[1], "it keeps its port");
    assert_eq!(after[1].0, "three");
    assert!(greeting(after[0].1).await.starts_with("220 "), "with its new settings");
    assert!(greeting(after[1].1).await.starts_with("* OK "));
    closed(before[0].1).await;
}

#[tokio::test]
async fn a_socket_stays_with_its_address_whatever_the_listener_is_called() {
    let file = File::new();
    let mut app = file.serve(&[("one", "imap", ANY_PORT)]);
    let address = bound(&app)[0].1;
    for (name, entry) in [
        ("one", address.to_string()),
        ("two", address.to_string()),
        ("three", format!("localhost:{}", address.port())),
        ("four", address.to_string()),
    ] {
        file.write(&[(name, "imap", &entry)]);
        app.reload().await.unwrap();
        assert_eq!(bound(&app)[0], (name.to_owned(), address));
        assert!(greeting(address).await.starts_with("* OK "), "{name}");
    }
    assert_eq!(bound(&app).len(), 1);
}

#[tokio::test]
async fn a_reload_that_cannot_bind_leaves_every_socket_as_it_was() {
    let file = File::new();
    let mut app = file.serve(&[("one", "imap", ANY_PORT)]);
    let before = bound(&app);
    // At an address of this process alone, so that nobody else is given the port meanwhile.
    let [.., high, low] = std::process::id().to_be_bytes();
    let own = (IpAddr::from([127, 77, high, low]), 0);
    let other = std::net::TcpListener::bind(own).unwrap().local_addr().unwrap();
    let taken = std::net::TcpListener::bind(ANY_PORT).unwrap();
    let (free, busy) = (other.to_string(), taken.local_addr().unwrap().to_string());
    file.write(&[("new", "imap", &free), ("bad", "imap", &busy), ("one", "submission", ANY_PORT)]);
    let problem = app.reload().await.unwrap_err();
    assert!(problem.starts_with(&format!("listeners.bad.address: {busy} ")), "{problem}");
    assert_eq!(bound(&app), before);
    assert!(greeting(before[0].1).await.starts_with("* OK "));
    closed(other).await;

    let everywhere = format!("0.0.0.0:{}", before[0].1.port());
    file.write(&[("one", "imap", &everywhere)]);
    let text = std::fs::read_to_string(file.path()).unwrap() + "require_tls = false\n";
    std::fs::write(file.path(), text).unwrap();
    let problem = app.reload().await.unwrap_err();
    assert!(problem.contains("restart"), "{problem}");
    assert_eq!(bound(&app), before);
}

#[tokio::test]
async fn a_listener_whose_certificate_cannot_be_shown_is_not_started() {
    let file = File::new();
    file.write(&[("mail", "imap", ANY_PORT)]);
    let mut config = Config::load(&file.path(), Secrets::Verify).unwrap();
    let missing = file.0.path().join("mail.pem");
    let files = CertificateFiles { certificate: missing.clone(), private_key: missing };
    config.listeners[0].tls = ListenerTls::Implicit(files);
    let problem = App::bind(config, Backing::in_memory()).unwrap_err().to_string();
    assert!(problem.starts_with("listeners.mail.certificate: "), "{problem}");
    assert!(problem.contains("mail.pem") && problem.contains("cannot be read"), "{problem}");
}

#[test]
fn watchdog_hears_nothing_while_the_threads_that_serve_are_stuck() {
    let file = File::new();
    let path = file.0.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut app = {
        let _entered = runtime.enter();
        file.serve(&[("mail", "imap", ANY_PORT)])
    };
    let often = Some(Duration::from_millis(20));
    app.supervisor = Arc::new(Supervisor::at(path.as_os_str(), often).unwrap());
    let (shutdown, workers) = (app.shutdown(), runtime.handle().clone());
    let running = thread::spawn(move || runtime.block_on(app.run()));
    let hears = |within: Duration| {
        manager.set_read_timeout(Some(within)).unwrap();
        manager.recv(&mut [0; 256]).is_ok()
    };
    let patience = Duration::from_secs(40);
    assert!((0..3).all(|_| hears(patience)), "it lives");

    let (release, released) = channel::channel::<()>();
    let (stick, stuck) = channel::channel();
    workers.spawn(async move {
        stick.send(()).unwrap();
        // Until the test lets it go on.
        let _ = released.recv();
    });
    stuck.recv().unwrap();
    // What was sent before, and one beat that was on its way; then, of thirty that are due, none.
    while hears(Duration::from_millis(1)) {}
    let beats = (0..3).take_while(|_| hears(Duration::from_millis(300))).count();
    assert!(beats <= 1, "beats of a relay that is stuck");
    drop(release);
    assert!(hears(patience), "it lives again");
    shutdown.drain.cancel();
    running.join().unwrap();
}
