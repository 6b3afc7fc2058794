//! `init` where there is something already: files, a relay that runs, and signals.

use std::process::Stdio;

use mailbearer::sandbox::{DEFAULT_SCOPE, Sandbox};
use rustix::process::Signal;
use tokio::process::Child;

use crate::rig::{CLIENT_ID, DOWN, ENTER, Rig, provider, refused};
use crate::support::ALICE;
use crate::support::serve::bound;

/// The flags of an account at `provider` that needs nobody's consent.
fn flags(rig: &Rig, provider: &Sandbox, grant: &str) -> Vec<String> {
    std::fs::write(rig.path("ca.pem"), provider.ca_pem()).unwrap();
    std::fs::write(rig.path("secret"), provider.client_secret()).unwrap();
    let [smtp, imap] =
        [provider.smtp(), provider.imap()].map(|host| format!("{}:{}", host.host, host.port));
    let issuer = provider.token_endpoint().replace("/token", "");
    let scopes = format!("openid {DEFAULT_SCOPE}");
    let mut flags = vec!["init", "--address", ALICE, "--issuer", &issuer, "--scopes", &scopes];
    flags.extend(["--submission", &smtp, "--imap", &imap, "--ca-file", "ca.pem", "--grant", grant]);
    flags.extend(["--client-id", provider.client_id(), "--client-secret-file", "secret"]);
    flags.extend(["--listen", "submission=127.0.0.1:0", "--listen", "imap=127.0.0.1:0"]);
    flags.extend(["--web", "off"]);
    flags.into_iter().map(str::to_owned).collect()
}

fn with<'a>(flags: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    flags.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

/// `serve` with that file, once it listens.
async fn serve(rig: &Rig, file: &str) -> Child {
    let mut serve = rig.program();
    serve.args(["-c", file, "serve"]);
    serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut serving = serve.spawn().unwrap();
    bound(&mut serving).await;
    serving
}

#[tokio::test]
async fn relay_that_runs_with_the_file_reads_it_and_makes_the_password() {
    let (rig, provider) = (Rig::new(), provider().await);
    let flags = flags(&rig, &provider, "client-credentials");
    let first = rig.run(&with(&flags, &["--yes"])).await;
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    let mut serving = serve(&rig, "mailbearer.toml").await;

    let output = rig.run(&with(&flags, &["--yes", "--force"])).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("the relay that runs has read it"), "{told}");
    assert!(told.contains("made before, without a label as well, stopped working"), "{told}");
    assert!(!told.contains(" serve\n"), "it runs already: {told}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("  password    "));
    serving.kill().await.unwrap();
}

#[tokio::test]
async fn relay_that_refuses_the_file_is_to_be_started_again() {
    let (rig, provider) = (Rig::new(), provider().await);
    let mut flags = flags(&rig, &provider, "client-credentials");
    let first = rig.run(&with(&flags, &["--yes"])).await;
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    let mut serving = serve(&rig, "mailbearer.toml").await;

    // A page is opened at the start alone.
    assert_eq!(flags.pop().as_deref(), Some("off"));
    flags.push("127.0.0.1:0".to_owned());
    let output = rig.run(&with(&flags, &["--yes", "--force"])).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert_ne!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("web.address"), "{told}");
    assert!(
        told.contains("end the relay, which runs with what it read before, and start"),
        "{told}"
    );
    assert!(!told.contains(" serve\n"), "it runs already: {told}");
    assert!(told.contains(" password alice@example.com\n"), "{told}");
    serving.kill().await.unwrap();
}

#[tokio::test]
async fn second_file_gets_a_state_directory_of_its_own_while_a_relay_runs_on_the_first() {
    let (rig, provider) = (Rig::new(), provider().await);
    let flags = flags(&rig, &provider, "client-credentials");
    let first = rig.run(&with(&flags, &["--yes"])).await;
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    let mut serving = serve(&rig, "mailbearer.toml").await;

    let output = rig.run(&with(&flags, &["--yes", "-o", "second/mb.toml"])).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("a relay with another file runs on "), "{told}");
    assert!(
        rig.read("second/mb.toml").contains("\n[store]\npath = \"mb.state/mailbearer.redb\"\n")
    );
    assert!(String::from_utf8(output.stdout).unwrap().contains("  password    "));
    let mut second = serve(&rig, "second/mb.toml").await;
    for (file, code) in [("mailbearer.toml", 0), ("second/mb.toml", 0)] {
        let output = rig.run(&["-c", file, "healthcheck"]).await;
        assert_eq!(output.status.code(), Some(code), "{file}: {output:?}");
    }
    serving.kill().await.unwrap();
    second.kill().await.unwrap();
}

#[tokio::test]
async fn command_with_another_file_than_the_relays_stops_and_names_both() {
    let (rig, provider) = (Rig::new(), provider().await);
    let flags = flags(&rig, &provider, "client-credentials");
    let first = rig.run(&with(&flags, &["--yes"])).await;
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    let mut serving = serve(&rig, "mailbearer.toml").await;
    std::fs::copy(rig.path("mailbearer.toml"), rig.path("other.toml")).unwrap();
    std::os::unix::fs::symlink("mailbearer.toml", rig.path("link.toml")).unwrap();
    for command in [&["reload"][..], &["healthcheck"], &["accounts"], &["password", ALICE]] {
        let told = refused(&rig.run(&[&["-c", "other.toml"], command].concat()).await, 78);
        let [own, other] = ["mailbearer.toml", "other.toml"]
            .map(|name| format!("{:?}", rig.path(name).canonicalize().unwrap()));
        assert!(told.contains(&format!("serves {own}, not {other}\n")), "{told}");
        assert!(told.contains("[store]"), "{told}");
        let same = rig.run(&[&["-c", "link.toml"], command].concat()).await;
        assert_eq!(same.status.code(), Some(0), "{command:?}: {same:?}");
    }
    serving.kill().await.unwrap();
}

#[tokio::test]
async fn signal_while_a_consent_is_waited_for_ends_it() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let (rig, provider) = (Rig::new(), provider().await);
        let flags = flags(&rig, &provider, "authorization-code");
        let mut person = rig.person("xterm", &with(&flags, &["--authorize", "paste"]));
        person.sees("paste that whole address here").await;
        person.signal(signal);
        assert_eq!(person.ends().await, Some(code), "{}", person.shown);
        // Nobody has the store any more.
        let output = rig.run(&["password", ALICE]).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

#[tokio::test]
async fn each_file_that_is_there_is_asked_about() {
    let old = |rig: &Rig| {
        for name in ["mb.toml", "mb.service", "mb.client-secret"] {
            std::fs::write(rig.path(name), name).unwrap();
        }
    };
    let args = ["init", "--address", "a@contoso.com", "--provider", "microsoft", "--unit"];
    let more = ["mb.service", "-o", "mb.toml", "--grant", "client-credentials", "--client-id"];
    let args = [&args[..], &more, &[CLIENT_ID]].concat();
    let files = ["mb.toml is there already.", "mb.service is there", "mb.client-secret is there"];
    for replaced in 0..=files.len() {
        let rig = Rig::new();
        old(&rig);
        let mut person = rig.person("xterm", &args);
        for (nth, file) in files.iter().enumerate() {
            if nth == 2 {
                person.answers("Tenant of Microsoft Entra:", &[ENTER]).await;
                person.answers("Client secret:", &["new", ENTER]).await;
                person.answers("Who uses it?", &[ENTER]).await;
            }
            person.answers(file, if nth < replaced { &[DOWN, ENTER] } else { &[ENTER] }).await;
            if nth >= replaced {
                break;
            }
        }
        let is_done = replaced == files.len();
        assert_eq!(person.ends().await, Some(if is_done { 0 } else { 1 }), "{}", person.shown);
        for name in ["mb.toml", "mb.service", "mb.client-secret"] {
            assert_eq!(rig.read(name) == name, !is_done, "{name} of {replaced}");
        }
    }
}

#[tokio::test]
async fn place_that_cannot_be_written_is_told_before_anything_is_asked() {
    let rig = Rig::new();
    std::fs::write(rig.path("file"), "").unwrap();
    let mut person = rig.person("xterm", &["init", "--output", "file/mb.toml"]);
    assert_eq!(person.ends().await, Some(1), "{}", person.shown);
    assert!(person.shown.contains("file/mb.toml cannot be written ("), "{}", person.shown);
    assert!(!person.shown.contains("Address of the mailbox"), "{}", person.shown);
}

#[tokio::test]
async fn file_is_where_every_other_command_looks() {
    let rig = Rig::new();
    let flags = ["init", "--yes", "--address", "a@contoso.com", "--provider", "microsoft"];
    let more = ["--grant", "client-credentials", "--client-secret-env", "S", "--client-id"];
    let mut program = rig.program();
    program.env("MAILBEARER_CONFIG", "elsewhere.toml").args(flags).args(more);
    program.arg(CLIENT_ID);
    let output = program.output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(rig.path("elsewhere.toml").exists() && !rig.path("mailbearer.toml").exists());
}
