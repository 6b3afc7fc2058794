//! Two people who have consented, and the program before their provider: served, killed, and served
//! again with the same state directory.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use mailbearer::names::{AccountPattern, Username};
use mailbearer::provider::{PerProtocol, Protocol, UpstreamTls};
use mailbearer::sandbox::{Rotation, Sandbox, SandboxSettings};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::serve::{PATIENCE, bound};
use super::{ALICE, Client, PASSWORD, server};

/// Whoever has nothing to do with what befalls [`ALICE`].
pub const BOB: &str = "bob@example.com";

/// The part of a file that has a relay keep what it is given, and listen for two protocols.
pub const KEEPING: &str = r#"
        [store]
        path = "state/mailbearer.redb"

        [listeners.submission]
        protocol = "submission"
        address = "127.0.0.1:0"

        [listeners.imap]
        protocol = "imap"
        address = "127.0.0.1:0"
"#;

/// A provider, a file, and a state directory with the consents of [`ALICE`] and [`BOB`].
pub struct Kept {
    pub provider: Sandbox,
    file: PathBuf,
    _dir: TempDir,
}

/// `serve` with that file.
pub struct Serving {
    child: Child,
    pub submission: SocketAddr,
    pub imap: SocketAddr,
}

impl Kept {
    /// Both consent to a provider whose refresh tokens rotate so.
    pub async fn start(rotation: Rotation) -> Self {
        let kept = Self::before_consent(rotation).await;
        for user in [ALICE, BOB] {
            kept.authorize(user, user).await;
        }
        kept
    }

    /// The same before anybody has consented; the provider tells who does.
    pub async fn before_consent(rotation: Rotation) -> Self {
        let settings = SandboxSettings {
            rotation,
            tells_user: true,
            tls: PerProtocol::of_each(UpstreamTls::StartTls),
            ..SandboxSettings::new(vec![AccountPattern::parse("*@example.com").unwrap()])
        };
        let provider = Sandbox::start(settings).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), provider.ca_pem()).unwrap();
        std::fs::write(dir.path().join("password"), PASSWORD).unwrap();
        let file = dir.path().join("mailbearer.toml");
        std::fs::write(&file, text(&provider)).unwrap();
        Self { provider, file, _dir: dir }
    }

    /// `user` consents, and brings the refresh token for `account`.
    pub async fn authorize(&self, account: &str, user: &str) {
        let token = self.provider.issue_refresh_token(&Username::parse(user).unwrap());
        let mut child = self
            .program()
            .args(["authorize", account, "--refresh-token-stdin", "--as", user])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(format!("{token}\n").as_bytes()).await.unwrap();
        drop(stdin);
        let output = timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{told}");
    }

    /// Starts `serve`.
    pub async fn serve(&self) -> Serving {
        let mut child = self.program().arg("serve").stdin(Stdio::null()).spawn().unwrap();
        let [submission, imap] = bound(&mut child).await;
        Serving { child, submission, imap }
    }

    fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailbearer"));
        command
            .arg("-c")
            .arg(&self.file)
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

impl Serving {
    /// What a client hears that signs in by submission with this line.
    pub async fn sign_in(&self, auth: &str) -> String {
        let mut client = Client::connect(self.submission).await;
        client.expect("220 ").await;
        client.ask(auth, "").await
    }

    /// What a client hears that signs in by IMAP as `user`.
    pub async fn log_in(&self, user: &str) -> String {
        let mut client = Client::connect(self.imap).await;
        client.expect("* OK").await;
        client.send(&format!("a LOGIN {user} {PASSWORD}")).await;
        client.expect_after("a ").await.pop().unwrap()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
    }

    /// Waits for its end, which must be a good one.
    pub async fn ended(self) {
        let output = timeout(PATIENCE, self.child.wait_with_output()).await.unwrap().unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{log}");
    }

    /// Ends it as a power cut does.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

fn text(provider: &Sandbox) -> String {
    let [submission, imap] =
        [provider.smtp(), provider.imap()].map(|host| server(&host.host, &host));
    let [submission_scope, imap_scope] = [Protocol::Submission, Protocol::Imap].map(Sandbox::scope);
    let token_endpoint = provider.token_endpoint();
    let revocation_endpoint = provider.revocation_endpoint();
    let client_id = provider.client_id();
    // A scope set for each protocol, so that one consent has two access tokens.
    format!(
        r#"
        {KEEPING}

        [providers.sandbox]
        token_endpoint = "{token_endpoint}"
        revocation_endpoint = "{revocation_endpoint}"
        scopes = {{ submission = ["{submission_scope}"], imap = ["{imap_scope}"] }}
        submission = {submission}
        imap = {imap}
        ca_file = "ca.pem"
        client_id = "{client_id}"
        grant = "authorization-code"

        [accounts."{ALICE}"]
        provider = "sandbox"
        local_password = {{ file = "password" }}

        [accounts."{BOB}"]
        provider = "sandbox"
        local_password = {{ file = "password" }}
        "#
    )
}
