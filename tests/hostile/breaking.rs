//! Clients that close one side, or reset, wherever a session may be.

use mailbearer::provider::Protocol;

use crate::support::WRONG_PLAIN;
use crate::support::stage::{Stage, Tls, Words, sign_in, words};
use crate::support::upstream::Act;

/// As few sessions as a test can do with: one that is left over would be missed.
const ONE_SESSION: &str = "[limits]\nsessions = 1\n";

/// What clients have said before they reset.
fn phases(protocol: Protocol) -> Vec<String> {
    let Words { noop, start_tls, .. } = words(protocol);
    let begun = match protocol {
        Protocol::Submission => ["AUTH LOGIN\r\n", "AUTH LOGIN YWxpY2U=\r\n", WRONG_PLAIN],
        Protocol::Imap => ["a LOGIN {5}\r\n", "a AUTHENTICATE LOGIN\r\n", "a LOGIN alice wrong"],
        Protocol::Pop3 => ["AUTH LOGIN\r\n", "USER alice@example.com\r\n", WRONG_PLAIN],
    };
    let [first, second, wrong] = begun;
    [
        "",
        &noop[..1],
        &format!("{noop}\r\n"),
        &format!("{noop}\r\n").repeat(150),
        first,
        second,
        wrong,
        &format!("{wrong}\r\n"),
        &format!("{wrong}\r\n{noop}\r\n"),
        &format!("{start_tls}\r\n"),
        &"x".repeat(70_000),
    ]
    .map(str::to_owned)
    .into()
}

#[tokio::test]
async fn a_reset_in_any_phase_before_the_sign_in_frees_the_place() {
    for protocol in Protocol::ALL {
        let stage = Stage::with(Tls::None, ONE_SESSION).await;
        for said in phases(protocol) {
            let mut client = stage.greeted_in_the_end(protocol).await;
            client.try_send(said.as_bytes()).await;
            client.reset();
        }
        let mut client = stage.greeted_in_the_end(protocol).await;
        client.ask(words(protocol).noop, words(protocol).done).await;
    }
}

#[tokio::test]
async fn a_reset_in_any_phase_under_tls_frees_the_place() {
    for protocol in Protocol::ALL {
        let stage = Stage::with(Tls::Required, ONE_SESSION).await;
        let Words { start_tls, started, .. } = words(protocol);
        for hello in [&b""[..], b"\x16", b"\x16\x03\x01\x00\xa5\x01\x00", b"clear text\r\n"] {
            let mut client = stage.greeted_in_the_end(protocol).await;
            client.ask(start_tls, started).await;
            client.try_send(hello).await;
            client.reset();
        }
        for said in phases(protocol) {
            let mut client = stage.greeted_in_the_end(protocol).await;
            client.ask(start_tls, started).await;
            let mut client = client.start_tls(&stage.connector()).await;
            client.try_send(said.as_bytes()).await;
            client.reset();
        }
        drop(stage.greeted_in_the_end(protocol).await);
    }
}

#[tokio::test]
async fn a_reset_after_the_sign_in_ends_the_providers_side_and_frees_the_place() {
    for protocol in Protocol::ALL {
        let mut stage = Stage::with(Tls::None, ONE_SESSION).await;
        for said in ["", "DATA\r\nhalf a mess", "i IDLE\r\n"] {
            stage.upstream(protocol).plays(sign_in(protocol).then(Act::Take(said.len())));
            let mut client = stage.greeted_in_the_end(protocol).await;
            client.send(words(protocol).sign_in).await;
            client.expect_after(words(protocol).accepted).await;
            client.send_bytes(said.as_bytes()).await;
            client.reset();
            let heard = stage.upstream(protocol).heard().await;
            assert!(heard.is_private, "{protocol:?}: {heard:?}");
        }
        drop(stage.greeted_in_the_end(protocol).await);
    }
}

#[tokio::test]
async fn a_provider_that_resets_in_any_phase_is_told_to_the_client_as_what_may_pass() {
    for protocol in Protocol::ALL {
        let mut stage = Stage::with(Tls::None, "").await;
        let whole = sign_in(protocol);
        for len in 0..whole.len() {
            stage.upstream(protocol).plays(whole.cut(len).then(Act::Reset));
            let mut client = stage.greeted(protocol).await;
            client.ask(words(protocol).sign_in, words(protocol).unavailable).await;
            stage.upstream(protocol).heard().await;
        }
    }
}

#[tokio::test]
async fn a_client_that_closes_its_side_is_answered_and_closed() {
    let stage = Stage::with(Tls::None, ONE_SESSION).await;
    for protocol in Protocol::ALL {
        let Words { noop, done, .. } = words(protocol);
        let mut client = stage.greeted_in_the_end(protocol).await;
        client.close().await;
        client.expect_end().await;
        let mut client = stage.greeted_in_the_end(protocol).await;
        client.send(noop).await;
        client.close().await;
        client.expect_after(done).await;
        client.rest().await;
        let mut client = stage.greeted_in_the_end(protocol).await;
        client.send_bytes(noop.as_bytes()).await;
        client.close().await;
        client.expect_end().await;
    }
}
