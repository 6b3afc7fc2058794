//! What the README tells whoever has a person's mailbox, with config/person.toml, before the stand-in
//! provider.

use std::fs;

use mailbearer::names::{AccountPattern, Username};
use mailbearer::provider::{MailHost, PerProtocol, UpstreamTls};
use mailbearer::sandbox::{Sandbox, SandboxSettings};

use super::pages::{pages, root};
use super::{Scene, readme_blocks};

/// Whose mailbox it is.
const ALICE: &str = "alice@contoso.com";

/// A provider of hers, and config/person.toml with that in place of Microsoft.
async fn scene() -> (Sandbox, Scene) {
    let provider = Sandbox::start(SandboxSettings {
        tls: PerProtocol { submission: UpstreamTls::StartTls, imap: UpstreamTls::StartTls },
        ..SandboxSettings::new(vec![AccountPattern::parse(ALICE).unwrap()])
    });
    let provider = provider.await.unwrap();
    let text = fs::read_to_string(root().join("config/person.toml")).unwrap();
    let (_, entra_client) = text.split_once("\nclient_id = \"").unwrap();
    let (entra_client, _) = entra_client.split_once('"').unwrap();
    let text = text.replace(entra_client, provider.client_id());
    let host = |MailHost { host, port, .. }: MailHost| {
        format!("{{ host = \"{host}\", port = {port}, tls = \"starttls\" }}")
    };
    let text = format!(
        "{}\ntoken_endpoint = \"{}?tenant={{tenant}}\"\nscopes = [\"{}\"]\nsubmission = {}\nimap = {}\n\
         ca_file = \"provider-ca.pem\"\n",
        text.replace(":1587", ":0").replace(":1143", ":0"),
        provider.token_endpoint(),
        mailbearer::sandbox::DEFAULT_SCOPE,
        host(provider.smtp()),
        host(provider.imap()),
    );
    let scene = Scene::new(&text);
    fs::write(scene.dir.path().join("provider-ca.pem"), provider.ca_pem()).unwrap();
    (provider, scene)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_follows_the_readme_and_the_example_gets_there() {
    let (provider, scene) = scene().await;
    let alice = Username::parse(ALICE).unwrap();
    let consent = || format!("{}\n", provider.issue_refresh_token(&alice));
    let command = readme_blocks("sh").concat().lines().find_map(|line| {
        line.strip_prefix("mailbearer ").filter(|line| line.starts_with("authorize")).map(words)
    });
    let told = scene.run(&strs(&command.unwrap()), consent().as_bytes());
    assert!(told.starts_with("alice@contoso.com: a consent is kept"), "{told}");

    let example = fs::read_to_string(root().join("config/person.toml")).unwrap();
    let mut commands = 0;
    for line in example.lines().filter_map(|line| line.strip_prefix("#     mailbearer ")) {
        let line = line.strip_prefix("-c person.toml ").unwrap();
        let line = line.strip_suffix(" < refresh-token").unwrap_or(line);
        assert!(!scene.run(&strs(&words(line)), consent().as_bytes()).is_empty(), "{line}");
        commands += 1;
    }
    assert_eq!(commands, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_that_the_readme_lists_is_carried_out_by_the_running_relay() {
    let (provider, scene) = scene().await;
    let alice = Username::parse(ALICE).unwrap();
    let relay = scene.serve();
    let page = pages().into_iter().find(|page| page.name == "README.md").unwrap();
    let (_, table) = page.text.split_once("| command | what it does |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with("| "));
    let mut spans: Vec<_> =
        rows.flat_map(|row| row.split('`').skip(1).step_by(2)).map(str::to_owned).collect();
    // Nothing can be told of an account before its person has consented.
    spans.sort_by_key(|span| !span.starts_with("mailbearer authorize"));
    let made = scene.run(&["password", ALICE, "--label", "LABEL"], b"");
    for span in spans {
        let span = span.replace("ACCOUNT", ALICE).replace("NAME", ALICE);
        let args: Vec<String> = span.strip_prefix("mailbearer ").map_or_else(Vec::new, words);
        let run = |more: &[&str], stdin: &str| {
            scene.run(&[&strs(&args)[..], more].concat(), stdin.as_bytes())
        };
        match (span.as_str(), args.first().map(String::as_str)) {
            (_, Some("accounts")) => assert!(run(&[], "").contains("\nalice@contoso.com  micro")),
            (_, Some("password")) => assert_eq!(run(&[], "").trim_end().len(), 20),
            ("--label scanner" | "--list" | "--revoke LABEL", _) => {
                let told = scene.run(&strs(&words(&format!("password {ALICE} {span}"))), b"");
                assert!(!told.contains(made.trim_end()), "{told}");
            }
            (_, Some("authorize")) => {
                let token = provider.issue_refresh_token(&alice);
                assert!(run(&["--refresh-token-stdin"], &token).contains("a consent is kept"));
            }
            ("--revoke", _) => {}
            (_, Some("token")) => assert_eq!(run(&[], "").lines().count(), 1),
            (_, Some("reload")) => assert!(run(&[], "").starts_with("the configuration was read")),
            (_, Some("healthcheck")) => assert_eq!(run(&[], ""), "ready\n"),
            ("SIGHUP", _) => {}
            _ => panic!("no test runs {span:?}"),
        }
    }
    let told = scene.run(&["authorize", ALICE, "--revoke"], b"");
    assert!(told.starts_with("alice@contoso.com: the consent "), "{told}");
    relay.end();
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}
