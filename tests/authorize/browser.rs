//! Consent by a browser: what is shown, who may give it, and what it is good for at once.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use mailbearer::sandbox::{Conduct, Told};
use tokio::process::Command;

use crate::rig::{BOB, Rig, browse, contents, name, parameter, redirected, request};
use crate::support::{ALICE, AUTH_PLAIN, PASSWORD};

#[tokio::test]
async fn session_that_waits_for_consent_signs_in_as_soon_as_it_is_given() {
    let rig = Rig::start().await;
    let relay = rig.serve().await;
    let mut submission = relay.client().await;
    let told = submission.ask(AUTH_PLAIN, "454 4.7.0 ").await;
    assert!(told.contains(&format!("mailbearer authorize {ALICE}")), "{told}");
    let mut imap = relay.imap_client().await;
    imap.ask(&format!("a LOGIN {ALICE} {PASSWORD}"), "a NO [CONTACTADMIN]").await;

    let mut running = rig.authorize(&[ALICE, "--json"]);
    let first = running.object().await;
    assert_eq!(first.as_object().unwrap().len(), 1);
    let url = first["authorize_url"].as_str().unwrap();
    assert_eq!(parameter(url, "login_hint"), "alice%40example.com");
    let page = browse(&redirected(url).await).await;
    assert_eq!(page.status, 200, "{page:?}");
    for (header, value) in [("cache-control", "no-store"), ("referrer-policy", "no-referrer")] {
        assert_eq!(page.header(header), Some(value));
    }
    let end = running.end().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    assert_eq!(end.stdout, [format!(r#"{{"authorized":"{ALICE}","user":"{ALICE}"}}"#)]);

    submission.ask(AUTH_PLAIN, "235 ").await;
    imap.send(&format!("b LOGIN {ALICE} {PASSWORD}")).await;
    imap.expect_after("b OK").await;
    relay.kill().await;
}

#[tokio::test]
async fn consent_without_a_relay_is_kept_for_the_next_one() {
    let rig = Rig::start().await;
    let mut running = rig.authorize(&[ALICE]);
    let mut shown = Vec::new();
    while !shown.last().is_some_and(|line: &String| line.starts_with("waiting for the answer")) {
        shown.push(running.line().await);
    }
    let redirect_uri = shown[0].strip_prefix("redirect URI: ").unwrap();
    assert!(redirect_uri.starts_with("http://127.0.0.1:") && redirect_uri.ends_with('/'));
    assert!(shown[1].contains("must have registered http://127.0.0.1/ "), "{}", shown[1]);
    let url = shown.iter().find_map(|line| line.strip_prefix("  http://")).unwrap();
    assert!(shown.contains(&"no browser is opened: this session has no display".to_owned()));
    let port = redirect_uri.rsplit(':').next().unwrap().trim_end_matches('/');
    let forwarding = format!("`ssh -L {port}:127.0.0.1:{port} THIS-MACHINE`");
    assert!(shown.iter().any(|line| line.contains(&forwarding)), "{shown:?}");

    let page = browse(&redirected(&format!("http://{url}")).await).await;
    assert_eq!(page.status, 200, "the page comes although the command ends: {page:?}");
    let end = running.end().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    assert_eq!(end.stdout, [format!("{ALICE}: the consent of {ALICE} is kept")]);
    assert!(end.stderr.contains("signs in with its local password"), "{}", end.stderr);
    assert!(end.stderr.contains("start `mailbearer serve`"), "{}", end.stderr);

    let relay = rig.serve().await;
    relay.client().await.ask(AUTH_PLAIN, "235 ").await;
    relay.kill().await;
}

#[tokio::test]
async fn account_without_a_local_password_is_told_how_to_make_one() {
    let rig = Rig::start().await;
    let mut running = rig.authorize(&[BOB]);
    let mut line = running.line().await;
    while !line.starts_with("  http://") {
        line = running.line().await;
    }
    browse(&redirected(line.trim()).await).await;
    let end = running.end().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(end.stderr.contains(&format!("run `mailbearer password {BOB}`")), "{}", end.stderr);
}

#[tokio::test]
async fn browser_is_opened_where_there_is_a_display() {
    let rig = Rig::start().await;
    // What is opened comes back through a named pipe.
    let opened = rig.dir.path().join("opened");
    assert!(Command::new("mkfifo").arg(&opened).status().await.unwrap().success());
    let bin = rig.dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let script = format!("#!/bin/sh\nprintf '%s' \"$*\" > '{}'\n", opened.display());
    std::fs::write(bin.join("xdg-open"), script).unwrap();
    std::fs::set_permissions(bin.join("xdg-open"), Permissions::from_mode(0o755)).unwrap();

    let mut child = rig
        .program()
        .args(["authorize", ALICE])
        .env("PATH", &bin)
        .env("DISPLAY", ":0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let url = tokio::fs::read_to_string(&opened).await.unwrap();
    browse(&redirected(&url).await).await;
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn consent_of_somebody_else_is_kept_only_when_they_are_named() {
    let rig = Rig::start().await;
    let relay = rig.serve().await;
    rig.provider.set_conduct(Conduct { user: Some(name(BOB)), ..Conduct::default() });
    let end = rig.consent(&[ALICE]).await;
    assert_eq!((end.code, end.stdout.len()), (Some(1), 0), "{end:?}");
    assert!(end.stderr.contains(BOB) && end.stderr.contains(ALICE), "{}", end.stderr);
    assert!(end.stderr.contains(&format!("--as {BOB}")), "{}", end.stderr);
    assert_eq!(rig.token_state(ALICE).await, "consent needed");

    let end = rig.consent(&[ALICE, "--as", "BOB@example.com"]).await;
    assert_eq!(end.code, Some(0), "{end:?}");
    assert_eq!(end.stdout, [format!(r#"{{"authorized":"{ALICE}","user":"{BOB}"}}"#)]);
    assert_ne!(rig.token_state(ALICE).await, "consent needed");
    relay.ended().await;
}

#[tokio::test]
async fn nothing_is_kept_when_the_person_says_no_or_the_answer_is_forged() {
    let rig = Rig::start().await;
    rig.provider.set_conduct(Conduct { denies: true, ..Conduct::default() });
    let end = rig.consent(&[ALICE]).await;
    assert_eq!((end.code, end.stdout.len()), (Some(1), 0), "{end:?}");
    assert_eq!(rig.token_state(ALICE).await, "consent needed");

    // The `state` is another one, so the listener does not know it and goes on waiting.
    rig.provider.set_conduct(Conduct { state: Told::Wrong, ..Conduct::default() });
    let mut running = rig.authorize(&[ALICE, "--json"]);
    let url = running.object().await["authorize_url"].as_str().unwrap().to_owned();
    assert_eq!(browse(&redirected(&url).await).await.status, 404);
    rig.provider.set_conduct(Conduct::default());
    assert_eq!(browse(&redirected(&url).await).await.status, 200);
    assert_eq!(running.end().await.code, Some(0));
}

#[tokio::test]
async fn what_was_not_granted_is_named() {
    let rig = Rig::start().await;
    let unticked = vec![mailbearer::provider::Protocol::Imap];
    rig.provider.set_conduct(Conduct { unticked, ..Conduct::default() });
    let end = rig.consent(&[ALICE]).await;
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(end.stderr.contains("not granted: ") && end.stderr.contains("IMAP"), "{}", end.stderr);
    let accounts = rig.command(&["accounts"]).await.stdout.join("\n");
    assert!(accounts.contains("  not granted: ") && accounts.contains("IMAP"), "{accounts}");
    assert!(accounts.contains(&format!("  fix: run `mailbearer authorize {ALICE}`")), "{accounts}");
    rig.provider.set_conduct(Conduct::default());
    assert_eq!(rig.consent(&[ALICE]).await.code, Some(0));
    let accounts = rig.command(&["accounts"]).await.stdout.join("\n");
    assert!(!accounts.contains("not granted"), "{accounts}");
}

#[tokio::test]
async fn revocation_tells_what_ends_besides_before_the_consent_does() {
    let rig = Rig::start().await;
    let revocation =
        format!("revocation_endpoint = \"{}/revoke\"\n token_endpoint =", rig.provider.issuer());
    rig.rewrite(|text| text.replacen("token_endpoint =", &revocation, 1));
    assert_eq!(rig.consent(&[BOB, "--as", ALICE]).await.code, Some(0));
    assert_eq!(rig.consent(&[ALICE]).await.code, Some(0));
    let told = format!("may end others of {ALICE} to the same client");
    for (args, is_told, answer) in [
        (&["--json"][..], true, r#"{"revoked":"alice@example.com","where":"at-provider"}"#),
        (&[], false, "alice@example.com: no consent was kept"),
    ] {
        let end = rig.command(&[&["authorize", ALICE, "--revoke"], args].concat()).await;
        assert_eq!((end.code, end.stdout), (Some(0), vec![answer.to_owned()]));
        for told in [&told, &format!("  may end with it; if so, authorize them again: {BOB}")] {
            assert_eq!(end.stderr.contains(told), is_told, "{}", end.stderr);
        }
    }
}

#[tokio::test]
async fn ctrl_c_ends_the_consent_with_or_without_a_relay() {
    let rig = Rig::start().await;
    for with_relay in [false, true] {
        let relay = if with_relay { Some(rig.serve().await) } else { None };
        let mut running = rig.authorize(&[ALICE, "--json"]);
        let url = running.object().await["authorize_url"].as_str().unwrap().to_owned();
        let back = redirected(&url).await;
        running.interrupt();
        let end = running.end().await;
        assert_eq!((end.code, end.stdout.len()), (Some(1), 0), "{end:?}");
        assert!(end.stderr.contains("the consent was broken off"), "{}", end.stderr);
        let address = back.split('/').nth(2).unwrap();
        assert!(request(address, "GET", "/", address).await.is_none(), "nobody listens any more");
        assert_eq!(rig.token_state(ALICE).await, "consent needed");
        if let Some(relay) = relay {
            relay.ended().await;
        }
    }
}

#[tokio::test]
async fn second_consent_of_an_account_ends_the_first() {
    let rig = Rig::start().await;
    let relay = rig.serve().await;
    let mut first = rig.authorize(&[ALICE, "--json"]);
    first.object().await;
    let end = rig.consent(&[ALICE]).await;
    assert_eq!(end.code, Some(0), "{end:?}");
    let end = first.end().await;
    assert_eq!(end.code, Some(1), "{end:?}");
    assert!(end.stderr.contains("another consent of this account"), "{}", end.stderr);
    relay.ended().await;
}

#[tokio::test]
async fn relay_that_shuts_down_tells_whoever_waits_to_try_again() {
    let rig = Rig::start().await;
    let relay = rig.serve().await;
    let mut running = rig.authorize(&[ALICE, "--json"]);
    running.object().await;
    let mut device = rig.authorize(&[BOB, "--json", "--device"]);
    device.object().await;
    relay.ended().await;
    for running in [running, device] {
        let end = running.end().await;
        assert_eq!((end.code, end.stdout.len()), (Some(75), 0), "{end:?}");
        // Who asks a moment later finds the socket gone.
        let told = ["the relay is shutting down", "the running relay answers no more"];
        assert!(told.iter().any(|told| end.stderr.contains(told)), "{}", end.stderr);
    }
}

#[tokio::test]
async fn relay_that_ends_takes_its_consents_with_it_and_that_is_told() {
    let rig = Rig::start().await;
    let relay = rig.serve().await;
    let mut running = rig.authorize(&[ALICE, "--json"]);
    running.object().await;
    relay.kill().await;
    let end = running.end().await;
    // 75 where its next question found nobody.
    assert!(matches!(end.code, Some(1 | 75)) && end.stdout.is_empty(), "{end:?}");
    assert!(end.stderr.contains("the running relay "), "{}", end.stderr);
}

#[tokio::test]
async fn nothing_secret_is_logged_printed_stored_in_clear_or_on_a_command_line() {
    let rig = Rig::start().await;
    let relay = rig.serve().await;
    let mut running = rig.authorize(&[ALICE, "--json"]);
    let url = running.object().await["authorize_url"].as_str().unwrap().to_owned();
    let back = redirected(&url).await;
    let (code, state) = (parameter(&back, "code"), parameter(&back, "state"));
    let command_line = running.command_line.clone();
    browse(&back).await;
    let end = running.end().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    relay.client().await.ask(AUTH_PLAIN, "235 ").await;
    let log = relay.ended().await;
    assert!(log.contains("consent asked for") && log.contains("consent kept"), "{log}");
    let said = format!("{:?}{command_line}", end);
    // Standard output had the address with `state`, which is no secret; a log has neither.
    for secret in [code, "sandbox-refresh-", "code_verifier", "eyJ"] {
        assert!(!said.contains(secret) && !log.contains(secret), "{secret}");
    }
    assert!(!log.contains(state) && !log.contains("code_challenge="), "the address is not logged");
    assert!(!contents(&rig.dir.path().join("state")).contains("sandbox-refresh-"));
}
