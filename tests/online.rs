//! `check --online` and `send-test`: what whoever runs mailbearer is told of each step.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::PathBuf;
use std::process::Stdio;

use mailbearer::names::Username;
use mailbearer::provider::{Protocol, UpstreamTls};
use mailbearer::sandbox::{Action, Fault, Sandbox, Step, Times};
use support::serve::{PATIENCE, Served};
use support::{ALICE, RigSettings, provider, write_config};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

const BOB: &str = "bob@example.com";

/// A provider and a file before it; no relay runs.
struct Alone {
    provider: Sandbox,
    file: PathBuf,
    dir: TempDir,
}

/// What a command told: its exit code, standard output and standard error.
type Told = (Option<i32>, String, String);

impl Alone {
    async fn start(settings: RigSettings) -> Self {
        let provider = provider(settings.tls).await;
        let dir = tempfile::tempdir().unwrap();
        let file = write_config(dir.path(), &settings, &provider);
        Self { provider, file, dir }
    }

    async fn usual() -> Self {
        Self::start(RigSettings::default()).await
    }

    /// The same with another file.
    async fn with(change: impl FnOnce(&Sandbox, String) -> String) -> Self {
        let alone = Self::usual().await;
        let text = std::fs::read_to_string(&alone.file).unwrap();
        std::fs::write(&alone.file, change(&alone.provider, text)).unwrap();
        alone
    }

    async fn run(&self, args: &[&str]) -> Told {
        let running = Command::new(env!("CARGO_BIN_EXE_mailbearer"))
            .arg("-c")
            .arg(&self.file)
            .args(args)
            .env_clear()
            .env("HOME", self.dir.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        told(timeout(PATIENCE, running).await.unwrap().unwrap())
    }

    /// The lines of a walk by submission, and the exit code.
    async fn walk(&self) -> (Option<i32>, Vec<String>) {
        let (code, stdout, stderr) = self.run(&["check", "--online", ALICE]).await;
        assert_eq!(stderr, "");
        let from = stdout.find(" by submission").unwrap();
        let lines = stdout[from..].lines().skip(1).take_while(|line| !line.is_empty());
        (code, lines.map(str::to_owned).collect())
    }

    async fn send(&self) -> Told {
        self.run(&["send-test", ALICE, "--to", BOB]).await
    }
}

fn told(output: std::process::Output) -> Told {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The first words of each line: which step, and what came of it; fixes stand deeper and are left
/// out.
fn results(lines: &[String]) -> Vec<String> {
    let steps = lines.iter().filter(|line| !line.starts_with("    "));
    let words = steps.map(|line| {
        let mut columns = line.trim().split("  ").filter(|column| !column.is_empty());
        let name = columns.next().unwrap();
        format!("{name}: {}", columns.next().unwrap_or_default().trim())
    });
    words.collect()
}

#[tokio::test]
async fn relay_that_runs_goes_every_step_and_tells_each() {
    let served = Served::start("").await;
    for source in ["new", "from memory"] {
        let (code, stdout, stderr) = told(served.command(&["check", "--online"]).await);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
        let (file, walks) = stdout.split_once("\n\n").unwrap();
        assert!(file.ends_with("no problems (2 listeners, 1 account)"), "{file}");
        let (submission, imap) = walks.split_once("\n\n").unwrap();
        let smtp = served.provider.smtp();
        assert!(submission.starts_with(&format!("{ALICE} by submission at {smtp}\n")), "{stdout}");
        assert!(imap.starts_with(&format!("{ALICE} by imap at ")), "{stdout}");
        for part in [
            "  DNS      ok  127.0.0.1\n".to_owned(),
            format!("  TCP      ok  connected to 127.0.0.1:{}\n", smtp.port),
            "  TLS      ok  TLS 1.3 by STARTTLS, TLS13_".to_owned(),
            format!("  token    ok  {source}, good for 59m "),
            format!("  XOAUTH2  ok  signed in as {ALICE}"),
        ] {
            assert!(submission.contains(&part), "{part:?} is not in {stdout}");
        }
    }
    assert_eq!(served.provider.token_requests(), 1);
}

#[tokio::test]
async fn step_that_fails_is_told_with_cause_and_fix_and_those_behind_it_are_not_tried() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let tcp = Alone::with(|provider, text| {
        let port = format!("port = {}", provider.smtp().port);
        text.replace(&port, &format!("port = {closed}"))
    });
    let (code, lines) = tcp.await.walk().await;
    assert_eq!(code, Some(75), "{lines:?}");
    assert_eq!(
        results(&lines),
        ["DNS: ok", "TCP: not now", "TLS: not tried", "token: ok", "XOAUTH2: not tried"]
    );
    assert!(lines[1].contains("accepts no connection (Connection refused"), "{lines:?}");

    let tls = Alone::usual().await;
    let other = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap();
    std::fs::write(tls.dir.path().join("ca.pem"), other.cert.pem()).unwrap();
    let (code, lines) = tls.walk().await;
    assert_eq!(code, Some(1), "{lines:?}");
    assert_eq!(
        results(&lines),
        ["DNS: ok", "TCP: ok", "TLS: failed", "token: ok", "XOAUTH2: not tried"]
    );
    assert!(lines[3].contains("as the provider's `ca_file`"), "{lines:?}");

    let no_start_tls = Alone::usual().await;
    let reply = Action::Reply("250 localhost\r\n".into());
    let script = no_start_tls.provider.script();
    script.on(Protocol::Submission, Step::Command("EHLO"), Times::Always, reply);
    let (code, lines) = no_start_tls.walk().await;
    assert_eq!(code, Some(1), "{lines:?}");
    assert_eq!(results(&lines)[2..], ["TLS: failed", "token: ok", "XOAUTH2: not tried"]);
    assert!(lines[2].contains("it offers no STARTTLS"), "{lines:?}");
}

#[tokio::test]
async fn name_that_does_not_resolve_fails_the_first_step_alone() {
    let host = Some("mail.nowhere.invalid");
    let alone = Alone::start(RigSettings { upstream_host: host, ..RigSettings::default() }).await;
    let (code, lines) = alone.walk().await;
    // Whether that is for good is for the resolver of this machine to say.
    assert!(matches!(code, Some(1 | 75)), "{lines:?}");
    assert!(lines[0].contains("mail.nowhere.invalid:"), "{lines:?}");
    assert!(lines[0].contains("this machine's DNS") || lines[0].contains("check DNS"), "{lines:?}");
    assert_eq!(
        results(&lines)[1..],
        ["TCP: not tried", "TLS: not tried", "token: ok", "XOAUTH2: not tried"]
    );
}

#[tokio::test]
async fn token_that_cannot_be_had_leaves_the_steps_to_tls_tried() {
    let alone = Alone::usual().await;
    let busy = Fault::Status(503, "text/plain".into(), "busy".into());
    alone.provider.token_fault(busy, Times::Always);
    let (code, lines) = alone.walk().await;
    assert_eq!(code, Some(75), "{lines:?}");
    assert_eq!(
        results(&lines),
        ["DNS: ok", "TCP: ok", "TLS: ok", "token: not now", "XOAUTH2: not tried"]
    );
    let (code, stdout, stderr) = alone.send().await;
    assert_eq!((code, stdout.as_str()), (Some(75), ""), "{stderr}");
    assert!(stderr.contains("gives no token now"), "{stderr}");
}

#[tokio::test]
async fn token_that_is_refused_is_told_with_the_reply_and_the_fix() {
    let alone = Alone::usual().await;
    let script = alone.provider.script();
    script.on(Protocol::Submission, Step::Token, Times::Always, Action::RefuseToken);
    let (code, lines) = alone.walk().await;
    assert_eq!(code, Some(1), "{lines:?}");
    assert_eq!(results(&lines)[3..], ["token: ok", "XOAUTH2: failed"]);
    assert!(
        lines[4].contains("refuses the sign-in as") && lines[4].contains("535 5.7."),
        "{lines:?}"
    );
    assert!(lines[5].contains("check"), "{lines:?}");
}

#[tokio::test]
async fn token_that_a_newer_one_mends_is_an_accepted_sign_in() {
    let alone = Alone::usual().await;
    let script = alone.provider.script();
    script.on(Protocol::Submission, Step::Token, Times::Next(1), Action::RefuseToken);
    let (code, lines) = alone.walk().await;
    assert_eq!(code, Some(0), "{lines:?}");
    assert!(lines[4].contains("by a newer token"), "{lines:?}");
}

#[tokio::test]
async fn wildcard_needs_a_name_that_it_covers() {
    let settings = RigSettings { account: "*@example.com", ..RigSettings::default() };
    let alone = Alone::start(settings).await;
    let (code, stdout, _) = alone.run(&["check", "--online"]).await;
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stdout.contains("*@example.com: not tried") && stdout.contains("--online NAME@"));
    let (code, stdout, _) = alone.run(&["check", "--online", BOB]).await;
    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.contains(&format!("signed in as {BOB}")), "{stdout}");
}

#[tokio::test]
async fn test_message_is_sent_with_every_reply_by_the_relay_and_without_one() {
    let served = Served::start("").await;
    let through_relay = told(served.command(&["send-test", ALICE, "--to", BOB]).await);
    let alone = Alone::usual().await;
    let itself = alone.send().await;
    for ((code, stdout, stderr), provider) in
        [(through_relay, &served.provider), (itself, &alone.provider)]
    {
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
        let lines: Vec<&str> = stdout.lines().collect();
        let [signed_in, mail, rcpt, data, message, quit, taken] = lines[..] else {
            panic!("{stdout}")
        };
        assert_eq!(signed_in, format!("signed in at {} as {ALICE}", provider.smtp()));
        assert_eq!(mail, format!("MAIL FROM:<{ALICE}> -> 250 2.1.0 Sender OK"));
        assert_eq!(rcpt, format!("RCPT TO:<{BOB}> -> 250 2.1.5 Recipient OK"));
        assert!(data.starts_with("DATA -> 354 "), "{data}");
        let reply = message.strip_prefix("the message -> ").unwrap();
        assert!(reply.starts_with("250 2.0.0 OK <"), "{reply}");
        assert!(quit.starts_with("QUIT -> 221 "), "{quit}");
        assert_eq!(taken, format!("the provider has taken the message: {reply}"));
        let kept = provider.messages(&Username::parse(BOB).unwrap());
        let [message] = &kept[..] else { panic!("{kept:?}") };
        let message = String::from_utf8_lossy(message);
        assert!(message.contains(&format!("From: <{ALICE}>\r\nTo: <{BOB}>\r\n")), "{message}");
        assert!(message.ends_with(&format!("mailbearer {}\r\n", env!("CARGO_PKG_VERSION"))));
    }
}

#[tokio::test]
async fn message_that_is_refused_is_told_with_the_reply_and_what_may_pass() {
    for (step, reply, code) in [
        (Step::Command("MAIL"), "451 4.7.1 slow down", 75),
        (Step::Command("RCPT"), "550 5.1.1 User unknown", 1),
        (Step::Message, "554 5.2.252 SendAsDenied; alice not allowed to send as alice", 1),
        (Step::Message, "421 4.3.2 closing", 75),
    ] {
        let alone = Alone::usual().await;
        let action = Action::ReplyThenClose(format!("{reply}\r\n").into());
        alone.provider.script().on(Protocol::Submission, step, Times::Always, action);
        let (exit, stdout, stderr) = alone.send().await;
        assert_eq!(exit, Some(code), "{stdout}{stderr}");
        assert!(stdout.ends_with(&format!("-> {reply}\n")), "{stdout}");
        assert!(stderr.contains(&format!("does not take the message: {reply}")), "{stderr}");
        assert!(stderr.lines().count() == 2, "a cause and a fix: {stderr}");
    }
}

#[tokio::test]
async fn connection_that_breaks_off_tells_whether_the_message_may_be_there() {
    for (step, part) in [
        (Step::Command("RCPT"), "did not take the message"),
        (Step::Message, "so it may have taken it"),
    ] {
        let alone = Alone::usual().await;
        alone.provider.script().on(Protocol::Submission, step, Times::Always, Action::Close);
        let (exit, _, stderr) = alone.send().await;
        assert_eq!(exit, Some(75), "{stderr}");
        assert!(stderr.contains(part), "{stderr}");
    }
}

#[tokio::test]
async fn address_or_account_that_cannot_be_is_wrong_usage_and_nobody_is_asked() {
    let alone = Alone::usual().await;
    for to in ["bob", "a@b@c", "a@b\r\nDATA", "--to@b", "-x@b.example", "\u{fc}@b", "a b@c", ""] {
        let (code, stdout, stderr) = alone.run(&["send-test", ALICE, "--to", to]).await;
        assert_eq!((code, stdout.as_str()), (Some(64), ""), "{to:?}: {stderr}");
    }
    for args in [
        &["send-test", "alicia@example.com", "--to", BOB][..],
        &["check", "--online", "alicia@example.com"],
    ] {
        let (code, _, stderr) = alone.run(args).await;
        assert_eq!(code, Some(64), "{stderr}");
        assert!(stderr.starts_with("no such account: alicia@example.com; the nearest is"));
    }
    assert_eq!(alone.provider.token_requests(), 0);
    assert_eq!(alone.provider.smtp_connections(), 0);
}

#[tokio::test]
async fn servers_that_begin_with_tls_are_told_so() {
    let settings = RigSettings { tls: UpstreamTls::Implicit, ..RigSettings::default() };
    let (code, lines) = Alone::start(settings).await.walk().await;
    assert_eq!(code, Some(0), "{lines:?}");
    assert!(lines[2].contains("TLS 1.3 from the first byte"), "{lines:?}");
}
