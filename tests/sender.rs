//! `sender`: what arrives at the provider of messages whose sender becomes the mailbox, byte for
//! byte, and what is never sent.

mod support;

use support::log::Log;
use support::{ALICE, AUTH_PLAIN, Client, Rig, RigSettings};

const ENVELOPE: &str = "sender = \"envelope\"";
const WITH_HEADER: &str = "sender = \"envelope-and-header\"";

/// Who sends: nobody that the mailbox knows.
const SCANNER: &str = "Scan 2 <scan2@lan>";

/// A header that is complete, and all of a body that a rewriter could take for something else.
const REST: &str = "Received: from x\r\n\tby y\r\nSubject: =?utf-8?B?w7w=?=\r\n folded\r\n\
                    Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-Id: <1@lan>\r\n\r\n\
                    From: not me\r\n\r\nMAIL FROM:<b@c>\r\n\u{fc} 8-bit \u{0}\r\n...dots\r\n";

/// A device, and a listener that leaves messages alone.
const OTHERS: &str = r#"
    [listeners.devices]
    protocol = "submission"
    address = "127.0.0.1:0"
    devices = true

    [listeners.plain]
    protocol = "submission"
    address = "127.0.0.1:0"
    accounts = ["bob@example.com"]

    [devices.scanner]
    account = "alice@example.com"
    networks = ["127.0.0.1"]

    [accounts."bob@example.com"]
    provider = "sandbox"
    sender = "keep"
"#;

async fn rig(provider: &'static str, extra: &'static str) -> Rig {
    Rig::with(RigSettings { provider, extra, ..RigSettings::default() }).await
}

/// What of it arrives: one dot that SMTP put before each line with one is gone.
fn unstuffed(text: &str) -> String {
    text.replace("\r\n.", "\r\n")
}

/// Sends `message` from `scan2@lan` in an open session; gives the provider's answer.
async fn submit(client: &mut Client, message: &str) -> String {
    client.ask("MAIL FROM:<scan2@lan> BODY=8BITMIME", "250 ").await;
    client.ask(&format!("RCPT TO:<{ALICE}>"), "250 ").await;
    client.ask("DATA", "354 ").await;
    client.send_bytes(format!("{message}.\r\n").as_bytes()).await;
    client.line().await
}

/// A client in the middle of a message whose header has gone up.
async fn in_message(rig: &Rig) -> Client {
    let mut client = rig.signed_in().await;
    client.ask("MAIL FROM:<scan2@lan>", "250 ").await;
    client.ask(&format!("RCPT TO:<{ALICE}>"), "250 ").await;
    client.ask("DATA", "354 ").await;
    client.send_bytes(format!("From: {SCANNER}\r\nSubject: half\r\n\r\nhalf a").as_bytes()).await;
    client
}

#[tokio::test]
async fn the_envelope_becomes_the_mailbox_and_the_message_stays() {
    for (provider, extra) in [(ENVELOPE, ""), ("", ENVELOPE)] {
        let rig = rig(provider, extra).await;
        let mut client = rig.signed_in().await;
        let message = format!("From: {SCANNER}\r\n{REST}");
        let heard = submit(&mut client, &message).await;
        assert!(heard.starts_with("250 2.0.0 OK <"), "{heard}");
        assert_eq!(rig.messages(), [unstuffed(&message)]);
        assert_eq!(rig.heard_by_smtp("MAIL"), [format!("MAIL FROM:<{ALICE}> BODY=8BITMIME")]);
    }
}

#[tokio::test]
async fn the_header_becomes_the_mailbox_s_too_for_clients_and_devices() {
    let rig = rig(WITH_HEADER, OTHERS).await;
    let mut device = rig.greeted("devices").await;
    let mut client = rig.signed_in().await;
    let message = format!("From: {SCANNER}\r\n{REST}");
    for client in [&mut client, &mut device] {
        submit(client, &message).await;
    }
    let from = format!("From: Scan 2 <{ALICE}>\r\nReply-To: {SCANNER}\r\n");
    let expected = unstuffed(&format!("{from}{REST}"));
    assert_eq!(rig.messages(), [&*expected, &*expected]);
    let mail = format!("MAIL FROM:<{ALICE}> BODY=8BITMIME");
    assert_eq!(rig.heard_by_smtp("MAIL"), [&*mail, &*mail]);
}

#[tokio::test]
async fn a_mailbox_s_own_from_and_a_reply_to_that_is_there_stay() {
    let rig = rig(WITH_HEADER, "").await;
    let mut client = rig.signed_in().await;
    let own = format!("From: Me <{ALICE}>\r\n{REST}");
    submit(&mut client, &own).await;
    submit(&mut client, &format!("From: {SCANNER}\r\nReply-To: c@d\r\n{REST}")).await;
    let replaced = format!("From: Scan 2 <{ALICE}>\r\nReply-To: c@d\r\n{REST}");
    assert_eq!(rig.messages(), [unstuffed(&own), unstuffed(&replaced)]);
}

#[tokio::test]
async fn a_message_without_a_header_is_completed_and_its_body_stays() {
    let rig = rig(WITH_HEADER, "").await;
    let mut client = rig.signed_in().await;
    submit(&mut client, "a body, and nothing else\r\n").await;
    let arrived = rig.messages();
    let text = std::str::from_utf8(&arrived[0]).unwrap();
    let (header, body) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "a body, and nothing else\r\n");
    let names: Vec<_> = header.lines().filter_map(|line| line.split_once(": ")).collect();
    let [("From", from), ("Date", date), ("Message-ID", id)] = names[..] else {
        panic!("{header}")
    };
    assert_eq!(from, ALICE);
    assert!(date.ends_with(" +0000"), "{date}");
    assert!(id.starts_with('<') && id.ends_with("@example.com>"), "{id}");
}

#[tokio::test]
async fn chunks_are_shown_only_where_no_message_is_rewritten_and_refused_where_one_is() {
    let rig = rig(WITH_HEADER, OTHERS).await;
    // What the provider shows is known from the first session on.
    let mut client = rig.signed_in().await;
    for (listener, shown) in [("submission", false), ("devices", false), ("plain", true)] {
        let mut client = rig.greeted(listener).await;
        client.send("EHLO client.example").await;
        let lines = client.expect_after("250 ").await;
        for keyword in ["250-CHUNKING", "250-BINARYMIME"] {
            assert_eq!(lines.iter().any(|it| it == keyword), shown, "{listener}: {lines:?}");
        }
        assert!(lines.iter().any(|it| it == "250-SMTPUTF8"), "{listener}: {lines:?}");
    }
    // The provider shows them itself behind the sign-in, and is not heard.
    client.send("EHLO client.example").await;
    let lines = client.expect_after("250 ").await.concat();
    assert!(!lines.contains("CHUNKING") && !lines.contains("BINARYMIME"), "{lines}");
    assert!(lines.contains("8BITMIME"), "{lines}");
    client.ask("MAIL FROM:<scan2@lan> BODY=BINARYMIME", "555 5.5.4 ").await;
    client.ask("MAIL FROM:<scan2@lan>", "250 ").await;
    client.ask(&format!("RCPT TO:<{ALICE}>"), "250 ").await;
    // The chunk goes with its command, or it would be taken for others.
    client.send_bytes(b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n").await;
    client.expect("502 5.5.1 ").await;
    client.expect("250 ").await;
    client.ask("RSET", "250 ").await;
    let heard = submit(&mut client, REST).await;
    assert!(heard.starts_with("250 "), "{heard}");
    assert!(rig.heard_by_smtp("BDAT").is_empty() && rig.messages().len() == 1);
}

#[tokio::test]
async fn a_client_that_breaks_off_in_its_message_sends_nothing() {
    let log = Log::keep();
    for sender in [ENVELOPE, WITH_HEADER] {
        let rig = rig(sender, "").await;
        in_message(&rig).await.reset();
        log.take_until("closed reason=\"broke\" side=downstream").await;
        let mut closes = in_message(&rig).await;
        closes.close().await;
        // One that only closes is passed on when the provider has been silent for a while.
        drop(closes);
        let mut next = rig.signed_in().await;
        let heard = submit(&mut next, &format!("From: {SCANNER}\r\n{REST}")).await;
        assert!(heard.starts_with("250 "), "{heard}");
        rig.shutdown.cut.cancel();
        log.take_until("closed reason=\"draining\"").await;
        assert_eq!(rig.messages().len(), 1, "{sender}");
    }
}

#[tokio::test]
async fn a_header_of_256_kib_passes_and_a_longer_one_sends_nothing() {
    let log = Log::keep();
    let rig = rig(WITH_HEADER, "").await;
    for (over, reply) in [(0, "250 "), (1, "552 5.3.4 ")] {
        let mut client = Client::connect(rig.submission).await;
        client.expect("220 ").await;
        client.ask(AUTH_PLAIN, "235 ").await;
        let mut header = format!("From: {SCANNER}\r\n");
        // RFC 5322 section 2.1.1: lines of at most 998 characters.
        while header.len() < 256 * 1024 - 1_000 {
            header += &format!("X-Filler: {}\r\n", "x".repeat(500));
        }
        let left = 256 * 1024 + over - header.len() - "X-Rest: \r\n".len();
        header += &format!("X-Rest: {}\r\n", "x".repeat(left));
        assert_eq!(header.len(), 256 * 1024 + over);
        let heard = submit(&mut client, &format!("{header}\r\nbody\r\n")).await;
        assert!(heard.starts_with(reply), "{over}: {heard}");
        assert_eq!(rig.messages().len(), 1, "{over}");
        if over == 1 {
            client.expect_end().await;
            drop(client);
            let told = log.take_until(" closed ").await;
            assert!(told.contains("message refused here reply=\"552 5.3.4 "), "{told}");
        }
    }
    assert!(rig.signed_in().await.ask("NOOP", "250 ").await.starts_with("250 "));
}
