//! Sessions at their limits and in outages of our own, as a client sees them.

mod support;

use support::{AUTH_PLAIN, Client, Rig, RigSettings};

#[tokio::test]
async fn a_relay_with_all_its_sessions_says_so_and_recovers() {
    let extra = "[limits]\nsessions = 2\n";
    let rig = Rig::with(RigSettings { extra, ..RigSettings::default() }).await;
    let mut first = Client::connect(rig.submission).await;
    first.expect("220 ").await;
    first.ask(AUTH_PLAIN, "235 ").await;
    let mut second = Client::connect(rig.imap).await;
    second.expect("* OK").await;
    let mut third = Client::connect(rig.submission).await;
    third.expect("421 ").await;
    third.expect_end().await;
    let mut fourth = Client::connect(rig.imap).await;
    fourth.expect("* BYE ").await;
    fourth.expect_end().await;
    first.ask("NOOP", "250").await;
    second.send("a LOGOUT").await;
    second.expect_after("a OK").await;
    second.expect_end().await;
    // The place is free once the relay has seen the close, which may take a moment.
    while !Client::connect(rig.submission).await.line().await.starts_with("220 ") {}
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
