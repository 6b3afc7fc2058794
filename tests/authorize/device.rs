//! Consent by a code that is entered on another device.

use crate::rig::{BOB, DEVICE, Rig, name};
use crate::support::ALICE;

#[tokio::test]
async fn code_that_is_entered_is_a_consent() {
    let rig = Rig::start().await;
    let relay = rig.serve().await;
    let mut running = rig.authorize(&[ALICE, "--device", "--json"]);
    let begun = running.object().await;
    let keys: Vec<_> = begun.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["expires_in", "user_code", "verification_uri", "verification_uri_complete"]);
    assert!(begun["expires_in"].as_u64().unwrap() > 0);
    assert!(rig.provider.approve_device(begun["user_code"].as_str().unwrap(), &name(ALICE)));
    let end = running.end().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    assert_eq!(end.stdout, [format!(r#"{{"authorized":"{ALICE}","user":"{ALICE}"}}"#)]);
    assert_ne!(rig.token_state(ALICE).await, "consent needed");
    relay.kill().await;
}

#[tokio::test]
async fn code_is_shown_with_its_address_and_a_warning_where_the_file_says_device_code() {
    let rig = Rig::start().await;
    let mut running = rig.authorize(&[DEVICE]);
    let mut shown = Vec::new();
    while !shown.last().is_some_and(|line: &String| line.starts_with("enter the code only")) {
        shown.push(running.line().await);
    }
    let behind = |line: &str| {
        let at = shown.iter().position(|shown| shown == line).expect(line);
        shown[at + 1].trim().to_owned()
    };
    let address = behind(&format!("to consent for {DEVICE}, open on any device"));
    assert!(address.starts_with(&rig.provider.issuer()), "{address}");
    assert!(!shown.iter().any(|line| line.contains('█')), "a picture is for terminals alone");
    assert!(rig.provider.approve_device(&behind("and enter the code"), &name(DEVICE)));
    let end = running.end().await;
    assert_eq!(end.stdout, [format!("{DEVICE}: the consent of {DEVICE} is kept")], "{end:?}");
}

#[tokio::test]
async fn nothing_is_kept_of_a_code_that_is_refused_runs_out_or_is_anothers() {
    let rig = Rig::start().await;
    let relay = rig.serve().await;
    for case in ["refused", "over", "another's", "broken off"] {
        let mut running = rig.authorize(&[ALICE, "--device", "--json"]);
        let code = running.object().await["user_code"].as_str().unwrap().to_owned();
        match case {
            "refused" => assert!(rig.provider.deny_device(&code)),
            "over" => rig.provider.end_device_codes(),
            "another's" => assert!(rig.provider.approve_device(&code, &name(BOB))),
            _ => running.interrupt(),
        }
        let end = running.end().await;
        assert_eq!((end.code, end.stdout.len()), (Some(1), 0), "{case}: {end:?}");
        assert!(!end.stderr.is_empty(), "{case}");
        assert_eq!(rig.token_state(ALICE).await, "consent needed", "{case}");
    }
    relay.kill().await;
}
