//! Clients that take nothing of what they are sent.

use std::time::Duration;

use mailbearer::proto::COMMANDS_MAX;
use mailbearer::provider::Protocol;
use tokio::time::{pause, resume, sleep};

use crate::support::client::Client;
use crate::support::log::Log;
use crate::support::stage::{Stage, Tls, sign_in, words};
use crate::support::upstream::Act;

/// More, in bytes, than all sockets between a provider and a client hold together: Linux lets each
/// grow to 6 MiB at most (tcp(7), `tcp_rmem`), and there are four.
const MUCH: usize = 64 * 1024 * 1024;

/// Far longer than a session may be idle, and than our last words and a close may take.
const LONG: Duration = Duration::from_secs(600);

/// Lets `LONG` go by, which takes no time on a paused clock where nothing moves.
async fn long_after() {
    pause();
    sleep(LONG).await;
    resume();
}

/// The number of a field of a log line.
fn number(line: &str, field: &str) -> usize {
    let (_, value) = line.split_once(&format!(" {field}=")).unwrap();
    value.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_client_that_takes_nothing_stops_its_provider_alone_and_is_cut_when_it_was_idle() {
    let log = Log::keep();
    for protocol in Protocol::ALL {
        let limits = "[limits]\nsessions = 2\nidle_timeout = \"1m\"\n";
        let mut stage = Stage::with(Tls::None, limits).await;
        let words = words(protocol);
        stage.upstream(protocol).plays(sign_in(protocol).then(Act::Pour(MUCH)));
        let mut deaf = Client::connect_with_no_room(stage.address(protocol)).await;
        deaf.expect(words.greeting).await;
        deaf.send(words.sign_in).await;
        deaf.expect_after(words.accepted).await;

        // Everybody else is served, and once for a whole session the provider sends nothing.
        let mut poured = None;
        while poured != Some(stage.upstream(protocol).poured()) {
            poured = Some(stage.upstream(protocol).poured());
            assert_ne!(poured, Some(MUCH), "{protocol:?}: the provider was never stopped");
            stage.upstream(protocol).plays(sign_in(protocol).then(Act::Close));
            let mut client = stage.greeted_in_the_end(protocol).await;
            client.send(words.sign_in).await;
            client.expect_after(words.accepted).await;
            client.expect_end().await;
            stage.upstream(protocol).heard().await;
        }

        long_after().await;
        let logged = log.take_until("closed reason=\"idle-timeout\"").await;
        // The provider could not go on because the client's socket took no more.
        let passed = number(logged.lines().last().unwrap(), "down_bytes");
        assert!(Some(passed) < poured, "{protocol:?}: {passed} of {poured:?} bytes passed");
        let heard = stage.upstream(protocol).heard().await;
        assert!(heard.broke.is_some(), "{protocol:?}: {heard:?}");
        // Both places are free, and the client has still taken nothing.
        let _first = stage.greeted_in_the_end(protocol).await;
        let _second = stage.greeted_in_the_end(protocol).await;
        drop(deaf);
    }
}

/// Its replies are so few that any socket holds them. How the relay stops reading where that is not
/// so is seen on a pipe of 4 KiB, in `src/relay/session/tests.rs`.
#[tokio::test]
async fn a_stranger_that_takes_no_reply_is_cut_at_the_last_command_that_is_answered() {
    let log = Log::keep();
    let stage = Stage::with(Tls::None, "[limits]\nsessions = 6\n").await;
    let mut deaf = Vec::new();
    for protocol in Protocol::ALL {
        let words = words(protocol);
        let commands = format!("{}\r\n", words.noop).repeat(usize::from(COMMANDS_MAX));
        let mut client = Client::connect_with_no_room(stage.address(protocol)).await;
        assert!(client.try_send(commands.as_bytes()).await, "{protocol:?}");
        deaf.push(client);
        // Whoever comes behind it is answered, so it was read.
        stage.greeted(protocol).await.ask(words.noop, words.done).await;
    }
    long_after().await;
    for _ in &deaf {
        log.take_until("closed reason=\"too-many-commands\"").await;
    }
    let mut everybody = Vec::new();
    for protocol in Protocol::ALL {
        everybody.push(stage.greeted_in_the_end(protocol).await);
        everybody.push(stage.greeted_in_the_end(protocol).await);
    }
    drop(deaf);
}
