//! The throttle: sessions that are one too many, and messages that have to wait.

use std::time::Duration;

use mailbearer::provider::{PerProtocol, Protocol};
use mailbearer::sandbox::{
    Action, Sandbox, SandboxSettings, SignInRefusal, Step, Throttle, Times, TurnsAway,
};
use tokio::time::Instant;

use crate::client::{Client, name, settings, token, xoauth2};
use crate::{imap, pop3, smtp};

const ALICE: &str = "alice@example.com";

/// learn.microsoft.com, "Improvements to the SMTP submission client protocol".
const CROWDED: &str = "432 4.3.2 Concurrent connections limit exceeded. \
                       Visit https://aka.ms/concurrent_sending for more information. [sandbox]";

fn one_session() -> Throttle {
    let sessions_per_mailbox = PerProtocol::of_each(Some(1));
    Throttle { sessions_per_mailbox, ..Throttle::default() }
}

async fn sandbox(throttle: Throttle) -> Sandbox {
    Sandbox::start(SandboxSettings { throttle, ..settings() }).await.unwrap()
}

/// Signs in at a server of `protocol`; gives the client and the reply.
async fn sign_in(sandbox: &Sandbox, protocol: Protocol, user: &str) -> (Client, String) {
    let (mut client, line) = match protocol {
        Protocol::Submission => (smtp::greeted(sandbox).await, "AUTH XOAUTH2"),
        Protocol::Imap => (imap::greeted(sandbox).await, "a AUTHENTICATE XOAUTH2"),
        Protocol::Pop3 => (pop3::greeted(sandbox).await, "AUTH XOAUTH2"),
    };
    client.ask(line).await;
    client.send(format!("{}\r\n", xoauth2(user, &token(sandbox).await))).await;
    let reply = client.reply("a").await.pop().unwrap();
    (client, reply)
}

#[tokio::test]
async fn the_session_that_is_one_too_many_is_turned_away_until_another_one_has_ended() {
    let sandbox = sandbox(one_session()).await;
    let alice = name(ALICE);
    for (protocol, accepted, crowded, quit) in [
        (Protocol::Submission, "235 2.7.0 Authentication successful", CROWDED, "QUIT"),
        (
            Protocol::Imap,
            "a OK AUTHENTICATE completed.",
            "a NO [ALERT] Too many simultaneous connections. (Failure)",
            "a LOGOUT",
        ),
        (
            Protocol::Pop3,
            "+OK User successfully authenticated.",
            "-ERR [SYS/TEMP] Too many simultaneous connections.",
            "QUIT",
        ),
    ] {
        let (mut first, reply) = sign_in(&sandbox, protocol, ALICE).await;
        assert_eq!(reply, accepted);
        let (mut second, reply) = sign_in(&sandbox, protocol, "ALICE@example.com").await;
        assert_eq!(reply, crowded);
        let refusal = sandbox.last_sign_in().unwrap().refusal;
        assert_eq!(refusal, Some(SignInRefusal::Crowded));
        let (_other, reply) = sign_in(&sandbox, protocol, "bob@example.com").await;
        assert!(reply.starts_with(&accepted[..4]), "bob is another mailbox: {reply}");
        assert_eq!(sandbox.sessions(protocol, &alice), 1);
        assert_eq!(sandbox.turned_away(protocol), 1);

        first.ask(quit).await;
        // Whoever heard its end, though not yet the close, may come in.
        let (third, reply) = sign_in(&sandbox, protocol, ALICE).await;
        assert_eq!(reply, accepted);
        // A connection that is broken off counts until the server has seen it.
        drop(third);
        sandbox.until(|it| it.sessions(protocol, &alice) == 0).await;
        second.ask(quit).await;
        assert_eq!(sandbox.peak_sessions(protocol, &alice), 1);
    }
}

#[tokio::test]
async fn a_session_that_was_turned_away_may_try_again() {
    let sandbox = sandbox(one_session()).await;
    let (first, _) = sign_in(&sandbox, Protocol::Submission, ALICE).await;
    let (mut second, reply) = sign_in(&sandbox, Protocol::Submission, ALICE).await;
    assert_eq!(reply, CROWDED);
    assert!(second.ask("MAIL FROM:<a@b>").await.starts_with("530 "), "it is not signed in");
    drop(first);
    sandbox.until(|it| it.sessions(Protocol::Submission, &name(ALICE)) == 0).await;
    let response = xoauth2(ALICE, &token(&sandbox).await);
    assert!(second.ask(&format!("AUTH XOAUTH2 {response}")).await.starts_with("235 "));
}

#[tokio::test]
async fn a_session_may_be_turned_away_at_each_mail_instead() {
    let turns_away = TurnsAway::AtMail;
    let sandbox = sandbox(Throttle { turns_away, ..one_session() }).await;
    let (mut first, _) = sign_in(&sandbox, Protocol::Submission, ALICE).await;
    let (mut second, reply) = sign_in(&sandbox, Protocol::Submission, ALICE).await;
    assert!(reply.starts_with("235 "), "{reply}");
    for _ in 0..2 {
        assert_eq!(second.ask("MAIL FROM:<alice@example.com>").await, CROWDED);
    }
    assert!(first.ask("MAIL FROM:<alice@example.com>").await.starts_with("250 "));
    first.ask("QUIT").await;
    let accepted = smtp::send(&mut second, &["bob@example.com"], b"x\r\n.\r\n").await;
    assert!(accepted.starts_with("250 "), "{accepted}");
    // Once at the sign-in and twice at MAIL.
    assert_eq!(sandbox.turned_away(Protocol::Submission), 3);
    // The other protocols have no MAIL.
    let (_first, _) = sign_in(&sandbox, Protocol::Imap, ALICE).await;
    let (_, reply) = sign_in(&sandbox, Protocol::Imap, ALICE).await;
    assert!(reply.starts_with("a NO "), "{reply}");
}

#[tokio::test]
async fn the_throttle_changes_while_sessions_last() {
    let sandbox = sandbox(Throttle::default()).await;
    let (_first, _) = sign_in(&sandbox, Protocol::Imap, ALICE).await;
    let (_second, reply) = sign_in(&sandbox, Protocol::Imap, ALICE).await;
    assert!(reply.starts_with("a OK "), "nothing is limited by default");
    sandbox.set_throttle(one_session());
    assert!(sign_in(&sandbox, Protocol::Imap, ALICE).await.1.starts_with("a NO "));
    assert_eq!(sandbox.sessions(Protocol::Imap, &name(ALICE)), 2, "who is in stays");
    sandbox.set_throttle(Throttle::default());
    assert!(sign_in(&sandbox, Protocol::Imap, ALICE).await.1.starts_with("a OK "));
    assert_eq!(sandbox.peak_sessions(Protocol::Imap, &name(ALICE)), 3);
}

#[tokio::test]
async fn a_scripted_welcome_is_said_to_a_session_that_is_one_too_many() {
    let sandbox = sandbox(one_session()).await;
    let (_first, _) = sign_in(&sandbox, Protocol::Submission, ALICE).await;
    let welcome = Action::Reply("235 2.7.0 In\r\n".into());
    sandbox.script().on(Protocol::Submission, Step::Token, Times::Next(1), welcome);
    let (mut second, reply) = sign_in(&sandbox, Protocol::Submission, ALICE).await;
    assert_eq!(reply, "235 2.7.0 In");
    assert_eq!(second.ask("MAIL FROM:<a@b>").await, CROWDED);
}

#[tokio::test(start_paused = true)]
async fn a_message_beyond_those_of_a_minute_is_answered_when_its_turn_comes() {
    let minute = Duration::from_secs(60);
    let throttle = Throttle { messages_per_minute: Some((2, minute)), ..Throttle::default() };
    let sandbox = sandbox(throttle).await;
    let mut client = smtp::signed_in(&sandbox).await;
    let mut replied_at = Vec::new();
    for number in 1..=3 {
        let reply = smtp::send(&mut client, &["bob@example.com"], b"x\r\n.\r\n").await;
        assert!(reply.starts_with(&format!("250 2.0.0 OK <{number}@sandbox> ")), "{reply}");
        replied_at.push(Instant::now());
    }
    assert!(replied_at[1] - replied_at[0] < minute, "the second has its turn at once");
    let taken_at = sandbox.taken_at(&name(ALICE));
    assert_eq!(taken_at.len(), 3);
    assert_eq!(taken_at[2], taken_at[0] + minute);
    assert!(replied_at[2] >= taken_at[2], "the reply waits for the turn");
    // A chunk is a message like any other; NOOP and QUIT have no turn.
    sandbox.set_throttle(Throttle::default());
    client.ask("MAIL FROM:<a@example.com>").await;
    client.send("RCPT TO:<bob@example.com>\r\nBDAT 1 LAST\r\nxQUIT\r\n").await;
    for code in ["250 ", "250 ", "221 "] {
        assert!(client.line().await.unwrap().starts_with(code));
    }
    assert_eq!(sandbox.taken_at(&name(ALICE)).len(), 4);
    assert_eq!(sandbox.messages(&name("bob@example.com")).len(), 4);
}
