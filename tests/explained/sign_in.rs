//! Every reply to a sign-in of which mailbearer knows what it means, said by the provider: what is
//! logged and what `accounts` shows is what the table says of it.

use mailbearer::provider::Protocol;
use mailbearer::relay::diagnosis::{Diagnosis, Remedy, Row, Stage};
use mailbearer::sandbox::{Action, Step, Times};

use crate::scene::{mail_error, rig, said, sign_in, signed_in};
use crate::support::log::Log;
use crate::support::{Client, Rig};

/// The last line that `mailbox` hears when it signs in.
async fn answer(rig: &Rig, protocol: Protocol, mailbox: &str) -> String {
    let (address, line, [_, last]) = sign_in(rig, protocol, mailbox);
    let mut client = Client::connect(address).await;
    client.line().await;
    client.send(&line).await;
    client.expect_after(last).await.pop().unwrap()
}

/// How the reply to the client begins where the provider says `row`: what passes is never told as a
/// wrong password.
fn heard(row: &Row) -> &'static str {
    match (row.protocol, row.diagnosis.remedy) {
        // The gate of the mailbox is closed, and nobody waits for it.
        (Protocol::Submission, Remedy::Time) if row.diagnosis.is_throttle() => "454 4.3.2 ",
        (Protocol::Submission, Remedy::Time) => "454 4.7.0 ",
        (Protocol::Submission, Remedy::Token | Remedy::Nothing) => "5",
        (Protocol::Imap, Remedy::Time) => "a NO [UNAVAILABLE] ",
        (Protocol::Imap, Remedy::Token | Remedy::Nothing) => "a NO [AUTHORIZATIONFAILED] ",
        (Protocol::Pop3, Remedy::Time) => "-ERR [SYS/TEMP] ",
        (Protocol::Pop3, Remedy::Token | Remedy::Nothing) => "-ERR [SYS/PERM] ",
    }
}

#[tokio::test]
async fn each_reply_to_a_sign_in_is_explained_in_the_log_and_in_accounts() {
    let log = Log::keep();
    let rig = rig().await;
    let rows = || Diagnosis::rows().filter(|row| row.stage != Stage::Session);
    for (number, row) in rows().enumerate() {
        let Row { protocol, sample, diagnosis, .. } = row;
        let mailbox = format!("row-{number}@example.com");
        let reply = Action::Reply(said(row).into());
        rig.provider.script().on(*protocol, Step::Token, Times::Always, reply);
        let reply = answer(&rig, *protocol, &mailbox).await;
        rig.provider.script().clear();
        assert!(reply.starts_with(heard(row)), "{sample}: {reply}");

        let logged = log.take_until("refused ").await;
        let line = logged.lines().last().unwrap();
        let fix = format!("fix={:?}", diagnosis.fix);
        for told in [sample, diagnosis.cause, &fix, &mailbox] {
            assert!(line.contains(told), "{told} is not in {line}");
        }
        let told = [protocol.name(), sample, diagnosis.cause, diagnosis.fix].map(str::to_owned);
        assert_eq!(mail_error(&rig, &mailbox).await, Some(told));

        if !diagnosis.is_throttle() {
            signed_in(&rig, *protocol, &mailbox).await;
            assert_eq!(mail_error(&rig, &mailbox).await, None, "{sample}");
            log.take_until("signed in ").await;
        }
    }
    assert!(rows().count() > 25);
}
