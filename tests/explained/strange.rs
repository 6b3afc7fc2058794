//! A provider's server that is none, or lies: what it says reaches neither log nor memory beyond
//! bounds, and forges nothing.

use bytes::Bytes;
use mailbearer::provider::Protocol;
use mailbearer::sandbox::{Action, Step, Times};

use crate::support::log::Log;
use crate::support::{Client, Rig};

const DENIED: &str = "550 5.7.60 SMTP; Client does not have permissions to send as this sender";

/// Lets the provider say `bytes` behind its reply to NOOP.
fn append(rig: &Rig, bytes: impl Into<Bytes>) {
    let said = Action::Append(bytes.into());
    rig.provider.script().on(Protocol::Submission, Step::Command("NOOP"), Times::Next(1), said);
}

/// Ends a session. A relay waits a while for a client that does not close.
async fn quit(mut client: Client) {
    client.ask("QUIT", "221 ").await;
    client.expect_end().await;
}

#[tokio::test]
async fn a_thousand_refusals_leave_a_hundred_lines_and_a_number() {
    let log = Log::keep();
    let rig = Rig::start().await;
    let mut client = rig.signed_in().await;
    append(&rig, format!("{DENIED}\r\n").repeat(1_000));
    client.ask("NOOP", "250").await;
    for _ in 0..1_000 {
        client.expect(DENIED).await;
    }
    quit(client).await;
    let logged = log.take_until("closed reason=").await;
    let (lines, closed) = logged.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(lines.matches(DENIED).count(), 100);
    assert!(closed.contains(" unlogged=900 "), "{closed}");
}

#[tokio::test]
async fn messages_that_nobody_sent_leave_ten_thousand_lines_and_a_number() {
    let log = Log::keep();
    let rig = Rig::start().await;
    let mut client = rig.signed_in().await;
    append(&rig, "354 go\r\n250 2.0.0 taken\r\n".repeat(10_003));
    client.ask("NOOP", "250").await;
    for _ in 0..10_003 {
        client.expect("354 go").await;
        client.expect("250 2.0.0 taken").await;
    }
    quit(client).await;
    let logged = log.take_until("closed reason=").await;
    assert_eq!(logged.matches(" message accepted ").count(), 10_000);
    let closed = logged.lines().last().unwrap();
    assert!(closed.contains(" messages=10003 ") && closed.contains(" unlogged=3 "), "{closed}");
}

#[tokio::test]
async fn a_reply_forges_neither_lines_nor_fields_of_the_log_nor_of_accounts() {
    let log = Log::keep();
    let rig = Rig::start().await;
    let mut client = rig.signed_in().await;
    log.take_until("signed in ").await;
    let forged = "550 5.7.60 \x1b[2J\" account=\"bob\" \x00\x08\rWARN  refused <script>";
    append(&rig, format!("{forged}\u{202e}\u{85}\r\n"));
    client.ask("NOOP", "250").await;
    assert!(client.line().await.starts_with(forged), "it passes unchanged");
    quit(client).await;
    let logged = log.take_until("closed reason=").await;
    let said = "550 5.7.60 ?[2J\\\" account=\\\"bob\\\" ???WARN  refused <script>?????";
    assert_eq!(logged.matches(said).count(), 2, "{logged}");
    for line in logged.lines() {
        assert!(!line.contains(['\x1b', '\0', '\x08', '\r', '\u{202e}', '\u{85}']), "{line:?}");
        assert!(!line.contains(" account=\"bob\""), "{line}");
    }
    let shown = rig.operator.accounts().await.unwrap().pop().unwrap().mail_error.unwrap();
    assert_eq!(shown.reply, said.replace('\\', ""));
}

#[tokio::test]
async fn a_message_is_not_accepted_by_what_is_no_reply() {
    let log = Log::keep();
    let rig = Rig::start().await;
    let mut client = rig.signed_in().await;
    append(&rig, "354 go\r\nodd\r\n199 odd\r\n999 odd\r\n550-no\r\n550 5.6.0 never\r\n");
    client.ask("NOOP", "250").await;
    for said in ["354 go", "odd", "199 odd", "999 odd", "550-no", "550 5.6.0 never"] {
        assert_eq!(client.line().await, said);
    }
    quit(client).await;
    let logged = log.take_until("closed reason=").await;
    assert!(!logged.contains("message accepted"), "{logged}");
    assert!(
        logged.contains("WARN") && logged.contains("message refused reply=\"550 5.6.0 never\"")
    );
    let closed = logged.lines().last().unwrap();
    assert!(closed.contains("last_reply=\"550 5.6.0 never\"") && !closed.contains("messages="));
}
