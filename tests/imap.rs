//! What an IMAP client behind mailbearer can rely on.

mod support;

use mailbearer::provider::{Mechanism, Protocol, UpstreamTls};
use mailbearer::sandbox::{Action, Step, Times};
use support::{ALICE, Client, PASSWORD, Rig, RigSettings};

async fn greeted(rig: &Rig) -> Client {
    let mut client = Client::connect(rig.imap).await;
    client.expect("* OK [CAPABILITY IMAP4rev1 ").await;
    client
}

#[tokio::test]
async fn a_message_is_fetched_byte_for_byte_for_every_way_to_the_provider() {
    for tls in [UpstreamTls::StartTls, UpstreamTls::Implicit] {
        for mechanism in [Mechanism::Xoauth2, Mechanism::OauthBearer] {
            let rig = Rig::with(RigSettings { tls, mechanism, ..RigSettings::default() }).await;
            let message = b"Subject: t\r\n\r\n\xc3\xa9 \x00 and a lone \n end\r\n".to_vec();
            rig.deliver(ALICE, &message);
            let mut client = greeted(&rig).await;
            client.send(&format!("a LOGIN {ALICE} {PASSWORD}")).await;
            client.expect_after("a OK").await;
            client.send("b SELECT INBOX").await;
            client.expect_after("b OK").await;
            client.send("c FETCH 1 BODY[]").await;
            let head = client.expect("* 1 FETCH ").await;
            assert!(head.ends_with(&format!("{{{}}}", message.len())), "{head}");
            assert_eq!(client.bytes(message.len()).await, message);
            client.expect_after("c OK").await;
            client.send("d LOGOUT").await;
            client.expect_after("d OK").await;
            client.expect_end().await;
        }
    }
}

#[tokio::test]
async fn the_clients_tag_and_the_providers_capabilities_come_with_the_sign_in() {
    let rig = Rig::start().await;
    let mut client = greeted(&rig).await;
    client.send(&format!("A.7 LOGIN {ALICE} {{{}+}}", PASSWORD.len())).await;
    client.send(PASSWORD).await;
    let heard = client.expect_after("A.7 OK").await.join("\n");
    assert!(heard.contains("CAPABILITY") && heard.contains("IDLE"), "{heard}");
}

#[tokio::test]
async fn commands_pipelined_behind_the_sign_in_reach_the_provider_once_and_in_order() {
    let rig = Rig::start().await;
    let mut client = Client::connect(rig.imap).await;
    let pipelined = format!(
        "a LOGIN {ALICE} {{{}+}}\r\n{PASSWORD}\r\nb NOOP\r\nc SELECT INBOX\r\nd LOGOUT\r\n",
        PASSWORD.len()
    );
    client.send_bytes(pipelined.as_bytes()).await;
    let heard = client.expect_after("d OK").await;
    let tagged: Vec<&str> = heard
        .iter()
        .filter(|line| !line.starts_with('*') && !line.starts_with('+'))
        .map(|line| &line[..4])
        .collect();
    assert_eq!(tagged, ["a OK", "b OK", "c OK", "d OK"], "{heard:?}");
}

#[tokio::test]
async fn a_wrong_password_costs_no_token_and_no_connection_to_the_provider() {
    let rig = Rig::start().await;
    let mut client = greeted(&rig).await;
    client.ask(&format!("a LOGIN {ALICE} wrong"), "a NO [AUTHENTICATIONFAILED]").await;
    client.ask("b LOGIN nobody x", "b NO [AUTHENTICATIONFAILED]").await;
    assert_eq!((rig.provider.token_requests(), rig.provider.imap_connections()), (0, 0));
    client.send(&format!("c LOGIN {ALICE} {PASSWORD}")).await;
    client.expect_after("c OK").await;
}

#[tokio::test]
async fn what_may_pass_at_the_provider_is_unavailable_and_never_a_wrong_password() {
    let rig = Rig::start().await;
    let temporary = [
        (Step::Connect, Action::Close),
        (Step::Greeting, Action::ReplyThenClose("* BYE busy\r\n".into())),
        (Step::Greeting, Action::Reply("* PREAUTH welcome\r\n".into())),
        (Step::Token, Action::Reply("{tag} NO [UNAVAILABLE] later\r\n".into())),
        (Step::Token, Action::ReplyThenClose("* BYE later\r\n".into())),
    ];
    for (step, action) in temporary {
        let mut client = greeted(&rig).await;
        rig.provider.script().on(Protocol::Imap, step, Times::Next(1), action.clone());
        client.ask(&format!("a LOGIN {ALICE} {PASSWORD}"), "a NO [UNAVAILABLE]").await;
        rig.provider.script().clear();
        client.send(&format!("b LOGIN {ALICE} {PASSWORD}")).await;
        client.expect_after("b OK").await;
    }
}

#[tokio::test]
async fn a_token_that_the_provider_refuses_is_no_wrong_password_and_shows_no_challenge() {
    let rig = Rig::start().await;
    rig.provider.script().on(Protocol::Imap, Step::Token, Times::Always, Action::RefuseToken);
    let mut client = greeted(&rig).await;
    client.ask(&format!("a LOGIN {ALICE} {PASSWORD}"), "a NO [AUTHORIZATIONFAILED]").await;
}

#[tokio::test]
async fn literal_plus_is_shown_once_the_provider_has_shown_it() {
    let rig = Rig::start().await;
    let mut first = Client::connect(rig.imap).await;
    let greeting = first.expect("* OK [CAPABILITY ").await;
    assert!(!greeting.contains("LITERAL+"), "{greeting}");
    first.send(&format!("a LOGIN {ALICE} {PASSWORD}")).await;
    first.expect_after("a OK").await;
    let mut second = Client::connect(rig.imap).await;
    let greeting = second.expect("* OK [CAPABILITY ").await;
    assert!(greeting.contains(" LITERAL+ "), "{greeting}");
}
