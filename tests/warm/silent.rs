//! Warm connections whose other end is out of reach, and those whose server takes its time.

use std::sync::Arc;
use std::time::Duration;

use mailbearer::provider::Protocol;
use tokio::sync::Notify;
use tokio::time::{advance, pause, resume};

use crate::scene::{ahead, shown, signed_in_on, warmed_up_on, whole};
use crate::support::log::Log;
use crate::support::stage::{Words, words};
use crate::support::upstream::{Act, Script};

#[tokio::test]
async fn a_client_does_not_notice_a_connection_that_leads_nowhere_any_more() {
    let protocol = Protocol::Submission;
    let log = Log::keep();
    let stage = warmed_up_on(protocol, ahead(protocol).then(Act::LoseAll), &log).await;
    stage.upstreams.submission.plays(whole(protocol));
    // Without a hint of it the client would be refused, after half a minute.
    signed_in_on(&stage, protocol).await;
    let told = log.take_until("signed in").await;
    for part in ["warm connection taken", "found dead, another one is dialled"] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!told.contains("warm=true"), "{told}");
}

#[tokio::test]
async fn a_server_that_takes_its_time_is_waited_for_on_a_warm_connection_as_well() {
    for protocol in Protocol::ALL {
        let log = Log::keep();
        let had_its_time = Arc::new(Notify::new());
        let script = shown(protocol).then(Act::Wait(Arc::clone(&had_its_time)));
        let verdict = match protocol {
            Protocol::Submission => "S: 235 2.7.0 accepted",
            Protocol::Imap => "S: * CAPABILITY IMAP4rev1\nS: m3 OK signed in",
            Protocol::Pop3 => "S: +OK signed in",
        };
        let script = script.and(&Script::parse(verdict));
        let stage = warmed_up_on(protocol, script, &log).await;
        let mut client = stage.greeted(protocol).await;
        let Words { sign_in, accepted, .. } = words(protocol);
        client.send(sign_in).await;
        log.take_until("warm connection taken").await;
        pause();
        advance(Duration::from_secs(25)).await;
        // Who waits for a peer by a clock that stands has it leap to the next deadline.
        resume();
        had_its_time.notify_one();
        client.expect_after(accepted).await;
        let told = log.take_until("signed in").await;
        assert!(told.contains("warm=true") && !told.contains("dialled"), "{told}");
    }
}
