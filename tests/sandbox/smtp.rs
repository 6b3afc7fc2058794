//! The submission server.

use mailbearer::proto::sasl::Credentials;
use mailbearer::provider::{Mechanism, PerProtocol, Protocol, UpstreamTls};
use mailbearer::sandbox::{Sandbox, SandboxSettings, SignIn, SignInRefusal, TokenFlaw};
use mailbearer::secret::{AccessToken, ExposeSecret as _};

use crate::client::{
    Client, decoded, name, oauthbearer, sandbox, settings, token, token_for, xoauth2,
};

const BOB: &str = "bob@example.com";

/// A client under TLS that said EHLO.
pub(crate) async fn greeted(sandbox: &Sandbox) -> Client {
    let mut client = Client::connect(sandbox, &sandbox.smtp()).await;
    assert!(client.reply("").await[0].starts_with("220 "));
    if sandbox.smtp().tls == UpstreamTls::StartTls {
        client.ask("EHLO test").await;
        assert!(client.ask("STARTTLS").await.starts_with("220 "));
        client = client.start_tls(sandbox).await;
    }
    client.ask("EHLO test").await;
    client
}

/// A client that is signed in as alice.
pub(crate) async fn signed_in(sandbox: &Sandbox) -> Client {
    let mut client = greeted(sandbox).await;
    let response = xoauth2("alice@example.com", &token(sandbox).await);
    let reply = client.ask(&format!("AUTH XOAUTH2 {response}")).await;
    assert_eq!(reply, "235 2.7.0 Authentication successful");
    client
}

pub(crate) async fn send(client: &mut Client, recipients: &[&str], text: &[u8]) -> String {
    assert!(client.ask("MAIL FROM:<alice@example.com>").await.starts_with("250 "));
    for recipient in recipients {
        assert!(client.ask(&format!("RCPT TO:<{recipient}>")).await.starts_with("250 "));
    }
    assert!(client.ask("DATA").await.starts_with("354 "));
    client.send(text).await;
    client.reply("").await.pop().unwrap()
}

#[tokio::test]
async fn nothing_but_tls_is_possible_before_tls() {
    let sandbox = sandbox().await;
    let mut client = Client::connect(&sandbox, &sandbox.smtp()).await;
    client.reply("").await;
    let shown = client.ask_all("EHLO test").await;
    assert!(shown.contains(&"250-STARTTLS".to_owned()), "{shown:?}");
    assert!(!shown.iter().any(|line| line.contains("AUTH")), "{shown:?}");
    for line in ["AUTH XOAUTH2", "MAIL FROM:<a@b>", "DATA", "RSET"] {
        assert!(client.ask(line).await.starts_with("530 5.7.0 "), "{line}");
    }
    assert!(client.ask("NOOP").await.starts_with("250 "));
    assert!(client.ask("QUIT").await.starts_with("221 "));
    assert_eq!(client.line().await, None);
    assert_eq!(sandbox.last_sign_in(), None);
}

#[tokio::test]
async fn bytes_in_clear_behind_starttls_are_thrown_away() {
    let sandbox = sandbox().await;
    let mut client = Client::connect(&sandbox, &sandbox.smtp()).await;
    client.reply("").await;
    client.send("STARTTLS\r\nEHLO evil\r\n").await;
    client.reply("").await;
    let mut client = client.start_tls(&sandbox).await;
    assert!(client.ask("AUTH XOAUTH2 eA==").await.starts_with("503 "), "no EHLO was heard");
    let transcript = sandbox.transcripts().remove(0).to_string();
    assert!(transcript.contains("(11 bytes in clear behind STARTTLS)"), "{transcript}");
}

#[tokio::test]
async fn ehlo_under_tls_shows_what_exchange_shows_and_no_password_mechanism() {
    let tls = PerProtocol::of_each(UpstreamTls::Implicit);
    let sandbox = Sandbox::start(SandboxSettings { tls, ..settings() }).await.unwrap();
    let mut client = greeted(&sandbox).await;
    let shown = client.ask_all("EHLO test").await;
    let shown: Vec<&str> = shown.iter().skip(1).map(|line| &line[4..]).collect();
    let wanted = "SIZE 157286400|AUTH XOAUTH2 OAUTHBEARER|PIPELINING|DSN|ENHANCEDSTATUSCODES|\
                  8BITMIME|BINARYMIME|CHUNKING|SMTPUTF8";
    assert_eq!(shown.join("|"), wanted);
    for line in ["AUTH PLAIN AGEAYg==", "AUTH LOGIN"] {
        assert!(client.ask(line).await.starts_with("504 5.7.4 "), "{line}");
    }
}

#[tokio::test]
async fn a_token_signs_in_inline_and_on_its_own_line() {
    let sandbox = sandbox().await;
    let token = token(&sandbox).await;
    for (mechanism, response) in [
        ("XOAUTH2", xoauth2("Alice@Example.com", &token)),
        ("oauthbearer", oauthbearer("alice@example.com", &token)),
    ] {
        let mut client = greeted(&sandbox).await;
        let inline = client.ask(&format!("AUTH {mechanism} {response}")).await;
        assert!(inline.starts_with("235 2.7.0 "), "{inline}");
        assert!(client.ask("AUTH XOAUTH2").await.starts_with("503 "), "once is enough");
        let mut client = greeted(&sandbox).await;
        assert_eq!(client.ask(&format!("AUTH {mechanism}")).await, "334 ");
        assert!(client.ask(&response).await.starts_with("235 2.7.0 "));
    }
    assert_eq!(sandbox.last_sign_in().unwrap().user, Some(name("alice@example.com")));
    assert_eq!(sandbox.smtp_connections(), 4);
    let shown: String = sandbox.transcripts().iter().map(ToString::to_string).collect();
    assert!(shown.contains("C: AUTH XOAUTH2 <token, "), "{shown}");
    assert!(!shown.contains(&token[..20]) && !shown.contains(&xoauth2("", &token)[20..40]));
}

#[tokio::test]
async fn what_the_relay_writes_is_read_with_any_name() {
    let sandbox = sandbox().await;
    let token = AccessToken::parse(&token(&sandbox).await).unwrap();
    for user in ["a,b=c=2C@example.com", "m\u{fc}ller@example.com", "!=@example.com"] {
        let mailbox = name(user);
        for mechanism in [Mechanism::Xoauth2, Mechanism::OauthBearer] {
            let host = &sandbox.smtp();
            let sent = Credentials { mailbox: &mailbox, token: &token, mechanism, host };
            let response = sent.initial_response();
            let mut client = greeted(&sandbox).await;
            let line = format!("AUTH {} {}", mechanism.name(), response.expose_secret());
            assert!(client.ask(&line).await.starts_with("235 "), "{user}");
            assert_eq!(sandbox.last_sign_in().unwrap().user.as_ref(), Some(&mailbox));
        }
    }
}

#[tokio::test]
async fn a_bad_token_is_challenged_before_it_is_refused() {
    let sandbox = sandbox().await;
    let good = token(&sandbox).await;
    let imap_only = token_for(&sandbox, &Sandbox::scope(Protocol::Imap)).await;
    let token_flaw = |flaw| SignInRefusal::Token(flaw);
    let mut client = greeted(&sandbox).await;
    for (line, status, acknowledgement, refusal) in [
        (
            format!("XOAUTH2 {}", xoauth2("a@example.com", "t")),
            "401",
            "",
            token_flaw(TokenFlaw::Foreign),
        ),
        (format!("XOAUTH2 {}", xoauth2("a@other", &good)), "401", "", SignInRefusal::Mailbox),
        ("XOAUTH2 eA==".to_owned(), "400", "", SignInRefusal::Malformed),
        (
            format!("OAUTHBEARER {}", oauthbearer("a@example.com", &imap_only)),
            "insufficient_scope",
            "AQ==",
            token_flaw(TokenFlaw::Scope),
        ),
    ] {
        let challenge = client.ask(&format!("AUTH {line}")).await;
        let challenge = decoded(challenge.strip_prefix("334 ").unwrap());
        assert!(challenge.contains(&format!(r#""status":"{status}""#)), "{challenge}");
        let reply = client.ask(acknowledgement).await;
        assert!(reply.starts_with("535 5.7.3 Authentication unsuccessful"), "{reply}");
        assert_eq!(sandbox.last_sign_in().unwrap().refusal, Some(refusal));
    }
    client.ask("AUTH XOAUTH2 eA==").await;
    assert!(client.ask("AQ==").await.starts_with("501 "), "XOAUTH2 wants an empty line");
    client.ask("AUTH XOAUTH2").await;
    assert!(client.ask("*").await.starts_with("501 5.7.0 "));
    assert!(client.ask("MAIL FROM:<a@b>").await.starts_with("530 5.7.57 "));
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let settings = SandboxSettings { token_life: std::time::Duration::ZERO, ..settings() };
    let sandbox = Sandbox::start(settings).await.unwrap();
    let mut client = greeted(&sandbox).await;
    let response = xoauth2("alice@example.com", &token(&sandbox).await);
    assert!(client.ask(&format!("AUTH XOAUTH2 {response}")).await.starts_with("334 "));
    let expected = SignIn {
        protocol: Protocol::Submission,
        mechanism: Mechanism::Xoauth2,
        user: Some(name("alice@example.com")),
        refusal: Some(SignInRefusal::Token(TokenFlaw::Expired)),
    };
    assert_eq!(sandbox.last_sign_in(), Some(expected));
}

#[tokio::test]
async fn a_message_is_stored_byte_for_byte_for_every_recipient() {
    let sandbox = sandbox().await;
    let mut client = signed_in(&sandbox).await;
    let sent = b"Subject: x\r\n\r\n..\r\n..a\r\n.b\r\na\n.\nb\r.\r\xff\0\r\n\r\n.\r\n";
    let stored = b"Subject: x\r\n\r\n.\r\n.a\r\nb\r\na\n.\nb\r.\r\xff\0\r\n\r\n";
    let reply = send(&mut client, &[BOB, "Carol@Elsewhere.example"], sent).await;
    assert!(reply.starts_with("250 2.0.0 OK <1@sandbox> "), "{reply}");
    assert_eq!(sandbox.messages(&name("BOB@example.com")), [&stored[..]]);
    assert_eq!(sandbox.messages(&name("carol@elsewhere.example")), [&stored[..]]);
    assert!(sandbox.messages(&name("alice@example.com")).is_empty());
}

#[tokio::test]
async fn a_message_of_5_mb_is_stored_byte_for_byte() {
    let sandbox = sandbox().await;
    let mut client = signed_in(&sandbox).await;
    let line = [&b".".repeat(997)[..], b"\xc3\r\n"].concat();
    let message: Vec<u8> = line.iter().copied().cycle().take(line.len() * 5_000).collect();
    let stuffed = [&b"."[..], &line].concat();
    let stuffed: Vec<u8> = stuffed.iter().copied().cycle().take(stuffed.len() * 5_000).collect();
    let text = [&stuffed[..], b".\r\n"].concat();
    assert!(send(&mut client, &[BOB], &text).await.starts_with("250 "));
    assert!(sandbox.messages(&name(BOB))[0] == message, "other bytes");
}

#[tokio::test]
async fn commands_pipelined_behind_the_sign_in_are_answered_in_order() {
    let sandbox = sandbox().await;
    let mut client = greeted(&sandbox).await;
    let response = xoauth2("alice@example.com", &token(&sandbox).await);
    client
        .send(format!(
            "AUTH XOAUTH2 {response}\r\nMAIL FROM:<>\r\nRCPT TO:<{BOB}>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n"
        ))
        .await;
    for code in ["235", "250", "250", "354", "250", "221"] {
        assert!(client.line().await.unwrap().starts_with(code), "{code}");
    }
    assert_eq!(sandbox.messages(&name(BOB)), ["hi\r\n"]);
}

#[tokio::test]
async fn chunks_make_a_message_without_dot_stuffing() {
    let sandbox = sandbox().await;
    let mut client = signed_in(&sandbox).await;
    client.ask("MAIL FROM:<a@example.com> BODY=BINARYMIME").await;
    client
        .send(format!("RCPT TO:<{BOB}>\r\nBDAT 6\r\na\n.\r\n.BDAT 0\r\nBDAT 4 LAST\r\n..\r\n"))
        .await;
    for _ in 0..4 {
        assert!(client.line().await.unwrap().starts_with("250 "));
    }
    assert_eq!(sandbox.messages(&name(BOB)), [&b"a\n.\r\n...\r\n"[..]]);
    client.ask("MAIL FROM:<a@example.com> BODY=BINARYMIME").await;
    client.ask(&format!("RCPT TO:<{BOB}>")).await;
    assert!(client.ask("DATA").await.starts_with("503 "), "DATA cannot carry it");
    client.ask("RSET").await;
    client.send("BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n").await;
    assert!(client.line().await.unwrap().starts_with("503 "));
    assert!(client.line().await.unwrap().starts_with("250 "), "its chunk was no command");
}

#[tokio::test]
async fn commands_in_a_wrong_order_or_shape_are_refused() {
    let sandbox = sandbox().await;
    let mut client = signed_in(&sandbox).await;
    for (line, code) in [
        ("RCPT TO:<a@b>", "503 "),
        ("DATA", "503 "),
        ("MAIL FROM:a@b", "501 "),
        ("MAIL FROM:<a@b> SIZE=157286401", "552 "),
        ("MAIL FROM:<a@b> SIZE=157286400", "250 "),
        ("MAIL FROM:<a@b>", "503 "),
        ("DATA", "503 "),
        ("RCPT TO:<>", "501 "),
        ("RSET", "250 "),
        ("RCPT TO:<a@b>", "503 "),
        ("VRFY a", "252 "),
        ("EHLO", "501 "),
        ("STARTTLS", "503 "),
        ("FROBNICATE", "500 "),
    ] {
        let reply = client.ask(line).await;
        assert!(reply.starts_with(code), "{line}: {reply}");
    }
}

#[tokio::test]
async fn a_line_that_ends_in_a_bare_lf_or_never_closes_the_connection() {
    let sandbox = sandbox().await;
    for line in ["NOOP\n".to_owned(), "x".repeat(100_000), "x".repeat(95_000) + "\r\n"] {
        let mut client = greeted(&sandbox).await;
        client.send(line).await;
        assert!(client.line().await.unwrap().starts_with("500 "));
        assert_eq!(client.line().await, None);
    }
}
