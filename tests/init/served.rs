//! From nothing to a message: `init`, `serve`, and the old application with what it was told.

use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailbearer::names::Username;
use mailbearer::sandbox::{DEFAULT_SCOPE, Sandbox};

use crate::dns::NameServer;
use crate::rig::{DOWN, ENTER, Person, Rig, UP, provider};
use crate::support::serve::bound;
use crate::support::{ALICE, Client};

/// The servers of `provider` as somebody enters them.
fn servers(provider: &Sandbox) -> [String; 2] {
    [provider.smtp(), provider.imap()].map(|host| format!("{}:{}", host.host, host.port))
}

/// Flags that no person needs: ports that are free, and whom the sandbox is trusted by.
fn flags(rig: &Rig, provider: &Sandbox) -> Vec<String> {
    std::fs::write(rig.path("ca.pem"), provider.ca_pem()).unwrap();
    let listen = ["--listen", "submission=127.0.0.1:0", "--listen", "imap=127.0.0.1:0"];
    let flags = [&listen[..], &["--web", "off", "--ca-file", "ca.pem"]].concat();
    flags.into_iter().map(str::to_owned).collect()
}

/// A message goes out by what the person was told, and is at the provider.
async fn sends(rig: &Rig, provider: &Sandbox, person: &Person) {
    let (user, password) = (person.field("user name "), person.field("password  "));
    assert_eq!(user, ALICE);
    let mut serve = rig.program();
    serve.arg("serve").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut serving = serve.spawn().unwrap();
    let [submission, _] = bound(&mut serving).await;
    let mut client = Client::connect(submission).await;
    client.expect("220 ").await;
    client.send("EHLO old.example").await;
    client.expect_after("250 ").await;
    let plain = STANDARD.encode(format!("\0{user}\0{password}"));
    client.ask(&format!("AUTH PLAIN {plain}"), "235 ").await;
    client.ask(&format!("MAIL FROM:<{ALICE}>"), "250 ").await;
    client.ask("RCPT TO:<alice@example.com>", "250 ").await;
    client.ask("DATA", "354 ").await;
    client.ask("Subject: first\r\n\r\nHello.\r\n.", "250 ").await;
    let messages = provider.messages(&Username::parse(ALICE).unwrap());
    assert_eq!(messages.len(), 1);
    assert!(messages[0].windows(6).any(|part| part == b"Hello."), "{messages:?}");
    serving.kill().await.unwrap();
}

#[tokio::test]
async fn application_sends_after_nine_answers_about_a_provider_of_ones_own() {
    let (rig, provider, dns) = (Rig::new(), provider().await, NameServer::start(Vec::new()).await);
    let (flags, dns) = (flags(&rig, &provider), dns.address.to_string());
    let mut args = vec!["init", "--name-server", &dns];
    args.extend(flags.iter().map(String::as_str));
    let [submission, imap] = servers(&provider);
    let issuer = provider.token_endpoint().replace("/token", "");

    let mut person = rig.person("xterm-256color", &args);
    person.answers("Address of the mailbox:", &[ALICE, ENTER]).await;
    // The last of the list, by going up from the first.
    person.answers("Who has this mailbox?", &[UP, ENTER]).await;
    person.answers("Issuer of its authorisation server:", &[&issuer, ENTER]).await;
    person.answers("Scopes for mail:", &[DEFAULT_SCOPE, ENTER]).await;
    person.answers("Its submission server", &[&submission, ENTER]).await;
    person.answers("Its IMAP server", &[&imap, ENTER]).await;
    person.answers("Who opens the mailbox?", &[DOWN, ENTER]).await;
    person.answers("Application (client) ID:", &[provider.client_id(), ENTER]).await;
    person.answers("Client secret:", &[provider.client_secret(), ENTER]).await;
    assert_eq!(person.ends().await, Some(0), "{}", person.shown);
    assert_eq!(person.answers, 9);
    sends(&rig, &provider, &person).await;
}

#[tokio::test]
async fn person_consents_by_pasting_and_sends() {
    for term in ["xterm", "dumb"] {
        let (rig, provider) = (Rig::new(), provider().await);
        let [submission, imap] = servers(&provider);
        let issuer = provider.token_endpoint().replace("/token", "");
        let scopes = format!("openid {DEFAULT_SCOPE}");
        let flags = flags(&rig, &provider);
        let mut args = vec!["init", "--address", ALICE, "--issuer", &issuer, "--scopes", &scopes];
        args.extend(["--submission", &submission, "--imap", &imap]);
        args.extend(["--grant", "authorization-code", "--client-id", provider.client_id()]);
        args.extend(flags.iter().map(String::as_str));
        let mut person = rig.person(term, &args);
        person.answers("Client secret:", &[provider.client_secret(), ENTER]).await;
        // Without a display the code is proposed first, and pasting comes next.
        let paste = if term == "dumb" { "2\r".to_owned() } else { [DOWN, ENTER].concat() };
        person.answers("Consent at the provider:", &[&paste]).await;
        person.sees("paste that whole address here").await;
        let url = person.field("to consent for alice@example.com, open\r\n");
        let back = redirected(&url).await;
        person.types(&format!("{back}\r"));
        person.sees("the consent of alice@example.com is kept").await;
        assert_eq!(person.ends().await, Some(0), "{}", person.shown);
        sends(&rig, &provider, &person).await;
    }
}

/// Where the provider sends a browser that opens `url`.
async fn redirected(url: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (authority, target) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = tokio::net::TcpStream::connect(authority).await.unwrap();
    let request =
        format!("GET /{target} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let mut lines = answer.lines();
    let location = lines.find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("location").then(|| value.to_owned())
    });
    location.unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test]
async fn password_is_shown_even_when_the_consent_fails() {
    let (rig, provider) = (Rig::new(), provider().await);
    let [submission, _] = servers(&provider);
    // Nobody is at that issuer.
    let flags = flags(&rig, &provider);
    let mut args = vec!["init", "--address", ALICE, "--issuer", "http://127.0.0.1:1", "--scopes"];
    args.extend(["openid", "--submission", &submission, "--grant", "authorization-code"]);
    args.extend(["--client-id", "x", "--authorize", "paste", "--yes"]);
    args.extend(flags.iter().filter(|flag| !flag.contains("imap")).map(String::as_str));
    let args: Vec<&str> = {
        // The listener for IMAP went with its server: its flag goes, too.
        let mut kept = Vec::new();
        let mut all = args.into_iter().peekable();
        while let Some(arg) = all.next() {
            let is_lonely = arg == "--listen"
                && !all.peek().is_some_and(|next| next.starts_with("submission="));
            if !is_lonely {
                kept.push(arg);
            }
        }
        kept
    };
    let output = rig.run(&args).await;
    assert_ne!(output.status.code(), Some(0), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("  password    "), "{told}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("authorize alice@example.com"), "{told}");
}
