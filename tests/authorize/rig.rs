//! A provider, a file before it, the program, and a browser.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use mailbearer::names::{AccountPattern, Username};
use mailbearer::provider::Protocol;
use mailbearer::sandbox::{Sandbox, SandboxSettings};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

pub(crate) use crate::support::kept::BOB;
use crate::support::kept::KEEPING;
use crate::support::serve::{PATIENCE, bound};
use crate::support::{ALICE, Client, PASSWORD, server};

/// Whose file says that consent is by device code.
pub(crate) const DEVICE: &str = "device@example.com";

/// A provider and a file.
pub(crate) struct Rig {
    pub(crate) provider: Sandbox,
    pub(crate) dir: TempDir,
    file: PathBuf,
}

/// `serve` with that file.
pub(crate) struct Serving {
    child: Child,
    pub(crate) submission: SocketAddr,
    pub(crate) imap: SocketAddr,
    log: PathBuf,
}

/// `authorize` with that file.
pub(crate) struct Running {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    /// What everybody on the machine can see of it.
    pub(crate) command_line: String,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) code: Option<i32>,
    /// The lines of standard output that nobody has read before.
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: String,
}

/// What a server answers a browser.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Rig {
    /// A provider that tells who consents and whom devices may ask every second.
    pub(crate) async fn start() -> Self {
        let settings = SandboxSettings {
            tells_user: true,
            device_interval: Duration::from_secs(1),
            ..SandboxSettings::new(vec![AccountPattern::parse("*@example.com").unwrap()])
        };
        let provider = Sandbox::start(settings).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), provider.ca_pem()).unwrap();
        std::fs::write(dir.path().join("password"), PASSWORD).unwrap();
        let file = dir.path().join("mailbearer.toml");
        std::fs::write(&file, text(&provider)).unwrap();
        Self { provider, dir, file }
    }

    /// The program with that file, and nothing in its environment.
    pub(crate) fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailbearer"));
        command.arg("-c").arg(&self.file).env_clear().kill_on_drop(true);
        command
    }

    /// Rewrites the file.
    pub(crate) fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(&self.file).unwrap();
        std::fs::write(&self.file, change(text)).unwrap();
    }

    /// Starts `authorize`.
    pub(crate) fn authorize(&self, args: &[&str]) -> Running {
        Running::start(self.program().arg("authorize").args(args))
    }

    /// Runs another command to its end.
    pub(crate) async fn command(&self, args: &[&str]) -> End {
        Running::start(self.program().args(args)).end().await
    }

    /// What `accounts` says of the token of `account`.
    pub(crate) async fn token_state(&self, account: &str) -> String {
        let end = self.command(&["accounts", "--json"]).await;
        let rows: Value = serde_json::from_str(&end.stdout.join("\n")).unwrap();
        let row = rows.as_array().unwrap().iter().find(|row| row["account"] == account);
        row.unwrap()["token"].as_str().unwrap().to_owned()
    }

    /// Starts `serve`, which logs everything.
    pub(crate) async fn serve(&self) -> Serving {
        let log = self.dir.path().join("log");
        let mut child = self
            .program()
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let [submission, imap] = bound(&mut child).await;
        Serving { child, submission, imap, log }
    }

    /// Consents by browser to the end, as who is named by `--as` or the account.
    pub(crate) async fn consent(&self, args: &[&str]) -> End {
        let mut running = self.authorize(&[args, &["--json"]].concat());
        let url = running.object().await["authorize_url"].as_str().unwrap().to_owned();
        browse(&redirected(&url).await).await;
        running.end().await
    }
}

impl Serving {
    /// A submission client that was greeted.
    pub(crate) async fn client(&self) -> Client {
        let mut client = Client::connect(self.submission).await;
        client.expect("220 ").await;
        client
    }

    /// An IMAP client that was greeted.
    pub(crate) async fn imap_client(&self) -> Client {
        let mut client = Client::connect(self.imap).await;
        client.expect("* OK").await;
        client
    }

    /// Ends it in order; gives everything that it logged.
    pub(crate) async fn ended(mut self) -> String {
        interrupt(&self.child);
        let status = timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        let log = std::fs::read_to_string(&self.log).unwrap();
        assert_eq!(status.code(), Some(0), "{log}");
        log
    }

    /// Ends it as a power cut does.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let command_line = std::fs::read(format!("/proc/{}/cmdline", child.id().unwrap()));
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            stdin: child.stdin.take().unwrap(),
            stdout,
            command_line: String::from_utf8(command_line.unwrap()).unwrap(),
            child,
        }
    }

    /// The next line of standard output.
    pub(crate) async fn line(&mut self) -> String {
        let line = timeout(PATIENCE, self.stdout.next_line()).await.unwrap().unwrap();
        match line {
            Some(line) => line,
            None => panic!("it has ended: {}", self.stderr().await),
        }
    }

    /// The next line of standard output, which is JSON.
    pub(crate) async fn object(&mut self) -> Value {
        serde_json::from_str(&self.line().await).unwrap()
    }

    /// Types a line.
    pub(crate) async fn type_in(&mut self, line: &str) {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        interrupt(&self.child);
    }

    /// Ends it without a word.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits for its end, with standard input closed.
    pub(crate) async fn end(self) -> End {
        let Self { mut child, stdin, stdout: mut lines, .. } = self;
        drop(stdin);
        let mut stdout = Vec::new();
        while let Some(line) = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap() {
            stdout.push(line);
        }
        let output = timeout(PATIENCE, async {
            let mut stderr = String::new();
            child.stderr.take().unwrap().read_to_string(&mut stderr).await.unwrap();
            (child.wait().await.unwrap(), stderr)
        });
        let (status, stderr) = output.await.unwrap();
        End { code: status.code(), stdout, stderr }
    }

    /// Waits for its end, with standard input open as a person's terminal is.
    pub(crate) async fn end_with_open_input(mut self) -> End {
        timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        self.end().await
    }

    async fn stderr(&mut self) -> String {
        let mut stderr = String::new();
        let pipe = self.child.stderr.as_mut().unwrap();
        timeout(PATIENCE, pipe.read_to_string(&mut stderr)).await.unwrap().unwrap();
        stderr
    }
}

impl Page {
    /// The value of a header, whose name is in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

fn interrupt(child: &Child) {
    let id = i32::try_from(child.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), Signal::INT).unwrap();
}

/// `scheme://authority` apart from what is behind it.
fn taken_apart(url: &str) -> (&str, String) {
    let behind = url.strip_prefix("http://").unwrap();
    let end = behind.find(['/', '?']).unwrap_or(behind.len());
    let (authority, target) = behind.split_at(end);
    // As a browser does.
    let slash = if target.starts_with('/') { "" } else { "/" };
    (authority, format!("{slash}{target}"))
}

/// Opens `url` as a browser does.
pub(crate) async fn browse(url: &str) -> Page {
    let (authority, target) = taken_apart(url);
    request(authority, "GET", &target, authority).await.unwrap()
}

/// Sends a request to `address`, for `host`; `None` where nobody listens.
pub(crate) async fn request(address: &str, method: &str, target: &str, host: &str) -> Option<Page> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request =
        format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head[9..12].parse().unwrap();
    Some(Page { status, head: head.to_owned(), body: body.to_owned() })
}

/// Where the provider sends the browser that opens `url`: the person has consented.
pub(crate) async fn redirected(url: &str) -> String {
    let page = browse(url).await;
    assert_eq!(page.status, 302, "{page:?}");
    page.header("location").unwrap().to_owned()
}

/// A parameter of a URL's query, as it is written.
pub(crate) fn parameter<'u>(url: &'u str, name: &str) -> &'u str {
    let (_, query) = url.split_once('?').unwrap();
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("{url} has no {name}"))
}

pub(crate) fn name(name: &str) -> Username {
    Username::parse(name).unwrap()
}

fn text(provider: &Sandbox) -> String {
    let [submission, imap] =
        [provider.smtp(), provider.imap()].map(|host| server(&host.host, &host));
    let [submission_scope, imap_scope] = [Protocol::Submission, Protocol::Imap].map(Sandbox::scope);
    format!(
        r#"
        [log]
        level = "trace"

        {KEEPING}

        [providers.sandbox]
        authorization_endpoint = "{authorization_endpoint}"
        token_endpoint = "{token_endpoint}"
        device_authorization_endpoint = "{device_authorization_endpoint}"
        scopes = {{ submission = ["openid", "{submission_scope}"], imap = ["openid", "{imap_scope}"] }}
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

        [accounts."{DEVICE}"]
        provider = "sandbox"
        grant = "device-code"
        local_password = {{ file = "password" }}
        "#,
        authorization_endpoint = provider.authorization_endpoint(),
        token_endpoint = provider.token_endpoint(),
        device_authorization_endpoint = provider.device_authorization_endpoint(),
        client_id = provider.client_id(),
    )
}

/// Everything in `directory` and below, as one text.
pub(crate) fn contents(directory: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &contents(&path);
        } else if let Ok(bytes) = std::fs::read(&path) {
            text += &String::from_utf8_lossy(&bytes);
        }
    }
    text
}
