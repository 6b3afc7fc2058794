//! What the end of a relay and a reload do to sessions: a message that is under way arrives, once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use mailbearer::names::Username;
use mailbearer::sandbox::Sandbox;
use rustix::process::Signal;
use support::client::until;
use support::serve::Served;
use support::{ALICE, AUTH_PLAIN, Client, PASSWORD, Rig, RigSettings};

/// The file's part that lets a drain last.
const LONG_GRACE: &str = "[shutdown]\ngrace = \"10m\"\n";

/// A third listener.
const POP3: &str = "[listeners.pop3]\nprotocol = \"pop3\"\naddress = \"127.0.0.1:0\"\n";

/// A client in the midst of a message.
async fn in_data(served: &Served) -> Client {
    let mut client = served.client().await;
    client.ask(AUTH_PLAIN, "235 ").await;
    begin_message(&mut client).await;
    client
}

async fn begin_message(client: &mut Client) {
    client.ask(&format!("MAIL FROM:<{ALICE}>"), "250").await;
    client.ask(&format!("RCPT TO:<{ALICE}>"), "250").await;
    client.ask("DATA", "354").await;
    client.send("Subject: half").await;
}

/// Ends that message.
async fn end_message(client: &mut Client) {
    client.send("").await;
    client.send("the other half").await;
    client.ask(".", "250").await;
}

/// Asserts that the provider holds that message alone.
fn assert_arrived_once(provider: &Sandbox) {
    let messages = provider.messages(&Username::parse(ALICE).unwrap());
    assert_eq!(messages, [&b"Subject: half\r\n\r\nthe other half\r\n"[..]]);
}

#[tokio::test]
async fn a_message_under_way_arrives_once_when_the_relay_drains() {
    let served = Served::start(LONG_GRACE).await;
    let mut client = in_data(&served).await;
    served.terminate();
    until("the listeners are closed", async || {
        (!Client::connects(served.submission).await && !Client::connects(served.imap).await)
            .then_some(())
    })
    .await;
    let health = served.command(&["healthcheck"]).await;
    assert_eq!(health.status.code(), Some(1), "{health:?}");
    end_message(&mut client).await;
    client.ask("QUIT", "221 ").await;
    client.expect_end().await;
    assert_arrived_once(&served.provider);
    let log = served.ended().await;
    assert!(log.contains(" closed reason=\"closed\" side=upstream messages=1 "), "{log}");
}

#[tokio::test]
async fn a_message_under_way_arrives_once_through_reloads_and_the_drain_behind_them() {
    let served = Served::start(LONG_GRACE).await;
    let mut client = in_data(&served).await;
    // One that changes something, one that fails.
    for (more, told) in [("[limits]\nsessions = 50\n", Some(0)), ("nonsense = 1\n", Some(78))] {
        served.rewrite(|text| text + more);
        let reload = served.command(&["reload"]).await;
        assert_eq!(reload.status.code(), told, "{reload:?}");
        served.signal(Signal::HUP);
    }
    served.terminate();
    end_message(&mut client).await;
    client.ask("QUIT", "221 ").await;
    assert_arrived_once(&served.provider);
    served.ended().await;
}

#[tokio::test]
async fn a_message_that_is_cut_off_does_not_arrive() {
    let served = Served::start(LONG_GRACE).await;
    let mut client = in_data(&served).await;
    served.terminate();
    until("the listener is closed", async || {
        (!Client::connects(served.submission).await).then_some(())
    })
    .await;
    served.terminate();
    client.rest_until_it_breaks().await;
    assert!(served.provider.messages(&Username::parse(ALICE).unwrap()).is_empty());
    let log = served.ended().await;
    assert!(log.contains(" closed reason=\"draining\" "), "{log}");
}

#[tokio::test]
async fn sessions_are_cut_off_when_the_grace_time_is_over() {
    let served = Served::start("[shutdown]\ngrace = \"0s\"\n").await;
    let mut client = in_data(&served).await;
    served.terminate();
    client.rest_until_it_breaks().await;
    assert!(served.provider.messages(&Username::parse(ALICE).unwrap()).is_empty());
    served.ended().await;
}

#[tokio::test]
async fn who_has_not_signed_in_hears_of_the_drain_in_each_protocol() {
    let rig = Rig::with(RigSettings {
        provider: "pop3 = {pop3}\n",
        extra: POP3,
        ..RigSettings::default()
    })
    .await;
    let mut clients = Vec::new();
    for (listener, farewell) in
        [("submission", "421 4.3.2 "), ("imap", "* BYE "), ("pop3", "-ERR [SYS/TEMP] ")]
    {
        clients.push((rig.greeted(listener).await, farewell));
    }
    rig.shutdown.drain.cancel();
    for (client, farewell) in &mut clients {
        client.expect(farewell).await;
        client.expect_end().await;
    }
    rig.stopped().await;
}

#[tokio::test]
async fn a_listener_that_a_reload_removes_closes_and_its_sessions_finish() {
    let rig = Rig::start().await;
    let mut client = rig.signed_in().await;
    begin_message(&mut client).await;
    let without_submission = |text: String| {
        let (before, rest) = text.split_once("[listeners.submission]").unwrap();
        let (_, behind) = rest.split_once("[listeners.imap]").unwrap();
        format!("{before}[listeners.imap]{behind}")
    };
    let mut with_submission = String::new();
    rig.reload(|text| {
        with_submission.clone_from(&text);
        without_submission(text)
    })
    .await
    .unwrap();
    until("the listener is closed", async || {
        (!Client::connects(rig.submission).await).then_some(())
    })
    .await;
    rig.signed_in_by_imap(ALICE, PASSWORD).await;
    end_message(&mut client).await;
    assert_arrived_once(&rig.provider);

    // It comes back where it was.
    let there = format!("address = \"{}\"", rig.submission);
    rig.reload(|_| with_submission.replacen("address = \"127.0.0.1:0\"", &there, 1)).await.unwrap();
    rig.signed_in().await;
}

/// Puts `files` at `dir` as Kubernetes mounts a secret: links to `..data`, which is a link to a
/// directory and is turned at once.
fn mount(dir: &Path, version: &str, files: &[(&str, &str)]) {
    fs::create_dir(dir.join(version)).unwrap();
    for (name, text) in files {
        fs::write(dir.join(version).join(name), text).unwrap();
        if !dir.join(name).is_symlink() {
            symlink(format!("..data/{name}"), dir.join("..link")).unwrap();
            fs::rename(dir.join("..link"), dir.join(name)).unwrap();
        }
    }
    symlink(version, dir.join("..data_tmp")).unwrap();
    fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
}

#[tokio::test]
async fn mounted_secrets_are_used_as_soon_as_their_link_turns() {
    let extra = "client_secret = { file = \"secret\" }\n";
    let files = vec![("secret", "wrong".to_owned())];
    let rig = Rig::with(RigSettings { extra, files, ..RigSettings::default() }).await;
    let dir = rig.file.parent().unwrap();
    let login = format!("a LOGIN {ALICE} {PASSWORD}");
    let mut client = Client::connect(rig.imap).await;
    client.expect("* OK").await;
    mount(dir, "..1", &[("secret", "wrong"), ("password", "another")]);
    client.ask(&login, "a NO [AUTHENTICATIONFAILED]").await;
    mount(dir, "..2", &[("secret", rig.provider.client_secret()), ("password", PASSWORD)]);
    client.send(&login).await;
    client.expect_after("a OK").await;
    mount(dir, "..3", &[("secret", rig.provider.client_secret()), ("password", "another")]);
    let mut client = Client::connect(rig.imap).await;
    client.expect("* OK").await;
    client.ask(&login, "a NO [AUTHENTICATIONFAILED]").await;
}
