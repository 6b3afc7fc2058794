//! Every reply behind a sign-in of which mailbearer knows what it means, said by the provider at each
//! step where it may come: it passes unchanged, and is explained as the table says.

use mailbearer::provider::Protocol;
use mailbearer::relay::diagnosis::{Diagnosis, Gravity, Row, Stage};
use mailbearer::sandbox::{Action, Step, Times};

use crate::scene::{mail_error, rig, said, signed_in};
use crate::support::log::Log;
use crate::support::{Client, Rig};

/// A message, and the step at which each part of it is answered.
const MESSAGE: [(&str, Step<'static>); 4] = [
    ("MAIL FROM:<alice@example.com>", Step::Command("MAIL")),
    ("RCPT TO:<bob@example.com>", Step::Command("RCPT")),
    ("DATA", Step::Command("DATA")),
    ("Subject: x\r\n\r\nx\r\n.", Step::Message),
];

/// What the provider does that says `row`: some replies end a session.
fn action(row: &Row) -> Action {
    let said = said(row).into();
    if is_last(row) { Action::ReplyThenClose(said) } else { Action::Reply(said) }
}

fn is_last(row: &Row) -> bool {
    ["421 ", "* BYE ", "-ERR Protocol error. Connection is closed."]
        .iter()
        .any(|last| row.sample.starts_with(last))
}

async fn say_goodbye(client: &mut Client, protocol: Protocol) {
    let (line, farewell) = match protocol {
        Protocol::Submission => ("QUIT", "221 "),
        Protocol::Imap => ("z LOGOUT", "z OK"),
        Protocol::Pop3 => ("QUIT", "+OK"),
    };
    client.send(line).await;
    client.expect_after(farewell).await;
}

/// Ends the session of `client` in which the provider has said `reply`, the row's; checks all that
/// is told of it.
async fn assert_explained(
    rig: &Rig,
    log: &Log,
    mut client: Client,
    (row, reply): (&Row, &str),
    mailbox: &str,
) {
    let Row { protocol, diagnosis, .. } = row;
    let is_trouble = diagnosis.gravity == Gravity::Trouble;
    let shown = mail_error(rig, mailbox).await;
    let told = [protocol.name(), reply, diagnosis.cause, diagnosis.fix].map(str::to_owned);
    assert_eq!(shown, is_trouble.then_some(told), "{reply}");

    if !is_last(row) {
        say_goodbye(&mut client, *protocol).await;
    }
    client.expect_end().await;
    // The relay waits a while for a client that does not close.
    drop(client);
    let level = if is_trouble { "WARN" } else { "INFO" };
    let logged = log.take_until("closed reason=").await;
    let (closed, lines) = logged.trim_end().rsplit_once('\n').map(|(a, b)| (b, a)).unwrap();
    let told = [
        format!(" reply={reply:?} cause={:?} fix={:?}", diagnosis.cause, diagnosis.fix),
        format!(" last_reply={reply:?} cause={:?} ", diagnosis.cause),
        format!(" hint={:?}", diagnosis.fix),
    ];
    let [line, last, hint] = told.each_ref().map(String::as_str);
    let explained: Vec<_> = lines.lines().filter(|it| it.contains(" refused")).collect();
    assert_eq!(explained.len(), 1, "{logged}");
    assert!(explained[0].contains(level) && explained[0].contains(line), "{logged}");
    assert!(closed.contains(level) && closed.contains(last), "{closed}");
    assert_eq!(closed.contains(hint), is_trouble, "{closed}");
}

fn rows(protocol: Protocol) -> impl Iterator<Item = &'static Row> {
    Diagnosis::rows().filter(move |row| row.stage != Stage::SignIn && row.protocol == protocol)
}

#[tokio::test]
async fn each_reply_to_a_part_of_a_message_is_passed_and_explained_until_one_is_accepted() {
    let log = Log::keep();
    let rig = rig().await;
    let mut count = 0;
    for (number, row) in rows(Protocol::Submission).enumerate() {
        for (at, (part, step)) in MESSAGE.iter().enumerate() {
            let mailbox = format!("row-{number}-{at}@example.com");
            // It signs in first: the other one's trouble may close the gate behind both.
            let mut next = signed_in(&rig, row.protocol, &mailbox).await;
            let mut client = signed_in(&rig, row.protocol, &mailbox).await;
            for (part, _) in MESSAGE.iter().take(at) {
                client.send(part).await;
                let heard = client.line().await;
                assert!(heard.starts_with(['2', '3']), "{part}: {heard}");
            }
            log.take_until("signed in ").await;
            log.take_until("signed in ").await;
            rig.provider.script().on(row.protocol, *step, Times::Next(1), action(row));
            client.send(part).await;
            assert_eq!(client.line().await, row.sample, "at {part}");
            assert_explained(&rig, &log, client, (row, row.sample), &mailbox).await;

            for (part, _) in MESSAGE {
                next.send(part).await;
                let heard = next.line().await;
                assert!(heard.starts_with(['2', '3']), "{part}: {heard}");
            }
            assert_eq!(mail_error(&rig, &mailbox).await, None, "{}", row.sample);
            next.ask("QUIT", "221 ").await;
            drop(next);
            let closed = log.take_until("closed reason=").await;
            assert!(!closed.contains("cause="), "{closed}");
            count += 1;
        }
    }
    assert!(count >= 4 * 20, "{count}");
}

#[tokio::test]
async fn each_reply_to_the_first_command_is_passed_and_explained_until_the_next_sign_in() {
    let log = Log::keep();
    let rig = rig().await;
    let mut count = 0;
    for row in rows(Protocol::Imap).chain(rows(Protocol::Pop3)) {
        let mailbox = "row@example.com";
        let mut client = signed_in(&rig, row.protocol, mailbox).await;
        log.take_until("signed in ").await;
        rig.provider.script().on(row.protocol, Step::Command("NOOP"), Times::Next(1), action(row));
        let (command, tag) = match row.protocol {
            Protocol::Imap if !is_last(row) => ("b NOOP", "b "),
            Protocol::Imap => ("b NOOP", ""),
            Protocol::Submission | Protocol::Pop3 => ("NOOP", ""),
        };
        let reply = format!("{tag}{}", row.sample);
        client.send(command).await;
        assert_eq!(client.line().await, reply);
        assert_explained(&rig, &log, client, (row, &reply), mailbox).await;

        say_goodbye(&mut signed_in(&rig, row.protocol, mailbox).await, row.protocol).await;
        assert_eq!(mail_error(&rig, mailbox).await, None, "{reply}");
        log.take_until("closed reason=").await;
        count += 1;
    }
    assert!(count >= 10, "{count}");
}
