//! What the README tells whoever has a person's mailbox, with config/person.toml, before the stand-in
//! provider.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use mailbearer::names::{AccountPattern, Username};
use mailbearer::provider::{MailHost, PerProtocol, UpstreamTls};
use mailbearer::sandbox::{Sandbox, SandboxSettings};

use super::pages::{pages, root};
use super::readme_blocks;
use super::scene::{Scene, StandIn};

/// Whose mailbox it is.
const ALICE: &str = "alice@contoso.com";
const BOB: &str = "bob@fabrikam.com";

/// A provider of hers, and config/person.toml with that in place of Microsoft.
async fn scene() -> (Sandbox, Scene) {
    let provider = Sandbox::start(SandboxSettings {
        tls: PerProtocol::of_each(UpstreamTls::StartTls),
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
        "{}\nauthorization_endpoint = \"{}/authorize\"\ntoken_endpoint = \"{}?tenant={{tenant}}\"\n\
         scopes = [\"openid\", \"{}\"]\nsubmission = {}\nimap = {}\nca_file = \"provider-ca.pem\"\n",
        text.replace(":1587", ":0").replace(":1143", ":0"),
        provider.token_endpoint().trim_end_matches("/token"),
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
    let (_provider, scene) = scene().await;
    let command = readme_blocks("sh").concat().lines().find_map(|line| {
        line.strip_prefix("mailbearer ").filter(|line| line.starts_with("authorize")).map(words)
    });
    let told = consents(&scene, &strs(&command.unwrap()));
    assert!(told.contains(ALICE), "{told}");

    let example = fs::read_to_string(root().join("config/person.toml")).unwrap();
    let mut commands = 0;
    for line in example.lines().filter_map(|line| line.strip_prefix("#     mailbearer ")) {
        let args = words(line.strip_prefix("-c person.toml ").unwrap());
        match args.first().map(String::as_str) {
            Some("authorize") => assert!(consents(&scene, &strs(&args)).contains(ALICE)),
            Some("password") => assert_eq!(scene.run(&strs(&args), b"").trim_end().len(), 20),
            _ => panic!("no test runs {line:?}"),
        }
        commands += 1;
    }
    assert_eq!(commands, 2);
    // What the consent was for.
    assert_eq!(scene.run(&["token", ALICE], b"").lines().count(), 1);
}

#[test]
fn whoever_has_no_provider_consents_at_the_stand_in_by_what_it_prints() {
    let StandIn { scene, facts, .. } = &StandIn::of_page("docs/consent.md");
    for more in [&[][..], &["--paste"]] {
        let told = consents(scene, &[&["authorize", "alice@example.com"], more].concat());
        assert!(told.contains("the consent of alice@example.com is kept"), "{told}");
    }
    let claims = claims_by_the_guide(scene);
    assert!(
        claims.contains(&format!("\"appid\":\"{}\"", facts["client_id"].as_str().unwrap())),
        "{claims}"
    );
}

/// What is in the token, by the line of the guide to Microsoft that shows it.
fn claims_by_the_guide(scene: &Scene) -> String {
    let page = pages().into_iter().find(|page| page.name.ends_with("/microsoft.md")).unwrap();
    let lines = page.blocks("sh").concat();
    let line = lines.lines().find(|line| line.starts_with("mailbearer token ")).unwrap();
    let line = line.replace("invoices@contoso.com", "alice@example.com");
    let program = Path::new(env!("CARGO_BIN_EXE_mailbearer")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).current_dir(scene.dir.path());
    // Padding that is missing is said at the end; the text came before.
    let shown = shell.env("HOME", scene.dir.path()).env("PATH", path).output().unwrap();
    String::from_utf8(shown.stdout).unwrap()
}

/// Runs an `authorize`, and does what it asks of a person with a browser: opens the address that it
/// shows, and, where it wants that, pastes where this led to. Gives what it says at its end.
fn consents(scene: &Scene, args: &[&str]) -> String {
    let mut child = scene.start(args);
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut shown = String::new();
    let authorize_url = loop {
        let start = shown.len();
        if stdout.read_line(&mut shown).unwrap() == 0 {
            let told = child.wait_with_output().unwrap().stderr;
            panic!("{args:?} shows no address: {shown}{}", String::from_utf8_lossy(&told));
        }
        let line = shown[start..].trim();
        if line.starts_with("http://") && line.contains("/authorize?") {
            break line.to_owned();
        }
    };
    let redirected = open(&authorize_url).unwrap();
    if args.contains(&"--paste") {
        writeln!(stdin, "{redirected}").unwrap();
    } else {
        assert_eq!(open(&redirected), None);
    }
    drop(stdin);
    shown.clear();
    stdout.read_to_string(&mut shown).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{shown}{}", String::from_utf8_lossy(&ended.stderr));
    shown
}

/// Opens `url` as a browser does; gives where that sends it.
fn open(url: &str) -> Option<String> {
    let rest = url.strip_prefix("http://").unwrap();
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut stream = TcpStream::connect(authority).unwrap();
    let request =
        format!("GET {slash}{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let mut head = answer.lines().take_while(|line| !line.is_empty());
    head.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
    })
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
        let span = span.replace("ACCOUNT", ALICE).replace("NAME", ALICE).replace("ADDRESS", BOB);
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
            ("--paste", _) => {
                assert!(consents(&scene, &["authorize", ALICE, "--paste"]).contains(ALICE))
            }
            // What it does is tested where there is somebody to enter the code.
            ("--device", _) => drop(scene.run(&["authorize", ALICE, "--device", "--help"], b"")),
            ("--revoke", _) => {}
            // The preset has a server of POP3, which no test may speak to: see tests/online.rs.
            (_, Some("check")) => drop(run(&["--help"], "")),
            (_, Some("send-test")) => assert!(run(&[], "").contains("has taken the message")),
            (_, Some("token")) => assert_eq!(run(&[], "").lines().count(), 1),
            (_, Some("reload")) => assert!(run(&[], "").starts_with("the configuration was read")),
            (_, Some("healthcheck")) => assert_eq!(run(&[], ""), "ready\n"),
            (_, Some("support-bundle")) => assert!(!run(&[], "").contains(ALICE)),
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
