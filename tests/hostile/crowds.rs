//! Many connections that never sign in.

use std::net::{IpAddr, Ipv4Addr};

use mailbearer::provider::Protocol;
use tokio::task::JoinSet;

use crate::support::client::{Client, until};
use crate::support::stage::{Stage, Tls, sign_in, words};
use crate::support::upstream::Act;

/// Where the crowd comes from; everybody else here comes from 127.0.0.1.
const CROWD: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// How many it is.
const CROWD_LEN: usize = 2_000;

/// `limits.sessions_per_peer` unless the file says otherwise.
const PER_PEER: usize = 100;

/// How many connect at once: fewer than any system's queue of connections not yet accepted.
const AT_ONCE: usize = 100;

/// The crowd connects and says half a word, each. Gives those that were served and still wait, and
/// how many were sent away.
async fn slow_loris(stage: &Stage, protocol: Protocol) -> (Vec<Client>, usize) {
    let words = words(protocol);
    let address = stage.address(protocol);
    let (mut waiting, mut sent_away) = (Vec::new(), 0);
    for _ in 0..CROWD_LEN / AT_ONCE {
        let mut connecting = JoinSet::new();
        for _ in 0..AT_ONCE {
            connecting.spawn(async move {
                let mut client = Client::connect_from(CROWD, address).await;
                let first = client.line().await;
                client.try_send(&words.noop.as_bytes()[..1]).await;
                (client, first)
            });
        }
        for (client, first) in connecting.join_all().await {
            if first.starts_with(words.farewell) {
                sent_away += 1;
            } else {
                assert!(first.starts_with(words.greeting), "{first}");
                waiting.push(client);
            }
        }
    }
    (waiting, sent_away)
}

#[tokio::test]
async fn two_thousand_that_say_half_a_word_do_not_stop_anybody_else_from_signing_in() {
    let stage = Stage::set(Tls::None).await;
    for protocol in Protocol::ALL {
        let (waiting, sent_away) = slow_loris(&stage, protocol).await;
        assert_eq!((waiting.len(), sent_away), (PER_PEER, CROWD_LEN - PER_PEER), "{protocol:?}");
        let words = words(protocol);
        stage.upstreams.get(protocol).plays(sign_in(protocol).then(Act::Close));
        let mut client = stage.greeted(protocol).await;
        client.send(words.sign_in).await;
        client.expect_after(words.accepted).await;
        client.expect_end().await;
        drop(waiting);
        until("the places of a crowd that has gone are free", async || {
            let mut client = Client::connect_from(CROWD, stage.address(protocol)).await;
            client.line().await.starts_with(words.greeting).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_crowd_that_starts_tls_and_never_finishes_is_counted_like_any_other() {
    for tls in [Tls::Required, Tls::Implicit] {
        let stage = Stage::set(tls).await;
        let address = stage.address(Protocol::Imap);
        let mut waiting = Vec::new();
        for _ in 0..PER_PEER {
            let mut client = Client::connect_from(CROWD, address).await;
            if tls == Tls::Required {
                client.expect("* OK ").await;
                client.ask("s STARTTLS", "s OK ").await;
            }
            // The first bytes of a ClientHello whose rest does not come.
            client.send_bytes(b"\x16\x03\x01\x02\x00").await;
            waiting.push(client);
        }
        let mut one_more = Client::connect_from(CROWD, address).await;
        if tls == Tls::Required {
            one_more.expect("* BYE ").await;
        }
        one_more.rest_until_it_breaks().await;
        let mut client = match tls {
            Tls::Implicit => stage.implicit(Protocol::Imap).await,
            Tls::Required | Tls::Offered | Tls::None => stage.started(Protocol::Imap).await,
        };
        client.ask("n NOOP", "n OK ").await;
        drop(waiting);
    }
}
