//! `mailbearer serve` as a supervisor sees it: signals and exit codes.

mod support;

use support::AUTH_PLAIN;
use support::serve::Served;

#[tokio::test]
async fn a_second_sigterm_ends_the_sessions_that_the_first_one_left() {
    let served = Served::start("[shutdown]\ngrace = \"10m\"\n").await;
    let mut signed_in = served.client().await;
    signed_in.ask(AUTH_PLAIN, "235 ").await;
    let mut stranger = served.client().await;
    served.terminate();
    stranger.expect("421 4.3.2 ").await;
    stranger.expect_end().await;
    signed_in.ask("NOOP", "250").await;
    served.terminate();
    signed_in.expect_end().await;
    let log = served.ended().await;
    assert!(log.contains("reason=\"draining\""), "{log}");
}
