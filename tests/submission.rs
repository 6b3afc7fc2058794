//! What a mail client that submits through mailbearer can rely on.

mod support;

use std::time::Duration;

use mailbearer::provider::{Mechanism, Protocol, UpstreamTls};
use mailbearer::sandbox::{Action, Step, Times};
use support::{ALICE, AUTH_PLAIN, BOB_PLAIN, Client, Rig, RigSettings, WRONG_PLAIN};
use tokio::time::timeout;

/// More bytes than are read at once, and fewer than are read before a connection is closed.
const MUCH: usize = 150_000;

/// Sends `message` in an open, signed-in session.
async fn submit(client: &mut Client, message: &[u8]) {
    client.ask(&format!("MAIL FROM:<{ALICE}>"), "250").await;
    client.ask(&format!("RCPT TO:<{ALICE}>"), "250").await;
    client.ask("DATA", "354").await;
    client.send_bytes(message).await;
    client.send_bytes(b".\r\n").await;
    client.expect("250").await;
}

#[tokio::test]
async fn a_message_arrives_byte_for_byte_for_every_way_to_the_provider() {
    for tls in [UpstreamTls::StartTls, UpstreamTls::Implicit] {
        for mechanism in [Mechanism::Xoauth2, Mechanism::OauthBearer] {
            let rig = Rig::with(RigSettings { tls, mechanism, ..RigSettings::default() }).await;
            let mut client = rig.signed_in().await;
            let message = b"Subject: t\r\n\r\nplain\r\n..dot\r\n\xc3\xa9 8-bit\r\n";
            submit(&mut client, message).await;
            client.ask("QUIT", "221").await;
            client.expect_end().await;
            let stored = rig.messages();
            assert_eq!(stored.len(), 1, "{tls:?} {mechanism:?}");
            assert_eq!(&stored[0][..], b"Subject: t\r\n\r\nplain\r\n.dot\r\n\xc3\xa9 8-bit\r\n");
        }
    }
}

#[tokio::test]
async fn twenty_megabytes_pass_unchanged() {
    let rig = Rig::start().await;
    let mut client = rig.signed_in().await;
    let mut message = b"Subject: large\r\n\r\n".to_vec();
    for line in 0..260_000_u32 {
        message.extend_from_slice(format!("{line:077}\r\n").as_bytes());
    }
    submit(&mut client, &message).await;
    assert!(rig.messages()[0] == message, "the message differs");
}

#[tokio::test]
async fn commands_pipelined_behind_the_sign_in_reach_the_provider_once_and_in_order() {
    let rig = Rig::start().await;
    let mut client = Client::connect(rig.submission).await;
    let pipelined = format!(
        "EHLO client.example\r\n{AUTH_PLAIN}\r\nMAIL FROM:<{ALICE}>\r\nRCPT TO:<{ALICE}>\r\n\
         DATA\r\nSubject: pipelined\r\n\r\nbody\r\n.\r\nQUIT\r\n"
    );
    client.send_bytes(pipelined.as_bytes()).await;
    let heard = client.expect_after("221").await;
    let codes: Vec<&str> = heard.iter().map(|line| &line[..3]).collect();
    let behind = codes.iter().position(|code| *code == "235").expect("a 235");
    assert_eq!(codes[behind..], ["235", "250", "250", "354", "250", "221"], "{heard:?}");
    assert_eq!(rig.messages().len(), 1);
}

#[tokio::test]
async fn half_a_command_behind_the_sign_in_is_not_lost() {
    let rig = Rig::start().await;
    let mut client = Client::connect(rig.submission).await;
    client.send_bytes(format!("EHLO c\r\n{AUTH_PLAIN}\r\nNOO").as_bytes()).await;
    client.expect_after("235 ").await;
    client.ask("P", "250").await;
}

#[tokio::test]
async fn a_client_that_closes_behind_its_last_command_is_served_whole() {
    let rig = Rig::start().await;
    let mut client = Client::connect(rig.submission).await;
    let all = format!(
        "EHLO c\r\n{AUTH_PLAIN}\r\nMAIL FROM:<{ALICE}>\r\nRCPT TO:<{ALICE}>\r\nDATA\r\n\
         Subject: gone\r\n\r\n.\r\nQUIT\r\n"
    );
    client.send_bytes(all.as_bytes()).await;
    client.close().await;
    client.expect_after("221").await;
    assert_eq!(rig.messages().len(), 1);
}

#[tokio::test]
async fn what_the_provider_says_right_behind_its_welcome_is_not_lost() {
    let rig = Rig::start().await;
    rig.provider.script().on(
        Protocol::Submission,
        Step::Token,
        Times::Next(1),
        Action::Append("421 4.3.2 closing already\r\n".into()),
    );
    let mut client = Client::connect(rig.submission).await;
    client.expect("220 ").await;
    client.ask(AUTH_PLAIN, "235 ").await;
    client.expect("421 4.3.2 closing already").await;
}

#[tokio::test]
async fn a_browser_hears_why_however_much_it_sends() {
    let rig = Rig::start().await;
    let mut browser = Client::connect(rig.submission).await;
    browser.expect("220 ").await;
    browser.send_bytes(format!("POST / HTTP/1.1\r\n{}", "x".repeat(MUCH)).as_bytes()).await;
    browser.expect("421 ").await;
    browser.expect_end().await;
}

#[tokio::test]
async fn an_account_signs_in_at_listeners_that_allow_it_alone() {
    let settings = RigSettings {
        account: "*@example.com",
        extra: r#"
            [listeners.bobs]
            protocol = "submission"
            address = "127.0.0.1:0"
            accounts = ["bob@example.com"]
        "#,
        ..RigSettings::default()
    };
    let rig = Rig::with(settings).await;
    let mut client = Client::connect(rig.address("bobs")).await;
    client.expect("220 ").await;
    client.ask(AUTH_PLAIN, "535 5.7.8 ").await;
    client.ask(BOB_PLAIN, "235 ").await;
    rig.signed_in().await;
}

#[tokio::test]
async fn a_listener_s_own_upstream_takes_the_place_of_the_provider_s() {
    let settings = RigSettings {
        upstream_host: Some("127.0.0.2"),
        extra: r#"
            [listeners.own]
            protocol = "submission"
            address = "127.0.0.1:0"
            accounts = ["alice@example.com"]
            upstream = {smtp}
        "#,
        ..RigSettings::default()
    };
    let rig = Rig::with(settings).await;
    for (address, reply) in [(rig.submission, "454 4.7.0 "), (rig.address("own"), "235 ")] {
        let mut client = Client::connect(address).await;
        client.expect("220 ").await;
        client.ask(AUTH_PLAIN, reply).await;
    }
}

#[tokio::test]
async fn an_account_s_mailbox_is_whom_it_signs_in_as_at_the_provider() {
    let settings = RigSettings {
        extra: r#"
            [accounts.printer]
            provider = "sandbox"
            local_password = { file = "password" }
            mailbox = "alice@example.com"
        "#,
        ..RigSettings::default()
    };
    let rig = Rig::with(settings).await;
    let mut client = Client::connect(rig.submission).await;
    client.expect("220 ").await;
    client.ask("AUTH PLAIN AHByaW50ZXIAbG9jYWwtcGFzc3dvcmQ=", "235 ").await;
    submit(&mut client, b"Subject: scan\r\n\r\n").await;
    assert_eq!(rig.messages().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_stalls_is_a_temporary_failure_after_30_s() {
    let rig = Rig::start().await;
    rig.provider.script().on(Protocol::Submission, Step::Greeting, Times::Next(1), Action::Stall);
    let mut client = Client::connect(rig.submission).await;
    client.expect("220 ").await;
    client.send(AUTH_PLAIN).await;
    // The clock is paused: it goes on when nothing else is left to be done.
    assert!(timeout(Duration::from_millis(29_900), client.line()).await.is_err(), "too early");
    let told = timeout(Duration::from_millis(200), client.expect("454 4.7.0 ")).await;
    assert!(told.is_ok(), "too late");
}

#[tokio::test]
async fn a_wrong_password_costs_no_token_and_no_connection_to_the_provider() {
    let rig = Rig::start().await;
    let mut client = Client::connect(rig.submission).await;
    client.expect("220 ").await;
    client.ask(WRONG_PLAIN, "535 5.7.8 ").await;
    client.ask("AUTH PLAIN AG5vYm9keUBleGFtcGxlLmNvbQB4", "535 5.7.8 ").await;
    assert_eq!(rig.provider.token_requests(), 0);
    assert_eq!(rig.provider.smtp_connections(), 0);
    client.ask(AUTH_PLAIN, "235 ").await;
    assert_eq!(rig.provider.token_requests(), 1);
}

#[tokio::test]
async fn strangers_and_probes_cause_no_connection_to_the_provider() {
    let rig = Rig::start().await;
    let mut probe = Client::connect(rig.submission).await;
    probe.expect("220 ").await;
    probe.send("EHLO probe").await;
    probe.expect_after("250 ").await;
    probe.ask("MAIL FROM:<a@example.com>", "530 5.7.0").await;
    probe.ask("NOOP", "250").await;
    probe.ask("QUIT", "221").await;
    let mut browser = Client::connect(rig.submission).await;
    browser.expect("220 ").await;
    browser.send_bytes(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    browser.expect("421 ").await;
    browser.expect_end().await;
    assert_eq!(rig.provider.smtp_connections(), 0);
    assert_eq!(rig.provider.token_requests(), 0);
}

#[tokio::test]
async fn ehlo_shows_what_the_provider_showed_in_the_last_session() {
    let rig = Rig::start().await;
    let mut first = Client::connect(rig.submission).await;
    first.expect("220 ").await;
    first.send("EHLO client.example").await;
    assert_eq!(first.expect_after("250 ").await, ["250-mailbearer", "250 AUTH PLAIN LOGIN"]);
    first.ask(AUTH_PLAIN, "235 ").await;
    let mut second = Client::connect(rig.submission).await;
    second.expect("220 ").await;
    second.send("EHLO client.example").await;
    let shown = second.expect_after("250 ").await;
    assert!(shown.iter().any(|line| line.starts_with("250-SIZE ")), "{shown:?}");
    assert!(shown.iter().any(|line| line == "250-PIPELINING"), "{shown:?}");
    let auth: Vec<_> = shown.iter().filter(|line| line.contains("AUTH")).collect();
    assert_eq!(auth, ["250 AUTH PLAIN LOGIN"]);
}

#[tokio::test]
async fn a_token_that_the_provider_refuses_is_told_with_its_own_reply_and_no_challenge() {
    let rig = Rig::start().await;
    rig.provider.script().on(Protocol::Submission, Step::Token, Times::Always, Action::RefuseToken);
    let mut client = Client::connect(rig.submission).await;
    client.expect("220 ").await;
    let heard = client.ask(AUTH_PLAIN, "535 5.7.3 ").await;
    assert!(heard.contains("; the token is for another user"), "{heard}");
    rig.provider.script().clear();
    client.ask(AUTH_PLAIN, "235 ").await;
}

#[tokio::test]
async fn what_may_pass_at_the_provider_is_a_temporary_failure() {
    let rig = Rig::start().await;
    let temporary = [
        (Step::Connect, Action::Close),
        (Step::Connect, Action::Reset),
        (Step::Greeting, Action::ReplyThenClose("421 4.3.2 busy\r\n".into())),
        (Step::Greeting, Action::Reply("220 \r\nNONSENSE\r\n".into())),
        (Step::Command("EHLO"), Action::Close),
        (Step::Command("AUTH"), Action::Reply("454 4.7.0 later\r\n".into())),
        (Step::Token, Action::Reply("432 4.2.1 Mailbox busy\r\n".into())),
        (Step::Token, Action::Close),
    ];
    for (step, action) in temporary {
        let mut client = Client::connect(rig.submission).await;
        client.expect("220 ").await;
        rig.provider.script().on(Protocol::Submission, step, Times::Next(1), action.clone());
        let heard = client.ask(AUTH_PLAIN, "454 4.7.0 ").await;
        assert!(!heard.contains("password"), "{step:?} {action:?}: {heard}");
        rig.provider.script().clear();
        client.ask(AUTH_PLAIN, "235 ").await;
    }
}

#[tokio::test]
async fn bytes_injected_behind_starttls_end_the_sign_in_before_any_token_leaves() {
    let rig = Rig::start().await;
    rig.provider.script().on(
        Protocol::Submission,
        Step::Command("STARTTLS"),
        Times::Next(1),
        Action::Append("250 injected\r\n".into()),
    );
    let mut client = Client::connect(rig.submission).await;
    client.expect("220 ").await;
    client.ask(AUTH_PLAIN, "454 4.7.0 ").await;
    let heard = rig.provider.transcripts();
    assert!(!heard.iter().any(|heard| heard.to_string().contains("AUTH XOAUTH2")), "{heard:?}");
}

#[tokio::test]
async fn a_provider_without_starttls_never_sees_a_token() {
    let rig = Rig::start().await;
    let bare = Action::Reply("250-provider.example\r\n250 AUTH XOAUTH2\r\n".into());
    rig.provider.script().on(Protocol::Submission, Step::Command("EHLO"), Times::Next(1), bare);
    let mut client = Client::connect(rig.submission).await;
    client.expect("220 ").await;
    client.ask(AUTH_PLAIN, "454 4.7.0 ").await;
}

#[tokio::test]
async fn a_server_whose_certificate_names_another_host_never_sees_a_token() {
    let settings = RigSettings { upstream_host: Some("127.0.0.2"), ..RigSettings::default() };
    let rig = Rig::with(settings).await;
    let mut client = Client::connect(rig.submission).await;
    client.expect("220 ").await;
    client.ask(AUTH_PLAIN, "454 4.7.0 ").await;
}
