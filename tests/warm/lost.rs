//! Warm connections that are of no use when they are wanted: the client does not notice.

use mailbearer::provider::Protocol;
use tokio::time::{pause, resume};

use crate::scene::{READY, sign_in, stage};
use crate::support::Client;
use crate::support::log::Log;
use crate::support::stage::{Stage, words};
use crate::support::upstream::{Act, Script, Upstream};

/// The whole sign-in at a provider of that protocol.
fn whole(protocol: Protocol) -> Script {
    crate::support::stage::sign_in(protocol)
}

/// As far into it as no token is shown.
fn ahead(protocol: Protocol) -> Script {
    let whole = whole(protocol);
    // The token with its line, the verdict, and in IMAP what is said before that in one write.
    whole.cut(whole.len() - 2)
}

/// A stage on which two sessions were signed in; the connection behind them does as `script` says.
async fn warmed_up(protocol: Protocol, script: Script, log: &Log) -> Stage {
    let stage = stage().await;
    let upstream = stage.upstreams.get(protocol);
    for script in [whole(protocol), whole(protocol), script] {
        upstream.plays(script);
    }
    for _ in 0..2 {
        signed_in(&stage, protocol).await;
    }
    log.take_until(READY).await;
    stage
}

async fn signed_in(stage: &Stage, protocol: Protocol) -> Client {
    let mut client = stage.greeted(protocol).await;
    sign_in(&mut client, protocol).await;
    client
}

fn server(stage: &mut Stage, protocol: Protocol) -> &mut Upstream {
    match protocol {
        Protocol::Submission => &mut stage.upstreams.submission,
        Protocol::Imap => &mut stage.upstreams.imap,
        Protocol::Pop3 => &mut stage.upstreams.pop3,
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closes_is_given_to_nobody() {
    for protocol in Protocol::ALL {
        for end in [Script::default().then(Act::Close), Script::default().then(Act::Reset)] {
            let log = Log::keep();
            let stage = warmed_up(protocol, ahead(protocol).and(&end), &log).await;
            let told = log.take_until("warm connection dropped").await;
            assert!(told.contains("why=\"closed\""), "{told}");
            stage.upstreams.get(protocol).plays(whole(protocol));
            signed_in(&stage, protocol).await;
            let told = log.take_until("signed in").await;
            assert!(!told.contains("warm connection taken"), "{told}");
        }
    }
}

#[tokio::test]
async fn a_connection_on_which_the_server_speaks_unasked_is_given_to_nobody() {
    for (protocol, said) in [
        (Protocol::Submission, "421 4.4.2 idle for too long"),
        (Protocol::Imap, "* OK still here"),
        (Protocol::Pop3, "-ERR idle for too long"),
    ] {
        let log = Log::keep();
        let said = Script::default().then(Act::Say(format!("{said}\r\n").into()));
        let mut stage = warmed_up(protocol, ahead(protocol).and(&said), &log).await;
        // In one write with what was due, or behind it.
        log.take_until("warm connection").await;
        let upstream = server(&mut stage, protocol);
        // It is the first to end.
        let heard = upstream.heard().await;
        assert_eq!(heard.broke, None);
        assert!(!String::from_utf8_lossy(&heard.private).contains("dXNlcj1"), "no token");
        upstream.plays(whole(protocol));
        signed_in(&stage, protocol).await;
    }
}

#[tokio::test]
async fn a_client_does_not_notice_a_connection_that_ends_in_place_of_a_word_on_the_token() {
    for protocol in Protocol::ALL {
        let farewell = match protocol {
            Protocol::Submission => Some("S: 421 4.4.2 timed out\nCLOSE"),
            Protocol::Imap => Some("S: * BYE timed out\nCLOSE"),
            Protocol::Pop3 => None,
        };
        for end in [Some("CLOSE"), farewell].into_iter().flatten() {
            let log = Log::keep();
            let whole_one = whole(protocol);
            // With the line that shows the token.
            let shown = whole_one.cut(whole_one.len() - 1).and(&Script::parse(end));
            let mut stage = warmed_up(protocol, shown, &log).await;
            stage.upstreams.get(protocol).plays(whole(protocol));
            signed_in(&stage, protocol).await;
            let told = log.take_until("signed in").await;
            for part in ["warm connection taken", "found closed, another one is dialled"] {
                assert!(told.contains(part), "{end}: {told}");
            }
            assert!(!told.contains("warm=true"), "{told}");
            let upstream = server(&mut stage, protocol);
            // The sessions end once the server has been silent for a while.
            pause();
            for _ in 0..3 {
                assert_eq!(upstream.heard().await.broke, None);
            }
            resume();
        }
    }
}

#[tokio::test]
async fn a_token_that_was_answered_is_not_shown_again() {
    // The error challenge announces a refusal; the connection ends before it is said.
    let protocol = Protocol::Submission;
    let log = Log::keep();
    let whole_one = whole(protocol);
    let challenged = Script::parse("S: 334 eyJzdGF0dXMiOiI0MDAifQ==\nC: \r\nCLOSE");
    let shown = whole_one.cut(whole_one.len() - 1).and(&challenged);
    let stage = warmed_up(protocol, shown, &log).await;
    let mut client = stage.greeted(protocol).await;
    client.ask(words(protocol).sign_in, words(protocol).unavailable).await;
    let told = log.take_until("refused").await;
    assert!(told.contains("warm connection taken") && !told.contains("another one"), "{told}");
}

#[tokio::test]
async fn a_server_that_has_refused_is_left_alone() {
    let protocol = Protocol::Submission;
    let log = Log::keep();
    let turned_away = Script::parse("S: 421 4.3.2 too many connections\nCLOSE");
    let stage = stage().await;
    let upstream = &stage.upstreams.submission;
    for script in [whole(protocol), whole(protocol), turned_away] {
        upstream.plays(script);
    }
    for _ in 0..2 {
        signed_in(&stage, protocol).await;
    }
    let told = log.take_until("no warm connection").await;
    assert!(told.contains("421 4.3.2 too many connections"), "{told}");
    // Were one made, it would play the second of these, and a session would be left without.
    for _ in 0..3 {
        upstream.plays(whole(protocol));
        signed_in(&stage, protocol).await;
    }
    assert!(!log.take_until("signed in").await.contains("warm"));
}
