//! Consent by pasting the address that a browser ended at.

use crate::rig::{Rig, parameter, redirected, request};
use crate::support::{ALICE, AUTH_PLAIN};

/// Begins; gives the command and the address to open.
async fn begin(rig: &Rig) -> (crate::rig::Running, String) {
    let mut running = rig.authorize(&[ALICE, "--paste", "--json"]);
    let url = running.object().await["authorize_url"].as_str().unwrap().to_owned();
    (running, url)
}

#[tokio::test]
async fn pasted_address_is_a_consent_with_or_without_a_relay() {
    for with_relay in [false, true] {
        let rig = Rig::start().await;
        let relay = if with_relay { Some(rig.serve().await) } else { None };
        let (mut running, url) = begin(&rig).await;
        let back = redirected(&url).await;
        let address = back.split('/').nth(2).unwrap();
        assert!(request(address, "GET", "/", address).await.is_none(), "no listener is needed");
        running.type_in(&format!("  {back}\r")).await;
        let end = running.end_with_open_input().await;
        assert_eq!(end.code, Some(0), "{end:?}");
        assert_eq!(end.stdout, [format!(r#"{{"authorized":"{ALICE}","user":"{ALICE}"}}"#)]);
        let relay = match relay {
            Some(relay) => relay,
            None => rig.serve().await,
        };
        relay.client().await.ask(AUTH_PLAIN, "235 ").await;
        relay.kill().await;
    }
}

#[tokio::test]
async fn paste_may_be_wrong_twice_and_each_time_the_reason_is_told() {
    let rig = Rig::start().await;
    let (mut running, url) = begin(&rig).await;
    let back = redirected(&url).await;
    running.type_in(parameter(&back, "code")).await;
    running.type_in(&url).await;
    running.type_in(&back).await;
    let end = running.end_with_open_input().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(end.stderr.contains("which request it answers (`state`)"), "{}", end.stderr);
    assert!(end.stderr.contains("and this is another address"), "{}", end.stderr);
    assert!(!end.stderr.contains(parameter(&back, "code")), "{}", end.stderr);
}

#[tokio::test]
async fn nothing_is_kept_when_three_pastes_are_wrong_or_there_is_none() {
    let rig = Rig::start().await;
    let relay = rig.serve().await;
    let (mut running, url) = begin(&rig).await;
    let back = redirected(&url).await;
    let forged = back.replace(parameter(&back, "state"), "forged");
    for wrong in ["0.code", &forged, &forged] {
        running.type_in(wrong).await;
    }
    let end = running.end_with_open_input().await;
    assert_eq!((end.code, end.stdout.len()), (Some(64), 0), "{end:?}");
    assert!(end.stderr.contains("the answer to another request"), "{}", end.stderr);

    let (running, _) = begin(&rig).await;
    let end = running.end().await;
    assert_eq!((end.code, end.stdout.len()), (Some(64), 0), "{end:?}");
    assert!(end.stderr.contains("standard input holds no address"), "{}", end.stderr);
    assert_eq!(rig.token_state(ALICE).await, "consent needed");
    relay.kill().await;
}

#[tokio::test]
async fn person_is_told_what_to_paste() {
    let rig = Rig::start().await;
    let mut running = rig.authorize(&[ALICE, "--paste"]);
    let mut shown = Vec::new();
    while !shown.last().is_some_and(|line: &String| line.starts_with("paste that whole address")) {
        shown.push(running.line().await);
    }
    assert!(shown[0].starts_with("redirect URI: http://127.0.0.1:"), "{shown:?}");
    let redirect_uri = shown[0].strip_prefix("redirect URI: ").unwrap();
    let told = format!("comes to an address that begins with {redirect_uri}");
    assert!(shown.iter().any(|line| line.contains(&told)), "{shown:?}");
    running.interrupt();
    assert_eq!(running.end_with_open_input().await.code, Some(1));
}
