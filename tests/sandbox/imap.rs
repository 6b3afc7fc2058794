//! The IMAP server.

use bytes::Bytes;
use mailbearer::provider::{PerProtocol, Protocol, UpstreamTls};
use mailbearer::sandbox::{ImapWelcome, Sandbox, SandboxSettings, SignInRefusal, TokenFlaw};

use crate::client::{
    Client, decoded, name, oauthbearer, sandbox, settings, token, token_for, xoauth2,
};

const ALICE: &str = "alice@example.com";

/// A client under TLS that was greeted.
pub(crate) async fn greeted(sandbox: &Sandbox) -> Client {
    let mut client = Client::connect(sandbox, &sandbox.imap()).await;
    client.line().await.unwrap();
    client
}

/// A client that is signed in as alice.
async fn signed_in(sandbox: &Sandbox) -> Client {
    let mut client = greeted(sandbox).await;
    let response = xoauth2(ALICE, &token(sandbox).await);
    let reply = client.ask(&format!("a AUTHENTICATE XOAUTH2 {response}")).await;
    assert!(reply.starts_with("a OK "), "{reply}");
    client
}

/// A sandbox with these messages of alice, and her with INBOX selected.
async fn selected(messages: &[&'static str]) -> (Sandbox, Client) {
    let sandbox = sandbox().await;
    for message in messages {
        sandbox.deliver(&name(ALICE), Bytes::from_static(message.as_bytes())).unwrap();
    }
    let mut client = signed_in(&sandbox).await;
    assert!(client.ask("a SELECT inbox").await.starts_with("a OK [READ-WRITE] "));
    (sandbox, client)
}

#[tokio::test]
async fn nothing_but_tls_is_possible_before_tls() {
    let tls = PerProtocol::of_each(UpstreamTls::StartTls);
    let sandbox = Sandbox::start(SandboxSettings { tls, ..settings() }).await.unwrap();
    let mut client = Client::connect(&sandbox, &sandbox.imap()).await;
    let greeting = client.line().await.unwrap();
    assert!(greeting.starts_with("* OK [CAPABILITY IMAP4rev1 "), "{greeting}");
    assert!(greeting.contains(" STARTTLS LOGINDISABLED]") && !greeting.contains("AUTH="));
    for line in ["a AUTHENTICATE XOAUTH2 eA==", "a LOGIN a b"] {
        assert!(client.ask(line).await.starts_with("a NO [PRIVACYREQUIRED] "), "{line}");
    }
    assert!(client.ask("a SELECT INBOX").await.starts_with("a BAD "));
    assert_eq!(client.ask("a STARTTLS").await, "a OK Begin TLS negotiation now.");
    let mut client = client.start_tls(&sandbox).await;
    let shown = client.ask_all("a CAPABILITY").await;
    assert!(shown[0].ends_with(" AUTH=XOAUTH2 AUTH=OAUTHBEARER"), "{shown:?}");
    assert_eq!(sandbox.last_sign_in(), None);
}

#[tokio::test]
async fn a_token_signs_in_inline_and_on_its_own_line() {
    let sandbox = sandbox().await;
    let token = token(&sandbox).await;
    for (mechanism, response) in
        [("XOAUTH2", xoauth2(ALICE, &token)), ("oauthbearer", oauthbearer(ALICE, &token))]
    {
        let mut client = greeted(&sandbox).await;
        let inline = client.ask_all(&format!("a AUTHENTICATE {mechanism} {response}")).await;
        assert_eq!(inline, ["a OK AUTHENTICATE completed."]);
        assert!(client.ask(&format!("b AUTHENTICATE {mechanism}")).await.starts_with("b NO "));
        let mut client = greeted(&sandbox).await;
        assert_eq!(client.ask(&format!("a AUTHENTICATE {mechanism}")).await, "+ ");
        client.send(format!("{response}\r\n")).await;
        assert_eq!(client.line().await.unwrap(), "a OK AUTHENTICATE completed.");
        let shown = client.ask_all("b CAPABILITY").await;
        assert!(shown[0].contains(" UNSELECT"), "more is shown after the sign-in: {shown:?}");
    }
    let shown: String = sandbox.transcripts().iter().map(ToString::to_string).collect();
    assert!(shown.contains("C: a AUTHENTICATE XOAUTH2 <token, "), "{shown}");
    assert!(!shown.contains(&xoauth2(ALICE, &token)[..30]));
}

#[tokio::test]
async fn the_welcome_carries_capabilities_where_the_settings_want_them() {
    for (imap_welcome, first) in [
        (ImapWelcome::Untagged, "* CAPABILITY IMAP4rev1 "),
        (ImapWelcome::Code, "a OK [CAPABILITY "),
    ] {
        let sandbox = Sandbox::start(SandboxSettings { imap_welcome, ..settings() }).await.unwrap();
        let mut client = greeted(&sandbox).await;
        let response = xoauth2(ALICE, &token(&sandbox).await);
        let welcome = client.ask_all(&format!("a AUTHENTICATE XOAUTH2 {response}")).await;
        assert!(welcome[0].starts_with(first), "{welcome:?}");
        assert!(welcome.last().unwrap().starts_with("a OK "), "{welcome:?}");
    }
}

#[tokio::test]
async fn a_bad_token_is_challenged_before_it_is_refused() {
    let sandbox = sandbox().await;
    let smtp_only = token_for(&sandbox, &Sandbox::scope(Protocol::Submission)).await;
    let mut client = greeted(&sandbox).await;
    for (line, status, acknowledgement) in [
        (format!("XOAUTH2 {}", xoauth2(ALICE, &smtp_only)), "401", ""),
        (format!("OAUTHBEARER {}", oauthbearer(ALICE, &smtp_only)), "insufficient_scope", "AQ=="),
    ] {
        let challenge = client.ask(&format!("a AUTHENTICATE {line}")).await;
        let challenge = decoded(challenge.strip_prefix("+ ").unwrap());
        assert!(challenge.contains(&format!(r#""status":"{status}""#)), "{challenge}");
        client.send(format!("{acknowledgement}\r\n")).await;
        assert_eq!(client.line().await.unwrap(), "a NO AUTHENTICATE failed.");
        let refusal = SignInRefusal::Token(TokenFlaw::Scope);
        assert_eq!(sandbox.last_sign_in().unwrap().refusal, Some(refusal));
    }
    client.ask("a AUTHENTICATE XOAUTH2").await;
    client.send("*\r\n").await;
    assert!(client.line().await.unwrap().starts_with("a BAD "));
    assert!(client.ask("a AUTHENTICATE PLAIN AGEAYg==").await.starts_with("a NO "));
    assert!(client.ask("a LOGIN alice secret").await.starts_with("a NO "));
}

#[tokio::test]
async fn a_message_is_fetched_byte_for_byte() {
    let message = "Subject: x\r\n\r\n.\r\n\u{e9}\r\n.\r\n";
    let (_sandbox, mut client) = selected(&["a: b\r\n\r\n", message]).await;
    let len = message.len();
    for (command, start, end) in [
        ("FETCH 2 BODY[]", format!("* 2 FETCH (BODY[] {{{len}}}"), " FLAGS (\\Seen))"),
        ("FETCH 2 (RFC822)", format!("* 2 FETCH (RFC822 {{{len}}}"), ")"),
        ("UID FETCH 2 BODY.PEEK[]", format!("* 2 FETCH (UID 2 BODY[] {{{len}}}"), ")"),
    ] {
        client.send(format!("a {command}\r\n")).await;
        assert_eq!(client.line().await.unwrap(), start);
        assert_eq!(client.take(len).await, message.as_bytes());
        assert_eq!(client.line().await.unwrap(), end);
        assert!(client.line().await.unwrap().starts_with("a OK "));
    }
    assert_eq!(
        client.ask_all("a FETCH 1:* (UID FLAGS RFC822.SIZE)").await[..2],
        [
            "* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 8)".to_owned(),
            format!("* 2 FETCH (UID 2 FLAGS (\\Seen) RFC822.SIZE {len})"),
        ]
    );
    assert!(client.ask("a FETCH 3 FLAGS").await.starts_with("a BAD "));
    assert_eq!(client.ask_all("a UID FETCH 9 FLAGS").await.len(), 1);
}

#[tokio::test]
async fn a_message_of_5_mb_is_appended_and_fetched_byte_for_byte() {
    let (sandbox, mut client) = selected(&[]).await;
    let message: Vec<u8> = (0..=u8::MAX).cycle().take(5 * 1024 * 1024).collect();
    let len = message.len();
    let start = format!("a APPEND INBOX (\\Seen) \"17-Jul-1996 02:44:25 -0700\" {{{len}}}");
    assert!(client.ask(&start).await.starts_with("+ "));
    client.send([&message[..], b"\r\n"].concat()).await;
    let reply = client.reply("a").await;
    assert_eq!(reply, ["* 1 EXISTS", "a OK [APPENDUID 1 1] APPEND completed."]);
    assert!(sandbox.messages(&name(ALICE))[0] == message, "other bytes");
    client.send("a FETCH 1 (FLAGS INTERNALDATE BODY[])\r\n").await;
    let attributes = "FLAGS (\\Seen) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\"";
    assert_eq!(client.line().await.unwrap(), format!("* 1 FETCH ({attributes} BODY[] {{{len}}}"));
    assert!(client.take(len).await == message, "other bytes");
    assert_eq!(client.line().await.unwrap(), ")");
}

#[tokio::test]
async fn literals_are_taken_in_every_form_and_refused_when_they_are_too_long() {
    let (sandbox, mut client) = selected(&[]).await;
    client.send("a APPEND {5+}\r\nINBOX {2+}\r\nhi\r\nb NOOP\r\n").await;
    let reply = client.reply("a").await;
    assert_eq!(reply.last().unwrap(), "a OK [APPENDUID 1 1] APPEND completed.");
    assert_eq!(client.reply("b").await, ["b OK NOOP completed."]);
    assert!(client.ask("a APPEND INBOX {999999999999}").await.starts_with("a NO [TOOBIG] "));
    assert!(client.ask("a APPEND INBOX {999999999999+}").await.starts_with("a NO [TOOBIG] "));
    assert_eq!(client.line().await, None, "what follows cannot be told from commands");
    assert_eq!(sandbox.messages(&name(ALICE)), ["hi"]);
    let mut stranger = greeted(&sandbox).await;
    assert!(stranger.ask("a LOGIN {65537}").await.starts_with("a NO [TOOBIG] "));
}

#[tokio::test]
async fn flags_are_stored_and_deleted_messages_expunged() {
    let (sandbox, mut client) = selected(&["a", "b", "c"]).await;
    let stored = client.ask_all("a STORE 1,3 +FLAGS (\\Deleted $Junk)").await;
    assert_eq!(stored[..2], ["* 1 FETCH (FLAGS (\\Deleted))", "* 3 FETCH (FLAGS (\\Deleted))"]);
    assert_eq!(client.ask_all("a UID STORE 2 FLAGS.SILENT \\Seen").await.len(), 1);
    assert_eq!(client.ask_all("a SEARCH UNSEEN").await[0], "* SEARCH 1 3");
    assert_eq!(client.ask_all("a UID SEARCH UID 2:* SEEN").await[0], "* SEARCH 2");
    assert_eq!(client.ask_all("a UID EXPUNGE 1:2").await[0], "* 1 EXPUNGE");
    assert_eq!(client.ask_all("a EXPUNGE").await[0], "* 2 EXPUNGE");
    assert_eq!(sandbox.messages(&name(ALICE)), ["b"]);
    client.ask("a STORE 1 +FLAGS \\Deleted").await;
    client.ask("a CLOSE").await;
    assert!(client.ask("a FETCH 1 FLAGS").await.starts_with("a BAD "), "nothing is selected");
    assert!(sandbox.messages(&name(ALICE)).is_empty());
}

#[tokio::test]
async fn a_mailbox_that_is_examined_is_not_changed() {
    let (sandbox, mut client) = selected(&["x"]).await;
    assert!(client.ask("a EXAMINE INBOX").await.starts_with("a OK [READ-ONLY] "));
    let fetched = client.ask_all("a FETCH 1 (BODY[] FLAGS)").await;
    assert_eq!(fetched[1], "x FLAGS ())");
    assert!(client.ask("a STORE 1 +FLAGS \\Deleted").await.starts_with("a NO "));
    assert!(client.ask("a EXPUNGE").await.starts_with("a NO "));
    assert!(client.ask("a CLOSE").await.starts_with("a OK "));
    assert_eq!(sandbox.messages(&name(ALICE)).len(), 1);
}

#[tokio::test]
async fn idle_tells_what_comes_until_done() {
    let (sandbox, mut client) = selected(&[]).await;
    assert!(client.ask("a IDLE").await.starts_with("+ "));
    sandbox.deliver(&name(ALICE), Bytes::from_static(b"a")).unwrap();
    assert_eq!(client.line().await.unwrap(), "* 1 EXISTS");
    sandbox.deliver(&name(ALICE), Bytes::from_static(b"b")).unwrap();
    assert_eq!(client.line().await.unwrap(), "* 2 EXISTS");
    client.send("DONE\r\n").await;
    assert_eq!(client.line().await.unwrap(), "a OK IDLE completed.");
}

#[tokio::test]
async fn everything_else_that_clients_ask_is_answered() {
    let (_sandbox, mut client) = selected(&["a"]).await;
    for (command, first) in [
        ("LIST \"\" \"*\"", "* LIST (\\HasNoChildren) \"/\" INBOX"),
        ("LIST \"\" \"\"", "* LIST (\\Noselect) \"/\" \"\""),
        ("LSUB \"\" %", "* LSUB (\\HasNoChildren) \"/\" INBOX"),
        (
            "STATUS INBOX (MESSAGES UNSEEN UIDNEXT)",
            "* STATUS INBOX (MESSAGES 1 UNSEEN 1 UIDNEXT 2)",
        ),
        ("NAMESPACE", "* NAMESPACE ((\"\" \"/\")) NIL NIL"),
        ("ID NIL", "* ID (\"name\" \"mailbearer sandbox\")"),
        ("CHECK", "a OK CHECK completed."),
        ("NOOP", "a OK NOOP completed."),
        ("CREATE x", "a NO [CANNOT] There is INBOX and nothing else."),
        ("SELECT x", "a NO [NONEXISTENT] There is INBOX and nothing else."),
        ("FROBNICATE", "a BAD Command argument error."),
    ] {
        assert_eq!(client.ask_all(&format!("a {command}")).await[0], first);
    }
    assert_eq!(client.ask_all("a LOGOUT").await, ["* BYE Logging out.", "a OK LOGOUT completed."]);
    assert_eq!(client.line().await, None);
}
