//! What `serve` writes: lines that can be read by programs, and no secret, whatever clients send.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use mailbearer::provider::UpstreamTls;
use mailbearer::sandbox::{Fault, Sandbox, Times};
use serde_json::Value;
use support::{
    ALICE, AUTH_PLAIN, Client, PASSWORD, RigSettings, WRONG_PLAIN, provider, write_config,
};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// AUTH PLAIN as `eve", "account": "bob` with the password `wrong`.
const FORGED_PLAIN: &str = "AUTH PLAIN AGV2ZSIsICJhY2NvdW50IjogImJvYgB3cm9uZw==";

/// An account that makes a warning, because nobody can sign in to it.
const BOB: &str = r#"
[accounts."bob@example.com"]
provider = "sandbox"
client_id = "other"
client_secret = { env = "OTHER_SECRET" }
grant = "client-credentials"
"#;

/// `mailbearer serve` as a process of its own, before the provider of a rig.
struct Serve {
    child: Child,
    submission: SocketAddr,
    imap: SocketAddr,
    command_line: String,
}

impl Serve {
    async fn start(dir: &Path, provider: &Sandbox, format: &str) -> Self {
        let settings = RigSettings { extra: BOB, ..RigSettings::default() };
        let file = write_config(dir, &settings, provider);
        let log = format!("[log]\nlevel = \"trace\"\nformat = \"{format}\"\n");
        File::options().append(true).open(&file).unwrap().write_all(log.as_bytes()).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_mailbearer"))
            .arg("-c")
            .arg(file)
            .arg("serve")
            .env_clear()
            .env("OTHER_SECRET", "other-secret")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = async || {
            let line = lines.next_line().await.unwrap().unwrap();
            line.split(' ').nth(2).unwrap().parse().unwrap()
        };
        let (submission, imap) = (address().await, address().await);
        let command_line = std::fs::read(format!("/proc/{}/cmdline", child.id().unwrap()));
        let command_line = String::from_utf8(command_line.unwrap()).unwrap();
        Self { child, submission, imap, command_line }
    }

    /// Ends it and gives what it wrote.
    async fn stop(mut self) -> String {
        let pid = rustix::process::Pid::from_raw(self.child.id().unwrap().try_into().unwrap());
        rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::TERM).unwrap();
        let mut written = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut written).await.unwrap();
        assert!(self.child.wait().await.unwrap().success(), "{written}");
        written
    }
}

/// A client that signs in at the fourth attempt.
async fn submit(serve: &Serve, provider: &Sandbox) {
    let mut client = Client::connect(serve.submission).await;
    client.expect("220 ").await;
    provider.token_fault(Fault::Html, Times::Next(1));
    client.ask(AUTH_PLAIN, "454 ").await;
    client.ask(WRONG_PLAIN, "535 ").await;
    client.ask(FORGED_PLAIN, "535 ").await;
    client.ask(AUTH_PLAIN, "235 ").await;
    client.ask("QUIT", "221 ").await;
    client.expect_end().await;
}

/// A client that signs in at the second attempt.
async fn read(serve: &Serve) {
    let mut client = Client::connect(serve.imap).await;
    client.expect("* OK").await;
    client.ask(&format!("a LOGIN \"{ALICE}\u{202e}\" {PASSWORD}"), "a NO").await;
    client.send(&format!("b LOGIN {ALICE} {PASSWORD}")).await;
    client.expect_after("b OK").await;
    client.send("c LOGOUT").await;
    client.expect_after("c OK").await;
    client.expect_end().await;
}

/// Clients that do all kinds of things, and what was logged of them.
async fn logged(format: &str) -> String {
    let provider = provider(UpstreamTls::StartTls).await;
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(dir.path(), &provider, format).await;
    let command_line = serve.command_line.clone();

    submit(&serve, &provider).await;
    read(&serve).await;
    let written = serve.stop().await;
    let everything = command_line + &written;
    let base64 = AUTH_PLAIN.rsplit_once(' ').unwrap().1;
    for secret in [PASSWORD, base64, provider.client_secret(), "other-secret", "eyJ", "wrong\""] {
        assert!(!everything.contains(secret), "{secret} is in {everything}");
    }
    written
}

#[tokio::test]
async fn each_line_of_json_is_an_object_with_the_sessions_fields() {
    let written = logged("json").await;
    let lines: Vec<Value> =
        written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |message: &str| -> Vec<&Value> {
        lines.iter().filter(|line| line["message"] == message).collect()
    };
    let warnings = said("configuration");
    assert_eq!(warnings.len(), 1, "{written}");
    assert_eq!(warnings[0]["key"], "accounts.\"bob@example.com\"");
    assert_eq!(warnings[0]["level"], "WARN");

    let refused: Vec<_> = said("refused")
        .into_iter()
        .map(|line| (&line["account"], &line["refusal"], &line["span"]["id"]))
        .collect();
    let wrong = &Value::from("wrong-password");
    let [one, two] = [&Value::from("0001"), &Value::from("0002")];
    assert_eq!(
        refused,
        [
            (&ALICE.into(), &"token-endpoint-unavailable".into(), one),
            (&ALICE.into(), wrong, one),
            (&"eve\", \"account\": \"bob".into(), wrong, one),
            (&format!("{ALICE}\u{202e}").into(), wrong, two),
        ]
    );
    for message in ["signed in", "closed"] {
        let [first, second] = said(message).try_into().unwrap();
        for (line, id) in [(first, one), (second, two)] {
            assert_eq!((&line["span"]["account"], &line["span"]["id"]), (&ALICE.into(), id));
        }
    }
    assert!(said("signed in").iter().all(|line| line["upstream_ms"].is_u64()), "{written}");
}

#[tokio::test]
async fn each_line_of_text_is_a_message_and_fields_that_nobody_can_forge() {
    let written = logged("text").await;
    for line in written.lines() {
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.ends_with('Z') && time.len() == 27, "{line}");
        assert!(["WARN  ", "INFO  "].iter().any(|level| rest.starts_with(level)), "{line}");
        assert!(line.matches(" account=\"").count() <= 1, "{line}");
        assert!(!line.contains(['\u{1b}', '\u{202e}']), "{line}");
    }
    let refused = "WARN  refused account=\"eve\\\", \\\"account\\\": \\\"bob\" \
                   refusal=\"wrong-password\" id=0001 protocol=\"submission\" \
                   listener=\"submission\" peer=127.0.0.1:";
    assert!(written.contains(refused), "{written}");
    let outage = "WARN  refused account=\"alice@example.com\" \
                  refusal=\"token-endpoint-unavailable\" cause=\"127.0.0.1 gives no token now: ";
    assert!(written.contains(outage), "{written}");
}
