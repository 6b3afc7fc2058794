//! What a POP3 client behind mailbearer can rely on.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::net::SocketAddr;

use bytes::Bytes;
use mailbearer::app::{App, Backing};
use mailbearer::config::{Config, Secrets};
use mailbearer::names::Username;
use mailbearer::provider::{Mechanism, Protocol, UpstreamTls};
use mailbearer::sandbox::{Action, Fault, Sandbox, Step, Times};
use support::{ALICE, AUTH_PLAIN, Client, PASSWORD, RigSettings, WRONG_PLAIN};
use tempfile::TempDir;

/// A relay with one listener for POP3 before a provider that runs.
struct Rig {
    provider: Sandbox,
    address: SocketAddr,
    _dir: TempDir,
}

impl Rig {
    async fn start() -> Self {
        Self::with(UpstreamTls::Implicit, Mechanism::Xoauth2).await
    }

    async fn with(tls: UpstreamTls, mechanism: Mechanism) -> Self {
        let provider = support::provider(tls).await;
        let dir = tempfile::tempdir().unwrap();
        let settings = RigSettings { tls, mechanism, ..RigSettings::default() };
        let file = support::write_config(dir.path(), &settings, &provider);
        // The file of every rig, with POP3 in the place of IMAP.
        let [imap, pop3] =
            [provider.imap(), provider.pop3()].map(|it| format!("port = {}", it.port));
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace(&imap, &pop3).replace("imap", "pop3")).unwrap();
        let config = Config::load(&file, Secrets::Verify).unwrap();
        let app = App::bind(config, Backing::in_memory()).unwrap();
        let bound = app.bound().find(|it| it.protocol == Protocol::Pop3).unwrap();
        let address = bound.address.tcp().unwrap();
        tokio::spawn(app.run());
        Self { provider, address, _dir: dir }
    }

    async fn greeted(&self) -> Client {
        let mut client = Client::connect(self.address).await;
        client.expect("+OK mailbearer ready").await;
        client
    }

    async fn signed_in(&self) -> Client {
        let mut client = self.greeted().await;
        client.ask(AUTH_PLAIN, "+OK User successfully authenticated.").await;
        client
    }

    fn deliver(&self, message: &[u8]) {
        self.provider.deliver(&alice(), Bytes::copy_from_slice(message)).unwrap();
    }

    fn on(&self, step: Step<'static>, times: Times, action: Action) {
        self.provider.script().on(Protocol::Pop3, step, times, action);
    }
}

fn alice() -> Username {
    Username::parse(ALICE).unwrap()
}

#[tokio::test]
async fn a_message_is_retrieved_byte_for_byte_for_every_way_to_the_provider() {
    let message = b"Subject: t\r\n\r\n\xc3\xa9 \x00 and a lone \n end\r\nno dot.\r\n".to_vec();
    for tls in [UpstreamTls::StartTls, UpstreamTls::Implicit] {
        for mechanism in [Mechanism::Xoauth2, Mechanism::OauthBearer] {
            let rig = Rig::with(tls, mechanism).await;
            rig.deliver(&message);
            let mut client = rig.greeted().await;
            client.ask(&format!("USER {ALICE}"), "+OK").await;
            client.ask(&format!("PASS {PASSWORD}"), "+OK User successfully authenticated.").await;
            client.ask("STAT", &format!("+OK 1 {}", message.len())).await;
            client.ask("RETR 1", "+OK").await;
            assert_eq!(client.bytes(message.len()).await, message);
            client.expect(".").await;
            client.ask("DELE 1", "+OK").await;
            client.ask("QUIT", "+OK Signing off.").await;
            client.expect_end().await;
            assert!(rig.provider.messages(&alice()).is_empty(), "it goes at QUIT");
        }
    }
}

#[tokio::test]
async fn a_client_signs_in_every_way() {
    // In base64: alice@example.com, local-password.
    let (name, password) = ("YWxpY2VAZXhhbXBsZS5jb20=", "bG9jYWwtcGFzc3dvcmQ=");
    let (user, pass) = (format!("user {ALICE}"), format!("pass {PASSWORD}"));
    let plain = AUTH_PLAIN.strip_prefix("AUTH PLAIN ").unwrap();
    let ways: [&[&str]; 5] = [
        &[&user, &pass],
        &[AUTH_PLAIN],
        &["AUTH PLAIN", plain],
        &["AUTH LOGIN", name, password],
        &[&format!("AUTH LOGIN {name}"), password],
    ];
    let rig = Rig::start().await;
    for way in ways {
        let mut client = rig.greeted().await;
        let (last, first) = way.split_last().unwrap();
        for line in first {
            client.ask(line, "+").await;
        }
        client.ask(last, "+OK User successfully authenticated.").await;
        client.ask("STAT", "+OK 0 0").await;
    }
    let mut unix = rig.greeted().await;
    unix.send_bytes(format!("{user}\n{pass}\nQUIT\r\n").as_bytes()).await;
    unix.expect("+OK send PASS").await;
    unix.expect("+OK User successfully authenticated.").await;
    unix.expect("+OK Signing off.").await;
}

#[tokio::test]
async fn the_provider_sees_the_token_on_a_line_of_its_own_and_no_password() {
    let rig = Rig::start().await;
    rig.signed_in().await.ask("CAPA", "+OK").await;
    let transcript = rig.provider.transcripts().last().unwrap().to_string();
    let said: Vec<&str> = transcript.lines().filter(|line| line.starts_with("C: ")).collect();
    assert_eq!(said[0], "C: AUTH XOAUTH2");
    assert!(said[1].starts_with("C: <token, "), "{transcript}");
    assert_eq!(said[2..], ["C: CAPA"]);
}

#[tokio::test]
async fn after_the_sign_in_the_provider_tells_what_it_can() {
    let rig = Rig::start().await;
    let mut client = rig.greeted().await;
    client.send("CAPA").await;
    let before = client.expect_after(".").await;
    assert!(before.contains(&"SASL PLAIN LOGIN".to_owned()), "{before:?}");
    client.ask(AUTH_PLAIN, "+OK").await;
    client.send("CAPA").await;
    let after = client.expect_after(".").await;
    assert!(after.contains(&"SASL XOAUTH2 OAUTHBEARER".to_owned()), "{after:?}");
}

#[tokio::test]
async fn commands_pipelined_across_the_sign_in_reach_the_provider_once_and_in_order() {
    let rig = Rig::start().await;
    rig.deliver(b"a\r\n");
    let mut client = rig.greeted().await;
    let pipelined = format!("USER {ALICE}\r\nPASS {PASSWORD}\r\nSTAT\r\nLIST\r\nDELE 1\r\nQU");
    client.send_bytes(pipelined.as_bytes()).await;
    for line in ["+OK send PASS", "+OK User success", "+OK 1 3", "+OK 1 3", "1 3", ".", "+OK"] {
        client.expect(line).await;
    }
    client.ask("IT", "+OK Signing off.").await;
    client.expect_end().await;
    let transcript = rig.provider.transcripts().last().unwrap().to_string();
    for command in ["STAT", "LIST", "DELE 1", "QUIT"] {
        assert_eq!(transcript.matches(&format!("C: {command}\n")).count(), 1, "{transcript}");
    }
}

#[tokio::test]
async fn a_wrong_password_costs_no_token_and_no_connection_to_the_provider() {
    let rig = Rig::start().await;
    let mut client = rig.greeted().await;
    client.ask(WRONG_PLAIN, "-ERR [AUTH] ").await;
    client.ask("USER nobody", "+OK").await;
    client.ask("PASS x", "-ERR [AUTH] ").await;
    assert_eq!((rig.provider.token_requests(), rig.provider.pop3_connections()), (0, 0));
    client.ask(AUTH_PLAIN, "+OK").await;
}

#[tokio::test]
async fn what_may_pass_is_temporary_and_never_a_wrong_password() {
    let rig = Rig::start().await;
    let reply = |text: &'static str| Bytes::from_static(text.as_bytes());
    let temporary = [
        (Step::Connect, Action::Close),
        (Step::Greeting, Action::ReplyThenClose(reply("-ERR busy\r\n"))),
        (Step::Greeting, Action::Reply(reply("* OK IMAP\r\n"))),
        (Step::Command("AUTH"), Action::Reply(reply("-ERR Command is not valid.\r\n"))),
        (Step::Command("AUTH"), Action::Reply(reply("+OK you are in\r\n"))),
        (Step::Token, Action::Reply(reply("-ERR [SYS/TEMP] later\r\n"))),
        (Step::Token, Action::Reply(reply("-ERR [IN-USE] another session\r\n"))),
        (Step::Token, Action::ReplyThenClose(reply("-ERR [LOGIN-DELAY] too soon\r\n"))),
        (Step::Token, Action::Close),
    ];
    for (step, action) in temporary {
        let mut client = rig.greeted().await;
        rig.on(step, Times::Next(1), action);
        client.ask(AUTH_PLAIN, "-ERR [SYS/TEMP] ").await;
        rig.provider.script().clear();
        client.ask(AUTH_PLAIN, "+OK").await;
    }
}

#[tokio::test]
async fn a_token_endpoint_that_is_down_is_temporary() {
    let rig = Rig::start().await;
    let outage = Fault::Status(503, "text/plain".to_owned(), "down".to_owned());
    rig.provider.token_fault(outage, Times::Always);
    rig.greeted().await.ask(AUTH_PLAIN, "-ERR [SYS/TEMP] the provider's token endpoint").await;
}

#[tokio::test]
async fn a_token_that_the_provider_refuses_is_no_wrong_password_and_comes_with_the_cause() {
    let rig = Rig::start().await;
    rig.on(Step::Token, Times::Always, Action::RefuseToken);
    let mut client = rig.greeted().await;
    let reply = client.ask(AUTH_PLAIN, "-ERR [SYS/PERM] Authentication failure: ").await;
    assert!(reply.contains("; POP3 is off for the mailbox"), "{reply}");
    // Once with the token that was there, once with a newer one.
    assert_eq!(rig.provider.pop3_connections(), 2);
}

#[tokio::test]
async fn bytes_that_a_provider_sends_in_clear_behind_stls_end_the_sign_in() {
    let rig = Rig::with(UpstreamTls::StartTls, Mechanism::Xoauth2).await;
    let injected = Action::Append(Bytes::from_static(b"+OK injected\r\n"));
    rig.on(Step::Command("STLS"), Times::Next(1), injected);
    let refused = Action::Reply(Bytes::from_static(b"-ERR no TLS here\r\n"));
    rig.on(Step::Command("STLS"), Times::Next(1), refused);
    let mut client = rig.greeted().await;
    for _ in 0..2 {
        client.ask(AUTH_PLAIN, "-ERR [SYS/TEMP] ").await;
        assert_eq!(rig.provider.last_sign_in(), None, "no token was shown");
    }
    client.ask(AUTH_PLAIN, "+OK").await;
}

#[tokio::test]
async fn a_browser_is_sent_away_at_its_first_line() {
    let rig = Rig::start().await;
    let mut client = rig.greeted().await;
    client.send_bytes(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    client.expect("-ERR this is no web server, closing").await;
    client.expect_end().await;
}
