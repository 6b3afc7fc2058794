//! The script: every action, at the steps where it matters.

use bytes::Bytes;
use mailbearer::provider::{Protocol, UpstreamTls};
use mailbearer::sandbox::{Action, Sandbox, SignInRefusal, Step, Times};

use crate::client::{Client, name, sandbox, token, xoauth2};
use crate::{imap, smtp};

fn reply(text: &'static str) -> Action {
    Action::Reply(Bytes::from_static(text.as_bytes()))
}

fn on_smtp(sandbox: &Sandbox, step: Step<'static>, action: Action) {
    sandbox.script().on(Protocol::Submission, step, Times::Next(1), action);
}

fn on_imap(sandbox: &Sandbox, step: Step<'static>, action: Action) {
    sandbox.script().on(Protocol::Imap, step, Times::Next(1), action);
}

#[tokio::test]
async fn a_negative_reply_leaves_the_command_undone() {
    let sandbox = sandbox().await;
    let mut client = smtp::greeted(&sandbox).await;
    let response = xoauth2("alice@example.com", &token(&sandbox).await);
    on_smtp(&sandbox, Step::Token, reply("454 4.7.0 Later\r\n"));
    assert_eq!(client.ask(&format!("AUTH XOAUTH2 {response}")).await, "454 4.7.0 Later");
    assert!(client.ask("MAIL FROM:<a@b>").await.starts_with("530 "));
    assert_eq!(sandbox.last_sign_in().unwrap().refusal, Some(SignInRefusal::Scripted));
    // It was for once.
    assert!(client.ask(&format!("AUTH XOAUTH2 {response}")).await.starts_with("235 "));

    on_smtp(&sandbox, Step::Command("RCPT"), reply("550 5.1.1 No\r\n"));
    on_smtp(&sandbox, Step::Command("DATA"), reply("421 4.3.2 No\r\n"));
    on_smtp(&sandbox, Step::Message, reply("554 5.2.252 SendAsDenied\r\n"));
    client.ask("MAIL FROM:<a@b>").await;
    assert_eq!(client.ask("RCPT TO:<b@example.com>").await, "550 5.1.1 No");
    assert!(client.ask("RCPT TO:<c@example.com>").await.starts_with("250 "));
    assert_eq!(client.ask("DATA").await, "421 4.3.2 No");
    assert!(client.ask("DATA").await.starts_with("354 "));
    assert_eq!(client.ask("x\r\n.").await, "554 5.2.252 SendAsDenied");
    assert!(client.ask("NOOP").await.starts_with("250 "));
    assert!(sandbox.messages(&name("c@example.com")).is_empty());
}

#[tokio::test]
async fn a_positive_reply_takes_the_place_of_the_own_one() {
    let sandbox = sandbox().await;
    on_imap(&sandbox, Step::Greeting, reply("* PREAUTH hello\r\n"));
    on_imap(
        &sandbox,
        Step::Command("CAPABILITY"),
        reply("* CAPABILITY IMAP4rev1 X\r\n{tag} OK done\r\n"),
    );
    on_imap(&sandbox, Step::Token, reply("* 7 EXISTS\r\n{tag} OK [ALERT] in\r\n"));
    on_imap(&sandbox, Step::Command("SELECT"), reply("{tag} BAD User is not connected.\r\n"));
    let mut client = Client::connect(&sandbox, &sandbox.imap()).await;
    assert_eq!(client.line().await.unwrap(), "* PREAUTH hello");
    assert_eq!(client.ask_all("x1 CAPABILITY").await, ["* CAPABILITY IMAP4rev1 X", "x1 OK done"]);
    let response = xoauth2("alice@example.com", "whatever");
    assert_eq!(client.ask("x2 AUTHENTICATE XOAUTH2").await, "+ ");
    client.send(format!("{response}\r\n")).await;
    assert_eq!(client.reply("x2").await, ["* 7 EXISTS", "x2 OK [ALERT] in"]);
    assert_eq!(client.ask("x3 SELECT INBOX").await, "x3 BAD User is not connected.");
    assert!(client.ask("x4 SELECT INBOX").await.starts_with("x4 OK "), "it is signed in");
}

#[tokio::test]
async fn a_token_is_refused_by_order_as_a_bad_one_is() {
    let sandbox = sandbox().await;
    let token = token(&sandbox).await;
    for (protocol, line) in
        [(Protocol::Submission, "AUTH XOAUTH2"), (Protocol::Imap, "a AUTHENTICATE XOAUTH2")]
    {
        let step = Step::Token;
        sandbox.script().on(protocol, step, Times::Always, Action::RefuseToken);
        let (mut client, refusal) = match protocol {
            Protocol::Submission => (smtp::greeted(&sandbox).await, "535 5.7.3 "),
            Protocol::Imap => (imap::greeted(&sandbox).await, "a NO AUTHENTICATE failed."),
            Protocol::Pop3 => unreachable!("it is not in the list"),
        };
        let line = format!("{line} {}", xoauth2("alice@example.com", &token));
        for _ in 0..2 {
            let challenge = client.ask(&line).await;
            assert!(challenge.starts_with("334 ey") || challenge.starts_with("+ ey"));
            client.send("\r\n").await;
            assert!(client.line().await.unwrap().starts_with(refusal));
        }
        sandbox.script().clear();
        let accepted = client.ask(&line).await;
        assert!(accepted.starts_with("235 ") || accepted.starts_with("a OK "), "{accepted}");
    }
}

#[tokio::test]
async fn the_greeting_may_turn_a_client_away() {
    let sandbox = sandbox().await;
    let turned_away = Action::ReplyThenClose(Bytes::from_static(b"421 4.3.2 Busy\r\n"));
    on_smtp(&sandbox, Step::Greeting, turned_away);
    let mut client = Client::connect(&sandbox, &sandbox.smtp()).await;
    assert_eq!(client.line().await.unwrap(), "421 4.3.2 Busy");
    assert_eq!(client.line().await, None);
    // The next one is greeted.
    smtp::greeted(&sandbox).await;
}

#[tokio::test]
async fn bytes_are_injected_in_clear_behind_starttls() {
    let sandbox = sandbox().await;
    let injected = Action::Append(Bytes::from_static(b"250-evil\r\n250 AUTH PLAIN\r\n"));
    on_smtp(&sandbox, Step::Command("STARTTLS"), injected);
    let mut client = Client::connect(&sandbox, &sandbox.smtp()).await;
    client.line().await;
    assert!(client.ask("STARTTLS").await.starts_with("220 "));
    assert_eq!(client.pending(), b"250-evil\r\n250 AUTH PLAIN\r\n", "in one write");
    // TLS begins nevertheless: it is for the client to object.
    let mut client = client.start_tls(&sandbox).await;
    assert!(client.ask("EHLO test").await.starts_with("250 "));
}

#[tokio::test]
async fn a_connection_is_closed_or_reset_at_any_step() {
    let sandbox = sandbox().await;
    for action in [Action::Close, Action::Reset] {
        on_smtp(&sandbox, Step::Connect, action.clone());
        assert_eq!(Client::connect(&sandbox, &sandbox.smtp()).await.line().await, None);
        on_smtp(&sandbox, Step::Command("MAIL"), action.clone());
        let mut client = smtp::greeted(&sandbox).await;
        client.send("MAIL FROM:<a@b>\r\n").await;
        assert_eq!(client.line().await, None);
        on_imap(&sandbox, Step::Token, action);
        let mut client = imap::greeted(&sandbox).await;
        client.send("a AUTHENTICATE XOAUTH2 eA==\r\n").await;
        assert_eq!(client.line().await, None);
    }
    let transcripts = sandbox.transcripts();
    assert!(transcripts.last().unwrap().to_string().ends_with("   (connection reset)\n"));
}

#[tokio::test]
async fn a_server_that_speaks_clear_text_where_tls_is_due_can_be_had() {
    let sandbox = sandbox().await;
    assert_eq!(sandbox.imap().tls, UpstreamTls::Implicit);
    on_imap(&sandbox, Step::Connect, reply("* BYE no TLS here\r\n"));
    let mut client = Client::connect_in_clear(&sandbox.imap()).await;
    assert_eq!(client.line().await.unwrap(), "* BYE no TLS here");
    assert_eq!(client.line().await, None);
}

#[tokio::test]
async fn a_stalled_connection_ends_with_the_sandbox() {
    let sandbox = sandbox().await;
    on_smtp(&sandbox, Step::Command("NOOP"), Action::Stall);
    let mut client = smtp::greeted(&sandbox).await;
    client.send("RSET\r\nNOOP\r\nRSET\r\n").await;
    assert!(client.line().await.unwrap().starts_with("250 "));
    let stalled = |it: &Sandbox| it.transcripts()[0].to_string().ends_with("   (stalled)\n");
    sandbox.until(stalled).await;
    // Others are served meanwhile.
    smtp::greeted(&sandbox).await;
    assert!(client.pending().is_empty());
    drop(sandbox);
    assert_eq!(client.line().await, None);
}
