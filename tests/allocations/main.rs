//! What a session costs of memory: allocations and bytes of a sign-in, of a MiB that is streamed, and
//! of a session that waits. Counted, not timed, so that it holds on any machine.
//!
//! A relay runs on a thread of its own and its allocations alone are counted: those of the clients, of
//! the provider and of what it hands to other threads are not. All goes over real sockets, TLS and log
//! lines included. Before anything is counted everything has been done a few times.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod counted;
mod scene;
#[path = "../support/mod.rs"]
mod support;

use allocation_counter::AllocationInfo;
use mailbearer::provider::Protocol;
use scene::Scene;

/// Sessions of which the average counts. What happens once in a while, as the growth of a table, is
/// no matter then.
const SESSIONS: u64 = 40;

/// How much is streamed while it is counted, in MiB: far more than all sockets take.
const STREAMED_MIB: u64 = 16;

/// By how much a figure may exceed what was seen when its bound was set: a tenth. It is for other
/// versions of the compiler, of the TLS library and of the runtime; what somebody adds to each session
/// is more, and where it is worth that the bound is set anew.
const MARGIN_PERCENT: u64 = 10;

/// What was seen: allocations, and bytes in all of them together.
struct Cost {
    allocations: u64,
    bytes: u64,
}

/// What a session is seen to cost with its sign-in, from accept to close.
const SUBMISSION: Cost = Cost { allocations: 210, bytes: 57_600 };
const IMAP: Cost = Cost { allocations: 217, bytes: 56_200 };
const POP3: Cost = Cost { allocations: 200, bytes: 55_300 };

/// What a MiB is seen to cost: a buffer of rustls for each TLS record, and down for each read the
/// beginning of the record that it ends in.
const DOWN: Cost = Cost { allocations: 79, bytes: 1_085_000 };
const UP: Cost = Cost { allocations: 65, bytes: 1_055_000 };

/// How many bytes a session of IMAP is seen to hold while it waits. Without optimisation, as tests are
/// built, its task is larger than in a release.
const HELD: u64 = 6_600;

/// Asserts that `figure` is within the margin of what was `seen`.
#[track_caller]
fn assert_within(what: &str, figure: u64, seen: u64) {
    let bound = seen + seen * MARGIN_PERCENT / 100;
    assert!(figure <= bound, "{what}: {figure}, more than {seen} and {MARGIN_PERCENT} % of it");
}

/// Asserts the same of each of `count`.
#[track_caller]
fn assert_cost(what: &str, counted: AllocationInfo, count: u64, seen: &Cost) {
    assert_within(&format!("allocations of {what}"), counted.count_total / count, seen.allocations);
    assert_within(&format!("bytes of {what}"), counted.bytes_total / count, seen.bytes);
}

#[tokio::test]
async fn a_sign_in_costs_no_more_allocations_than_it_did() {
    let scene = Scene::set().await;
    for (protocol, seen) in
        [(Protocol::Submission, SUBMISSION), (Protocol::Imap, IMAP), (Protocol::Pop3, POP3)]
    {
        scene.sessions(protocol, SESSIONS).await;
        let counted = scene.relay.count(scene.sessions(protocol, SESSIONS)).await;
        assert_cost(&format!("a session of {}", protocol.name()), counted, SESSIONS, &seen);
    }
}

#[tokio::test]
async fn a_mib_that_is_streamed_costs_no_more_allocations_than_it_did() {
    let scene = Scene::set().await;
    let mut session = scene.streaming(STREAMED_MIB).await;
    session.download().await;
    let down = scene.relay.count(session.download()).await;
    session.upload().await;
    let up = scene.relay.count(session.upload()).await;
    assert_cost("a MiB down", down, STREAMED_MIB, &DOWN);
    assert_cost("a MiB up", up, STREAMED_MIB, &UP);
}

#[tokio::test]
async fn a_session_that_waits_holds_no_more_than_it_did() {
    let scene = Scene::set().await;
    scene.sessions(Protocol::Imap, SESSIONS).await;
    let mut waiting = Vec::new();
    let counting = scene.relay.count(async {
        for _ in 0..SESSIONS {
            waiting.push(scene.signed_in(Protocol::Imap).await);
        }
    });
    let held = u64::try_from(counting.await.bytes_current).unwrap();
    assert_within("bytes that a session holds", held / SESSIONS, HELD);
    drop(waiting);
}
