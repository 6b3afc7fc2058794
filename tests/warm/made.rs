//! When connections are made ahead, and when they are not; how many, and for how long.

use std::time::Duration;

use mailbearer::provider::Protocol;
use mailbearer::sandbox::{Action, Step, Times};
use tokio::time::{advance, pause, sleep};

use crate::scene::{READY, SEVERAL, connections, rig, session, warmed_up};
use crate::support::log::Log;
use crate::support::{AUTH_PLAIN, RigSettings, WRONG_PLAIN};

#[tokio::test]
async fn no_connection_is_made_ahead_where_it_is_switched_off() {
    let rig = rig(0, RigSettings::default()).await;
    for _ in 0..SEVERAL {
        session(&rig, Protocol::Submission).await;
    }
    pause();
    // Whatever had been begun would be there.
    sleep(Duration::from_secs(30)).await;
    assert_eq!(connections(&rig.provider, Protocol::Submission), 6);
}

#[tokio::test]
async fn who_signs_in_now_and_then_causes_no_second_connection() {
    let rig = rig(8, RigSettings::default()).await;
    session(&rig, Protocol::Submission).await;
    pause();
    for _ in 1..SEVERAL {
        sleep(Duration::from_secs(10)).await;
        session(&rig, Protocol::Submission).await;
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(connections(&rig.provider, Protocol::Submission), 6);
}

#[tokio::test]
async fn a_stranger_and_a_refused_sign_in_cause_no_connection() {
    let rig = rig(8, RigSettings::default()).await;
    pause();
    for _ in 0..SEVERAL {
        let mut stranger = rig.greeted("submission").await;
        stranger.ask(WRONG_PLAIN, "535 ").await;
    }
    assert_eq!(connections(&rig.provider, Protocol::Submission), 0);
    let no = Action::Reply("535 5.7.139 SmtpClientAuthentication is disabled\r\n".into());
    rig.provider.script().on(Protocol::Submission, Step::Token, Times::Always, no);
    for _ in 0..SEVERAL {
        let mut client = rig.greeted("submission").await;
        client.ask(AUTH_PLAIN, "535 ").await;
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(connections(&rig.provider, Protocol::Submission), 6, "one for each that was let in");
}

#[tokio::test]
async fn there_are_never_more_than_the_file_allows() {
    let log = Log::keep();
    let rig = rig(2, RigSettings::default()).await;
    for _ in 0..SEVERAL {
        session(&rig, Protocol::Submission).await;
    }
    log.take_until(READY).await;
    pause();
    sleep(Duration::from_secs(5)).await;
    let sandbox = rig.provider.transcripts();
    let unused = sandbox.iter().filter(|it| it.sign_in.is_none()).count();
    assert_eq!(unused, 2);
    // Those of one protocol are none of another.
    session(&rig, Protocol::Imap).await;
    session(&rig, Protocol::Imap).await;
    log.take_until(READY).await;
    assert_eq!(connections(&rig.provider, Protocol::Imap), 3);
}

#[tokio::test]
async fn a_connection_that_nobody_wants_is_closed_after_ten_seconds() {
    let log = Log::keep();
    let rig = rig(1, RigSettings::default()).await;
    warmed_up(&rig, Protocol::Submission, &log).await;
    pause();
    advance(Duration::from_secs(9)).await;
    let told = log.take_until("warm connection dropped").await;
    assert!(told.contains("why=\"unused\""), "{told}");
    session(&rig, Protocol::Submission).await;
    assert!(!log.take_until("signed in").await.contains("warm=true"));
}

#[tokio::test]
async fn a_reload_closes_those_that_were_made_before_it() {
    let log = Log::keep();
    let rig = rig(1, RigSettings::default()).await;
    warmed_up(&rig, Protocol::Submission, &log).await;
    rig.reload(|text| text.replace("warm_connections = 1", "warm_connections = 2")).await.unwrap();
    let told = log.take_until("warm connection dropped").await;
    assert!(told.contains("why=\"given-up\""), "{told}");
    session(&rig, Protocol::Submission).await;
    assert!(!log.take_until("signed in").await.contains("warm=true"));
}

#[tokio::test]
async fn a_drain_closes_them_and_none_is_made_any_more() {
    let log = Log::keep();
    let rig = rig(1, RigSettings::default()).await;
    warmed_up(&rig, Protocol::Imap, &log).await;
    rig.shutdown.drain.cancel();
    let told = log.take_until("warm connection dropped").await;
    assert!(told.contains("why=\"given-up\""), "{told}");
    rig.stopped().await;
}
