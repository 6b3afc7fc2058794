//! A relay before the stand-in provider, both on free loopback ports, for one test.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

pub mod certificates;
pub mod client;
pub mod kept;
pub mod log;
pub mod serve;
pub mod stage;
pub mod upstream;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use mailbearer::app::{App, Backing, Bound};
use mailbearer::config::{Config, Secrets};
use mailbearer::names::{AccountPattern, Username};
use mailbearer::provider::{MailHost, Mechanism, PerProtocol, Protocol, UpstreamTls};
use mailbearer::relay::Shutdown;
use mailbearer::sandbox::{DEFAULT_SCOPE, Sandbox, SandboxSettings, Speaker};
use mailbearer::web::operator::Operator;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use client::Client;

/// The account that every rig has, unless its settings say otherwise.
pub const ALICE: &str = "alice@example.com";

/// The local password of that account.
pub const PASSWORD: &str = "local-password";

/// What no relay here does unless its file says otherwise: a connection that nobody asked for would
/// be counted as a session, or play the script that is meant for the next one.
const COLD: &str = "\n[limits]\nwarm_connections = 0\n";

/// AUTH PLAIN as [`ALICE`] with [`PASSWORD`], and with another password.
pub const AUTH_PLAIN: &str = "AUTH PLAIN AGFsaWNlQGV4YW1wbGUuY29tAGxvY2FsLXBhc3N3b3Jk";
pub const WRONG_PLAIN: &str = "AUTH PLAIN AGFsaWNlQGV4YW1wbGUuY29tAHdyb25n";

/// AUTH PLAIN as bob@example.com with [`PASSWORD`].
pub const BOB_PLAIN: &str = "AUTH PLAIN AGJvYkBleGFtcGxlLmNvbQBsb2NhbC1wYXNzd29yZA==";

/// What differs from rig to rig.
pub struct RigSettings {
    /// How TLS begins at the provider's servers.
    pub tls: UpstreamTls,
    pub mechanism: Mechanism,
    /// The name of the one account.
    pub account: &'static str,
    /// Another client secret than the right one.
    pub client_secret: Option<&'static str>,
    /// Another host name than the provider's.
    pub upstream_host: Option<&'static str>,
    /// The listeners' `allow`.
    pub allow: &'static str,
    /// More keys of the provider. `{smtp}`, `{imap}` and `{pop3}` here and in `extra` stand for its
    /// servers.
    pub provider: &'static str,
    /// More of the file, beginning with keys of the account.
    pub extra: &'static str,
    /// More files beside it: names and what is in them.
    pub files: Vec<(&'static str, String)>,
    /// What no file may say.
    pub change: fn(&mut Config),
}

impl Default for RigSettings {
    fn default() -> Self {
        Self {
            tls: UpstreamTls::StartTls,
            mechanism: Mechanism::Xoauth2,
            account: ALICE,
            client_secret: None,
            upstream_host: None,
            allow: "[\"127.0.0.0/8\"]",
            provider: "",
            extra: "",
            files: Vec::new(),
            change: |_| (),
        }
    }
}

/// A relay that runs before a provider that runs.
pub struct Rig {
    pub provider: Sandbox,
    pub submission: SocketAddr,
    pub imap: SocketAddr,
    bound: Vec<Bound>,
    /// Where the probes are, if they are on.
    pub probes: Vec<SocketAddr>,
    pub shutdown: Shutdown,
    /// What whoever runs the relay acts on.
    pub operator: Operator,
    /// The configuration file.
    pub file: PathBuf,
    running: JoinHandle<()>,
    dir: TempDir,
}

impl Rig {
    /// The usual one.
    pub async fn start() -> Self {
        Self::with(RigSettings::default()).await
    }

    pub async fn with(settings: RigSettings) -> Self {
        let provider = provider(settings.tls).await;
        let dir = tempfile::tempdir().unwrap();
        let file = write_config(dir.path(), &settings, &provider);
        let backing = Backing { file: Some(file.clone()), ..Backing::in_memory() };
        let mut config = Config::load(&file, Secrets::Verify).unwrap();
        (settings.change)(&mut config);
        let app = App::bind(config, backing).unwrap();
        let bound: Vec<_> = app.bound().cloned().collect();
        let [submission, imap, ..] = &bound[..] else { panic!("{bound:?}") };
        let (submission, imap) = (submission.address.tcp().unwrap(), imap.address.tcp().unwrap());
        let probes = app.probes().to_vec();
        let (shutdown, operator) = (app.shutdown(), app.operator());
        let running = tokio::spawn(app.run());
        Self { provider, submission, imap, bound, probes, shutdown, operator, file, running, dir }
    }

    /// Where the listener of this name listens.
    pub fn address(&self, listener: &str) -> SocketAddr {
        let mut bound = self.bound.iter().filter(|bound| bound.listener == listener);
        bound.find_map(|bound| bound.address.tcp()).unwrap()
    }

    /// A client of that listener that was greeted.
    pub async fn greeted(&self, listener: &str) -> Client {
        let mut client = Client::connect(self.address(listener)).await;
        client.line().await;
        client
    }

    /// What the provider holds for [`ALICE`].
    pub fn messages(&self) -> Vec<Bytes> {
        self.provider.messages(&Username::parse(ALICE).unwrap())
    }

    /// What the provider's submission server heard with that in it, on all its connections.
    pub fn heard_by_smtp(&self, part: &str) -> Vec<String> {
        let transcripts = self.provider.transcripts().into_iter();
        let entries = transcripts
            .filter(|it| it.protocol == Protocol::Submission)
            .flat_map(|it| it.entries)
            .filter(|it| it.speaker == Speaker::Client && it.text.contains(part));
        entries.map(|it| it.text).collect()
    }

    /// Puts a message into a mailbox at the provider.
    pub fn deliver(&self, mailbox: &str, message: &[u8]) {
        let mailbox = Username::parse(mailbox).unwrap();
        self.provider.deliver(&mailbox, Bytes::copy_from_slice(message)).unwrap();
    }

    /// Removes the file with the local password; gives what was in it.
    pub fn take_password_file(&self) -> String {
        let file = self.dir.path().join("password");
        let password = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(file).unwrap();
        password
    }

    /// Writes that file anew.
    pub fn put_password_file(&self, password: &str) {
        std::fs::write(self.dir.path().join("password"), password).unwrap();
    }

    /// Rewrites the configuration file and lets the relay read it again.
    pub async fn reload(&self, change: impl FnOnce(String) -> String) -> Result<(), String> {
        let text = std::fs::read_to_string(&self.file).unwrap();
        std::fs::write(&self.file, changed(&text, change)).unwrap();
        let (order, outcome) = oneshot::channel();
        let serving = self.operator.serving.as_ref().unwrap();
        serving.reload.send(order).await.unwrap();
        outcome.await.unwrap().map(drop)
    }

    /// A submission session that is signed in.
    pub async fn signed_in(&self) -> Client {
        let mut client = Client::connect(self.submission).await;
        client.expect("220 ").await;
        client.send("EHLO client.example").await;
        client.expect_after("250 ").await;
        client.ask(AUTH_PLAIN, "235 ").await;
        client
    }

    /// An IMAP session that is signed in.
    pub async fn signed_in_by_imap(&self, name: &str, password: &str) -> Client {
        let mut client = Client::connect(self.imap).await;
        client.expect("* OK").await;
        client.send(&format!("a LOGIN {name} {password}")).await;
        client.expect_after("a OK").await;
        client
    }

    /// Waits until the relay has stopped.
    pub async fn stopped(self) {
        self.running.await.unwrap();
    }
}

/// A provider with every mailbox of example.com, whose servers begin TLS so.
pub async fn provider(tls: UpstreamTls) -> Sandbox {
    let mailboxes = vec![AccountPattern::parse("*@example.com").unwrap()];
    let tls = PerProtocol::of_each(tls);
    let settings = SandboxSettings { tls, ..SandboxSettings::new(mailboxes) };
    Sandbox::start(settings).await.unwrap()
}

/// Writes the configuration of a relay before `provider`, and the files that it names, into `dir`.
pub fn write_config(dir: &Path, settings: &RigSettings, provider: &Sandbox) -> PathBuf {
    std::fs::write(dir.join("ca.pem"), provider.ca_pem()).unwrap();
    std::fs::write(dir.join("password"), PASSWORD).unwrap();
    for (name, text) in &settings.files {
        std::fs::write(dir.join(name), text).unwrap();
    }
    let file = dir.join("mailbearer.toml");
    std::fs::write(&file, cold(text(settings, provider))).unwrap();
    file
}

/// The file changed, with no warm connections as before.
pub fn changed(text: &str, change: impl FnOnce(String) -> String) -> String {
    cold(change(text.replace(COLD, "")))
}

/// The file with no warm connections, unless it says how many.
pub fn cold(text: String) -> String {
    if text.contains("warm_connections") {
        text
    } else if text.contains("[limits]\n") {
        text.replacen("[limits]\n", "[limits]\nwarm_connections = 0\n", 1)
    } else {
        text + COLD
    }
}

fn text(settings: &RigSettings, provider: &Sandbox) -> String {
    let RigSettings { mechanism, account, allow, .. } = settings;
    let [submission, imap] = [provider.smtp(), provider.imap()]
        .map(|host| server(settings.upstream_host.unwrap_or(&host.host), &host));
    let servers =
        [("{smtp}", provider.smtp()), ("{imap}", provider.imap()), ("{pop3}", provider.pop3())];
    let [more, extra] = [settings.provider, settings.extra].map(|text| {
        servers.iter().fold(text.to_owned(), |text, (name, host)| {
            text.replace(name, &server(&host.host, host))
        })
    });
    format!(
        r#"
        [listeners.submission]
        protocol = "submission"
        address = "127.0.0.1:0"
        allow = {allow}

        [listeners.imap]
        protocol = "imap"
        address = "127.0.0.1:0"
        allow = {allow}

        [providers.sandbox]
        token_endpoint = "{token_endpoint}"
        scopes = ["{DEFAULT_SCOPE}"]
        submission = {submission}
        imap = {imap}
        mechanism = "{mechanism}"
        ca_file = "ca.pem"
        client_id = "{client_id}"
        client_secret = "{client_secret}"
        grant = "client-credentials"
        {more}

        [accounts."{account}"]
        provider = "sandbox"
        local_password = {{ file = "password" }}

        {extra}
        "#,
        token_endpoint = provider.token_endpoint(),
        mechanism = mechanism.name().to_lowercase(),
        client_id = provider.client_id(),
        client_secret = settings.client_secret.unwrap_or(provider.client_secret()),
    )
}

/// A server as the file names it: that of `like`, by the name `host`.
pub fn server(host: &str, like: &MailHost) -> String {
    let tls = match like.tls {
        UpstreamTls::Implicit => "implicit",
        UpstreamTls::StartTls => "starttls",
    };
    format!("{{ host = \"{host}\", port = {}, tls = \"{tls}\" }}", like.port)
}
