//! Who is given a warm connection.

use std::time::Duration;

use mailbearer::provider::{Mechanism, Protocol, UpstreamTls};
use tokio::time::{pause, resume, sleep};

use crate::scene::{
    READY, connections, heard, rig, session, signed_in, signed_in_on, warmed_up, warmed_up_on,
    without_sasl_ir,
};
use crate::support::log::Log;
use crate::support::upstream::Act;
use crate::support::{BOB_PLAIN, Client, RigSettings};

#[tokio::test]
async fn a_busy_application_finds_a_connection_ready_in_each_protocol() {
    for protocol in Protocol::ALL {
        for tls in [UpstreamTls::Implicit, UpstreamTls::StartTls] {
            let log = Log::keep();
            let rig = rig(1, RigSettings { tls, ..RigSettings::default() }).await;
            warmed_up(&rig, protocol, &log).await;
            assert_eq!(connections(&rig.provider, protocol), 3);
            let mut client = signed_in(&rig, protocol).await;
            let told = log.take_until("signed in").await;
            assert!(
                told.contains("warm connection taken") && told.contains(" warm=true"),
                "{told}"
            );
            let line = if protocol == Protocol::Imap { "x NOOP" } else { "NOOP" };
            client.send(line).await;
            client.line().await;
            assert!(heard(&rig, protocol, 3).contains(&line.to_owned()), "it is that connection");
            client.send(if protocol == Protocol::Imap { "z LOGOUT" } else { "QUIT" }).await;
            client.rest().await;
            drop(client);
            let told = told + &log.take_until(" closed reason=").await;
            assert!(told.contains(" warm=true dial_ms=0 token_ms="), "{told}");
            // And another one is made for the next session.
            if !told.contains(READY) {
                log.take_until(READY).await;
            }
            assert_eq!(connections(&rig.provider, protocol), 4);
        }
    }
}

#[tokio::test]
async fn the_sign_in_is_begun_ahead_where_the_token_has_a_line_of_its_own() {
    for (protocol, said) in [
        (Protocol::Submission, &["EHLO [127.0.0.1]", "AUTH XOAUTH2"][..]),
        (Protocol::Pop3, &["AUTH XOAUTH2"]),
        // It has told its capabilities in the greeting.
        (Protocol::Imap, &[]),
    ] {
        let log = Log::keep();
        let settings = RigSettings { tls: UpstreamTls::Implicit, ..RigSettings::default() };
        let rig = rig(1, settings).await;
        warmed_up(&rig, protocol, &log).await;
        assert_eq!(heard(&rig, protocol, 3), said, "no credentials");
    }
}

#[tokio::test]
async fn so_is_it_at_an_imap_server_without_sasl_ir() {
    let log = Log::keep();
    let whole = without_sasl_ir();
    // It closes behind AUTHENTICATE; while that is not heard, it would be waited for.
    let begun = whole.cut(whole.len() - 2).then(Act::Close);
    let _stage = warmed_up_on(Protocol::Imap, begun, &log).await;
    let told = log.take_until("warm connection dropped").await;
    assert!(told.contains("why=\"closed\""), "{told}");
    let stage = warmed_up_on(Protocol::Imap, whole, &log).await;
    signed_in_on(&stage, Protocol::Imap).await;
    let told = log.take_until("signed in").await;
    assert!(told.contains("warm=true") && !told.contains("dialled"), "{told}");
}

#[tokio::test]
async fn a_connection_is_of_the_mechanism_of_who_takes_it() {
    let log = Log::keep();
    let mechanism = Mechanism::OauthBearer;
    let rig = rig(1, RigSettings { mechanism, ..RigSettings::default() }).await;
    warmed_up(&rig, Protocol::Submission, &log).await;
    assert_eq!(heard(&rig, Protocol::Submission, 3).last().unwrap(), "AUTH OAUTHBEARER");
    session(&rig, Protocol::Submission).await;
    log.take_until("warm connection taken").await;
}

/// An account at another provider, which is the same server by another name and mechanism.
const OTHER: &str = "[providers.other]\ntoken_endpoint = \"http://127.0.0.1:1/\"\n\
    scopes = [\"x\"]\nsubmission = {smtp}\nmechanism = \"oauthbearer\"\nca_file = \"ca.pem\"\n\
    grant = \"command\"\ncommand = [\"sh\", \"-c\", \"echo token\"]\n\
    [accounts.\"bob@example.com\"]\nprovider = \"other\"\n\
    local_password = { file = \"password\" }\n";

#[tokio::test]
async fn an_account_of_another_provider_is_given_none() {
    let log = Log::keep();
    let rig = rig(1, RigSettings { extra: OTHER, ..RigSettings::default() }).await;
    warmed_up(&rig, Protocol::Submission, &log).await;
    let mut bob = rig.greeted("submission").await;
    // The server does not know that token.
    bob.ask(BOB_PLAIN, "535 ").await;
    assert!(!log.take_until("refused").await.contains("warm connection taken"));
    session(&rig, Protocol::Submission).await;
    log.take_until("warm connection taken").await;
}

/// An account of the same provider that gets no token.
const BOB: &str = "[accounts.\"bob@example.com\"]\nprovider = \"sandbox\"\n\
    grant = \"command\"\ncommand = [\"sh\", \"-c\", \"exit 1\"]\n\
    local_password = { file = \"password\" }\n";

#[tokio::test]
async fn an_account_without_a_token_leaves_them_to_others() {
    let log = Log::keep();
    let rig = rig(1, RigSettings { extra: BOB, ..RigSettings::default() }).await;
    warmed_up(&rig, Protocol::Submission, &log).await;
    for _ in 0..2 {
        let mut bob = rig.greeted("submission").await;
        bob.ask(BOB_PLAIN, "454 ").await;
        let told = log.take_until("refused").await;
        assert!(!told.contains("warm connection"), "{told}");
    }
    session(&rig, Protocol::Submission).await;
    log.take_until("warm connection taken").await;
    log.take_until("signed in").await;
}

#[tokio::test]
async fn nobody_is_given_one_without_a_place_at_the_gate() {
    let log = Log::keep();
    let rig = rig(1, RigSettings::default()).await;
    let one = "submission = 1 }\n        pop3 = ";
    rig.reload(|text| text.replacen("pop3 = ", &format!("concurrent_sessions = {{ {one}"), 1))
        .await
        .unwrap();
    warmed_up(&rig, Protocol::Submission, &log).await;
    let mut first = signed_in(&rig, Protocol::Submission).await;
    log.take_until(READY).await;
    let mut second: Client = rig.greeted("submission").await;
    second.send(crate::support::AUTH_PLAIN).await;
    first.ask("QUIT", "221 ").await;
    drop(first);
    let told = log.take_until(" closed reason=").await;
    assert!(!told.contains("warm connection taken"), "{told}");
    second.expect("235 ").await;
    log.take_until("warm connection taken").await;
}

#[tokio::test]
async fn nobody_is_given_one_that_was_certified_by_an_older_ca_file() {
    let log = Log::keep();
    let rig = rig(1, RigSettings::default()).await;
    pause();
    // Until shortly before the file is looked at.
    sleep(Duration::from_secs(25)).await;
    warmed_up(&rig, Protocol::Submission, &log).await;
    let ca_file = rig.file.with_file_name("ca.pem");
    let authorities = std::fs::read_to_string(&ca_file).unwrap();
    std::fs::write(ca_file, format!("The same authorities, and perhaps no others.\n{authorities}"))
        .unwrap();
    // The clock stands still while it is looked at.
    sleep(Duration::from_secs(6)).await;
    session(&rig, Protocol::Submission).await;
    let told = log.take_until("signed in").await;
    assert!(!told.contains("dropped") && !told.contains("taken"), "there is one still: {told}");
    resume();
}
