//! Warm connections that are of no use when they are wanted: the client does not notice.

use std::fs::{File, read_to_string};
use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;

use mailbearer::provider::Protocol;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{pause, resume};

use crate::scene::{
    ahead, signed_in_on as signed_in, warm_up, warmed_up_on as warmed_up, whole, without_sasl_ir,
};
use crate::support::BOB_PLAIN;
use crate::support::log::Log;
use crate::support::stage::{Stage, TOKEN, Tls, words};
use crate::support::upstream::{Act, Script};

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
        let upstream = stage.upstream(protocol);
        // It is the first to end.
        let heard = upstream.heard().await;
        assert_eq!(heard.broke, None);
        assert!(!String::from_utf8_lossy(&heard.private).contains("dXNlcj1"), "no token");
        upstream.plays(whole(protocol));
        signed_in(&stage, protocol).await;
    }
}

#[tokio::test]
async fn what_a_server_says_while_the_token_is_awaited_is_no_word_on_the_token() {
    // An idle server of POP3 ends a connection with what might be a refusal.
    let protocol = Protocol::Pop3;
    let log = Log::keep();
    let dir = tempfile::tempdir().unwrap();
    let (pipe, runs) = (dir.path().join("token"), dir.path().join("runs"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let command = format!("echo run >> '{}'; cat '{}'", runs.display(), pipe.display());
    let file = format!(
        "[accounts.\"bob@example.com\"]\nprovider = \"scripted\"\n\
         mailbox = \"alice@example.com\"\ngrant = \"command\"\n\
         command = [\"sh\", \"-c\", \"{command}\"]\n\
         local_password = {{ file = \"password\" }}\n[limits]\nwarm_connections = 1\n"
    );
    let mut stage = Stage::with(Tls::None, &file).await;
    let idle_for_too_long = Arc::new(Notify::new());
    let script = ahead(protocol).then(Act::Wait(Arc::clone(&idle_for_too_long)));
    let script = script.and(&Script::parse("S: -ERR idle for too long\nCLOSE"));
    warm_up(&stage, protocol, script, &log).await;
    let mut bob = stage.greeted(protocol).await;
    bob.send(BOB_PLAIN).await;
    // Open once the command reads it.
    let pipe = spawn_blocking(|| File::options().write(true).open(pipe).unwrap()).await;
    idle_for_too_long.notify_one();
    log.take_until("warm connection dropped").await;
    stage.upstreams.pop3.plays(whole(protocol));
    pipe.unwrap().write_all(TOKEN.as_bytes()).unwrap();
    bob.expect("+OK").await;
    assert_eq!(read_to_string(runs).unwrap(), "run\n", "the token was not renewed");
    // It is the first to end.
    let heard = stage.upstreams.pop3.heard().await;
    assert!(!String::from_utf8_lossy(&heard.private).contains("dXNlcj1"), "no token");
}

#[tokio::test]
async fn a_server_at_which_one_was_found_dead_is_left_alone() {
    let protocol = Protocol::Submission;
    let log = Log::keep();
    let whole_one = whole(protocol);
    let farewell = Script::parse("S: 421 4.4.2 timed out\nCLOSE");
    let shown = whole_one.cut(whole_one.len() - 1).and(&farewell);
    let stage = warmed_up(protocol, shown, &log).await;
    stage.upstreams.submission.plays(whole(protocol));
    signed_in(&stage, protocol).await;
    let told = log.take_until("another one is dialled").await;
    assert!(told.contains("421 4.4.2 timed out"), "{told}");
    log.take_until("signed in").await;
    // Were one made, it would play one of these, and a session would be left without.
    for _ in 0..3 {
        stage.upstreams.submission.plays(whole(protocol));
        signed_in(&stage, protocol).await;
        let told = log.take_until("signed in").await;
        assert!(!told.contains("warm"), "{told}");
    }
}

#[tokio::test]
async fn a_client_does_not_notice_a_connection_that_ends_in_place_of_a_word_on_the_token() {
    let each = Protocol::ALL.map(|protocol| (protocol, whole(protocol)));
    for (protocol, whole_one) in each.into_iter().chain([(Protocol::Imap, without_sasl_ir())]) {
        let farewell = match protocol {
            Protocol::Submission => Some("S: 421 4.4.2 timed out\nCLOSE"),
            Protocol::Imap => Some("S: * BYE timed out\nCLOSE"),
            Protocol::Pop3 => None,
        };
        for end in [Some("CLOSE"), farewell].into_iter().flatten() {
            let log = Log::keep();
            // With the line that shows the token.
            let shown = whole_one.cut(whole_one.len() - 1).and(&Script::parse(end));
            let mut stage = warmed_up(protocol, shown, &log).await;
            stage.upstreams.get(protocol).plays(whole(protocol));
            signed_in(&stage, protocol).await;
            let told = log.take_until("signed in").await;
            for part in ["warm connection taken", "found dead, another one is dialled"] {
                assert!(told.contains(part), "{end}: {told}");
            }
            assert!(!told.contains("warm=true"), "{told}");
            let upstream = stage.upstream(protocol);
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
    for (protocol, end) in [
        // The error challenge announces a refusal; the connection ends before it is said.
        (Protocol::Submission, "S: 334 eyJzdGF0dXMiOiI0MDAifQ==\nC: \nCLOSE"),
        // Whatever it tells.
        (Protocol::Submission, "S: 334 \nC: \nS: 421 4.7.0 closing\nCLOSE"),
        // It was accepted.
        (Protocol::Imap, "S: m3 OK done\nC: m4 CAPABILITY\nS: * BYE too many sessions\nCLOSE"),
    ] {
        let log = Log::keep();
        let whole_one = whole(protocol);
        let shown = whole_one.cut(whole_one.len() - 1).and(&Script::parse(end));
        let stage = warmed_up(protocol, shown, &log).await;
        let mut client = stage.greeted(protocol).await;
        client.ask(words(protocol).sign_in, words(protocol).unavailable).await;
        let told = log.take_until("refused").await;
        assert!(told.contains("warm connection taken") && !told.contains("another one"), "{told}");
    }
}
