//! Limits, drain and recovery as a client and an operator see them.

mod support;

use std::time::Duration;

use mailbearer::sandbox::{Fault, Times};
use support::client::until;
use support::{ALICE, AUTH_PLAIN, Client, Rig, RigSettings};
use tokio::time::{pause, resume, sleep};

/// Connects to both listeners, to be told that there is no place.
async fn everybody_is_turned_away(rig: &Rig) {
    for (listener, farewell) in [(rig.submission, "421 "), (rig.imap, "* BYE ")] {
        let mut client = Client::connect(listener).await;
        client.expect(farewell).await;
        client.expect_end().await;
    }
}

/// Connects until there is a place.
async fn until_served_again(rig: &Rig) {
    until("the place of a session that has ended is given to the next one", async || {
        let mut client = Client::connect(rig.submission).await;
        client.line().await.starts_with("220 ").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_session_in_data_survives_the_drain_and_a_stranger_is_sent_away() {
    let rig = Rig::start().await;
    let mut sending = Client::connect(rig.submission).await;
    sending.expect("220 ").await;
    sending.ask(AUTH_PLAIN, "235 ").await;
    sending.ask(&format!("MAIL FROM:<{ALICE}>"), "250").await;
    sending.ask(&format!("RCPT TO:<{ALICE}>"), "250").await;
    sending.ask("DATA", "354").await;
    let mut stranger = Client::connect(rig.submission).await;
    stranger.expect("220 ").await;
    let mut imap_stranger = Client::connect(rig.imap).await;
    imap_stranger.expect("* OK").await;
    rig.shutdown.drain.cancel();
    stranger.expect("421 4.3.2 ").await;
    stranger.expect_end().await;
    imap_stranger.expect("* BYE ").await;
    imap_stranger.expect_end().await;
    sending.send_bytes(b"Subject: late\r\n\r\n.\r\n").await;
    sending.expect("250").await;
    sending.ask("QUIT", "221").await;
    rig.stopped().await;
}

#[tokio::test]
async fn a_client_that_waits_for_a_token_is_sent_away_by_the_drain() {
    let rig = Rig::start().await;
    rig.provider.token_fault(Fault::Hang, Times::Always);
    let mut client = Client::connect(rig.submission).await;
    client.expect("220 ").await;
    client.send(AUTH_PLAIN).await;
    rig.provider.until(|provider| provider.token_requests() == 1).await;
    rig.shutdown.drain.cancel();
    client.expect("421 4.3.2 ").await;
    client.expect_end().await;
    // The request goes on to its deadline of 15 s, for what it may bring has to be kept.
    pause();
    sleep(Duration::from_secs(16)).await;
    resume();
    rig.stopped().await;
}

#[tokio::test]
async fn the_end_of_the_grace_time_ends_every_session() {
    let settings = RigSettings { extra: "[shutdown]\ngrace = \"0s\"\n", ..RigSettings::default() };
    let rig = Rig::with(settings).await;
    let mut client = Client::connect(rig.submission).await;
    client.expect("220 ").await;
    client.ask(AUTH_PLAIN, "235 ").await;
    rig.shutdown.drain.cancel();
    client.expect_end().await;
    rig.stopped().await;
}

#[tokio::test]
async fn an_address_that_holds_its_share_of_sessions_is_told_so_until_one_is_free() {
    let extra = "[limits]\nsessions_per_peer = 2\n";
    let rig = Rig::with(RigSettings { extra, ..RigSettings::default() }).await;
    let mut signed_in = Client::connect(rig.submission).await;
    signed_in.expect("220 ").await;
    signed_in.ask(AUTH_PLAIN, "235 ").await;
    let mut first = Client::connect(rig.submission).await;
    first.expect("220 ").await;
    let mut second = Client::connect(rig.imap).await;
    second.expect("* OK").await;
    everybody_is_turned_away(&rig).await;
    first.ask("QUIT", "221").await;
    first.expect_end().await;
    until_served_again(&rig).await;
}

#[tokio::test]
async fn an_address_outside_allow_is_closed_without_a_word() {
    let settings = RigSettings { allow: "[\"192.0.2.0/24\"]", ..RigSettings::default() };
    let rig = Rig::with(settings).await;
    let mut client = Client::connect(rig.submission).await;
    client.expect_end().await;
    assert_eq!(rig.provider.smtp_connections(), 0);
}

#[tokio::test]
async fn a_relay_with_all_its_sessions_says_so_and_recovers() {
    let extra = "[limits]\nsessions = 2\n";
    let rig = Rig::with(RigSettings { extra, ..RigSettings::default() }).await;
    let mut first = Client::connect(rig.submission).await;
    first.expect("220 ").await;
    first.ask(AUTH_PLAIN, "235 ").await;
    let mut second = Client::connect(rig.imap).await;
    second.expect("* OK").await;
    everybody_is_turned_away(&rig).await;
    first.ask("NOOP", "250").await;
    second.send("a LOGOUT").await;
    second.expect_after("a OK").await;
    second.expect_end().await;
    until_served_again(&rig).await;
}

#[tokio::test]
async fn a_password_file_that_cannot_be_read_is_not_told_as_a_wrong_password() {
    let rig = Rig::start().await;
    let mut client = Client::connect(rig.submission).await;
    client.expect("220 ").await;
    let password = rig.take_password_file();
    client.ask(AUTH_PLAIN, "454 4.7.0 ").await;
    rig.put_password_file(&password);
    client.ask(AUTH_PLAIN, "235 ").await;
}
