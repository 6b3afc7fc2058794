//! What a refusal means for the connections that are ready, and for those that are to be made.

use std::sync::Arc;

use mailbearer::provider::Protocol;
use mailbearer::sandbox::{Action, Step, Times};
use tokio::sync::Notify;

use crate::scene::{READY, ahead, rig, session, shown, signed_in_on, stage, warmed_up_on, whole};
use crate::support::log::Log;
use crate::support::stage::{Stage, words};
use crate::support::upstream::{Act, Script};
use crate::support::{BOB_PLAIN, RigSettings};

#[tokio::test]
async fn a_server_that_has_refused_is_left_alone() {
    let protocol = Protocol::Submission;
    let log = Log::keep();
    let turned_away = Script::parse("S: 421 4.3.2 too many connections\nCLOSE");
    let stage = stage().await;
    let upstream = &stage.upstreams.submission;
    for script in [whole(protocol), whole(protocol), turned_away] {
        upstream.plays(script);
    }
    for _ in 0..2 {
        signed_in_on(&stage, protocol).await;
    }
    let told = log.take_until("no warm connection").await;
    assert!(told.contains("421 4.3.2 too many connections"), "{told}");
    none_is_made(&stage, protocol, &log).await;
}

/// Has sessions sign in, behind which no connection is made: it would play one of their scripts, and
/// a session be left without.
async fn none_is_made(stage: &Stage, protocol: Protocol, log: &Log) {
    for _ in 0..3 {
        stage.upstreams.get(protocol).plays(whole(protocol));
        signed_in_on(stage, protocol).await;
    }
    assert!(!log.take_until("signed in").await.contains("warm"));
}

/// Another account of the same provider.
const BOB: &str = "[accounts.\"bob@example.com\"]\nprovider = \"sandbox\"\n\
    local_password = { file = \"password\" }\n";

#[tokio::test]
async fn a_mailbox_with_too_many_sessions_leaves_the_others_theirs() {
    let protocol = Protocol::Submission;
    let log = Log::keep();
    let rig = rig(2, RigSettings { extra: BOB, ..RigSettings::default() }).await;
    for made in [0, 1, 1, 2] {
        session(&rig, protocol).await;
        for _ in 0..made {
            log.take_until(READY).await;
        }
    }
    let too_many = "432 4.3.2 Concurrent connections limit exceeded\r\n";
    rig.provider.script().on(protocol, Step::Token, Times::Next(1), Action::Reply(too_many.into()));
    let mut bob = rig.greeted("submission").await;
    bob.send(BOB_PLAIN).await;
    let told = log.take_until("gate is closed for a while").await;
    assert!(told.contains("warm connection taken") && !told.contains("dropped"), "{told}");
    session(&rig, protocol).await;
    let told = log.take_until("signed in").await;
    assert!(told.contains("warm=true"), "{told}");
}

#[tokio::test]
async fn a_farewell_that_tells_of_too_many_sessions_has_one_more_asked_and_then_none_made() {
    let protocol = Protocol::Imap;
    let log = Log::keep();
    let too_many = "[ALERT] Too many simultaneous connections. (Failure)";
    let farewell = Script::parse(&format!("S: * BYE {too_many}\nCLOSE"));
    let stage = warmed_up_on(protocol, shown(protocol).and(&farewell), &log).await;
    let upstream = &stage.upstreams.imap;
    // As it would have been without a warm connection: what a new one is told counts.
    upstream.plays(shown(protocol).and(&Script::parse(&format!("S: m3 NO [LIMIT] {too_many}"))));
    let mut client = stage.greeted(protocol).await;
    client.ask(words(protocol).sign_in, words(protocol).unavailable).await;
    let told = log.take_until("refused").await;
    assert!(told.contains("found dead, another one is dialled"), "{told}");
    none_is_made(&stage, protocol, &log).await;
}

#[tokio::test]
async fn a_connection_that_comes_about_behind_a_refusal_is_closed_in_order() {
    let protocol = Protocol::Submission;
    let log = Log::keep();
    let mut stage = stage().await;
    let refused = Arc::new(Notify::new());
    let late = ahead(protocol);
    let late = late.cut(late.len() - 1).then(Act::Wait(Arc::clone(&refused)));
    // TLS that ends without a close_notify would be another error than the end that is due.
    let late = late.and(&Script::parse("S: 334")).then(Act::Take(1));
    let turned_away = Script::parse("S: 421 4.3.2 Service not available\nCLOSE");
    for script in [whole(protocol), whole(protocol), late, turned_away] {
        stage.upstreams.submission.plays(script);
    }
    for _ in 0..2 {
        signed_in_on(&stage, protocol).await;
    }
    let mut client = stage.greeted(protocol).await;
    client.ask(words(protocol).sign_in, words(protocol).unavailable).await;
    refused.notify_one();
    let broke = loop {
        if let Some(broke) = stage.upstreams.submission.heard().await.broke {
            break broke;
        }
    };
    assert_eq!(broke, "early eof before 1 bytes");
    stage.upstreams.submission.plays(whole(protocol));
    signed_in_on(&stage, protocol).await;
    assert!(!log.take_until("signed in").await.contains("warm connection ready"));
}
