//! `mailbearer serve` as a supervisor and a reader of its log see it: exit codes, signals, lines.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use mailbearer::sandbox::Sandbox;
use rustix::process::{Pid, Signal, kill_process};
use support::{ALICE, AUTH_PLAIN, Client, PASSWORD, RigSettings, WRONG_PLAIN};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long the program may take to end: far longer than it does.
const PATIENCE: Duration = Duration::from_secs(40);

/// The program, serving before a provider.
struct Served {
    child: Child,
    submission: SocketAddr,
    provider: Sandbox,
    _dir: TempDir,
}

impl Served {
    async fn start(extra: &'static str) -> Self {
        let settings = RigSettings { extra, ..RigSettings::default() };
        let provider = support::provider(&settings).await;
        let dir = tempfile::tempdir().unwrap();
        let mut child = serve(&support::write_config(dir.path(), &settings, &provider));
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let mut bound = async |listener: &str| -> SocketAddr {
            let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
            let address = line.strip_prefix("listening on ").unwrap().strip_suffix(listener);
            address.expect(&line).parse().unwrap()
        };
        let submission = bound(" (submission)").await;
        bound(" (imap)").await;
        Self { child, submission, provider, _dir: dir }
    }

    async fn client(&self) -> Client {
        let mut client = Client::connect(self.submission).await;
        client.expect("220 ").await;
        client
    }

    fn terminate(&self) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
    }

    /// Waits for its end; gives what it logged.
    async fn ended(self) -> String {
        let output = output(self.child).await;
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{log}");
        log
    }
}

fn serve(file: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_mailbearer"))
        .arg("-c")
        .arg(file)
        .arg("serve")
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn output(child: Child) -> Output {
    timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_port_that_is_taken_ends_in_exit_code_1_and_a_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let settings = RigSettings::default();
    let provider = support::provider(&settings).await;
    let dir = tempfile::tempdir().unwrap();
    let file = support::write_config(dir.path(), &settings, &provider);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("127.0.0.1:0", &taken.to_string(), 1)).unwrap();
    let output = output(serve(&file)).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
    let told = String::from_utf8(output.stderr).unwrap();
    let expected = format!("listeners.submission.address: {taken} cannot be listened on (");
    assert!(told.contains(&expected), "{told}");
    assert!(told.contains("another program has this port"), "{told}");
}

#[tokio::test]
async fn each_session_leaves_one_closing_line_and_no_secret() {
    let served = Served::start("").await;
    let mut signed_in = served.client().await;
    signed_in.ask(AUTH_PLAIN, "235 ").await;
    signed_in.ask("NOOP", "250").await;
    signed_in.ask("QUIT", "221").await;
    signed_in.expect_end().await;
    let mut refused = served.client().await;
    refused.ask(WRONG_PLAIN, "535 5.7.8 ").await;
    refused.ask("QUIT", "221").await;
    refused.expect_end().await;
    served.terminate();
    let secret = served.provider.client_secret().to_owned();
    let log = served.ended().await;

    let closed: Vec<&str> = log.lines().filter(|line| line.contains(" closed ")).collect();
    assert_eq!(closed.len(), 2, "{log}");
    for (line, parts) in closed.iter().zip([
        // What was streamed: NOOP and QUIT up; 235, 250 and 221 down.
        &[
            "reason=\"closed\" side=upstream up_bytes=12 ",
            "id=0001 ",
            "account=\"alice@example.com\"",
        ][..],
        &["reason=\"quit\" side=downstream up_bytes=0 down_bytes=0 ", "id=0002 "],
    ]) {
        for part in parts.iter().chain(&["lasted_s=", "protocol=", "listener=", "peer=127.0.0.1:"])
        {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }
    for part in [" WARN  refused ", "wrong-password", " INFO  signed in ", ALICE] {
        assert!(log.contains(part), "{part} is not in {log}");
    }
    for secret in [PASSWORD, &secret, "eyJ", &AUTH_PLAIN["AUTH PLAIN ".len()..]] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}

#[tokio::test]
async fn a_second_sigterm_ends_the_sessions_that_the_first_one_left() {
    let served = Served::start("[shutdown]\ngrace = \"10m\"\n").await;
    let mut signed_in = served.client().await;
    signed_in.ask(AUTH_PLAIN, "235 ").await;
    let mut stranger = served.client().await;
    served.terminate();
    stranger.expect("421 4.3.2 ").await;
    stranger.expect_end().await;
    signed_in.ask("NOOP", "250").await;
    served.terminate();
    signed_in.expect_end().await;
    let log = served.ended().await;
    assert!(log.contains("reason=\"draining\""), "{log}");
}
