//! Nothing that a client says makes a series.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::task::JoinSet;

use crate::scene::{Series, get, rig, send, series, with};
use crate::support::{Client, PASSWORD, RigSettings};

/// Names of users under one wildcard, as many as a monitor would notice.
const USERS: usize = 1_000;

/// How many of them sign in at once.
const AT_ONCE: usize = 50;

fn names(series: &Series) -> BTreeSet<&str> {
    series.keys().map(String::as_str).collect()
}

fn plain(user: &str, password: &str) -> String {
    format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{user}\0{password}")))
}

#[tokio::test]
async fn names_that_strangers_choose_reach_no_label() {
    let rig = rig("").await;
    let before = series(&rig).await;
    let mut client = rig.greeted("submission").await;
    client.send("EHLO planted\"} 1").await;
    client.line().await;
    let mut client = rig.greeted("submission").await;
    client.ask(&plain("planted\"} 1\n@example.com", PASSWORD), "5").await;
    client.ask(&plain("planted\"} 1@example.com", PASSWORD), "535 ").await;
    client.ask("PLANTED \"} 1", "500 ").await;
    let mut client = rig.greeted("imap").await;
    client.ask("planted LOGIN \"planted\\\"} 1\" x", "planted NO").await;
    let path = "/metrics?planted=1";
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: planted\r\n\r\n");
    assert_eq!(send(rig.probes[0], &request).await.status, 200);

    let after = series(&rig).await;
    assert_eq!(names(&before), names(&after));
    let text = get(&rig, "/metrics").await.body.to_lowercase();
    assert!(!text.contains("planted"), "{text}");
}

#[tokio::test]
async fn a_thousand_users_of_a_wildcard_make_no_series() {
    let settings = RigSettings { account: "*@example.com", ..RigSettings::default() };
    let rig = with(settings, "").await;
    let mut before = None;
    for first in (0..USERS).step_by(AT_ONCE) {
        let mut signing_in = JoinSet::new();
        for number in first..first + AT_ONCE {
            let address = rig.submission;
            signing_in.spawn(async move {
                let mut client = Client::connect(address).await;
                client.expect("220 ").await;
                let user = format!("user{number}@example.com");
                client.ask(&plain(&user, PASSWORD), "235 ").await;
                client.ask("QUIT", "221 ").await;
                client.expect_end().await;
            });
        }
        signing_in.join_all().await;
        before.get_or_insert(series(&rig).await);
    }
    let after = series(&rig).await;
    assert_eq!(names(&before.unwrap()), names(&after));
    assert_eq!(after["mailbearer_sign_ins_total{protocol=\"submission\"}"], 1_000.0);
    let text = get(&rig, "/metrics").await.body;
    assert!(!text.contains("user1"), "{text}");
}

#[tokio::test]
async fn accounts_of_the_file_are_named_where_something_of_them_ends_and_escaped() {
    let settings = RigSettings {
        account: r#"we\"ird\\@example.com"#,
        provider: "client_secret_expires = \"2030-01-01\"",
        ..RigSettings::default()
    };
    let rig = with(settings, "").await;
    let text = get(&rig, "/metrics").await.body;
    let named: Vec<_> = text.lines().filter(|line| line.contains("ird")).collect();
    // Its midnight in UTC.
    let expected = "mailbearer_credential_expires_at_seconds\
                    {account=\"we\\\"ird\\\\@example.com\"} 1893456000";
    assert_eq!(named, [expected]);
}
