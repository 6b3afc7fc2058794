//! `mailbearer serve` as a supervisor sees it: signals and exit codes.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::process::Output;

use rustix::process::Signal;
use support::serve::Served;
use support::{ALICE, AUTH_PLAIN, Client, PASSWORD};

/// Exit code and standard error.
fn told(output: &Output) -> (Option<i32>, &str) {
    (output.status.code(), std::str::from_utf8(&output.stderr).unwrap())
}

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

#[tokio::test]
async fn a_relay_that_drains_says_so_and_takes_commands_until_it_ends() {
    let served = Served::start("[shutdown]\ngrace = \"10m\"\n").await;
    assert_eq!(told(&served.command(&["healthcheck"]).await), (Some(0), ""));
    let mut signed_in = served.client().await;
    signed_in.ask(AUTH_PLAIN, "235 ").await;
    let mut stranger = served.client().await;
    served.terminate();
    stranger.expect("421 4.3.2 ").await;
    let health = served.command(&["healthcheck"]).await;
    assert_eq!(told(&health), (Some(1), "not ready: it is shutting down\n"));
    let made = served.command(&["password", ALICE]).await;
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let reload = served.command(&["reload"]).await;
    let (code, problem) = told(&reload);
    assert!(code == Some(1) && problem.contains("broken off"), "{code:?} {problem}");
    served.signal(Signal::HUP);
    signed_in.ask("QUIT", "221").await;
    served.ended().await;
}

#[tokio::test]
async fn healthcheck_asks_the_relay_whatever_has_become_of_its_file() {
    let served = Served::start("").await;
    for broken in ["[accounts.\"half", "nonsense = true\n"] {
        served.rewrite(|text| format!("{broken}\n{text}"));
        assert_eq!(told(&served.command(&["healthcheck"]).await), (Some(0), ""), "{broken}");
        let reload = served.command(&["reload"]).await;
        let (code, problem) = told(&reload);
        assert!(code == Some(78) && problem.contains("mailbearer.toml:1"), "{code:?} {problem}");
        served.rewrite(|text| text.replacen(&format!("{broken}\n"), "", 1));
    }
    served.terminate();
    served.ended().await;
}

#[tokio::test]
async fn sighup_puts_the_file_in_force() {
    let bob = "[accounts.\"bob@example.com\"]\nprovider = \"sandbox\"\n\
               local_password = { file = \"password\" }\n";
    let served = Served::start(bob).await;
    let mut alice = served.client().await;
    alice.ask(AUTH_PLAIN, "235 ").await;
    let mut by_bob = Client::connect(served.imap).await;
    by_bob.expect("* OK").await;
    by_bob.send(&format!("a LOGIN bob@example.com {PASSWORD}")).await;
    by_bob.expect_after("a OK").await;
    served.rewrite(|text| text.replace(bob, ""));
    served.signal(Signal::HUP);
    by_bob.expect_end().await;
    alice.ask("QUIT", "221").await;
    served.terminate();
    let log = served.ended().await;
    assert!(log.contains("reason=\"account-removed\""), "{log}");
    assert!(log.contains("configuration reloaded"), "{log}");
}

#[tokio::test]
async fn the_log_level_of_a_reload_holds_from_then_on() {
    let served = Served::start("").await;
    let session = async || {
        let mut client = served.client().await;
        client.ask(AUTH_PLAIN, "235 ").await;
        client.ask("QUIT", "221").await;
        client.expect_end().await;
    };
    session().await;
    served.rewrite(|text| text + "[log]\nlevel = \"error\"\n");
    assert_eq!(told(&served.command(&["reload"]).await), (Some(0), ""));
    session().await;
    served.terminate();
    let log = served.ended().await;
    assert_eq!(log.matches(" signed in ").count(), 1, "{log}");
}

#[tokio::test]
async fn a_second_serve_on_one_store_exits_75() {
    let served = Served::start("").await;
    let second = served.command(&["serve"]).await;
    let (code, problem) = told(&second);
    assert_eq!(code, Some(75), "{problem}");
    assert!(problem.contains("one `serve` runs on one store"), "{problem}");
    served.terminate();
    served.ended().await;
}
