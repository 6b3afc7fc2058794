//! What a reload does to clients that are there already, and to those that come.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mailbearer::names::Username;
use mailbearer::secret::{ExposeSecret as _, RefreshToken};
use mailbearer::web::operator::Consent;
use support::{ALICE, Client, PASSWORD, Rig, RigSettings};

/// Two people, and a mailbox that the first of them opens as well.
const SHARED: &str = "[accounts.\"carol@example.com\"]\nprovider = \"sandbox\"\n\
                      grant = \"authorization-code\"\nlocal_password = { file = \"password\" }\n\
                      [accounts.\"erin@example.com\"]\nprovider = \"sandbox\"\n\
                      grant = \"authorization-code\"\nlocal_password = { file = \"password\" }\n\
                      [accounts.\"shared@example.com\"]\ngrant_of = \"carol@example.com\"\n\
                      local_password = { file = \"password\" }\n";

/// Another account, whose local password is its own.
const BOB: &str = "[accounts.\"bob@example.com\"]\nprovider = \"sandbox\"\n\
                   local_password = { file = \"password\" }\n";

#[tokio::test]
async fn a_session_in_data_survives_a_reload() {
    let rig = Rig::start().await;
    let mut client = rig.signed_in().await;
    client.ask(&format!("MAIL FROM:<{ALICE}>"), "250").await;
    client.ask(&format!("RCPT TO:<{ALICE}>"), "250").await;
    client.ask("DATA", "354").await;
    client.send("Subject: before").await;
    rig.reload(|text| text + BOB + "[limits]\nsessions = 50\n").await.unwrap();
    client.send("X-After: the reload").await;
    client.ask(".", "250").await;
    assert_eq!(&rig.messages()[0][..], b"Subject: before\r\nX-After: the reload\r\n");
}

#[tokio::test]
async fn an_account_signs_in_once_a_reload_has_added_it() {
    let rig = Rig::start().await;
    let mut client = Client::connect(rig.imap).await;
    client.expect("* OK").await;
    client.ask(&format!("a LOGIN bob@example.com {PASSWORD}"), "a NO [AUTHENTICATIONFAILED]").await;
    rig.reload(|text| text + BOB).await.unwrap();
    rig.signed_in_by_imap("bob@example.com", PASSWORD).await;
}

#[tokio::test]
async fn a_reload_ends_the_sessions_of_removed_accounts_and_no_others() {
    let settings = RigSettings { extra: BOB, ..RigSettings::default() };
    let rig = Rig::with(settings).await;
    let mut alice = rig.signed_in().await;
    let mut bob = rig.signed_in_by_imap("bob@example.com", PASSWORD).await;
    let mut greeted = Client::connect(rig.imap).await;
    greeted.expect("* OK").await;
    rig.reload(|text| text.replace(BOB, "")).await.unwrap();
    bob.expect_end().await;
    greeted
        .ask(&format!("a LOGIN bob@example.com {PASSWORD}"), "a NO [AUTHENTICATIONFAILED]")
        .await;
    alice.ask("NOOP", "250").await;
}

#[tokio::test]
async fn a_reload_ends_the_sessions_that_their_listener_no_longer_lets_in() {
    let settings = RigSettings { extra: BOB, ..RigSettings::default() };
    let rig = Rig::with(settings).await;
    let mut by_smtp = rig.signed_in().await;
    let mut by_imap = rig.signed_in_by_imap(ALICE, PASSWORD).await;
    let only_bob = "[listeners.imap]\n        accounts = [\"bob@example.com\"]";
    rig.reload(|text| text.replace("[listeners.imap]", only_bob)).await.unwrap();
    by_imap.expect_end().await;
    by_smtp.ask("NOOP", "250").await;
}

#[tokio::test]
async fn a_reload_that_fails_changes_nothing() {
    let rig = Rig::start().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let mut client = rig.signed_in().await;
    for (wrong, told) in [
        ("nonsense = 1\n".to_owned(), "nonsense"),
        (format!("[listeners.more]\nprotocol = \"imap\"\naddress = \"{taken}\"\n"), "more.address"),
        ("[log]\nformat = \"json\"\n".to_owned(), "log.format"),
    ] {
        let mut before = String::new();
        let problem = rig.reload(|text| {
            before.clone_from(&text);
            // Were it taken, nobody could sign in any more.
            text.replace(ALICE, "carol@example.com") + &wrong
        });
        let problem = problem.await.unwrap_err();
        assert!(problem.contains(told), "{problem}");
        std::fs::write(&rig.file, before).unwrap();
        let accounts = rig.operator.accounts().await.unwrap();
        assert!(accounts.iter().all(|row| row.account == ALICE), "{accounts:?}");
        client.ask("NOOP", "250").await;
        rig.signed_in().await;
    }
}

#[tokio::test]
async fn limits_of_a_reload_hold_at_once() {
    let rig = Rig::start().await;
    let mut client = rig.signed_in().await;
    rig.reload(|text| text + "[limits]\nsessions = 1\n").await.unwrap();
    Client::connect(rig.submission).await.expect("421 ").await;
    client.ask("NOOP", "250").await;
}

#[tokio::test]
async fn a_shared_mailbox_uses_the_grant_that_a_reload_names() {
    let rig = Rig::with(RigSettings { extra: SHARED, ..RigSettings::default() }).await;
    for name in ["carol@example.com", "erin@example.com"] {
        let name = Username::parse(name).unwrap();
        let refresh_token = RefreshToken::parse(&rig.provider.issue_refresh_token(&name)).unwrap();
        let consent = Consent { refresh_token, users: Vec::new() };
        rig.operator.authorize(&name, consent).await.unwrap();
    }
    assert_eq!(whose_token(&rig).await, "carol@example.com");
    rig.reload(|text| text.replace("grant_of = \"carol", "grant_of = \"erin")).await.unwrap();
    assert_eq!(whose_token(&rig).await, "erin@example.com");
    let gone = rig.reload(|text| text.replace("grant_of = \"erin", "grant_of = \"nobody"));
    assert!(gone.await.unwrap_err().contains("there is no such account"));
    assert_eq!(whose_token(&rig).await, "erin@example.com", "nothing of that file is used");
}

/// Who the token is of that the shared mailbox signs in by.
async fn whose_token(rig: &Rig) -> String {
    let shared = Username::parse("shared@example.com").unwrap();
    let token = rig.operator.token(&shared, None).await.unwrap().it;
    let claims = token.expose_secret().split('.').nth(1).unwrap().to_owned();
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    claims.get("sub").unwrap().as_str().unwrap().to_owned()
}
