//! Every reply of a provider that mailbearer explains can be had from the script, at the point where
//! the provider says it.
//!
//! Source: learn.microsoft.com and public threads about Exchange Online and Gmail.

use bytes::Bytes;
use mailbearer::provider::Protocol;
use mailbearer::sandbox::{Action, Sandbox, Step, Times};

use crate::client::{Client, name, sandbox, token, xoauth2};
use crate::{imap, pop3, smtp};

fn order(sandbox: &Sandbox, protocol: Protocol, step: Step<'static>, reply: &'static str) {
    let reply = Action::Reply(Bytes::from_static(reply.as_bytes()));
    sandbox.script().on(protocol, step, Times::Next(1), reply);
}

/// The same, and the connection ends.
fn order_last(sandbox: &Sandbox, protocol: Protocol, step: Step<'static>, reply: &'static str) {
    let reply = Action::ReplyThenClose(Bytes::from_static(reply.as_bytes()));
    sandbox.script().on(protocol, step, Times::Next(1), reply);
}

/// All that the server says until it closes.
async fn rest(client: &mut Client) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(line) = client.line().await {
        lines.push(line);
    }
    lines
}

#[tokio::test]
async fn a_submission_sign_in_is_refused_in_every_known_way() {
    let sandbox = sandbox().await;
    let mut client = smtp::greeted(&sandbox).await;
    let line = format!("AUTH XOAUTH2 {}", xoauth2("alice@example.com", &token(&sandbox).await));
    for reply in [
        "535 5.7.3 Authentication unsuccessful [AM0PR04CA0001.eurprd04.prod.outlook.com]\r\n",
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the \
         Tenant. Visit https://aka.ms/smtp_auth_disabled for more information. [host]\r\n",
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the \
         Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information. [host]\r\n",
        "535 5.7.139 Authentication unsuccessful, basic authentication is disabled. [host]\r\n",
        "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security \
         defaults policy. Contact your administrator. [host]\r\n",
        "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be \
         authenticated successfully. Contact your administrator. [host]\r\n",
        "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect. [host]\r\n",
        "550 5.7.30 Basic authentication is not supported for Client Submission.\r\n",
        "501 5.5.127 Token is about to expire\r\n",
        "501 5.5.124 Application is not allowed\r\n",
        "432 4.3.2 Concurrent connections limit exceeded. [host]\r\n",
        "454 4.7.0 Temporary authentication failure. [host]\r\n",
        "535-5.7.8 Username and Password not accepted.\r\n535 5.7.8 BadCredentials - gsmtp\r\n",
    ] {
        order(&sandbox, Protocol::Submission, Step::Token, reply);
        assert_eq!(client.ask_all(&line).await.join("\r\n") + "\r\n", reply);
    }
    assert!(client.ask(&line).await.starts_with("235 "), "all orders are used up");
}

#[tokio::test]
async fn a_message_is_refused_in_every_known_way_at_every_step() {
    let sandbox = sandbox().await;
    let mut client = smtp::signed_in(&sandbox).await;
    let not_signed_in = "530 5.7.57 Client not authenticated to send mail. [host]\r\n";
    let crowded = "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded [host]\r\n";
    let send_as = "550 5.7.60 SMTP; Client does not have permissions to send as this sender\r\n";
    for (command, step, reply) in [
        ("MAIL FROM:<a@example.com>", Step::Command("MAIL"), not_signed_in),
        ("MAIL FROM:<a@example.com>", Step::Command("MAIL"), crowded),
        ("MAIL FROM:<a@example.com>", Step::Command("MAIL"), "451 4.7.0 Temporary error\r\n"),
        ("MAIL FROM:<a@example.com>", Step::Command("MAIL"), "250 2.1.0 Sender OK\r\n"),
        ("RCPT TO:<b@example.com>", Step::Command("RCPT"), send_as),
        ("RCPT TO:<b@example.com>", Step::Command("RCPT"), "550 5.7.708 Access denied\r\n"),
        ("RCPT TO:<b@example.com>", Step::Command("RCPT"), "250 2.1.5 Recipient OK\r\n"),
        ("DATA", Step::Command("DATA"), "550 5.1.8 Access denied, bad outbound sender\r\n"),
    ] {
        order(&sandbox, Protocol::Submission, step, reply);
        assert_eq!(client.ask(command).await + "\r\n", reply, "{command}");
    }
    client.ask("RSET").await;
    for reply in [
        "554 5.2.252 SendAsDenied; alice@example.com not allowed to send as scan@example.com\r\n",
        "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied\r\n",
        "554 5.2.2 mailbox full; STOREDRV.Submission; QuotaExceededException\r\n",
        "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException\r\n",
        "451 4.7.0 Temporary server error. Please try again later. PRX2 [host]\r\n",
    ] {
        order(&sandbox, Protocol::Submission, Step::Message, reply);
        let heard = smtp::send(&mut client, &["bob@example.com"], b"x\r\n.\r\n").await;
        assert_eq!(heard + "\r\n", reply);
    }
    assert!(sandbox.messages(&name("bob@example.com")).is_empty());
    for (step, reply) in [
        (Step::FirstCommand, "421 4.4.2 Message submission timed out\r\n"),
        (Step::Message, "421 4.3.2 The maximum number of concurrent connections\r\n"),
    ] {
        let mut client = smtp::signed_in(&sandbox).await;
        order_last(&sandbox, Protocol::Submission, step, reply);
        client
            .send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nx\r\n.\r\n")
            .await;
        assert_eq!(rest(&mut client).await.pop().unwrap() + "\r\n", reply);
    }
}

#[tokio::test]
async fn an_imap_session_ends_in_every_known_way() {
    let sandbox = sandbox().await;
    let response = xoauth2("alice@example.com", &token(&sandbox).await);
    let sign_in = format!("a AUTHENTICATE XOAUTH2 {response}");
    let mut client = imap::greeted(&sandbox).await;
    for reply in [
        "{tag} NO AUTHENTICATE failed.\r\n",
        "{tag} NO [UNAVAILABLE] Request is throttled. Suggested Backoff Time: 9 milliseconds\r\n",
        "{tag} NO [ALERT] Too many simultaneous connections. (Failure)\r\n",
    ] {
        order(&sandbox, Protocol::Imap, Step::Token, reply);
        assert_eq!(client.ask(&sign_in).await + "\r\n", reply.replace("{tag}", "a"));
    }
    // Signed in, but not to that mailbox: whatever the first command is.
    let not_connected = "{tag} BAD User is authenticated but not connected.\r\n";
    for first in ["b SELECT INBOX", "b NOOP", "b UID FETCH 1 FLAGS"] {
        let mut client = imap::greeted(&sandbox).await;
        assert!(client.ask(&sign_in).await.starts_with("a OK "));
        order(&sandbox, Protocol::Imap, Step::FirstCommand, not_connected);
        assert_eq!(client.ask(first).await, "b BAD User is authenticated but not connected.");
        order_last(
            &sandbox,
            Protocol::Imap,
            Step::Command("NOOP"),
            "* BYE Connection closed. 14\r\n",
        );
        client.send("c NOOP\r\n").await;
        assert_eq!(rest(&mut client).await, ["* BYE Connection closed. 14"]);
    }
    let mut client = imap::greeted(&sandbox).await;
    let expired = "* BYE Session invalidated - AccessTokenExpired\r\n";
    assert!(client.ask(&sign_in).await.starts_with("a OK "));
    client.ask("b NOOP").await;
    order_last(&sandbox, Protocol::Imap, Step::Command("NOOP"), expired);
    client.send("c NOOP\r\n").await;
    assert_eq!(rest(&mut client).await, ["* BYE Session invalidated - AccessTokenExpired"]);
}

#[tokio::test]
async fn a_pop3_session_ends_in_every_known_way() {
    let sandbox = sandbox().await;
    let response = format!("{}\r\n", xoauth2("alice@example.com", &token(&sandbox).await));
    let mut client = pop3::greeted(&sandbox).await;
    for reply in [
        "-ERR Authentication failure: unknown user name or bad password.\r\n",
        "-ERR Logon failure: unknown user name or bad password.\r\n",
    ] {
        order(&sandbox, Protocol::Pop3, Step::Token, reply);
        client.ask("AUTH XOAUTH2").await;
        client.send(&response).await;
        assert_eq!(client.line().await.unwrap() + "\r\n", reply);
    }
    order_last(
        &sandbox,
        Protocol::Pop3,
        Step::Token,
        "-ERR Protocol error. Connection is closed. 10\r\n",
    );
    client.ask("AUTH XOAUTH2").await;
    client.send(&response).await;
    assert_eq!(rest(&mut client).await, ["-ERR Protocol error. Connection is closed. 10"]);

    let mut client = pop3::greeted(&sandbox).await;
    client.ask("AUTH XOAUTH2").await;
    client.send(&response).await;
    assert!(client.line().await.unwrap().starts_with("+OK "));
    order(&sandbox, Protocol::Pop3, Step::FirstCommand, "-ERR [SYS/TEMP] Not connected\r\n");
    assert_eq!(client.ask("STAT").await, "-ERR [SYS/TEMP] Not connected");
    assert!(client.ask("STAT").await.starts_with("+OK "), "that was for the first alone");
}

#[tokio::test]
async fn an_order_for_the_first_command_waits_for_a_sign_in() {
    let sandbox = sandbox().await;
    order(&sandbox, Protocol::Submission, Step::FirstCommand, "451 4.7.0 Later\r\n");
    order(&sandbox, Protocol::Submission, Step::Command("NOOP"), "250 2.0.0 by name\r\n");
    let mut client = smtp::signed_in(&sandbox).await;
    assert_eq!(client.ask("NOOP").await, "451 4.7.0 Later", "EHLO and AUTH were not the first");
    assert_eq!(client.ask("NOOP").await, "250 2.0.0 by name", "that order is not used up");
}
