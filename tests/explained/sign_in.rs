//! Every reply to a sign-in of which mailbearer knows what it means, said by the provider: what is
//! logged and what `accounts` shows is what the table says of it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use mailbearer::provider::Protocol;
use mailbearer::relay::diagnosis::{Diagnosis, Remedy, Row, Stage};
use mailbearer::sandbox::{Action, Step, Times};
use support::log::Log;
use support::{ALICE, AUTH_PLAIN, Client, PASSWORD, Rig, RigSettings, server};

/// A listener for POP3, whose server [`rig`] puts in the place of the one here.
const POP3: &str = "[listeners.pop3]\n\
                    protocol = \"pop3\"\n\
                    address = \"127.0.0.1:0\"\n\
                    accounts = [\"alice@example.com\"]\n\
                    upstream = {smtp}\n";

async fn rig() -> Rig {
    let rig = Rig::with(RigSettings { extra: POP3, ..RigSettings::default() }).await;
    let upstream = |host| format!("upstream = {}", server("127.0.0.1", host));
    let [smtp, pop3] = [rig.provider.smtp(), rig.provider.pop3()];
    assert_eq!(smtp.host, "127.0.0.1");
    rig.reload(|text| text.replace(&upstream(&smtp), &upstream(&pop3))).await.unwrap();
    rig
}

/// Signs in by `protocol`; gives the client's last line.
async fn sign_in(rig: &Rig, protocol: Protocol) -> String {
    let (address, line, last) = match protocol {
        Protocol::Submission => (rig.submission, AUTH_PLAIN.to_owned(), ""),
        Protocol::Imap => (rig.imap, format!("a LOGIN {ALICE} {PASSWORD}"), "a "),
        Protocol::Pop3 => (rig.address("pop3"), AUTH_PLAIN.to_owned(), ""),
    };
    let mut client = Client::connect(address).await;
    client.line().await;
    client.send(&line).await;
    client.expect_after(last).await.pop().unwrap()
}

/// How the reply to the client begins where the provider says `row`: what passes is never told as a
/// wrong password.
fn heard(row: &Row) -> &'static str {
    match (row.protocol, row.diagnosis.remedy) {
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
    let mut rows = 0;
    for row in Diagnosis::rows().filter(|row| row.stage != Stage::Session) {
        let Row { protocol, sample, diagnosis, .. } = row;
        let tag = if *protocol == Protocol::Imap { "{tag} " } else { "" };
        let said = Action::Reply(format!("{tag}{sample}\r\n").into());
        rig.provider.script().on(*protocol, Step::Token, Times::Always, said);
        let reply = sign_in(&rig, *protocol).await;
        rig.provider.script().clear();
        assert!(reply.starts_with(heard(row)), "{sample}: {reply}");

        let logged = log.take_until("refused ").await;
        let line = logged.lines().last().unwrap();
        let fix = format!("fix={:?}", diagnosis.fix);
        for told in [sample, diagnosis.cause, &fix] {
            assert!(line.contains(told), "{told} is not in {line}");
        }

        let shown = rig.operator.accounts().await.unwrap().pop().unwrap().mail_error.unwrap();
        let told = (shown.protocol.as_str(), shown.reply.as_str());
        assert_eq!(told, (protocol.name(), *sample));
        assert_eq!((shown.cause.as_str(), shown.fix.as_str()), (diagnosis.cause, diagnosis.fix));

        // Which also ends the row of refused tokens, after five of which none is asked for.
        let reply = sign_in(&rig, *protocol).await;
        assert!(["235", "a OK", "+OK"].iter().any(|ok| reply.starts_with(ok)), "{reply}");
        let shown = rig.operator.accounts().await.unwrap().pop().unwrap().mail_error;
        assert_eq!(shown, None, "{sample}");
        log.take_until("signed in ").await;
        rows += 1;
    }
    assert!(rows > 25, "{rows}");
}
