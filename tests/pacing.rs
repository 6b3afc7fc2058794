//! `messages_per_minute`, as clients meet it: the answer to DATA waits, and nothing else does.

mod support;

use std::time::Duration;

use support::log::Log;
use support::{ALICE, Client, Rig, RigSettings};
use tokio::time::{advance, pause, resume};

async fn rig() -> Rig {
    Rig::with(RigSettings { provider: "messages_per_minute = 1", ..RigSettings::default() }).await
}

/// A client that has said all up to DATA, and not heard the answer to that.
async fn asks_to_send(rig: &Rig) -> Client {
    let mut client = rig.signed_in().await;
    client.ask(&format!("MAIL FROM:<{ALICE}>"), "250 ").await;
    client.ask(&format!("RCPT TO:<{ALICE}>"), "250 ").await;
    client.send("DATA").await;
    client
}

async fn finish(client: &mut Client) {
    client.expect("354 ").await;
    client.send_bytes(b"Subject: paced\r\n\r\n.\r\n").await;
    client.expect("250 ").await;
}

#[tokio::test]
async fn a_message_that_is_one_too_many_waits_and_one_beyond_that_is_put_off() {
    let log = Log::keep();
    let rig = rig().await;
    let mut first = asks_to_send(&rig).await;
    finish(&mut first).await;
    // Of two more in this minute one may begin in the next, and one in none that it may wait for.
    let (mut left, mut right) = (asks_to_send(&rig).await, asks_to_send(&rig).await);
    let mut held = tokio::select! {
        line = left.line() => {
            assert!(line.starts_with("421 4.3.2 "), "{line}");
            left.expect_end().await;
            right
        }
        line = right.line() => {
            assert!(line.starts_with("421 4.3.2 "), "{line}");
            right.expect_end().await;
            left
        }
    };
    let told = log.take_until("message put off: `messages_per_minute`").await;
    assert!(told.contains("account=\"alice@example.com\""), "{told}");
    log.take_until("closed reason=\"closed\" side=relay").await;
    // Nothing else waits.
    first.ask("NOOP", "250 ").await;
    first.ask("QUIT", "221 ").await;
    first.expect_end().await;
    assert_eq!(rig.messages().len(), 1);
    pause();
    advance(Duration::from_secs(60)).await;
    resume();
    finish(&mut held).await;
    held.ask("QUIT", "221 ").await;
    assert_eq!(rig.messages().len(), 2);
}

#[tokio::test]
async fn a_client_that_leaves_while_its_message_waits_gives_the_turn_to_another() {
    let log = Log::keep();
    let rig = rig().await;
    let mut first = asks_to_send(&rig).await;
    finish(&mut first).await;
    let leaves = asks_to_send(&rig).await;
    rig.provider.until(|_| rig.heard_by_smtp("DATA").len() == 2).await;
    leaves.reset();
    log.take_until("closed reason=\"broke\" side=downstream").await;
    let mut next = asks_to_send(&rig).await;
    rig.provider.until(|_| rig.heard_by_smtp("DATA").len() == 3).await;
    pause();
    advance(Duration::from_secs(60)).await;
    resume();
    // Were the turn still taken, it would hear a 421.
    finish(&mut next).await;
}

#[tokio::test]
async fn chunks_which_have_no_354_are_not_shown() {
    let rig = rig().await;
    rig.signed_in().await;
    let mut client = rig.greeted("submission").await;
    client.send("EHLO client.example").await;
    let lines = client.expect_after("250 ").await.concat();
    assert!(!lines.contains("CHUNKING") && !lines.contains("BINARYMIME"), "{lines}");
    assert!(lines.contains("PIPELINING"), "{lines}");
}
