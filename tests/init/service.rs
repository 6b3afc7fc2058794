//! The unit and the compose file that `init` writes: with them the service has all that the
//! configuration names, or they are refused.

use std::process::Output;

use crate::rig::{APPLICATION, CLIENT_ID, Rig, google_key, refused};

/// Accounts, by how they get tokens.
const PERSON: &[&str] =
    &["--provider", "microsoft", "--grant", "authorization-code", "--client-id", CLIENT_ID];
const SERVICE_ACCOUNT: &[&str] =
    &["--provider", "google", "--grant", "service-account", "--key-file", "key.json"];
const OWN: &[&str] = &[
    "--issuer",
    "https://id.example",
    "--scopes",
    "mail",
    "--submission",
    "mail.example:465",
    "--grant",
    "authorization-code",
    "--client-id",
    "app",
    "--ca-file",
    "corp-ca.pem",
];

async fn init(rig: &Rig, parts: &[&[&str]], input: &str) -> Output {
    let args = [&["init", "--yes", "--address", "app@contoso.com"], &parts.concat()[..]].concat();
    rig.run_with(&args, input).await
}

/// A directory with the files that the flags name.
fn rig() -> Rig {
    let rig = Rig::new();
    std::fs::write(rig.path("key.json"), google_key()).unwrap();
    std::fs::write(rig.path("its-secret"), "secret").unwrap();
    let ca = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap();
    std::fs::write(rig.path("corp-ca.pem"), ca.cert.pem()).unwrap();
    rig
}

fn real(rig: &Rig, name: &str) -> String {
    rig.path(name).display().to_string()
}

#[tokio::test]
async fn unit_is_handed_every_file_that_the_configuration_names() {
    const UNIT: &[&str] = &["--unit", "mb.service", "-o", "mb.toml"];
    let stdin: &[&str] = &["--client-secret-stdin"];
    let file: &[&str] = &["--client-secret-file", "its-secret"];
    for (parts, input, key, name, source) in [
        (&[APPLICATION, stdin][..], "secret", "client_secret", "client-secret", "mb.client-secret"),
        (&[APPLICATION, file], "", "client_secret", "client-secret", "its-secret"),
        (&[SERVICE_ACCOUNT], "", "key_file", "service-account.json", "key.json"),
        (&[OWN], "", "ca_file", "ca.pem", "corp-ca.pem"),
    ] {
        let rig = rig();
        let output = init(&rig, &[parts, &[UNIT]].concat(), input).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let place = format!("\"/run/credentials/mb.service/{name}\"");
        let toml = rig.read("mb.toml");
        let line = toml.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
        assert!(line.contains(&place), "{line}");
        let unit = rig.read("mb.service");
        let credential = format!("\nLoadCredential={name}:{}\n", real(&rig, source));
        assert!(unit.contains(&credential), "{unit}");
        assert_eq!(unit.matches("\nLoadCredential=").count(), 1, "{unit}");
        assert_eq!(unit.matches(&real(&rig, "mb.toml")).count(), 2, "start and reload: {unit}");
        let install =
            format!("install -m 644 {} /etc/systemd/system/mb.service", real(&rig, "mb.service"));
        assert!(unit.contains(&install), "{unit}");
        // Another user than root has no port below 1024.
        assert!(toml.contains("address = \"localhost:1587\""), "{toml}");

        assert!(output.stdout.is_empty(), "no password is made here");
        let told = String::from_utf8(output.stderr).unwrap();
        let line = format!(
            "sudo -u mailbearer mailbearer -c {} password app@contoso.com",
            real(&rig, "mb.toml")
        );
        assert!(told.contains(&line), "{told}");
    }
}

#[tokio::test]
async fn unit_of_an_account_without_a_secret_is_handed_nothing() {
    let rig = rig();
    let output = init(&rig, &[PERSON, &["--unit", "mb.service", "-o", "mb.toml"]], "").await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!rig.read("mb.service").contains("\nLoadCredential="));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("authorize app@contoso.com --paste"), "{told}");
}

#[tokio::test]
async fn unit_is_refused_what_it_cannot_have() {
    let env: &[&str] = &["--client-secret-env", "S"];
    for (parts, told) in [
        (
            &[APPLICATION, env, &["--unit", "u", "-o", "c"]][..],
            "--client-secret-env: a unit has no",
        ),
        (&[PERSON, &["--unit", "u", "-o", "/home/nobody/c"]], "--output: the unit sees nothing"),
        (&[PERSON, &["--unit", "u", "-o", "a b"]], "cannot stand in a unit"),
        (&[PERSON, &["--unit", "%h", "-o", "c"]], "cannot stand in a unit"),
        (&[PERSON, &["--unit", "same", "-o", "same"]], "have a file each"),
        (
            &[PERSON, &["--unit", "u", "-o", "c", "--listen", "submission=localhost:1023"]],
            "--listen: the unit has no privilege",
        ),
        (&[PERSON, &["--unit", "u", "-o", "c", "--authorize", "paste"]], "where the service runs"),
        (&[PERSON, &["--unit", "u", "--compose", "c"]], "cannot be used with"),
    ] {
        let rig = Rig::new();
        let error = refused(&init(&rig, parts, "").await, 64);
        assert!(error.contains(told), "{parts:?}: {error}");
        assert_eq!(rig.names(), [""; 0], "{parts:?}");
    }
}

#[tokio::test]
async fn compose_file_hands_over_what_there_is_and_no_more() {
    const COMPOSE: &[&str] = &["--compose", "compose.yaml"];
    let stdin: &[&str] = &["--client-secret-stdin"];
    let file: &[&str] = &["--client-secret-file", "its-secret"];
    for (parts, input, handed) in [
        (&[PERSON][..], "", None),
        (&[APPLICATION, stdin], "secret", Some(("client-secret", "mailbearer.client-secret"))),
        (&[APPLICATION, file], "", Some(("client-secret", "its-secret"))),
        (&[SERVICE_ACCOUNT], "", Some(("service-account.json", "key.json"))),
        (&[OWN], "", Some(("ca.pem", "corp-ca.pem"))),
    ] {
        let rig = rig();
        let output = init(&rig, &[parts, &[COMPOSE]].concat(), input).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let compose = rig.read("compose.yaml");
        let told = String::from_utf8(output.stderr).unwrap();
        let mount =
            format!("- {}:/etc/mailbearer/mailbearer.toml:ro\n", real(&rig, "mailbearer.toml"));
        assert!(compose.contains(&mount), "{compose}");
        assert!(!compose.contains("build:") && !compose.contains("config/"), "{compose}");
        assert!(!compose.contains("environment:"), "{compose}");
        match handed {
            Some((name, source)) => {
                let source = real(&rig, source);
                let uses = format!("    secrets: [{name}]\n");
                let secret = format!("\nsecrets:\n  {name}:\n    file: {source}\n");
                assert!(compose.contains(&uses) && compose.ends_with(&secret), "{compose}");
                let place = format!("\"/run/secrets/{name}\"");
                assert!(rig.read("mailbearer.toml").contains(&place));
                assert!(told.contains(&format!("chown 65534 {source}")), "{told}");
            }
            None => {
                assert!(!compose.contains("secrets:"), "{compose}");
                assert!(compose.ends_with("\nvolumes:\n  state:\n"), "{compose}");
                assert!(!told.contains("chown"), "{told}");
            }
        }
        assert!(told.contains("mailbearer password app@contoso.com"), "{told}");
    }
}

#[tokio::test]
async fn compose_file_passes_the_variable_that_the_configuration_names() {
    let rig = Rig::new();
    let more = ["--client-secret-env", "CONTOSO_SECRET", "--compose", "compose.yaml"];
    let output = init(&rig, &[APPLICATION, &more], "").await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let compose = rig.read("compose.yaml");
    assert!(compose.contains("\n    environment: [CONTOSO_SECRET]\n"), "{compose}");
    assert!(!compose.contains("secrets:"), "{compose}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("export CONTOSO_SECRET where you type"), "{told}");
}

#[tokio::test]
async fn compose_file_is_refused_devices_and_paths_that_yaml_reads_otherwise() {
    for (more, told) in [
        (&["--compose", "c.yaml", "--devices", "10.1.0.0/24"][..], "--devices: none reaches"),
        (&["--compose", "a: b.yaml"], "cannot stand in a compose file"),
        (&["--compose", "c.yaml", "-o", "$HOME.toml"], "cannot stand in a compose file"),
    ] {
        let rig = Rig::new();
        let error = refused(&init(&rig, &[PERSON, more], "").await, 64);
        assert!(error.contains(told), "{more:?}: {error}");
        assert_eq!(rig.names(), [""; 0], "{more:?}");
    }
}
