//! What a device may send: `senders` and `messages_per_hour`.

use mailbearer::provider::Protocol;
use mailbearer::sandbox::{Action, Step, Times};

use super::scene::{deliver, device, finish, rig, scanner, with_devices};
use super::support::log::Log;
use super::support::{ALICE, Rig};

/// A sender of the domain, one outside of it.
const OURS: &str = "Scan@Example.com";
const FOREIGN: &str = "boss@elsewhere.example";

async fn with_senders() -> Rig {
    rig(with_devices!(device!("senders = [\"*@example.com\"]\n"))).await
}

#[tokio::test]
async fn a_foreign_sender_is_refused_and_the_next_right_one_goes_through() {
    let log = Log::keep();
    let rig = with_senders().await;
    let mut client = scanner(&rig).await;
    for sender in [FOREIGN, "", "a@example.com.elsewhere.example", "example.com"] {
        client.ask(&format!("MAIL FROM:<{sender}>"), "553 5.7.1 ").await;
        let told = log.take_until("reply=\"553 5.7.1 ").await;
        assert!(told.contains("WARN") && told.contains("`senders`"), "{told}");
    }
    deliver(&mut client, OURS).await;
    client.ask("QUIT", "221 ").await;
    assert_eq!(rig.messages().len(), 1);
    assert_eq!(rig.heard_by_smtp("MAIL"), [format!("MAIL FROM:<{OURS}>")]);
}

#[tokio::test]
async fn a_whole_group_behind_a_refused_mail_sends_nothing() {
    let rig = with_senders().await;
    let mut client = scanner(&rig).await;
    let group = format!("MAIL FROM:<{FOREIGN}>\r\nRCPT TO:<{ALICE}>\r\nDATA\r\n");
    client.send_bytes(group.as_bytes()).await;
    for reply in ["553 5.7.1 ", "503 ", "503 "] {
        client.expect(reply).await;
    }
    assert_eq!(rig.heard_by_smtp("MAIL"), Vec::<String>::new());
    deliver(&mut client, OURS).await;
    assert_eq!(rig.messages().len(), 1);
}

#[tokio::test]
async fn the_message_that_is_one_too_many_in_an_hour_is_put_off() {
    let log = Log::keep();
    let rig = rig(with_devices!(device!("messages_per_hour = 2\n"))).await;
    let mut client = scanner(&rig).await;
    deliver(&mut client, "scan@lan").await;
    // Only what was accepted counts.
    for (step, reply) in [
        (Step::Command("MAIL"), "501 5.1.7 bad sender\r\n"),
        (
            Step::Message,
            "550 5.7.60 SMTP; Client does not have permissions to send as this sender\r\n",
        ),
    ] {
        let refuse = Action::Reply(reply.into());
        rig.provider.script().on(Protocol::Submission, step, Times::Next(1), refuse);
    }
    client.ask("MAIL FROM:<scan@lan>", "501 5.1.7 ").await;
    client.ask("MAIL FROM:<scan@lan>", "250 ").await;
    client.ask(&format!("RCPT TO:<{ALICE}>"), "250 ").await;
    client.ask("DATA", "354 ").await;
    client.send_bytes(b"Subject: refused\r\n\r\n.\r\n").await;
    client.expect("550 5.7.60 ").await;
    client.ask("MAIL FROM:<scan@lan>", "250 ").await;
    client.ask("RSET", "250 ").await;
    client.ask("MAIL FROM:<scan@lan>", "250 ").await;
    finish(&mut client).await;
    // That was the second. The limit is the device's, not the session's.
    client.ask("MAIL FROM:<scan@lan>", "451 4.7.1 ").await;
    client.ask("QUIT", "221 ").await;
    let mut again = scanner(&rig).await;
    again.ask("MAIL FROM:<scan@lan>", "451 4.7.1 ").await;
    let told = log.take_until("reply=\"451 4.7.1 ").await;
    assert!(told.contains("messages_per_hour"), "{told}");
    assert_eq!(rig.messages().len(), 2);
}

#[tokio::test]
async fn a_device_with_rules_is_shown_no_chunks_and_other_clients_are() {
    let rig = rig(with_devices!(device!("messages_per_hour = 100000\n"))).await;
    // What the provider shows is known from the first session on.
    rig.signed_in().await;
    for (listener, shown) in [("submission", true), ("devices", false)] {
        let mut client = rig.greeted(listener).await;
        client.send("EHLO client.example").await;
        let lines = client.expect_after("250 ").await;
        for keyword in ["250-CHUNKING", "250-BINARYMIME"] {
            assert_eq!(lines.iter().any(|it| it == keyword), shown, "{listener}: {lines:?}");
        }
        assert!(lines.iter().any(|it| it == "250-8BITMIME"), "{listener}: {lines:?}");
    }
}
