//! The POP3 server.

use bytes::Bytes;
use mailbearer::provider::{PerProtocol, Protocol, UpstreamTls};
use mailbearer::sandbox::{
    Action, Sandbox, SandboxSettings, SignInRefusal, Step, Times, TokenFlaw,
};

use crate::client::{
    Client, decoded, name, oauthbearer, sandbox, settings, token, token_for, xoauth2,
};

const ALICE: &str = "alice@example.com";

/// A client under TLS that was greeted.
pub(crate) async fn greeted(sandbox: &Sandbox) -> Client {
    let mut client = Client::connect(sandbox, &sandbox.pop3()).await;
    assert_eq!(client.line().await.unwrap(), "+OK mailbearer sandbox POP3 ready.");
    client
}

/// Shows `response` by `mechanism`; gives the reply.
async fn authenticate(client: &mut Client, mechanism: &str, response: &str) -> String {
    assert_eq!(client.ask(&format!("AUTH {mechanism}")).await, "+ ");
    client.ask(response).await
}

/// A client that is signed in as alice.
async fn signed_in(sandbox: &Sandbox) -> Client {
    let mut client = greeted(sandbox).await;
    let response = xoauth2(ALICE, &token(sandbox).await);
    let reply = authenticate(&mut client, "XOAUTH2", &response).await;
    assert_eq!(reply, "+OK User successfully authenticated.");
    client
}

fn deliver(sandbox: &Sandbox, messages: &[&'static str]) {
    for message in messages {
        sandbox.deliver(&name(ALICE), Bytes::from_static(message.as_bytes())).unwrap();
    }
}

/// Sends a line and gives the list behind a positive reply, without its dot.
async fn list(client: &mut Client, line: &str) -> Vec<String> {
    let reply = client.ask(line).await;
    assert!(reply.starts_with("+OK"), "{reply}");
    let mut lines = Vec::new();
    loop {
        match client.line().await.unwrap() {
            end if end == "." => return lines,
            line => lines.push(line),
        }
    }
}

#[tokio::test]
async fn nothing_but_tls_is_possible_before_tls() {
    let tls = PerProtocol::of_each(UpstreamTls::StartTls);
    let sandbox = Sandbox::start(SandboxSettings { tls, ..settings() }).await.unwrap();
    let mut client = greeted(&sandbox).await;
    let shown = list(&mut client, "CAPA").await;
    assert!(shown.contains(&"STLS".to_owned()) && !shown.concat().contains("SASL"), "{shown:?}");
    for line in ["AUTH XOAUTH2", "USER alice", "STAT"] {
        assert_eq!(client.ask(line).await, "-ERR Start TLS first.", "{line}");
    }
    assert!(client.ask("STLS").await.starts_with("+OK "));
    let mut client = client.start_tls(&sandbox).await;
    let shown = list(&mut client, "CAPA").await;
    assert!(shown.contains(&"SASL XOAUTH2 OAUTHBEARER".to_owned()), "{shown:?}");
    assert!(client.ask("STLS").await.starts_with("-ERR "));
    assert_eq!(sandbox.last_sign_in(), None);
}

#[tokio::test]
async fn a_token_signs_in_on_its_own_line_and_never_enters_the_record() {
    let sandbox = sandbox().await;
    let token = token(&sandbox).await;
    for (mechanism, response) in
        [("XOAUTH2", xoauth2(ALICE, &token)), ("oauthbearer", oauthbearer(ALICE, &token))]
    {
        let mut client = greeted(&sandbox).await;
        let reply = authenticate(&mut client, mechanism, &response).await;
        assert_eq!(reply, "+OK User successfully authenticated.");
        assert!(client.ask("AUTH XOAUTH2").await.starts_with("-ERR "), "signed in already");
        let shown: String = sandbox.transcripts().iter().map(ToString::to_string).collect();
        assert!(shown.contains("C: <token, ") && !shown.contains(&response[..30]), "{shown}");
    }
}

#[tokio::test]
async fn a_token_inline_costs_the_connection_as_at_exchange() {
    let sandbox = sandbox().await;
    let mut client = greeted(&sandbox).await;
    let response = xoauth2(ALICE, &token(&sandbox).await);
    let reply = client.ask(&format!("AUTH XOAUTH2 {response}")).await;
    assert_eq!(reply, "-ERR Protocol error. Connection is closed. 10");
    assert_eq!(client.line().await, None);
    assert_eq!(sandbox.last_sign_in(), None);
}

#[tokio::test]
async fn a_bad_token_is_challenged_before_it_is_refused() {
    let sandbox = sandbox().await;
    let imap_only = token_for(&sandbox, &Sandbox::scope(Protocol::Imap)).await;
    let mut client = greeted(&sandbox).await;
    for (mechanism, response, status, acknowledgement) in [
        ("XOAUTH2", xoauth2(ALICE, &imap_only), "401", ""),
        ("OAUTHBEARER", oauthbearer(ALICE, &imap_only), "insufficient_scope", "AQ=="),
    ] {
        let challenge = authenticate(&mut client, mechanism, &response).await;
        let challenge = decoded(challenge.strip_prefix("+ ").unwrap());
        assert!(challenge.contains(&format!(r#""status":"{status}""#)), "{challenge}");
        let reply = client.ask(acknowledgement).await;
        assert_eq!(reply, "-ERR Authentication failure: unknown user name or bad password.");
        let refusal = SignInRefusal::Token(TokenFlaw::Scope);
        assert_eq!(sandbox.last_sign_in().unwrap().refusal, Some(refusal));
    }
    assert!(authenticate(&mut client, "XOAUTH2", "*").await.starts_with("-ERR "));
    assert!(client.ask("AUTH PLAIN").await.starts_with("-ERR "));
    assert!(client.ask("USER alice").await.starts_with("-ERR "));
    assert!(client.ask("STAT").await.starts_with("-ERR "));
}

#[tokio::test]
async fn messages_are_listed_and_retrieved_with_their_dots_stuffed() {
    let sandbox = sandbox().await;
    deliver(&sandbox, &["a: b\r\n\r\n.one\r\n..\r\nthree\r\n", "no end"]);
    let mut client = signed_in(&sandbox).await;
    assert_eq!(client.ask("STAT").await, "+OK 2 31");
    assert_eq!(list(&mut client, "LIST").await, ["1 25", "2 6"]);
    assert_eq!(client.ask("LIST 2").await, "+OK 2 6");
    assert_eq!(list(&mut client, "UIDL").await, ["1 sandbox-1", "2 sandbox-2"]);
    assert_eq!(client.ask("UIDL 1").await, "+OK 1 sandbox-1");
    assert_eq!(list(&mut client, "retr 1").await, ["a: b", "", "..one", "...", "three"]);
    assert_eq!(list(&mut client, "RETR 2").await, ["no end"]);
    assert_eq!(list(&mut client, "TOP 1 0").await, ["a: b", ""]);
    assert_eq!(list(&mut client, "TOP 1 1").await, ["a: b", "", "..one"]);
    for line in ["RETR 3", "RETR 0", "LIST 3", "TOP 3 1", "DELE 3"] {
        assert_eq!(client.ask(line).await, "-ERR The specified message is out of range.", "{line}");
    }
    for line in ["RETR", "RETR x", "TOP 1", "TOP 1 -1", "STAT 1", "QUIT now"] {
        assert_eq!(client.ask(line).await, "-ERR Command argument error.", "{line}");
    }
    assert_eq!(client.ask("XTND").await, "-ERR Command is not valid in this state.");
}

#[tokio::test]
async fn deleted_messages_go_at_quit_and_not_before() {
    let sandbox = sandbox().await;
    deliver(&sandbox, &["a", "bb", "ccc"]);
    let mut client = signed_in(&sandbox).await;
    assert_eq!(client.ask("DELE 1").await, "+OK");
    assert_eq!(client.ask("STAT").await, "+OK 2 5");
    assert!(client.ask("RETR 1").await.starts_with("-ERR "));
    assert_eq!(client.ask("RSET").await, "+OK");
    assert_eq!(client.ask("DELE 2").await, "+OK");
    assert_eq!(list(&mut client, "LIST").await, ["1 1", "3 3"]);
    drop(client);
    let mut client = signed_in(&sandbox).await;
    assert_eq!(client.ask("STAT").await, "+OK 3 6", "a connection that breaks deletes nothing");
    client.ask("DELE 2").await;
    // What came meanwhile is none of this session's.
    deliver(&sandbox, &["dddd"]);
    assert_eq!(client.ask("NOOP").await, "+OK");
    assert_eq!(client.ask("QUIT").await, "+OK Signing off.");
    assert_eq!(client.line().await, None);
    assert_eq!(sandbox.messages(&name(ALICE)), ["a", "ccc", "dddd"]);
}

#[tokio::test]
async fn the_script_speaks_in_its_place() {
    let sandbox = sandbox().await;
    let on = |step, action| sandbox.script().on(Protocol::Pop3, step, Times::Next(1), action);
    let reply = |text: &'static str| Bytes::from_static(text.as_bytes());
    on(Step::Greeting, Action::ReplyThenClose(reply("-ERR [SYS/TEMP] busy\r\n")));
    let mut client = Client::connect(&sandbox, &sandbox.pop3()).await;
    assert_eq!(client.line().await.unwrap(), "-ERR [SYS/TEMP] busy");
    assert_eq!(client.line().await, None);

    let mut client = greeted(&sandbox).await;
    on(Step::Token, Action::Reply(reply("-ERR [IN-USE] busy\r\n")));
    assert_eq!(authenticate(&mut client, "XOAUTH2", "eA==").await, "-ERR [IN-USE] busy");
    on(Step::Command("STAT"), Action::Append(reply("-ERR more\r\n")));
    on(Step::Token, Action::Reply(reply("+OK whatever it is\r\n")));
    let response = xoauth2(ALICE, "no-token");
    assert_eq!(authenticate(&mut client, "XOAUTH2", &response).await, "+OK whatever it is");
    assert_eq!(client.ask("STAT").await, "+OK 0 0");
    assert_eq!(client.line().await.unwrap(), "-ERR more");
    assert_eq!(sandbox.pop3_connections(), 2);
}
