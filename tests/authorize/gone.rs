//! Commands that are gone, by Ctrl-C or without a word, and what becomes of their consents.

use std::time::Duration;

use mailbearer::app::{App, Backing};
use mailbearer::config::{Config, Secrets};
use mailbearer::sandbox::{Fault, Times};
use tokio::time::{pause, resume, sleep};

use crate::rig::{BOB, Rig, browse, name, redirected, request};
use crate::support::ALICE;

/// A relay of this process, so that its clock can be moved; the commands find it as any other.
fn serve_here(rig: &Rig) {
    let state_directory = rig.dir.path().join("state");
    std::fs::create_dir(&state_directory).unwrap();
    let config = Config::load(&rig.dir.path().join("mailbearer.toml"), Secrets::Verify).unwrap();
    let backing = Backing { state_directory: Some(state_directory), ..Backing::in_memory() };
    tokio::spawn(App::bind(config, backing).unwrap().run());
}

/// Lets `time` pass for this process.
async fn pass(time: Duration) {
    pause();
    sleep(time).await;
    resume();
}

#[tokio::test]
async fn consent_whose_command_was_killed_is_given_up_after_a_minute() {
    let rig = Rig::start().await;
    serve_here(&rig);
    let mut running = rig.authorize(&[ALICE, "--json"]);
    let url = running.object().await["authorize_url"].as_str().unwrap().to_owned();
    let back = redirected(&url).await;
    let address = back.split('/').nth(2).unwrap();
    let mut device = rig.authorize(&[BOB, "--json", "--device"]);
    let code = device.object().await["user_code"].as_str().unwrap().to_owned();
    running.kill().await;
    device.kill().await;
    assert_eq!(request(address, "GET", "/", address).await.unwrap().status, 404, "it still waits");

    pass(Duration::from_secs(90)).await;
    assert!(request(address, "GET", "/", address).await.is_none(), "nobody listens any more");
    let polls = rig.provider.token_requests();
    rig.provider.approve_device(&code, &name(BOB));
    pass(Duration::from_secs(10)).await;
    assert_eq!(rig.provider.token_requests(), polls, "nobody polls any more");
    for account in [ALICE, BOB] {
        assert_eq!(rig.token_state(account).await, "consent needed");
    }
}

#[tokio::test]
async fn consent_whose_command_was_killed_makes_room_for_the_next_one_at_once() {
    let rig = Rig::start().await;
    let relay = rig.serve().await;
    let mut running = rig.authorize(&[ALICE, "--json"]);
    let url = running.object().await["authorize_url"].as_str().unwrap().to_owned();
    running.kill().await;
    let end = rig.consent(&[ALICE]).await;
    assert_eq!(end.code, Some(0), "{end:?}");
    // The one of the command that was killed is over.
    let back = redirected(&url).await;
    let address = back.split('/').nth(2).unwrap();
    assert!(request(address, "GET", "/", address).await.is_none());
    relay.ended().await;
}

#[tokio::test]
async fn code_that_was_entered_when_ctrl_c_came_is_a_consent_and_told_as_one() {
    for with_relay in [false, true] {
        let rig = Rig::start().await;
        let relay = if with_relay { Some(rig.serve().await) } else { None };
        let mut running = rig.authorize(&[ALICE, "--device", "--json"]);
        let code = running.object().await["user_code"].as_str().unwrap().to_owned();
        let polls = rig.provider.token_requests();
        assert!(rig.provider.approve_device(&code, &name(ALICE)));
        rig.provider.token_fault(Fault::Hold, Times::Next(1));
        rig.provider.until(|provider| provider.token_requests() > polls).await;
        running.interrupt();
        // Another command comes and goes, so that the interrupt was surely seen.
        rig.command(&["healthcheck"]).await;
        rig.provider.release_answers();
        let end = running.end().await;
        assert_eq!(end.code, Some(0), "{end:?}");
        assert_eq!(end.stdout, [format!(r#"{{"authorized":"{ALICE}","user":"{ALICE}"}}"#)]);
        assert_ne!(rig.token_state(ALICE).await, "consent needed");
        if let Some(relay) = relay {
            relay.ended().await;
        }
    }
}

#[tokio::test]
async fn answer_that_was_under_way_when_ctrl_c_came_is_a_consent_and_told_as_one() {
    let rig = Rig::start().await;
    let relay = rig.serve().await;
    let mut running = rig.authorize(&[ALICE, "--json"]);
    let url = running.object().await["authorize_url"].as_str().unwrap().to_owned();
    let back = redirected(&url).await;
    rig.provider.token_fault(Fault::Hold, Times::Next(1));
    let requests = rig.provider.token_requests();
    let answering = tokio::spawn(async move { browse(&back).await });
    rig.provider.until(|provider| provider.token_requests() > requests).await;
    running.interrupt();
    rig.command(&["healthcheck"]).await;
    rig.provider.release_answers();
    assert_eq!(answering.await.unwrap().status, 200);
    let end = running.end().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    relay.ended().await;
}
