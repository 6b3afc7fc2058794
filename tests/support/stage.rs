//! A relay with listeners of every kind before scripted servers: what both sides of it meet on a
//! hostile network.

use std::net::SocketAddr;

use mailbearer::app::{App, Backing, Bound};
use mailbearer::config::{Config, Secrets};
use mailbearer::provider::{PerProtocol, Protocol};
use mailbearer::relay::Shutdown;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::certificates::{Authority, HERE};
use super::client::{Client, TlsClient, until};
use super::upstream::{Script, Upstream};
use super::{ALICE, AUTH_PLAIN, PASSWORD, cold};

/// The access token of every session here.
pub const TOKEN: &str = "the-access-token-of-alice";

/// How the listeners of a stage take TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// They speak none.
    None,
    /// They offer STARTTLS, and take credentials without it.
    Offered,
    /// They offer STARTTLS, and take no credentials without it.
    Required,
    /// They begin with it.
    Implicit,
}

/// A relay and the servers of its provider.
pub struct Stage {
    pub upstreams: PerProtocol<Upstream>,
    /// Who issued the certificates of the servers and of the relay.
    pub authority: Authority,
    bound: Vec<Bound>,
    shutdown: Shutdown,
    _running: JoinHandle<()>,
    _dir: TempDir,
}

impl Stage {
    /// A relay whose listeners take TLS so, and whose provider begins it with STARTTLS.
    pub async fn set(tls: Tls) -> Self {
        Self::with(tls, "").await
    }

    /// The same with more of the file.
    pub async fn with(tls: Tls, extra: &str) -> Self {
        Self::of(tls, |text| text + extra).await
    }

    /// The same with the file changed.
    pub async fn of(tls: Tls, change: impl FnOnce(String) -> String) -> Self {
        let authority = Authority::new();
        let identity = authority.issue(HERE);
        let acceptor = identity.acceptor();
        let upstreams = PerProtocol {
            submission: Upstream::start(acceptor.clone()).await,
            imap: Upstream::start(acceptor.clone()).await,
            pop3: Upstream::start(acceptor).await,
        };
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = identity.pem();
        let file = dir.path().join("mailbearer.toml");
        for (name, text) in [
            ("ca.pem", authority.pem()),
            ("server.pem", certificate),
            ("server.key", key),
            ("password", PASSWORD.to_owned()),
            ("mailbearer.toml", cold(change(text(tls, &upstreams)))),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let config = Config::load(&file, Secrets::Verify).unwrap();
        let app = App::bind(config, Backing::in_memory()).unwrap();
        let (bound, shutdown) = (app.bound().cloned().collect(), app.shutdown());
        let running = tokio::spawn(app.run());
        Self { upstreams, authority, bound, shutdown, _running: running, _dir: dir }
    }

    /// Where `protocol` is spoken.
    pub fn address(&self, protocol: Protocol) -> SocketAddr {
        let mut bound = self.bound.iter().filter(|bound| bound.protocol == protocol);
        bound.next().expect("a listener of each protocol").address.tcp().unwrap()
    }

    /// TLS that trusts this relay.
    pub fn connector(&self) -> TlsConnector {
        self.authority.connector()
    }

    /// A client in clear that was greeted.
    pub async fn greeted(&self, protocol: Protocol) -> Client {
        let mut client = Client::connect(self.address(protocol)).await;
        client.expect(words(protocol).greeting).await;
        client
    }

    /// A client that is greeted once there is a place for it.
    pub async fn greeted_in_the_end(&self, protocol: Protocol) -> Client {
        until("the place of a session that has ended is given to the next one", async || {
            let mut client = Client::connect(self.address(protocol)).await;
            client.line().await.starts_with(words(protocol).greeting).then_some(client)
        })
        .await
    }

    /// A client under TLS that began it with STARTTLS.
    pub async fn started(&self, protocol: Protocol) -> TlsClient {
        let mut client = self.greeted(protocol).await;
        let Words { start_tls, started, .. } = words(protocol);
        client.ask(start_tls, started).await;
        client.start_tls(&self.connector()).await
    }

    /// A client under TLS that began with it, and was greeted.
    pub async fn implicit(&self, protocol: Protocol) -> TlsClient {
        let client = Client::connect(self.address(protocol)).await;
        let mut client = client.start_tls(&self.connector()).await;
        client.expect(words(protocol).greeting).await;
        client
    }

    /// The provider's server.
    pub fn upstream(&mut self, protocol: Protocol) -> &mut Upstream {
        match protocol {
            Protocol::Submission => &mut self.upstreams.submission,
            Protocol::Imap => &mut self.upstreams.imap,
            Protocol::Pop3 => &mut self.upstreams.pop3,
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.shutdown.drain.cancel();
        self.shutdown.cut.cancel();
    }
}

fn text(tls: Tls, upstreams: &PerProtocol<Upstream>) -> String {
    let files = "certificate = \"server.pem\"\nprivate_key = \"server.key\"";
    let tls = match tls {
        Tls::None => "tls = \"none\"".to_owned(),
        Tls::Offered => format!("tls = \"starttls\"\n{files}"),
        Tls::Required => format!("tls = \"starttls\"\nrequire_tls = true\n{files}"),
        Tls::Implicit => format!("tls = \"implicit\"\n{files}"),
    };
    let (mut listeners, mut hosts) = (String::new(), String::new());
    for protocol in Protocol::ALL {
        let (name, port) = (protocol.name(), upstreams.get(protocol).address.port());
        listeners += &format!(
            "[listeners.{name}]\nprotocol = \"{name}\"\naddress = \"{HERE}:0\"\n\
             allow = [\"127.0.0.0/8\"]\n{tls}\n"
        );
        hosts += &format!("{name} = {{ host = \"{HERE}\", port = {port}, tls = \"starttls\" }}\n");
    }
    format!(
        r#"
        {listeners}

        [providers.scripted]
        scopes = ["mail"]
        {hosts}
        ca_file = "ca.pem"
        grant = "command"
        command = ["sh", "-c", "echo {TOKEN}"]

        [accounts."{ALICE}"]
        provider = "scripted"
        local_password = {{ file = "password" }}

        "#
    )
}

/// What is said and heard in one protocol.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// How a relay greets.
    pub greeting: &'static str,
    /// Asks for TLS.
    pub start_tls: &'static str,
    /// How that is answered.
    pub started: &'static str,
    /// A sign-in as [`ALICE`], in one line.
    pub sign_in: &'static str,
    /// How the last line of the answer begins if the provider accepts it.
    pub accepted: &'static str,
    /// How the answer begins if the provider cannot be spoken to.
    pub unavailable: &'static str,
    /// How the answer begins if TLS has to come first.
    pub tls_first: &'static str,
    /// A command that does nothing.
    pub noop: &'static str,
    /// How the answer begins.
    pub done: &'static str,
    /// How the last words begin.
    pub farewell: &'static str,
}

/// Those of `protocol`.
pub fn words(protocol: Protocol) -> Words {
    match protocol {
        Protocol::Submission => Words {
            greeting: "220 ",
            start_tls: "STARTTLS",
            started: "220 ",
            sign_in: AUTH_PLAIN,
            accepted: "235 ",
            unavailable: "454 4.7.0 ",
            tls_first: "538 5.7.11 ",
            noop: "NOOP",
            done: "250 ",
            farewell: "421 ",
        },
        Protocol::Imap => Words {
            greeting: "* OK ",
            start_tls: "s STARTTLS",
            started: "s OK ",
            sign_in: "a LOGIN alice@example.com local-password",
            accepted: "a OK ",
            unavailable: "a NO [UNAVAILABLE] ",
            tls_first: "a NO [PRIVACYREQUIRED] ",
            noop: "n NOOP",
            done: "n OK ",
            farewell: "* BYE ",
        },
        Protocol::Pop3 => Words {
            greeting: "+OK ",
            start_tls: "STLS",
            started: "+OK",
            sign_in: AUTH_PLAIN,
            accepted: "+OK",
            unavailable: "-ERR [SYS/TEMP] ",
            tls_first: "-ERR ",
            noop: "CAPA",
            done: "+OK",
            farewell: "-ERR ",
        },
    }
}

/// What a provider in order says up to the accepted sign-in, beginning with STARTTLS.
pub fn sign_in(protocol: Protocol) -> Script {
    let [clear, private] = match protocol {
        Protocol::Submission => [SUBMISSION_CLEAR, SUBMISSION_PRIVATE],
        Protocol::Imap => [IMAP_CLEAR, IMAP_PRIVATE],
        Protocol::Pop3 => [POP3_CLEAR, POP3_PRIVATE],
    };
    Script::parse(clear).and(&Script::parse(private))
}

pub const SUBMISSION_CLEAR: &str = "
    S: 220 provider.example ESMTP
    C: EHLO [127.0.0.1]
    S: 250-provider.example
    S: 250 STARTTLS
    C: STARTTLS
    S: 220 2.0.0 go ahead
    TLS";

pub const SUBMISSION_PRIVATE: &str = "
    C: EHLO [127.0.0.1]
    S: 250-provider.example
    S: 250 AUTH XOAUTH2
    C: AUTH XOAUTH2
    S: 334
    C: dXNlcj1hbGljZUBleGFtcGxlLmNvbQ
    S: 235 2.7.0 accepted";

pub const IMAP_CLEAR: &str = "
    S: * OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready
    C: m1 STARTTLS
    S: m1 OK go ahead
    TLS";

pub const IMAP_PRIVATE: &str = "
    C: m2 CAPABILITY
    S: * CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2
    S: m2 OK done
    C: m3 AUTHENTICATE XOAUTH2 dXNlcj1hbGljZUBleGFtcGxlLmNvbQ
    S: * CAPABILITY IMAP4rev1 IDLE
    S: m3 OK signed in";

/// The same where the token has a line of its own, at a server that says more than is due.
pub const IMAP_WITHOUT_SASL_IR: &str = "
    C: m2 CAPABILITY
    S: * CAPABILITY IMAP4rev1 AUTH=XOAUTH2
    S: m2 OK done
    C: m3 AUTHENTICATE XOAUTH2
    S: * OK [ALERT] be quick
    S: +
    C: dXNlcj1hbGljZUBleGFtcGxlLmNvbQ
    S: * CAPABILITY IMAP4rev1 IDLE
    S: m3 OK signed in";

pub const POP3_CLEAR: &str = "
    S: +OK provider.example
    C: STLS
    S: +OK go ahead
    TLS";

pub const POP3_PRIVATE: &str = "
    C: AUTH XOAUTH2
    S: +
    C: dXNlcj1hbGljZUBleGFtcGxlLmNvbQ
    S: +OK signed in";
