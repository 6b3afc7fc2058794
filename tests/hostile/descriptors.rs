//! No descriptor left: a clear refusal, and recovery.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::support::client::until;
use crate::support::serve::Served;
use crate::support::{AUTH_PLAIN, Client};

/// How many descriptors the program is left, besides those that it has: too few for a crowd.
const LEFT: u64 = 12;

/// More clients than descriptors.
const CLIENTS: usize = 60;

/// How many descriptors a process has open.
fn open_descriptors(id: u32) -> u64 {
    u64::try_from(std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count()).unwrap()
}

#[tokio::test]
async fn whoever_comes_when_no_descriptor_is_left_is_told_and_the_next_one_after_that_is_served() {
    let served = Served::start("").await;
    // One session first, so that what is opened once is open.
    let mut first = served.client().await;
    first.ask(AUTH_PLAIN, "235 ").await;
    first.ask("QUIT", "221 ").await;
    first.expect_end().await;
    let limit = open_descriptors(served.id()) + LEFT;
    let id = Pid::from_raw(i32::try_from(served.id()).unwrap());
    let lower = Rlimit { current: Some(limit), ..getrlimit(Resource::Nofile) };
    prlimit(id, Resource::Nofile, lower).unwrap();

    let (mut waiting, mut sent_away) = (Vec::new(), 0);
    for _ in 0..CLIENTS {
        let mut client = Client::connect(served.submission).await;
        match client.line().await {
            greeted if greeted.starts_with("220 ") => waiting.push(client),
            told => {
                assert!(told.starts_with("421 "), "{told}");
                client.expect_end().await;
                sent_away += 1;
            }
        }
    }
    assert!(!waiting.is_empty() && sent_away > CLIENTS / 2, "{sent_away} were sent away");
    let mut imap = Client::connect(served.imap).await;
    imap.expect("* BYE ").await;
    // Those who were served before are served on.
    for client in &mut waiting {
        client.ask("NOOP", "250 ").await;
    }

    drop(waiting);
    // Descriptors of those who have gone may not all be free yet.
    let mut client = until("a client is served once descriptors are free", async || {
        let mut client = Client::connect(served.submission).await;
        let is_greeted = client.line().await.starts_with("220 ");
        let is_served = is_greeted && client.ask(AUTH_PLAIN, "").await.starts_with("235 ");
        is_served.then_some(client)
    })
    .await;
    client.ask("QUIT", "221 ").await;
    client.expect_end().await;
    served.terminate();
    let log = served.ended().await;
    // Once a listener and whenever it begins anew, not once a client.
    let said = log.matches("no connection can be accepted").count();
    assert!((2..CLIENTS / 2).contains(&said), "{log}");
}
